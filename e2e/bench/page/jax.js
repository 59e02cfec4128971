// jax-js, one page per backend: its own attention, or a long convolution by its real transforms, compiled once per
// shape.

import { hyenaRows, turned } from './problem.js';

export async function open({ backend }) {
  const { blockUntilReady, defaultDevice, init, jit, nn, numpy: np } = await import('/npm/@jax-js/jax/dist/index.js');
  if (!(await init(backend)).includes(backend)) throw new Error(`jax-js has no ${backend} backend here`);
  defaultDevice(backend);

  /** Long convolution of rows over positions, padded to twice the length. */
  async function hyena(problem, inputs) {
    const { length, width } = problem;
    const { x0, x1, v } = hyenaRows(problem, inputs);
    const array = (data, shape) => np.array(data).reshape(shape);
    const padded = (rows) => np.pad(rows, [[0, 0], [0, length]]);
    const spectrum = np.fft.rfft(padded(array(inputs.k, [width, length])));
    const operands = [...[x0, x1, v].map((data) => array(data, [width, length])), array(inputs.bias, [width, 1]), spectrum.real, spectrum.imag];
    await blockUntilReady(operands.map((operand) => operand.ref));
    const layer = jit((x0, x1, v, bias, re, im) => {
      const u = x1.mul(v);
      const { real, imag } = np.fft.rfft(padded(u.ref));
      const product = {
        real: real.ref.mul(re.ref).sub(imag.ref.mul(im.ref)),
        imag: real.mul(im).add(imag.mul(re)),
      };
      const mixed = np.fft.irfft(product).slice([], [0, length]);
      return x0.mul(mixed.add(bias.mul(u)));
    });
    return { forward: () => layer(...operands.map((operand) => operand.ref)), operands, finish: (data) => turned(problem, data) };
  }

  async function attention({ length, width, heads, causal }, inputs) {
    const shape = [1, length, heads, width / heads];
    const operands = ['q', 'k', 'v'].map((name) => np.array(inputs[name]).reshape(shape));
    await blockUntilReady(operands.map((operand) => operand.ref));
    const attention = jit((q, k, v) => nn.dotProductAttention(q, k, v, { isCausal: causal }));
    // An operation consumes its arrays unless another reference is taken.
    return { forward: () => attention(...operands.map((operand) => operand.ref)), operands, finish: (data) => data };
  }

  return {
    async load(problem, inputs) {
      const { forward, operands, finish } = await (problem.work === 'hyena' ? hyena : attention)(problem, inputs);
      return {
        async pass() {
          const y = forward();
          await y.blockUntilReady();
          y.dispose();
        },
        async output() {
          return finish(Float32Array.from(await forward().data()));
        },
        free() {
          for (const operand of operands) operand.dispose();
        },
      };
    },
  };
}
