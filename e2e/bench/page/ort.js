// ONNX Runtime Web, one page per backend and number of threads. Variants of attention: `plain` (matmul, softmax,
// matmul) and `fused` (its MultiHeadAttention operator); of one token's attention `mha` and `gqa` (its operators with past keys
// and values, which copy the caches at every step). Also products by weights in the graph.

import { causalMask } from './problem.js';

const DIST = '/npm/onnxruntime-web/dist/';

export async function open({ backend, threads, subgroups }) {
  if (subgroups === 'hidden') hideSubgroups();
  const gpu = backend === 'webgpu';
  const ort = await import(gpu ? `${DIST}ort.webgpu.min.mjs` : `${DIST}ort.wasm.min.mjs`);
  ort.env.wasm.wasmPaths = DIST;
  ort.env.wasm.numThreads = threads === 'all' ? navigator.hardwareConcurrency : Number(threads ?? 1);
  ort.env.logLevel = 'error';

  return {
    async load(problem, inputs, variant) {
      const { work, length, width, heads, size, causal } = problem;
      const names = { product: `product-${size}`, decode: `step-${variant}` };
      const graph = await fetch(`/outputs/graph-${names[work] ?? `${variant}-${causal}`}`);
      const session = await ort.InferenceSession.create(new Uint8Array(await graph.arrayBuffer()), {
        executionProviders: [backend],
        ...(gpu ? { preferredOutputLocation: 'gpu-buffer' } : {}),
      });
      const device = gpu ? await ort.env.webgpu.device : null;
      const buffers = [];
      const tensor = (data, dims) => {
        if (!gpu) return new ort.Tensor('float32', data, dims);
        // Inputs are on the device before the clock starts, like the inputs of our kernels.
        const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
        const buffer = device.createBuffer({ size: data.byteLength, usage: STORAGE | COPY_DST | COPY_SRC });
        device.queue.writeBuffer(buffer, 0, data);
        buffers.push(buffer);
        return ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims });
      };
      const feeds = {};
      if (work === 'product') feeds.x = tensor(inputs.x, [size, size]);
      else if (work === 'decode') {
        for (const name of ['q', 'k', 'v']) feeds[name] = tensor(inputs[name].slice(length * width), [1, 1, width]);
        for (const [name, stream] of [['past_key', inputs.k], ['past_value', inputs.v]]) {
          feeds[name] = tensor(byHeads(stream, problem), [1, heads, length, width / heads]);
        }
        // Sizes stay on the CPU, where the operator reads them.
        const word = (number) => new ort.Tensor('int32', Int32Array.of(number), [1]);
        if (variant === 'gqa') Object.assign(feeds, { seqlens_k: word(length), total_sequence_length: word(length + 1) });
      } else for (const name of ['q', 'k', 'v']) feeds[name] = tensor(inputs[name], [1, length, width]);
      if (session.inputNames.includes('mask')) feeds.mask = tensor(causalMask(length), [length, length]);
      return {
        async pass() {
          const results = await session.run(feeds);
          if (gpu) await device.queue.onSubmittedWorkDone();
          for (const result of Object.values(results)) result.dispose();
        },
        async output() {
          const results = await session.run(feeds);
          const data = Float32Array.from(await results.y.getData());
          for (const result of Object.values(results)) result.dispose();
          return data;
        },
        async free() {
          await session.release();
          for (const buffer of buffers) buffer.destroy();
        },
      };
    },
  };
}

/** The rows before the last of a stream [length + 1, width] as [heads, length, width / heads]. */
function byHeads(stream, { length, width, heads }) {
  const head = width / heads;
  return Float32Array.from({ length: length * width }, (_, at) => {
    const [of, row, column] = [Math.floor(at / (length * head)), Math.floor(at / head) % length, at % head];
    return stream[row * width + of * head + column];
  });
}

/** Makes adapters report no subgroups. */
function hideSubgroups() {
  const { prototype } = GPUAdapter;
  const features = Object.getOwnPropertyDescriptor(prototype, 'features');
  Object.defineProperty(prototype, 'features', {
    get() {
      return new Set([...features.get.call(this)].filter((name) => !name.startsWith('subgroup')));
    },
  });
}
