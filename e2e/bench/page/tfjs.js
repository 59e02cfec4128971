// TensorFlow.js, one page per backend: attention (matMul, softmax, matMul), a long convolution by real transforms, or a
// product.

import { causalMask, hyenaRows, turned } from './problem.js';

const script = (address) =>
  new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.src = address;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`cannot load ${address}`));
    document.head.append(element);
  });

export async function open({ backend, threads }) {
  await script('/npm/@tensorflow/tfjs-core/dist/tf-core.min.js');
  await script(`/npm/@tensorflow/tfjs-backend-${backend}/dist/tf-backend-${backend}.min.js`);
  const { tf } = window;
  if (backend === 'wasm') {
    tf.wasm.setWasmPaths('/npm/@tensorflow/tfjs-backend-wasm/dist/');
    tf.wasm.setThreadsCount(threads ?? navigator.hardwareConcurrency);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`tfjs has no ${backend} backend here`);
  await tf.ready();

  /** Long convolution of rows over positions, padded to twice the length. */
  function hyena(problem, inputs) {
    const { length, width } = problem;
    const rows = hyenaRows(problem, inputs);
    const [x0, x1, v] = ['x0', 'x1', 'v'].map((name) => tf.tensor(rows[name], [width, length]));
    const bias = tf.tensor(inputs.bias, [width, 1]);
    const spectrum = tf.tidy(() => tf.spectral.rfft(tf.tensor(inputs.k, [width, length]), 2 * length));
    const forward = () =>
      tf.tidy(() => {
        const u = tf.mul(x1, v);
        const both = tf.spectral.irfft(tf.mul(tf.spectral.rfft(u, 2 * length), spectrum));
        const mixed = tf.slice(both, [0, 0], [width, length]);
        return tf.mul(x0, tf.add(mixed, tf.mul(bias, u)));
      });
    return { forward, first: [0, 0], operands: [x0, x1, v, bias, spectrum], finish: (data) => turned(problem, data) };
  }

  function attention({ length, width, heads, causal }, inputs) {
    const head = width / heads;
    const [q, k, v] = ['q', 'k', 'v'].map((name) => tf.tensor(inputs[name], [length, heads, head]));
    const mask = causal ? tf.tensor(causalMask(length), [length, length]) : null;
    const scale = tf.scalar(1 / Math.sqrt(head));
    const forward = () =>
      tf.tidy(() => {
        const split = (tensor) => tf.transpose(tensor, [1, 0, 2]);
        const scores = tf.matMul(tf.mul(split(q), scale), split(k), false, true);
        const weights = tf.softmax(mask ? tf.add(scores, mask) : scores);
        return tf.transpose(tf.matMul(weights, split(v)), [1, 0, 2]);
      });
    return { forward, first: [0, 0, 0], operands: [q, k, v, scale, ...(mask ? [mask] : [])], finish: (data) => data };
  }

  function product({ size }, inputs) {
    const [x, weights] = ['x', 'weights'].map((name) => tf.tensor(inputs[name], [size, size]));
    return { forward: () => tf.matMul(x, weights), first: [0, 0], operands: [x, weights], finish: (data) => data };
  }

  const works = { attention, hyena, product };
  return {
    about: () => (backend === 'wasm' ? { threads: tf.wasm.getThreadsCount() } : {}),
    async load(problem, inputs) {
      const { forward, first, operands, finish } = works[problem.work](problem, inputs);
      return {
        async pass() {
          const y = forward();
          // Reading one number back waits for all earlier operations. The wasm backend is synchronous.
          if (backend === 'webgpu') {
            const one = tf.slice(y, first, first.map(() => 1));
            await one.data();
            one.dispose();
          }
          y.dispose();
        },
        async output() {
          const y = forward();
          const data = await y.data();
          y.dispose();
          return finish(Float32Array.from(data));
        },
        free() {
          tf.dispose(operands);
        },
      };
    },
  };
}
