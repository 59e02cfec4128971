// The worker's first script: loads the wasm module chosen by the page and then passes it every message.

import { fault } from './traps.js';

const crashed = (error) => self.postMessage({ type: 'crashed', ...fault(error) });
self.addEventListener('error', (event) => crashed(event.error ?? event.message));
self.addEventListener('unhandledrejection', (event) => crashed(event.reason));

/**
 * Makes the pool's threads run `thread.js`, which reports faults to the page through the channel with this name. The
 * script of wasm-bindgen-rayon reports nothing, so the engine would wait forever for a crashed thread.
 */
function watchThreads(channel) {
  self.Worker = class extends Worker {
    constructor(script, options) {
      super(new URL('./thread.js', import.meta.url), { ...options, name: channel });
      // A script that does not load cannot report anything. The engine still listens at that point: it waits for its
      // threads' first message.
      this.addEventListener('error', (event) => crashed(event.message || 'a thread of the pool could not be started'));
    }
  };
}

const early = [];
let receive = (data) => early.push(data);

self.onmessage = async ({ data }) => {
  self.onmessage = ({ data }) => receive(data);
  try {
    const engine = await import(data.module);
    await engine.default();
    if (data.threads > 1) {
      watchThreads(data.faults);
      await engine.initThreadPool(data.threads - 1);
    }
    await engine.start(data.variant, data.threads, (json) => self.postMessage(json));
    receive = ({ json, bytes }) => engine.receive(json, bytes);
    for (const message of early.splice(0)) receive(message);
  } catch (error) {
    crashed(error);
  }
};
