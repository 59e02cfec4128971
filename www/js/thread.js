// The script of a thread of the engine's pool, in place of the one that wasm-bindgen-rayon starts: the same messages, and
// besides, a fault is told to the page at once. The engine cannot pass it on, since it waits for this thread without
// looking at messages; the channel leads past it.

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
  // Comes back only by a fault.
  engine.wbg_rayon_start_worker(data.receiver);
});
