// The worker's first script: loads the wasm module that the page chose, then hands it every message.

import { fault } from './traps.js';

const crashed = (error) => self.postMessage({ type: 'crashed', ...fault(error) });
self.addEventListener('error', (event) => crashed(event.error ?? event.message));
self.addEventListener('unhandledrejection', (event) => crashed(event.reason));

/**
 * Has the pool's threads run `thread.js`, which tells the page of a fault by the channel of this name. wasm-bindgen-rayon
 * starts workers of its own script, which tell nobody: the engine would wait for such a thread forever.
 */
function watchThreads(channel) {
  self.Worker = class extends Worker {
    constructor(script, options) {
      super(new URL('./thread.js', import.meta.url), { ...options, name: channel });
      // A script that does not load can tell nobody. The engine still listens then: it waits for its threads' first word.
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
