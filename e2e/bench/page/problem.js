// The inputs of all contenders, and attention in f64 as their reference.

/** A small seeded generator (mulberry32), so that every page draws equal numbers. */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * For attention q, k and v, each [1, length, width]; for Hyena x [1, length, 3 · width], whose rows are x₀, x₁ and v,
 * the filter k [1, width, length] and β [1, width]. Standard normal, except for the filter, whose sum must not grow
 * with the length.
 */
export function operands({ work, length: context, width, seed = 1 }) {
  // A generated token follows the context.
  const length = work === 'decode' ? context + 1 : context;
  const uniform = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const tensor = () => Float32Array.from({ length: length * width }, normal);
  if (work === 'hyena') {
    const x = Float32Array.from({ length: 3 * length * width }, normal);
    return { x, k: tensor().map((tap) => tap / Math.sqrt(length)), bias: Float32Array.from({ length: width }, normal) };
  }
  return { q: tensor(), k: tensor(), v: tensor() };
}

/** Mask that is added to the scores [length, length] of a causal problem. Finite, since −∞ − −∞ is NaN. */
export function causalMask(length) {
  const mask = new Float32Array(length * length);
  for (let row = 0; row < length; row += 1) mask.fill(-1e9, row * length + row + 1, (row + 1) * length);
  return mask;
}

/** One row of y in f64. */
export function referenceRow(problem, inputs, row) {
  if (problem.work === 'decode') return attentionRow({ ...problem, causal: true }, inputs, problem.length);
  return (problem.work === 'hyena' ? hyenaRow : attentionRow)(problem, inputs, row);
}

/** Hyena's inputs as rows over positions, [width, length] each. */
export function hyenaRows({ length, width }, { x }) {
  const stream = (first) =>
    Float32Array.from({ length: width * length }, (_, at) => x[(at % length) * 3 * width + first * width + Math.floor(at / length)]);
  return { x0: stream(0), x1: stream(1), v: stream(2) };
}

/** Transposes [width, length] to [length, width]. */
export function turned({ length, width }, rows) {
  return Float32Array.from({ length: length * width }, (_, at) => rows[(at % width) * length + Math.floor(at / width)]);
}

function hyenaRow({ length, width }, { x, k, bias }, row) {
  const at = (time, stream, channel) => x[(time * 3 + stream) * width + channel];
  return Float64Array.from({ length: width }, (_, channel) => {
    const gated = (time) => at(time, 1, channel) * at(time, 2, channel);
    let sum = bias[channel] * gated(row);
    for (let time = 0; time <= row; time += 1) sum += k[channel * length + row - time] * gated(time);
    return at(row, 0, channel) * sum;
  });
}

/** softmax(q·kᵀ/√d)·v for each head. */
function attentionRow({ length, width, heads, causal }, { q, k, v }, row) {
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

/** Operands of a product, [size, size] each: rows within ±½, and the weights of a linear layer. */
export function product(size) {
  const random = generator(size);
  const matrix = () => Float32Array.from({ length: size * size }, () => random() - 0.5);
  return { x: matrix(), weights: matrix() };
}
