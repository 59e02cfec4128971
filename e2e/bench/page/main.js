// Functions that the runner calls in each contender's page: `prepare` once per problem, then `run` in every round.
//
// A contender provides `load(problem, variant)` → `{ pass, output, free }`. `pass` does one forward pass and resolves
// when the backend has finished it. `output` computes y [1, L, width] once and reads it back.

import { median } from './median.js';
import { operands, referenceRow } from './problem.js';

/** Passes per round: enough for a median, but few, so that the other contenders run soon. */
const MOST_SAMPLES = 15;
const LEAST_SAMPLES = 3;
const ROUND_MS = 400;
/** Duration in ms above which a pass is its own warm-up and the only sample. */
const LONG_MS = 1000;
/** Shortest duration of a sample in ms; shorter passes are repeated within a sample. */
const SAMPLE_MS = 5;
/** Number of rows of y that are compared with f64. */
const CHECKED_ROWS = 8;

const options = new URLSearchParams(location.search);
const contender = await (await import(`./${options.get('contender')}.js`)).open(Object.fromEntries(options));

let loaded = null;

/** Largest difference between two arrays; NaN if a value is NaN. */
function difference(a, b) {
  if (a.length !== b.length) throw new Error(`${a.length} values, not ${b.length}`);
  let most = 0;
  for (let index = 0; index < a.length; index += 1) {
    const distance = Math.abs(a[index] - b[index]);
    // A comparison with NaN is false, so NaN is handled separately.
    if (!(distance <= most)) most = distance;
    if (Number.isNaN(most)) break;
  }
  return most;
}

/** Largest difference of some rows of `y` from f64. */
function fromReference(problem, inputs, y) {
  // Generation answers the last token only.
  if (problem.work === 'decode') return difference(y, referenceRow(problem, inputs, problem.length));
  let most = 0;
  for (let index = 0; index < CHECKED_ROWS; index += 1) {
    const row = Math.floor((index * (problem.length - 1)) / (CHECKED_ROWS - 1));
    const expected = referenceRow(problem, inputs, row);
    most = Math.max(most, difference(y.subarray(row * problem.width, (row + 1) * problem.width), expected));
  }
  return most;
}

async function load(problem, variant) {
  await window.bench.free();
  const inputs = operands(problem);
  loaded = await contender.load(problem, inputs, variant);
  return inputs;
}

/** All of y in f64, for comparisons in which no peer is accurate enough for our tolerance. */
function reference(problem, inputs) {
  const y = new Float32Array(problem.length * problem.width);
  for (let row = 0; row < problem.length; row += 1) y.set(referenceRow(problem, inputs, row), row * problem.width);
  return y;
}

window.bench = {
  /** Differences of y from f64 in some rows, and in all rows from the first contender. */
  async prepare(problem, variant) {
    const inputs = await load(problem, variant);
    const address = `/outputs/${problem.work}-${problem.length}-${problem.causal}`;
    const first = await fetch(address);
    const others = first.ok ? new Float32Array(await first.arrayBuffer()) : null;
    if (loaded.compare && problem.work === 'hyena') {
      return { fromReference: await loaded.compare(reference(problem, inputs)), fromOthers: null };
    }
    if (loaded.compare && problem.work === 'decode') return { fromReference: await loaded.compare(), fromOthers: null };
    if (loaded.compare) return { fromReference: null, fromOthers: others && (await loaded.compare(others)) };
    const started = performance.now();
    const y = await loaded.output();
    const outputMs = performance.now() - started;
    const distance = fromReference(problem, inputs, y);
    if (!others && distance <= problem.tolerance) await fetch(address, { method: 'PUT', body: y });
    return { fromReference: distance, fromOthers: others && difference(y, others), outputMs };
  },

  /** Median milliseconds of a forward pass in this round. */
  async run(problem) {
    if (loaded.round) return loaded.round(problem);
    const time = async (repeats) => {
      const started = performance.now();
      for (let index = 0; index < repeats; index += 1) await loaded.pass();
      return (performance.now() - started) / repeats;
    };
    const first = await time(1);
    if (first > LONG_MS) return { ms: first, samples: 1 };
    const warm = await time(1);
    const repeats = Math.max(1, Math.ceil(SAMPLE_MS / Math.max(warm, 0.01)));
    const samples = [];
    const until = performance.now() + ROUND_MS;
    while (samples.length < LEAST_SAMPLES || (performance.now() < until && samples.length < MOST_SAMPLES)) {
      samples.push(await time(repeats));
    }
    return { ms: median(samples), samples: samples.length };
  },

  async free() {
    await loaded?.free();
    loaded = null;
  },

  about: () => contender.about?.() ?? null,
  call: (name, ...args) => contender[name](...args),
};
