// Attention of the playground and of its peers, in one page, on one input, taking turns. Every contestant hands out a
// finished result: outputs are read back, so that no engine can skip the work.

import * as crossover from '../crossover.js';
import { multiHeadAttention } from './onnx.js';

const tf = globalThis.tf;

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Numbers between −1 and 1 from a seed. */
function numbers(count, seed) {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Runs `work` until `budgetMs` is spent, at least `least` times after one warm-up. */
async function time(work, { least = 5, budgetMs = 4000 } = {}) {
  await work();
  const samples = [];
  const started = performance.now();
  while (samples.length < least || (performance.now() - started < budgetMs && samples.length < 50)) {
    const before = performance.now();
    await work();
    samples.push(performance.now() - before);
  }
  return median(samples);
}

async function ours({ length, width, heads, backend, threads }) {
  const report = await crossover.race({
    systems: ['attention'], lengths: [length], width, heads, causal: false, backend, threads, level: 'core', budgetMs: 30_000,
  });
  const [point] = report.lanes[0].points;
  if (point.outcome !== 'ok') throw new Error(`${point.outcome}: ${point.message}`);
  return { ms: point.medianMs, peakBytes: point.peakBytes };
}

async function onnx(problem) {
  const { length, width, backend, threads } = problem;
  const ort = await import(backend === 'cpu' ? './modules/onnxruntime-web/dist/ort.wasm.min.mjs' : './modules/onnxruntime-web/dist/ort.webgpu.min.mjs');
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL('./modules/onnxruntime-web/dist/', import.meta.url).href;
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(multiHeadAttention({ batch: 1, ...problem }), {
    executionProviders: [backend === 'cpu' ? 'wasm' : 'webgpu'],
  });
  try {
    const feeds = Object.fromEntries(['q', 'k', 'v'].map((name, at) => [name, new ort.Tensor('float32', numbers(length * width, at + 1), [1, length, width])]));
    const ms = await time(async () => {
      const { y } = await session.run(feeds);
      if (!Number.isFinite(y.data[0])) throw new Error('not a number');
    });
    return { ms };
  } finally {
    await session.release();
  }
}

async function tensorflow({ length, width, heads, backend, threads }) {
  if (backend === 'cpu') {
    tf.wasm.setWasmPaths(new URL('./modules/@tensorflow/tfjs-backend-wasm/dist/', import.meta.url).href);
    tf.wasm.setThreadsCount(threads);
    await tf.setBackend('wasm');
  } else {
    await tf.setBackend('webgpu');
  }
  await tf.ready();
  const head = width / heads;
  const [q, k, v] = [1, 2, 3].map((seed) => tf.tensor(numbers(length * width, seed), [heads, length, head]));
  try {
    const ms = await time(async () => {
      const y = tf.tidy(() => {
        const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(head));
        return tf.matMul(tf.softmax(scores), v);
      });
      const values = await y.data();
      y.dispose();
      if (!Number.isFinite(values[0])) throw new Error('not a number');
    });
    return { ms };
  } finally {
    for (const tensor of [q, k, v]) tensor.dispose();
  }
}

const contestants = { crossover: ours, 'onnxruntime-web': onnx, tfjs: tensorflow };

/**
 * Times every contestant in turn, `rounds` times over, and takes each one's best round: other programs on the machine
 * only ever slow a round down.
 */
export async function compare(problem, rounds = 3) {
  const results = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, run] of Object.entries(contestants)) {
      if (results[name]?.failed) continue;
      try {
        const result = await run(problem);
        if (!(results[name]?.ms <= result.ms)) results[name] = result;
      } catch (error) {
        results[name] = { failed: String(error?.message ?? error).slice(0, 200) };
      }
    }
  }
  return results;
}

/** Exponents of the fits over long sequences, and the peak memory of tiled attention. */
export async function growth({ system, backend, lengths, width, heads, budgetMs }) {
  const report = await crossover.race({ systems: [system], lengths, width, heads, backend, level: 'core', budgetMs });
  const [lane] = report.lanes;
  return {
    exponent: lane.exponent,
    points: lane.points.map(({ length, outcome, message, medianMs, peakBytes }) => ({ length, outcome, message, medianMs, peakBytes })),
  };
}

window.bench = { compare, growth, environment: crossover.environment };
