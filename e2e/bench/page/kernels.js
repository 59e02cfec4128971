// Loads the module of the kernels, or of a peer for equal work, and runs workloads.

import { pffft } from './pffft.js';
import { product } from './product.js';

const loaded = [];

async function own(bytes, workload) {
  const { instance } = await WebAssembly.instantiate(Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0)), {});
  const { memory, name: place, prepare, run } = instance.exports;
  const word = new TextEncoder().encode(workload);
  new Uint8Array(memory.buffer, place(), word.length).set(word);
  const flops = prepare(word.length);
  if (Number.isNaN(flops)) throw new Error(`there is no workload ${workload}`);
  return { flops, run };
}

window.kernels = {
  /** Prepares a workload. Returns its index among the prepared ones, and its operations per run. */
  async prepare(bytes, workload) {
    const [kind, size] = workload.split(':');
    const [peer, work] = kind.split('-');
    const prepared = kind === 'pffft' ? pffft(Number(size)) : work === 'gemm' ? product(peer, Number(size)) : own(bytes, workload);
    const { flops, run } = await prepared;
    loaded.push(run);
    return { index: loaded.length - 1, flops };
  },

  /** Milliseconds of `repeats` runs. */
  async round(index, repeats) {
    const started = performance.now();
    const result = loaded[index](repeats);
    // Our kernels are synchronous; awaiting them would cost a turn of the event loop.
    if (result instanceof Promise) await result;
    if (Number.isNaN(result)) throw new Error('the kernel failed');
    return performance.now() - started;
  },
};
