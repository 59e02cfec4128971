//! A block of queries of one head with its running softmax. All tiled attentions share it, whichever keys their queries
//! see (all keys, a window, a list of blocks, a bucket's chunk).
//!
//! Keys are absorbed in tiles in any order. The online softmax (Milakov and Gimelshein, arXiv 1805.02867) makes the
//! result independent of the tiling. Scores are in units of log₂, so that every exponential is a power of two.

use mixer::Count;

use super::exp::{Exp2, exp2, exp2_scalar};
use super::gemm::{PANEL, ROWS, Store, Tile, multiply_panels};
use super::prefetch::prefetch;
use super::simd::{F32x4, LANES, Lanes, Work, run_widest};

/// Most queries in a block: a whole number of register tiles and panels, and few enough that the block's scores,
/// queries and sums nearly fit a first-level cache of 32 KiB.
pub const QUERIES: usize = if ROWS.is_multiple_of(2) { 4 * ROWS } else { 8 * ROWS };

/// Most keys in a tile: with head dimension 64, a tile of keys and one of values take 64 KiB together.
pub const KEYS: usize = 128;

/// Stands for −∞. Finite, so that the difference of two of them is defined. Its weight beside any real score is 0.
pub const LOWEST: f32 = -1e30;

/// Bound on the magnitude of all scores of a block, in units of log₂, up to which weights are 2^score: far from both
/// ends of a float's range, so that the maximum need not be computed or subtracted.
const BOUNDED: f32 = 40.0;

/// Packed keys and values of one tile.
#[derive(Debug, Clone, Copy)]
pub struct KeyTile<'a> {
    /// `[⌈n_keys / PANEL⌉, d_head, PANEL]`.
    pub keys: &'a [f32],
    /// `[⌈d_head / PANEL⌉]` panels, `values_stride` floats apart, each `[n_keys, PANEL]`.
    pub values: &'a [f32],
    /// Floats between panels of values.
    pub values_stride: usize,
    /// Number of keys, at most [`KEYS`].
    pub n_keys: usize,
}

/// The running state of up to [`QUERIES`] queries in borrowed scratch memory.
#[derive(Debug)]
pub struct QueryBlock<'a> {
    rows: usize,
    d_head: usize,
    padded_head: usize,
    /// `[QUERIES, KEYS]`.
    scores: &'a mut [f32],
    /// Weighted sums of values, `[QUERIES, padded_head]`.
    sums: &'a mut [f32],
    /// Scaled queries, `[QUERIES, d_head]`.
    scaled: &'a mut [f32],
    maxima: &'a mut [f32],
    totals: &'a mut [f32],
    /// Squared length of the longest scaled query.
    longest_query: f32,
    /// Whether weights are 2^score. All `maxima` are then 0.
    bounded: bool,
}

impl<'a> QueryBlock<'a> {
    /// Floats of scratch for a block.
    pub fn floats(d_head: usize) -> Count {
        let [queries, keys, head, padded_head] =
            Count::all([QUERIES, KEYS, d_head, d_head.next_multiple_of(PANEL)]);
        queries * (keys + padded_head + head + 2)
    }

    /// A block of `rows` queries without keys. `scratch` has [`QueryBlock::floats`] floats.
    pub fn new(scratch: &'a mut [f32], d_head: usize, rows: usize) -> Self {
        let padded_head = d_head.next_multiple_of(PANEL);
        let (scores, rest) = scratch.split_at_mut(QUERIES * KEYS);
        let (sums, rest) = rest.split_at_mut(QUERIES * padded_head);
        let (scaled, rest) = rest.split_at_mut(QUERIES * d_head);
        let (maxima, totals) = rest.split_at_mut(QUERIES);
        sums[..rows * padded_head].fill(0.0);
        maxima[..rows].fill(LOWEST);
        totals[..rows].fill(0.0);
        Self {
            rows,
            d_head,
            padded_head,
            scores,
            sums,
            scaled,
            maxima,
            totals,
            longest_query: 0.0,
            bounded: false,
        }
    }

    /// Factor from q·k to a score in units of log₂, including the division by √d.
    pub fn scale(d_head: usize) -> f32 {
        std::f32::consts::LOG2_E / (d_head as f32).sqrt()
    }

    /// Sets the queries to `query(row)` times `scale`.
    pub fn set_queries<'q>(&mut self, query: impl Fn(usize) -> &'q [f32], scale: f32) {
        prefetch((0..self.rows).map(&query));
        let scale = F32x4::splat(scale);
        for (row, scaled) in self.scaled.chunks_exact_mut(self.d_head).take(self.rows).enumerate() {
            let mut square = F32x4::zero();
            for (to, from) in scaled.chunks_mut(LANES).zip(query(row).chunks(LANES)) {
                let values = F32x4::load(from) * scale;
                values.store(to);
                square = square.mul_add(values, values);
            }
            // A NaN may be skipped, since its scores are NaN.
            self.longest_query = square.sum().max(self.longest_query);
        }
    }

    /// Must be called after all queries are set. `longest_key` is the squared length of the longest key that will be
    /// absorbed. No score exceeds the product of the two lengths; where that is at most `BOUNDED`, the softmax needs
    /// no maximum.
    pub fn bound_scores(&mut self, longest_key: f32) {
        self.bounded = self.longest_query * longest_key <= BOUNDED * BOUNDED;
        if self.bounded {
            self.maxima[..self.rows].fill(0.0);
        }
    }

    /// Restores a row from its [`QueryBlock::state`].
    pub fn resume(&mut self, row: usize, sums: &[f32], maximum: f32, total: f32) {
        self.sums[row * self.padded_head..][..self.d_head].copy_from_slice(sums);
        self.maxima[row] = maximum;
        self.totals[row] = total;
    }

    /// One row's weighted sums, running maximum and total.
    pub fn state(&self, row: usize) -> (&[f32], f32, f32) {
        (&self.sums[row * self.padded_head..][..self.d_head], self.maxima[row], self.totals[row])
    }

    /// Absorbs a tile of keys. `mask(row, scores)` may overwrite any of a row's `n_keys` scores.
    #[inline]
    pub fn absorb(&mut self, tile: KeyTile<'_>, mut mask: impl FnMut(usize, &mut [f32])) {
        let KeyTile { keys, values, values_stride, n_keys } = tile;
        let (d_head, padded_head) = (self.d_head, self.padded_head);
        let padded_keys = n_keys.next_multiple_of(PANEL);
        let mut to = Tile { floats: self.scores, stride: KEYS, columns: padded_keys };
        multiply_panels(self.scaled, d_head, self.rows, d_head, keys, d_head * PANEL, Store::Set, &mut to);
        for row in 0..self.rows {
            let scores = &mut self.scores[row * KEYS..][..padded_keys];
            mask(row, &mut scores[..n_keys]);
            scores[n_keys..].fill(LOWEST);
        }
        for first in (0..self.rows).step_by(LANES) {
            self.weigh_rows(first, padded_keys);
        }
        let mut to = Tile { floats: self.sums, stride: padded_head, columns: padded_head };
        multiply_panels(self.scores, KEYS, self.rows, n_keys, values, values_stride, Store::Add, &mut to);
    }

    /// Converts the scores of up to four rows from row `first` on to weights and updates their totals. Per-row work is
    /// done for all four rows in one vector, without branches.
    fn weigh_rows(&mut self, first: usize, padded_keys: usize) {
        let rows = LANES.min(self.rows - first);
        let scores = &mut self.scores[first * KEYS..][..rows * KEYS];
        let maxima = &mut self.maxima[first..][..rows];
        let totals = &mut self.totals[first..][..rows];
        let sums = &mut self.sums[first * self.padded_head..][..rows * self.padded_head];
        if !self.bounded {
            follow_maxima(scores, padded_keys, maxima, totals, sums);
        }
        let added = run_widest(Weigh { scores, padded_keys, shifts: F32x4::load(maxima).to_array() });
        (F32x4::load(totals) + added).store(totals);
    }

    /// Passes every row's output, `[d_head]`, to `emit(row, output)`.
    pub fn finish(self, mut emit: impl FnMut(usize, &[f32])) {
        for row in 0..self.rows {
            let inverse = 1.0 / self.totals[row];
            let sums = &mut self.sums[row * self.padded_head..][..self.d_head];
            sums.iter_mut().for_each(|sum| *sum *= inverse);
            emit(row, sums);
        }
    }
}

/// The maximum of each of up to four rows of scores, which are `KEYS` floats apart.
struct Highest<'a> {
    scores: &'a [f32],
    padded_keys: usize,
}

impl Work for Highest<'_> {
    type Output = F32x4;

    #[inline(always)]
    fn run<V: Lanes>(self) -> F32x4 {
        let mut highest = [[LOWEST; LANES]; LANES];
        for (highest, scores) in highest.iter_mut().zip(self.scores.chunks_exact(KEYS)) {
            let mut vectors = [V::splat(LOWEST); PANEL / LANES];
            for panel in scores[..self.padded_keys].as_chunks::<PANEL>().0 {
                for (vector, chunk) in vectors.iter_mut().zip(panel.chunks_exact(V::LANES)) {
                    *vector = vector.max(V::load(chunk));
                }
            }
            vectors[0].max(vectors[1]).fold_max().write_to(highest);
        }
        let column = |lane: usize| F32x4::from_array(&highest.map(|row| row[lane]));
        column(0).max(column(1)).max(column(2).max(column(3)))
    }
}

/// Converts up to four rows of scores, `KEYS` floats apart, to weights 2^(score − shift) and sums each row.
struct Weigh<'a> {
    scores: &'a mut [f32],
    padded_keys: usize,
    shifts: [f32; LANES],
}

impl Work for Weigh<'_> {
    type Output = F32x4;

    #[inline(always)]
    fn run<V: Lanes>(self) -> F32x4 {
        let exp2 = Exp2::<V>::opaque();
        let mut added = [0.0; LANES];
        let rows = self.scores.chunks_exact_mut(KEYS);
        for ((scores, shift), added) in rows.zip(&self.shifts).zip(&mut added) {
            let shift = V::splat(*shift);
            let mut sum = V::splat(0.0);
            for chunk in scores[..self.padded_keys].chunks_exact_mut(V::LANES) {
                let weights = exp2.of(V::load(chunk) - shift);
                weights.store(chunk);
                sum = sum + weights;
            }
            *added = sum.fold_sum().sum();
        }
        F32x4::from_array(&added)
    }
}

/// Updates the running maxima of up to four rows by their scores of one tile, `KEYS` floats apart, and rescales the
/// totals and weighted sums that are relative to them.
fn follow_maxima(
    scores: &[f32],
    padded_keys: usize,
    maxima: &mut [f32],
    totals: &mut [f32],
    sums: &mut [f32],
) {
    let old = F32x4::load(maxima);
    let new = old.max(run_widest(Highest { scores, padded_keys }));
    let factors = exp2(old - new);
    let factors_of = factors.to_array();
    if factors_of != [1.0; LANES] {
        let n = sums.len() / maxima.len();
        for (sums, factor) in sums.chunks_exact_mut(n).zip(factors_of) {
            let factor = F32x4::splat(factor);
            for sum in sums.as_chunks_mut::<LANES>().0 {
                (F32x4::from_array(sum) * factor).write_to(sum);
            }
        }
    }
    new.store(maxima);
    (F32x4::load(totals) * factors).store(totals);
}

/// Processes one row of one tile: converts scores (in units of log₂) to weights in place, and updates the row's running
/// maximum, total and weighted sums. `scores` must be a whole number of vectors.
pub fn online_softmax(scores: &mut [f32], maximum: &mut f32, total: &mut f32, sums: &mut [f32]) {
    let (scores, _) = scores.as_chunks_mut::<LANES>();
    let highest = scores
        .iter()
        .fold(F32x4::splat(*maximum), |highest, chunk| highest.max(F32x4::from_array(chunk)))
        .max_lane();
    if highest > *maximum {
        let factor = exp2_scalar(*maximum - highest);
        *maximum = highest;
        *total *= factor;
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
    let (exp2, shift) = (Exp2::<F32x4>::opaque(), F32x4::splat(*maximum));
    let mut added = F32x4::zero();
    for chunk in scores {
        let weights = exp2.of(F32x4::from_array(chunk) - shift);
        weights.write_to(chunk);
        added = added + weights;
    }
    *total += added.sum();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::simd::InstructionSet;

    /// Outputs and totals of `rows` queries over keys whose scores are as large as `size`, in units of log₂.
    fn attend(size: f32, longest_key: Option<f32>) -> Vec<f32> {
        let (rows, n_keys, d_head) = (7, 21_usize, 12);
        let value = |i: usize| ((i * 37) % 101) as f32 / 50.0 - 1.0;
        let mut scratch = vec![f32::NAN; QueryBlock::floats(d_head).index()];
        let mut block = QueryBlock::new(&mut scratch, d_head, rows);
        let queries: Vec<f32> = (0..rows * d_head).map(value).collect();
        block.set_queries(|row| &queries[row * d_head..][..d_head], size / d_head as f32);
        if let Some(longest_key) = longest_key {
            block.bound_scores(longest_key);
        }
        let keys: Vec<f32> = (0..n_keys.next_multiple_of(PANEL) * d_head).map(|i| value(3 * i + 1)).collect();
        let values: Vec<f32> = (0..2 * n_keys * PANEL).map(|i| value(5 * i + 2)).collect();
        let tile = KeyTile { keys: &keys, values: &values, values_stride: n_keys * PANEL, n_keys };
        for _ in 0..2 {
            block.absorb(tile, |row, scores| scores[row..2 * row].fill(LOWEST));
        }
        assert_eq!(
            block.bounded,
            longest_key.is_some_and(|longest| longest * size * size < 1600.0),
            "{size}"
        );
        let mut outputs = Vec::new();
        block.finish(|_, output| outputs.extend_from_slice(output));
        outputs
    }

    #[test]
    fn small_scores_need_no_maximum() {
        for size in [0.0, 1.0, 11.0] {
            let looked_for = attend(size, None);
            // Lengths of 12 values in ±1, one of them scaled by 1/12, are at most 1 and √12.
            for (got, want) in attend(size, Some(12.0)).iter().zip(&looked_for) {
                assert!((got - want).abs() < 1e-6, "{size}: {got} {want}");
            }
        }
        assert_eq!(attend(1e4, Some(12.0)), attend(1e4, None));
        assert_eq!(attend(1.0, Some(f32::NAN)), attend(1.0, None));
    }

    #[test]
    fn every_set_of_instructions_finds_the_same_maxima_and_weights() {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            for rows in 1..=LANES {
                for padded_keys in (PANEL..=KEYS).step_by(PANEL) {
                    let mut scores: Vec<f32> =
                        (0..rows * KEYS).map(|i| ((i * 37) % 101) as f32 * -0.3).collect();
                    let rows_of = scores.clone();
                    let shifts = set.run(Highest { scores: &scores, padded_keys }).to_array();
                    let totals = set.run(Weigh { scores: &mut scores, padded_keys, shifts }).to_array();
                    for (row, before) in rows_of.chunks_exact(KEYS).enumerate() {
                        let before = &before[..padded_keys];
                        let highest = before.iter().copied().fold(LOWEST, f32::max);
                        assert_eq!(shifts[row], highest, "{set:?}, {rows} rows of {padded_keys}");
                        let weights: Vec<f64> =
                            before.iter().map(|score| f64::from(score - highest).exp2()).collect();
                        for (got, want) in scores[row * KEYS..].iter().zip(&weights) {
                            assert!((f64::from(*got) - want).abs() <= 4e-7 * want, "{set:?}: {got}, {want}");
                        }
                        let total: f64 = weights.iter().sum();
                        assert!((f64::from(totals[row]) - total).abs() < 1e-6 * total, "{set:?}");
                    }
                }
            }
        }
    }
}
