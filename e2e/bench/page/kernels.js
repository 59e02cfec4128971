// Loads the kernels' own module, or PFFFT for the same convolution, and runs what it is told.

import { pffft } from './pffft.js';

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
  /** Makes a workload ready: its place among those that are, and its operations. */
  async prepare(bytes, workload) {
    const [kind, size] = workload.split(':');
    const { flops, run } = kind === 'pffft' ? await pffft(Number(size)) : await own(bytes, workload);
    loaded.push(run);
    return { index: loaded.length - 1, flops };
  },

  /** Milliseconds of `repeats` runs. */
  round(index, repeats) {
    const started = performance.now();
    const result = loaded[index](repeats);
    if (Number.isNaN(result)) throw new Error('the kernel failed');
    return performance.now() - started;
  },
};
