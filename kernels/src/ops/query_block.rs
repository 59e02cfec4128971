//! A block of queries of one head with its running softmax: the part that every tiled attention shares, whichever keys
//! its queries see (all, a window, a list of blocks, a bucket's chunk).
//!
//! Keys are absorbed in tiles, in any order; the online softmax (Milakov and Gimelshein, arXiv 1805.02867) makes the
//! result independent of the cut. Scores are kept in units of log₂, so that every exponential is a power of two.

use super::exp::{Exp2, exp2, exp2_scalar};
use super::gemm::{PANEL, ROWS, Store, Tile, multiply};
use super::simd::{F32x4, LANES};

/// Most queries in a block: whole register tiles and panels, and few, so that its scores, queries and sums stay in a
/// first-level cache of 32 KiB, or nearly.
pub const QUERIES: usize = if ROWS.is_multiple_of(2) { 4 * ROWS } else { 8 * ROWS };

/// Most keys in a tile: a tile of keys and one of values of head dimension 64 take 64 KiB together.
pub const KEYS: usize = 128;

/// Stands for −∞: finite, so that differences of two of them stay defined. Its weight beside any real score is 0.
pub const LOWEST: f32 = -1e30;

/// Keys and values of one tile, packed for the microkernel.
#[derive(Debug, Clone, Copy)]
pub struct KeyTile<'a> {
    /// `[⌈n_keys / PANEL⌉, d_head, PANEL]`.
    pub keys: &'a [f32],
    /// `[⌈d_head / PANEL⌉]` panels, `values_stride` floats apart, each `[n_keys, PANEL]`.
    pub values: &'a [f32],
    /// Floats between panels of values.
    pub values_stride: usize,
    /// Keys, at most [`KEYS`].
    pub n_keys: usize,
}

/// The running state of up to [`QUERIES`] queries, in borrowed scratch.
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
}

impl<'a> QueryBlock<'a> {
    /// Floats of scratch that a block needs.
    pub fn floats(d_head: usize) -> usize {
        QUERIES * (KEYS + d_head.next_multiple_of(PANEL) + d_head + 2)
    }

    /// A block of `rows` queries that has seen no key yet. `scratch` holds [`QueryBlock::floats`].
    pub fn new(scratch: &'a mut [f32], d_head: usize, rows: usize) -> Self {
        let padded_head = d_head.next_multiple_of(PANEL);
        let (scores, rest) = scratch.split_at_mut(QUERIES * KEYS);
        let (sums, rest) = rest.split_at_mut(QUERIES * padded_head);
        let (scaled, rest) = rest.split_at_mut(QUERIES * d_head);
        let (maxima, totals) = rest.split_at_mut(QUERIES);
        sums[..rows * padded_head].fill(0.0);
        maxima[..rows].fill(LOWEST);
        totals[..rows].fill(0.0);
        Self { rows, d_head, padded_head, scores, sums, scaled, maxima, totals }
    }

    /// What turns q·k into a score in units of log₂, where scores are divided by √d.
    pub fn scale(d_head: usize) -> f32 {
        std::f32::consts::LOG2_E / (d_head as f32).sqrt()
    }

    /// Sets one query, multiplied by `scale`.
    pub fn set_query(&mut self, row: usize, query: &[f32], scale: f32) {
        for (to, from) in self.scaled[row * self.d_head..][..self.d_head].iter_mut().zip(query) {
            *to = from * scale;
        }
    }

    /// Goes on from what [`QueryBlock::state`] gave for this row.
    pub fn resume(&mut self, row: usize, sums: &[f32], maximum: f32, total: f32) {
        self.sums[row * self.padded_head..][..self.d_head].copy_from_slice(sums);
        self.maxima[row] = maximum;
        self.totals[row] = total;
    }

    /// One row's weighted sums, running maximum and total.
    pub fn state(&self, row: usize) -> (&[f32], f32, f32) {
        (&self.sums[row * self.padded_head..][..self.d_head], self.maxima[row], self.totals[row])
    }

    /// Lets the queries see a tile of keys. `mask(row, scores)` may overwrite any of a row's `n_keys` scores.
    #[inline]
    pub fn absorb(&mut self, tile: KeyTile<'_>, mut mask: impl FnMut(usize, &mut [f32])) {
        let KeyTile { keys, values, values_stride, n_keys } = tile;
        let (d_head, padded_head) = (self.d_head, self.padded_head);
        for panel in 0..n_keys.div_ceil(PANEL) {
            let panel_keys = &keys[panel * d_head * PANEL..][..d_head * PANEL];
            let mut to = Tile { floats: &mut self.scores[panel * PANEL..], stride: KEYS, columns: PANEL };
            multiply(self.scaled, d_head, self.rows, d_head, panel_keys, Store::Set, &mut to);
        }
        let padded_keys = n_keys.next_multiple_of(PANEL);
        for row in 0..self.rows {
            let scores = &mut self.scores[row * KEYS..][..padded_keys];
            mask(row, &mut scores[..n_keys]);
            scores[n_keys..].fill(LOWEST);
        }
        for first in (0..self.rows).step_by(LANES) {
            let rows = LANES.min(self.rows - first);
            online_softmax_rows(
                &mut self.scores[first * KEYS..][..rows * KEYS],
                padded_keys,
                &mut self.maxima[first..][..rows],
                &mut self.totals[first..][..rows],
                &mut self.sums[first * padded_head..][..rows * padded_head],
            );
        }
        for panel in 0..padded_head / PANEL {
            let panel_values = &values[panel * values_stride..][..n_keys * PANEL];
            let mut to =
                Tile { floats: &mut self.sums[panel * PANEL..], stride: padded_head, columns: PANEL };
            multiply(self.scores, KEYS, self.rows, n_keys, panel_values, Store::Add, &mut to);
        }
    }

    /// Hands every row's finished output, `[d_head]`, to `emit(row, output)`.
    pub fn finish(self, mut emit: impl FnMut(usize, &[f32])) {
        for row in 0..self.rows {
            let inverse = 1.0 / self.totals[row];
            let sums = &mut self.sums[row * self.padded_head..][..self.d_head];
            sums.iter_mut().for_each(|sum| *sum *= inverse);
            emit(row, sums);
        }
    }
}

/// [`online_softmax`] of up to four rows of one tile, `KEYS` floats apart: what is done once a row is done for all of them in
/// one vector, and without a branch for each.
fn online_softmax_rows(
    scores: &mut [f32],
    padded_keys: usize,
    maxima: &mut [f32],
    totals: &mut [f32],
    sums: &mut [f32],
) {
    let mut highest = [[LOWEST; LANES]; LANES];
    for (highest, scores) in highest.iter_mut().zip(scores.chunks_exact(KEYS)) {
        let (pairs, _) = scores[..padded_keys].as_chunks::<PANEL>();
        let start = [F32x4::splat(LOWEST); 2];
        let [low, high] = pairs.iter().fold(start, |[low, high], pair| {
            [low.max(F32x4::load(pair)), high.max(F32x4::load(&pair[LANES..]))]
        });
        low.max(high).write_to(highest);
    }
    let column = |lane: usize| F32x4::from_array(&highest.map(|row| row[lane]));
    let old = F32x4::load(maxima);
    let new = old.max(column(0)).max(column(1)).max(column(2)).max(column(3));
    let factors = exp2(old - new);
    new.store(maxima);
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
    let exp2 = Exp2::opaque();
    let mut added = [[0.0; LANES]; LANES];
    let rows = scores.chunks_exact_mut(KEYS).zip(new.to_array());
    for ((scores, maximum), added) in rows.zip(&mut added) {
        let shift = F32x4::splat(maximum);
        let mut sum = F32x4::zero();
        for chunk in scores[..padded_keys].as_chunks_mut::<LANES>().0 {
            let weights = exp2.of(F32x4::from_array(chunk) - shift);
            weights.write_to(chunk);
            sum = sum + weights;
        }
        sum.write_to(added);
    }
    let column = |lane: usize| F32x4::from_array(&added.map(|row| row[lane]));
    let added = (column(0) + column(2)) + (column(1) + column(3));
    added.mul_add(F32x4::load(totals), factors).store(totals);
}

/// One row of one tile: turns scores (in units of log₂) into weights in place, and brings the row's running maximum,
/// total and weighted sums up to date. `scores` is a whole number of vectors.
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
    let (exp2, shift) = (Exp2::opaque(), F32x4::splat(*maximum));
    let mut added = F32x4::zero();
    for chunk in scores {
        let weights = exp2.of(F32x4::from_array(chunk) - shift);
        weights.write_to(chunk);
        added = added + weights;
    }
    *total += added.sum();
}
