// jax-js, one page per backend: its own attention, compiled once for each shape.

export async function open({ backend }) {
  const { blockUntilReady, defaultDevice, init, jit, nn, numpy: np } = await import('/npm/@jax-js/jax/dist/index.js');
  if (!(await init(backend)).includes(backend)) throw new Error(`jax-js has no ${backend} backend here`);
  defaultDevice(backend);

  return {
    async load({ length, width, heads, causal }, inputs) {
      const shape = [1, length, heads, width / heads];
      const operands = ['q', 'k', 'v'].map((name) => np.array(inputs[name]).reshape(shape));
      await blockUntilReady(operands.map((operand) => operand.ref));
      const attention = jit((q, k, v) => nn.dotProductAttention(q, k, v, { isCausal: causal }));
      // An array is consumed by what it is given to, unless another reference is taken.
      const forward = () => attention(...operands.map((operand) => operand.ref));
      return {
        async pass() {
          const y = forward();
          await y.blockUntilReady();
          y.dispose();
        },
        async output() {
          return Float32Array.from(await forward().data());
        },
        free() {
          for (const operand of operands) operand.dispose();
        },
      };
    },
  };
}
