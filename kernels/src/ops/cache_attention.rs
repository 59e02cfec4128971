//! Softmax attention of one query to the rows of a cache, as a step of decoding needs it.
//!
//! It is bound by the memory that it reads. Keys and values are read once, in the order in which they lie in memory, for all
//! heads. Long caches are divided into ranges of rows, each with an online softmax (Milakov and Gimelshein, arXiv
//! 1805.02867) of its own, which are merged at the end (Flash-Decoding: Dao, Haziza, Massa and Sizov, 2023). The division
//! does not depend on the number of threads, and so neither do the results.

use std::ops::Range;

use mixer::{Count, Floats, Memory, MixerError, Parallel};

use super::exp::exp2_scalar;
use super::grain::{product, worth};
use super::kv_cache::KvCache;
use super::parts::for_each;
use super::query_block::{LOWEST, QueryBlock, online_softmax};
use super::scratch::Scratch;
use super::simd::{F32x4, LANES, Lanes, Work, run_widest};

/// Rows whose scores are computed before their values are read: enough for long runs of consecutive reads.
const BLOCK: usize = 256;

/// Rows of values that are added together, a divisor of [`BLOCK`]: the sums are then loaded and stored once for all of them.
const TOGETHER: usize = 8;

/// Keys of a range, in floats. A range takes about 50 µs, which outweighs the time to wake a thread.
const RANGE: usize = 1 << 17;

/// Sizes of the attention to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Sequences.
    pub batch: usize,
    /// Most rows that a query sees.
    pub rows: usize,
    /// Heads of a query.
    pub n_heads: usize,
    /// Heads of a key and of a value, a divisor of `n_heads`.
    pub kv_heads: usize,
    /// Head dimension.
    pub d_head: usize,
}

impl CacheShape {
    /// Rows of a range, a multiple of [`BLOCK`].
    fn range(self) -> usize {
        (RANGE / (self.kv_heads * self.d_head).max(1)).max(1).next_multiple_of(BLOCK)
    }

    /// Floats of a range's weighted sums, `[n_heads, d_head]`, maxima and totals, `[n_heads]` each.
    fn state(self) -> usize {
        self.n_heads * (self.d_head + 2)
    }
}

/// Scratch for attention of one shape.
#[derive(Debug)]
pub struct CacheAttention {
    shape: CacheShape,
    /// Of each range of each sequence.
    states: Floats,
    /// Scores of a block, `[n_heads, BLOCK]`.
    scores: Scratch,
}

/// Which of several tokens, and which of its heads.
#[derive(Debug, Clone)]
pub struct Query {
    /// Tokens of each sequence in the buffer of queries.
    pub tokens: usize,
    /// The token's index among them.
    pub token: usize,
    /// Heads: all, or some if every head has its own keys and values.
    pub heads: Range<usize>,
}

impl CacheAttention {
    /// Floats that [`CacheAttention::new`] takes from the memory budget.
    pub fn floats(shape: CacheShape, threads: usize) -> Count {
        let [batch, ranges, state] =
            Count::all([shape.batch, shape.rows.div_ceil(shape.range()), shape.state()]);
        batch * ranges * state + Count::from(threads) * Count::from(shape.n_heads) * Count::from(BLOCK)
    }

    /// Allocates the buffers for `shape`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, shape: CacheShape, threads: usize) -> Result<Self, MixerError> {
        let scores = Count::from(shape.n_heads) * Count::from(BLOCK);
        Ok(Self {
            shape,
            states: memory.floats(Self::floats(shape, 0))?,
            scores: Scratch::new(memory, threads, scores)?,
        })
    }

    /// Overwrites the query of each sequence in `q`, `[batch, tokens, n_heads · d_head]`, with the output of its attention to
    /// the `n_keys` rows `row(0)`, `row(1)`, … of `cache`.
    pub fn run_in_place(
        &mut self,
        q: &mut [f32],
        query: &Query,
        cache: &KvCache,
        n_keys: usize,
        row: impl Fn(usize) -> usize + Sync,
        parallel: &dyn Parallel,
    ) {
        let CacheShape { batch, n_heads, kv_heads, d_head, .. } = self.shape;
        let (first, heads) = (query.heads.start, query.heads.len());
        let (range, state) = (self.shape.range(), heads * (d_head + 2));
        let ranges = n_keys.div_ceil(range);
        let sequence = query.tokens * n_heads * d_head;
        let columns = query.token * n_heads * d_head + first * d_head..;
        let group = n_heads / kv_heads;
        let floats = cache.rows() * cache.width();
        let parallel = worth(parallel, product([2, batch, n_keys, heads, d_head]));
        let (scores, queries) = (&self.scores, &*q);
        let parts = self.states.chunks_exact_mut(state).enumerate();
        for_each(parallel, batch * ranges, parts, |(part, state), worker| {
            let (index, start) = (part / ranges, part % ranges * range);
            let (sums, rest) = state.split_at_mut(heads * d_head);
            let (maxima, totals) = rest.split_at_mut(heads);
            let heads = Heads {
                q: &queries[index * sequence..][columns.clone()][..heads * d_head],
                d_head,
                group,
                column: first / group * d_head,
                stride: cache.width(),
            };
            sums.fill(0.0);
            maxima.fill(LOWEST);
            totals.fill(0.0);
            let mut scores = scores.of(worker);
            let (keys, values) =
                (&cache.keys()[index * floats..][..floats], &cache.values()[index * floats..][..floats]);
            let end = n_keys.min(start + range);
            for first in (start..end).step_by(BLOCK) {
                let n = BLOCK.min(end - first);
                let rows = |i: usize| row(first + if n == BLOCK { interleaved(i) } else { i.min(n - 1) });
                run_widest(Score { heads, keys, rows: &rows, n, scores: &mut scores });
                let padded = n.next_multiple_of(TOGETHER);
                for (head, scores) in scores.chunks_exact_mut(BLOCK).take(maxima.len()).enumerate() {
                    scores[n..padded].fill(LOWEST);
                    let sums = &mut sums[head * d_head..][..d_head];
                    online_softmax(&mut scores[..padded], &mut maxima[head], &mut totals[head], sums);
                }
                run_widest(Weigh { heads, values, rows: &rows, n, weights: &scores, sums });
            }
        });
        let states = self.states.chunks_exact(ranges * state);
        for (q, states) in q.chunks_exact_mut(sequence).zip(states) {
            merge(states, &mut q[columns.clone()][..heads * d_head], d_head);
        }
    }
}

/// Order of a block's rows: [`TOGETHER`] long runs in turn. Rows that are taken together then come from different runs, and a
/// processor foresees the next reads of each run, but not those of pieces of a few rows.
#[inline(always)]
fn interleaved(i: usize) -> usize {
    i % TOGETHER * (BLOCK / TOGETHER) + i / TOGETHER
}

/// Merges the states of the ranges of one sequence to the outputs of its heads, `[heads, d_head]`.
fn merge(states: &[f32], output: &mut [f32], d_head: usize) {
    let heads = output.len() / d_head;
    let states = states.chunks_exact(heads * (d_head + 2));
    for (head, output) in output.chunks_exact_mut(d_head).enumerate() {
        let maximum = |state: &[f32]| state[heads * d_head + head];
        let highest = states.clone().map(maximum).fold(LOWEST, f32::max);
        output.fill(0.0);
        let mut total = 0.0;
        for state in states.clone() {
            let weight = exp2_scalar(maximum(state) - highest);
            total += weight * state[heads * (d_head + 1) + head];
            let sums = &state[head * d_head..][..d_head];
            output.iter_mut().zip(sums).for_each(|(output, sum)| *output += weight * sum);
        }
        let inverse = 1.0 / total;
        output.iter_mut().for_each(|output| *output *= inverse);
    }
}

/// Queries of one token, and where their keys lie in a row.
#[derive(Clone, Copy)]
struct Heads<'a> {
    /// `[heads, d_head]`.
    q: &'a [f32],
    d_head: usize,
    /// Heads of the query for each head of the keys.
    group: usize,
    /// First column of the first head's keys.
    column: usize,
    /// Floats of a row.
    stride: usize,
}

impl Heads<'_> {
    /// A head's columns of the rows that begin at `starts`.
    #[inline(always)]
    fn of<'r, const N: usize>(&self, rows: &'r [f32], starts: [usize; N], head: usize) -> [&'r [f32]; N] {
        let column = self.column + head / self.group * self.d_head;
        starts.map(|start| &rows[start + column..][..self.d_head])
    }
}

/// Scores of `n` rows for each head, in units of log₂, `[heads, BLOCK]`.
struct Score<'a, F> {
    heads: Heads<'a>,
    keys: &'a [f32],
    rows: &'a F,
    n: usize,
    scores: &'a mut [f32],
}

impl<F: Fn(usize) -> usize> Work for Score<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { heads, keys, rows, n, scores } = self;
        let scale = F32x4::splat(QueryBlock::scale(heads.d_head));
        for first in (0..n).step_by(LANES) {
            let starts = std::array::from_fn::<_, LANES, _>(|i| rows(first + i) * heads.stride);
            for (head, q) in heads.q.chunks_exact(heads.d_head).enumerate() {
                let [a, b, c, d] = heads.of(keys, starts, head).map(|key| key.chunks(V::LANES));
                let mut sums = [V::splat(0.0); LANES];
                for ((((q, a), b), c), d) in q.chunks(V::LANES).zip(a).zip(b).zip(c).zip(d) {
                    let q = V::load(q);
                    for (sum, key) in sums.iter_mut().zip([a, b, c, d]) {
                        *sum = sum.mul_add(q, V::load(key));
                    }
                }
                let [a, b, c, d] = F32x4::transpose(sums.map(V::fold_sum));
                (((a + b) + (c + d)) * scale).store(&mut scores[head * BLOCK + first..]);
            }
        }
    }
}

/// Adds the values of `n` rows, with weights `[heads, BLOCK]`, to the sums of each head, `[heads, d_head]`. Weights between `n`
/// and the next multiple of [`TOGETHER`] are zero.
struct Weigh<'a, F> {
    heads: Heads<'a>,
    values: &'a [f32],
    rows: &'a F,
    n: usize,
    weights: &'a [f32],
    sums: &'a mut [f32],
}

impl<F: Fn(usize) -> usize> Work for Weigh<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { heads, values, rows, n, weights, sums } = self;
        for first in (0..n).step_by(TOGETHER) {
            let starts = std::array::from_fn::<_, TOGETHER, _>(|i| rows(first + i) * heads.stride);
            for (head, sums) in sums.chunks_exact_mut(heads.d_head).enumerate() {
                let values = heads.of(values, starts, head);
                let weights = &weights[head * BLOCK + first..];
                let weights = std::array::from_fn::<_, TOGETHER, _>(|i| V::splat(weights[i]));
                for (vector, to) in sums.chunks_mut(V::LANES).enumerate() {
                    let at = vector * V::LANES;
                    let mut sum = V::load(to);
                    for (weight, values) in weights.into_iter().zip(values) {
                        sum = sum.mul_add(weight, V::load(&values[at..]));
                    }
                    sum.store(to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mixer::Serial;

    use super::*;
    use crate::testing::Threads;

    fn value(i: usize) -> f32 {
        ((i * 37) % 101) as f32 / 50.0 - 1.0
    }

    /// The definition in f64, for one head.
    fn attend(q: &[f32], keys: &[&[f32]], values: &[&[f32]]) -> Vec<f64> {
        let dot = |key: &[f32]| q.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
        let weights: Vec<f64> = keys.iter().map(|key| (dot(key) / (q.len() as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut output = vec![0.0; q.len()];
        for (weight, values) in weights.iter().zip(values) {
            output.iter_mut().zip(*values).for_each(|(to, v)| *to += weight / total * f64::from(*v));
        }
        output
    }

    #[test]
    fn agrees_with_the_definition_for_any_rows_and_groups() {
        let cases = [(1, 1, 1), (2, 2, 9), (4, 2, 8), (6, 1, 20), (3, 3, 64), (2, 1, 300)];
        for (n_heads, kv_heads, d_head) in cases {
            let (batch, rows, tokens, token) = (2, 1200, 3, 1);
            let (width, kv_width) = (n_heads * d_head, kv_heads * d_head);
            let memory = Memory::new(1 << 30);
            let shape = CacheShape { batch, rows, n_heads, kv_heads, d_head };
            let mut cache = KvCache::new(&memory, batch, rows, kv_width).unwrap();
            let floats = |scale: f32| -> Vec<f32> {
                (0..batch * rows * kv_width).map(|i| scale * value((i % 997) * (i % 997) % 997)).collect()
            };
            cache.set_keys(0, rows, &floats(3.0));
            cache.set_values(0, rows, &floats(1.0));
            for n_keys in [1, 3, 8, 127, 128, 300, 1200] {
                let row = |i: usize| (7 * i + 5) % rows;
                let queries: Vec<f32> = (0..batch * tokens * width).map(|i| value(i + 11)).collect();
                let run = |parallel: &dyn Parallel| {
                    let mut q = queries.clone();
                    let mut attention = CacheAttention::new(&memory, shape, parallel.threads()).unwrap();
                    let query = Query { tokens, token, heads: 0..n_heads };
                    attention.run_in_place(&mut q, &query, &cache, n_keys, row, parallel);
                    q
                };
                let got = run(&Serial);
                assert_eq!(got, run(&Threads(3)));
                for (index, (got, q)) in got.chunks(d_head).zip(queries.chunks(d_head)).enumerate() {
                    let (at, head) = (index / n_heads, index % n_heads);
                    if at % tokens != token {
                        assert_eq!(got, q);
                        continue;
                    }
                    let start = |i: usize| {
                        (at / tokens * rows + row(i)) * kv_width + head / (n_heads / kv_heads) * d_head
                    };
                    let of = |floats: &'static str| -> Vec<&[f32]> {
                        let floats = if floats == "keys" { cache.keys() } else { cache.values() };
                        (0..n_keys).map(|i| &floats[start(i)..][..d_head]).collect()
                    };
                    for (got, want) in got.iter().zip(attend(q, &of("keys"), &of("values"))) {
                        assert!((f64::from(*got) - want).abs() < 2e-5, "{shape:?} {n_keys}: {got} {want}");
                    }
                }
            }
        }
    }
}
