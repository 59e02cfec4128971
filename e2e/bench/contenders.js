// Who is raced. A page holds one library in one set-up and one variant. `against` and `ours` name the same
// setting: threads, or the GPU. `software`: only on a software adapter, whose subgroups are smaller than ONNX Runtime's
// shaders take for granted; without them it is right, and faster. `works`: what else than attention it is asked for;
// `hyena` is x₀ ⊙ (k ∗ (x₁ ⊙ v) + β ⊙ x₁ ⊙ v), a gated long convolution.

export const CONTENDERS = [
  { name: 'ORT-web wasm, 1 thread', on: 'cpu', against: 'one', page: { contender: 'ort', backend: 'wasm', threads: '1' }, variant: 'plain' },
  { name: 'ORT-web wasm, 1 thread, fused', on: 'cpu', against: 'one', page: { contender: 'ort', backend: 'wasm', threads: '1' }, variant: 'fused' },
  { name: 'ORT-web wasm, all threads', on: 'cpu', against: 'all', page: { contender: 'ort', backend: 'wasm', threads: 'all' }, variant: 'plain' },
  { name: 'ORT-web wasm, all threads, fused', on: 'cpu', against: 'all', page: { contender: 'ort', backend: 'wasm', threads: 'all' }, variant: 'fused' },
  { name: 'TensorFlow.js wasm, all threads', on: 'cpu', against: 'all', page: { contender: 'tfjs', backend: 'wasm' } },
  { name: 'jax-js wasm', on: 'cpu', against: 'one', page: { contender: 'jax', backend: 'wasm' } },
  { name: 'ORT-web WebGPU', on: 'webgpu', against: 'gpu', page: { contender: 'ort', backend: 'webgpu' }, variant: 'plain' },
  { name: 'ORT-web WebGPU, fused', on: 'webgpu', against: 'gpu', page: { contender: 'ort', backend: 'webgpu' }, variant: 'fused' },
  { name: 'ORT-web WebGPU, fused, subgroups hidden', on: 'webgpu', against: 'gpu', software: true, page: { contender: 'ort', backend: 'webgpu', subgroups: 'hidden' }, variant: 'fused' },
  { name: 'ORT-web WebGPU, subgroups hidden', on: 'webgpu', against: 'gpu', software: true, page: { contender: 'ort', backend: 'webgpu', subgroups: 'hidden' }, variant: 'plain' },
  { name: 'TensorFlow.js WebGPU', on: 'webgpu', against: 'gpu', page: { contender: 'tfjs', backend: 'webgpu' }, works: ['hyena'] },
  { name: 'jax-js WebGPU', on: 'webgpu', against: 'gpu', page: { contender: 'jax', backend: 'webgpu' }, works: ['hyena'] },
  // Ours come last: they are compared with what a peer computed.
  { name: 'Crossover wasm, 1 thread', on: 'cpu', ours: 'one', page: { contender: 'own' }, variant: 'cpu-1' },
  { name: 'Crossover wasm, all threads', on: 'cpu', ours: 'all', page: { contender: 'own' }, variant: 'cpu-all' },
  { name: 'Crossover WebGPU', on: 'webgpu', ours: 'gpu', page: { contender: 'own' }, variant: 'webgpu', works: ['hyena'] },
];
