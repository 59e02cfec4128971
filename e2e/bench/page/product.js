// A linear layer of width N on N rows with a peer's wasm backend on one thread.

import { product as operandsOf } from './problem.js';

/** Number of outputs that are compared with the definition in f64, for operands within ±½. */
const CHECKED = 5;
const TOLERANCE = 1e-3;

/** `peer`: `ort` or `tfjs`. */
export async function product(peer, size) {
  const { open } = await import(`./${peer}.js`);
  const library = await open({ backend: 'wasm', threads: 1 });
  const inputs = operandsOf(size);
  const loaded = await library.load({ work: 'product', size }, inputs);
  const output = await loaded.output();
  for (let index = 0; index < CHECKED; index += 1) {
    const at = Math.floor((index * (size * size - 1)) / (CHECKED - 1));
    const [row, column] = [Math.floor(at / size), at % size];
    let expected = 0;
    for (let inner = 0; inner < size; inner += 1) expected += inputs.x[row * size + inner] * inputs.weights[inner * size + column];
    if (!(Math.abs(output[at] - expected) <= TOLERANCE)) throw new Error(`${peer} gives ${output[at]}, not ${expected}, at ${at}`);
  }
  return {
    flops: 2 * size ** 3,
    async run(repeats) {
      for (let index = 0; index < repeats; index += 1) await loaded.pass();
    },
  };
}
