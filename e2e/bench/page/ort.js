// ONNX Runtime Web, one page per backend and number of threads. Variants of attention: `plain` (matmul, softmax,
// matmul) and `fused` (its MultiHeadAttention operator). Also products by weights in the graph.

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
      const { work, length, width, size, causal } = problem;
      const graph = await fetch(`/outputs/graph-${work === 'product' ? `product-${size}` : `${variant}-${causal}`}`);
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
      else for (const name of ['q', 'k', 'v']) feeds[name] = tensor(inputs[name], [1, length, width]);
      if (session.inputNames.includes('mask')) feeds.mask = tensor(causalMask(length), [length, length]);
      return {
        async pass() {
          const { y } = await session.run(feeds);
          if (gpu) await device.queue.onSubmittedWorkDone();
          y.dispose();
        },
        async output() {
          const { y } = await session.run(feeds);
          const data = Float32Array.from(await y.getData());
          y.dispose();
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
