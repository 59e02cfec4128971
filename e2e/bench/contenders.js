// The contenders. A page holds one library in one configuration and one variant. Entries with equal `against` and
// `ours` have equal settings: the number of threads, or the GPU. `software`: only for software adapters, whose
// subgroups are smaller than ONNX Runtime's shaders assume; without subgroups its results are correct, and faster.
// `works`: problems besides attention (with `only`, instead of attention); `hyena` is x₀ ⊙ (k ∗ (x₁ ⊙ v) + β ⊙ x₁ ⊙ v), a gated long convolution.

export const CONTENDERS = [
  { name: 'ORT-web wasm, 1 thread', on: 'cpu', against: 'one', page: { contender: 'ort', backend: 'wasm', threads: '1' }, variant: 'plain' },
  { name: 'ORT-web wasm, 1 thread, fused', on: 'cpu', against: 'one', page: { contender: 'ort', backend: 'wasm', threads: '1' }, variant: 'fused' },
  { name: 'ORT-web wasm, all threads', on: 'cpu', against: 'all', page: { contender: 'ort', backend: 'wasm', threads: 'all' }, variant: 'plain' },
  { name: 'ORT-web wasm, all threads, fused', on: 'cpu', against: 'all', page: { contender: 'ort', backend: 'wasm', threads: 'all' }, variant: 'fused' },
  ...['mha', 'gqa'].flatMap((variant) => [
    { name: `ORT-web wasm, 1 thread, ${variant} with past`, on: 'cpu', against: 'one', page: { contender: 'ort', backend: 'wasm', threads: '1' }, variant, works: ['decode'], only: true },
    { name: `ORT-web wasm, all threads, ${variant} with past`, on: 'cpu', against: 'all', page: { contender: 'ort', backend: 'wasm', threads: 'all' }, variant, works: ['decode'], only: true },
    { name: `ORT-web WebGPU, ${variant} with past`, on: 'webgpu', against: 'gpu', page: { contender: 'ort', backend: 'webgpu' }, variant, works: ['decode'], only: true },
    { name: `ORT-web WebGPU, ${variant} with past, subgroups hidden`, on: 'webgpu', against: 'gpu', software: true, page: { contender: 'ort', backend: 'webgpu', subgroups: 'hidden' }, variant, works: ['decode'], only: true },
  ]),
  { name: 'TensorFlow.js wasm, all threads', on: 'cpu', against: 'all', page: { contender: 'tfjs', backend: 'wasm' } },
  { name: 'jax-js wasm', on: 'cpu', against: 'one', page: { contender: 'jax', backend: 'wasm' } },
  { name: 'ORT-web WebGPU', on: 'webgpu', against: 'gpu', page: { contender: 'ort', backend: 'webgpu' }, variant: 'plain' },
  { name: 'ORT-web WebGPU, fused', on: 'webgpu', against: 'gpu', page: { contender: 'ort', backend: 'webgpu' }, variant: 'fused' },
  { name: 'ORT-web WebGPU, fused, subgroups hidden', on: 'webgpu', against: 'gpu', software: true, page: { contender: 'ort', backend: 'webgpu', subgroups: 'hidden' }, variant: 'fused' },
  { name: 'ORT-web WebGPU, subgroups hidden', on: 'webgpu', against: 'gpu', software: true, page: { contender: 'ort', backend: 'webgpu', subgroups: 'hidden' }, variant: 'plain' },
  { name: 'TensorFlow.js WebGPU', on: 'webgpu', against: 'gpu', page: { contender: 'tfjs', backend: 'webgpu' }, works: ['hyena'] },
  { name: 'jax-js WebGPU', on: 'webgpu', against: 'gpu', page: { contender: 'jax', backend: 'webgpu' }, works: ['hyena'] },
  // Our entries are last: their outputs are compared with a peer's.
  { name: 'Crossover wasm, 1 thread', on: 'cpu', ours: 'one', page: { contender: 'own' }, variant: 'cpu-1', works: ['decode'] },
  { name: 'Crossover wasm, all threads', on: 'cpu', ours: 'all', page: { contender: 'own' }, variant: 'cpu-all', works: ['decode'] },
  { name: 'Crossover WebGPU', on: 'webgpu', ours: 'gpu', page: { contender: 'own' }, variant: 'webgpu', works: ['hyena', 'decode'] },
];
