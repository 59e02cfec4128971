// Causal long convolution of 256 channels with PFFFT, as a careful user of the library would write it: real transforms
// in the library's order, cached spectra of the filters, one scratch buffer for all channels.

import { generator } from './problem.js';

const CHANNELS = 256;
const REAL = 0;
const FORWARD = 0;
const BACKWARD = 1;
/** Number of outputs that are compared with the definition in f64, for signals and filters within ±½. */
const CHECKED = 5;
const TOLERANCE = 1e-3;

export async function pffft(length) {
  const { default: open } = await import('/npm/@echogarden/pffft-wasm/dist/simd/pffft.js');
  const library = await open();
  const size = 2 ** Math.ceil(Math.log2(2 * length - 1));
  const setup = library._pffft_new_setup(size, REAL);
  const floats = (count) => library._pffft_aligned_malloc(4 * count);
  const [signals, outputs] = [floats(CHANNELS * length), floats(CHANNELS * length)];
  const [spectra, padded, product, scratch] = [floats(CHANNELS * size), floats(size), floats(size), floats(size)];
  // The heap moves when it grows. It does not grow after this line.
  const heap = () => library.HEAPF32;
  const random = generator(1);
  const filter = Float32Array.from({ length }, () => random() - 0.5);
  for (let at = 0; at < CHANNELS * length; at += 1) heap()[signals / 4 + at] = random() - 0.5;
  for (let channel = 0; channel < CHANNELS; channel += 1) {
    heap().fill(0, padded / 4, padded / 4 + size);
    heap().set(filter, padded / 4);
    library._pffft_transform(setup, padded, spectra + 4 * channel * size, scratch, FORWARD);
  }

  function convolve(channel) {
    const from = signals / 4 + channel * length;
    heap().copyWithin(padded / 4, from, from + length);
    heap().fill(0, padded / 4 + length, padded / 4 + size);
    library._pffft_transform(setup, padded, padded, scratch, FORWARD);
    heap().fill(0, product / 4, product / 4 + size);
    library._pffft_zconvolve_accumulate(setup, padded, spectra + 4 * channel * size, product, 1 / size);
    library._pffft_transform(setup, product, padded, scratch, BACKWARD);
    heap().copyWithin(outputs / 4 + channel * length, padded / 4, padded / 4 + length);
  }

  convolve(0);
  for (let index = 0; index < CHECKED; index += 1) {
    const t = Math.floor((index * (length - 1)) / (CHECKED - 1));
    let expected = 0;
    for (let lag = 0; lag <= t; lag += 1) expected += filter[lag] * heap()[signals / 4 + t - lag];
    const got = heap()[outputs / 4 + t];
    if (!(Math.abs(got - expected) <= TOLERANCE)) throw new Error(`PFFFT gives ${got}, not ${expected}, at ${t}`);
  }
  return {
    flops: CHANNELS * (5 * size * Math.log2(size) + 3 * size),
    run(repeats) {
      for (let index = 0; index < repeats; index += 1) {
        for (let channel = 0; channel < CHANNELS; channel += 1) convolve(channel);
      }
      return heap()[outputs / 4];
    },
  };
}
