// The inputs that every contender gets, and attention in f64 to hold them against.

/** A small seeded generator (mulberry32): every page must draw the same numbers. */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** q, k and v, each [1, length, width], standard normal. */
export function operands({ length, width, seed = 1 }) {
  const uniform = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const tensor = () => Float32Array.from({ length: length * width }, normal);
  return { q: tensor(), k: tensor(), v: tensor() };
}

/** What is added to the scores [length, length] of a causal problem. Finite: −∞ − −∞ is no number. */
export function causalMask(length) {
  const mask = new Float32Array(length * length);
  for (let row = 0; row < length; row += 1) mask.fill(-1e9, row * length + row + 1, (row + 1) * length);
  return mask;
}

/** One row of y in f64: softmax(q·kᵀ/√d)·v, head by head. */
export function referenceRow({ length, width, heads, causal }, { q, k, v }, row) {
  const head = width / heads;
  const y = new Float64Array(width);
  const keys = causal ? row + 1 : length;
  for (let from = 0; from < width; from += head) {
    const scores = new Float64Array(keys);
    let most = -Infinity;
    for (let key = 0; key < keys; key += 1) {
      for (let at = from; at < from + head; at += 1) scores[key] += q[row * width + at] * k[key * width + at];
      scores[key] /= Math.sqrt(head);
      most = Math.max(most, scores[key]);
    }
    let sum = 0;
    for (let key = 0; key < keys; key += 1) {
      const weight = Math.exp(scores[key] - most);
      sum += weight;
      for (let at = from; at < from + head; at += 1) y[at] += weight * v[key * width + at];
    }
    for (let at = from; at < from + head; at += 1) y[at] /= sum;
  }
  return y;
}
