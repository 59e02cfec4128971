// The script of a thread of the engine's pool, in place of wasm-bindgen-rayon's own. It handles the same messages and
// also reports a fault to the page immediately. The engine cannot do so, since it blocks while it waits for this
// thread, hence the separate channel.

import { fault } from './traps.js';

const page = new BroadcastChannel(self.name);
const crashed = (error) => page.postMessage({ type: 'crashed', ...fault(error, { thread: true }) });
self.addEventListener('error', (event) => crashed(event.error ?? event.message));
self.addEventListener('unhandledrejection', (event) => crashed(event.reason));

self.addEventListener('message', async ({ data }) => {
  if (data?.type !== 'wasm_bindgen_worker_init') return;
  const engine = await import(data.mainJS);
  await engine.default(data.module, data.memory);
  self.postMessage({ type: 'wasm_bindgen_worker_ready' });
  // Returns only after a fault.
  engine.wbg_rayon_start_worker(data.receiver);
});
