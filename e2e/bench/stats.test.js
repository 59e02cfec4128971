import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, quantile } from './page/median.js';
import { generator, operands, referenceRow } from './page/problem.js';
import { ratio } from './stats.js';

test('quantiles are interpolated and do not change their input', () => {
  const values = [4, 1, 3, 2];
  assert.equal(median(values), 2.5);
  assert.equal(quantile(values, 0), 1);
  assert.equal(quantile(values, 1), 4);
  assert.deepEqual(values, [4, 1, 3, 2]);
});

test('a ratio uses times of equal rounds, so drift between rounds cancels', () => {
  const ours = [1, 10, 100, 3, 7];
  const found = ratio(ours.map((time) => 2 * time), ours);
  assert.deepEqual(found, { estimate: 2, low: 2, high: 2, rounds: 5 });
});

test('rounds without both times do not count', () => {
  assert.equal(ratio([4, null, 6], [2, 1, null]).rounds, 1);
  assert.equal(ratio([null], [1]), null);
});

test('the interval covers the true ratio of noisy times and is wider for fewer rounds', () => {
  const random = generator(7);
  const noisy = (n, scale) => Array.from({ length: n }, () => scale * (1 + 0.2 * (random() - 0.5)));
  const many = ratio(noisy(101, 3), noisy(101, 1));
  assert.ok(many.low < 3 && 3 < many.high, JSON.stringify(many));
  const few = ratio(noisy(5, 3), noisy(5, 1));
  assert.ok(few.high - few.low > many.high - many.low);
});

test('the f64 reference is a softmax average, causal on request', () => {
  const problem = { length: 3, width: 2, heads: 2, causal: true };
  const inputs = { q: [0, 0, 0, 0, 1, 0], k: [5, 5, 5, 5, Math.log(2), 0], v: [1, 2, 3, 4, 9, 12] };
  assert.deepEqual([...referenceRow(problem, inputs, 0)], [1, 2]);
  assert.deepEqual([...referenceRow(problem, inputs, 1)], [2, 3]);
  const all = referenceRow({ ...problem, causal: false }, inputs, 1);
  assert.ok(Math.abs(all[0] - 13 / 3) < 1e-12 && Math.abs(all[1] - 6) < 1e-12);
  const last = referenceRow(problem, inputs, 2);
  const [low, high] = [Math.exp(5), 2];
  assert.ok(Math.abs(last[0] - (low * 1 + low * 3 + high * 9) / (2 * low + high)) < 1e-12);
});

test('inputs are equal on every page', () => {
  const { q, k } = operands({ length: 2, width: 4 });
  assert.deepEqual(q, operands({ length: 2, width: 4 }).q);
  assert.notDeepEqual(q, k);
});
