//! Spot checks: parts of an output that the f64 reference can recompute at any length, and their random choice.

use crate::{Deviation, Tolerance};

/// Seed and operation budget of a spot check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpotDraw {
    /// Seed of the random choice. Equal seeds give equal choices.
    pub seed: u64,
    /// Operations that the f64 reference may spend, roughly.
    pub max_flops: u64,
    /// First row that may be drawn: 0, or the first generated token of a race of decoding.
    pub first_row: usize,
}

impl SpotDraw {
    /// Part `index` of this draw, with an independent choice and `1 / parts` of the operations.
    #[must_use]
    #[inline(never)]
    pub fn part(self, index: u64, parts: u64) -> Self {
        let mut state = self.seed ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Self { seed: next(&mut state), max_flops: self.max_flops / parts.max(1), ..self }
    }

    /// Number of work items of `flops` operations that the budget allows, in `1..=most`.
    pub fn affords(self, flops: u64, most: usize) -> usize {
        usize::try_from(self.max_flops / flops.max(1)).unwrap_or(most).clamp(1, most.max(1))
    }

    /// `count` different numbers below `below`, in the order drawn; all numbers where `count` is larger.
    #[inline(never)]
    pub fn distinct(self, below: usize, count: usize) -> Vec<usize> {
        if below <= count {
            return (0..below).collect();
        }
        let (mut state, mut drawn) = (self.seed, Vec::with_capacity(count));
        while drawn.len() < count {
            // For lengths and widths of a race, the remainder's bias is below 2⁻⁴⁰.
            let number = (next(&mut state) % below as u64) as usize;
            if !drawn.contains(&number) {
                drawn.push(number);
            }
        }
        drawn
    }

    /// `count` different rows in `first_row..length`, ascending: the last one, which depends on all positions, and random
    /// ones.
    #[inline(never)]
    pub fn rows(self, length: usize, count: usize) -> Vec<usize> {
        let last = length.saturating_sub(1);
        let first = self.first_row.min(last);
        let mut rows = self.distinct(last - first, count.saturating_sub(1));
        rows.iter_mut().for_each(|row| *row += first);
        rows.push(last);
        rows.sort_unstable();
        rows
    }
}

/// The next number of the SplitMix64 generator (Steele, Lea and Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Parts of an output, as computed by the f64 reference.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpotCheck {
    /// Columns of the output.
    pub width: usize,
    /// Indices of the checked rows in the output seen as `[batch · length, width]`.
    pub rows: Vec<usize>,
    /// Expected values of the rows, `[rows.len(), width]`.
    pub expected: Vec<f64>,
    /// Checked columns of the output.
    pub columns: Vec<SpotColumn>,
}

/// A column: one number for each of several consecutive rows, either a channel of the output or a weighted sum of
/// channels.
#[derive(Debug, Clone, PartialEq)]
pub struct SpotColumn {
    /// First row, an index into the output seen as `[batch · length, width]`.
    pub first_row: usize,
    /// Channels with their weights.
    pub weights: Vec<(usize, f64)>,
    /// Expected weighted sum of each row.
    pub expected: Vec<f64>,
}

impl SpotColumn {
    /// A single channel from row 0 on.
    #[inline(never)]
    pub fn channel(channel: usize, expected: Vec<f64>) -> Self {
        Self { first_row: 0, weights: vec![(channel, 1.0)], expected }
    }
}

impl SpotCheck {
    /// A check of rows only: `expected` is `[rows.len(), width]`.
    #[inline(never)]
    pub fn of_rows(rows: Vec<usize>, expected: Vec<f64>) -> Self {
        let width = expected.len() / rows.len().max(1);
        Self { width, rows, expected, columns: Vec::new() }
    }

    /// Compares a whole output, `[.., width]`.
    pub fn compare(&self, tolerance: Tolerance, output: &[f32]) -> Deviation {
        let mut found = SpotFound::new(self);
        found.visit(0, output);
        found.compare(tolerance)
    }

    /// Length of the prefix of a `length`-long sequence that covers all checked rows and columns.
    pub fn reach(&self, length: usize) -> usize {
        let length = length.max(1);
        let columns = self.columns.iter().map(|column| column.first_row % length + column.expected.len());
        self.rows.iter().map(|row| row % length + 1).chain(columns).max().unwrap_or(0)
    }

    /// Whether the check covers no value.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.columns.iter().all(|column| column.expected.is_empty())
    }
}

/// Number of consecutive values of a column that are compared relative to their common size, as the values of a row
/// are.
const BLOCK: usize = 64;

/// The values of an output, which may arrive in pieces, at the places of a [`SpotCheck`].
#[derive(Debug)]
pub struct SpotFound<'a> {
    check: &'a SpotCheck,
    rows: Vec<f32>,
    columns: Vec<FoundColumn>,
}

#[derive(Debug)]
struct FoundColumn {
    sums: Vec<f64>,
    /// Sums of the squared terms: rounding errors remain where terms cancel.
    squares: Vec<f64>,
    terms: usize,
}

impl<'a> SpotFound<'a> {
    /// A collector without values.
    pub fn new(check: &'a SpotCheck) -> Self {
        let columns = check.columns.iter().map(|column| {
            let zeros = vec![0.0; column.expected.len()];
            FoundColumn { sums: zeros.clone(), squares: zeros, terms: 0 }
        });
        // Values that no piece contains stay NaN, so that their comparison fails.
        Self { check, rows: vec![f32::NAN; check.expected.len()], columns: columns.collect() }
    }

    /// Adds the piece of the output that begins at element `offset`. Pieces must not overlap.
    pub fn visit(&mut self, offset: usize, piece: &[f32]) {
        let width = self.check.width.max(1);
        for (row, values) in self.check.rows.iter().zip(self.rows.chunks_mut(width)) {
            copy_overlap(values, row * width, piece, offset);
        }
        for (column, found) in self.check.columns.iter().zip(&mut self.columns) {
            // The rows of which the piece contains a part.
            let first = (offset / width).max(column.first_row);
            let end = (offset + piece.len()).div_ceil(width).min(column.first_row + found.sums.len());
            for row in first..end {
                let index = row - column.first_row;
                for &(channel, weight) in &column.weights {
                    let at = (row * width + channel).checked_sub(offset);
                    let Some(&value) = at.and_then(|at| piece.get(at)) else { continue };
                    let term = weight * f64::from(value);
                    found.sums[index] += term;
                    found.squares[index] += term * term;
                    found.terms += 1;
                }
            }
        }
    }

    /// Compares the collected values with the expected ones. A check that covers no value fails.
    pub fn compare(&self, tolerance: Tolerance) -> Deviation {
        let mut deviation = tolerance.compare_rows(&self.rows, &self.check.expected, self.check.width.max(1));
        for (column, found) in self.check.columns.iter().zip(&self.columns) {
            let of_column = found.compare(column, tolerance);
            deviation = Deviation {
                max_abs: deviation.max_abs.max(of_column.max_abs),
                max_rel: deviation.max_rel.max(of_column.max_rel),
                pass: deviation.pass && of_column.pass,
            };
        }
        Deviation { pass: deviation.pass && !self.check.is_empty(), ..deviation }
    }
}

impl FoundColumn {
    /// Compares like [`Tolerance::compare_rows`]: `abs` is at most 10⁻⁴ of the root mean square of [`BLOCK`]
    /// consecutive values, or 10⁻⁴ of a hundredth of the whole column's. For a weighted sum, both are computed from its
    /// terms.
    fn compare(&self, column: &SpotColumn, tolerance: Tolerance) -> Deviation {
        let mean = |squares: &[f64]| (squares.iter().sum::<f64>() / squares.len().max(1) as f64).sqrt();
        let whole = mean(&self.squares);
        let gain = column.weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
        let of_block = |size: f64| Tolerance {
            abs: (tolerance.abs * gain).min(size.max(whole / 100.0) / 10_000.0),
            ..tolerance
        };
        let mut pass = self.terms == self.sums.len() * column.weights.len();
        let blocks = self.sums.chunks(BLOCK).zip(column.expected.chunks(BLOCK));
        for (block, (sums, expected)) in blocks.enumerate() {
            // The last block may have few values. It is then compared relative to the last [`BLOCK`] values.
            let end = block * BLOCK + sums.len();
            let size = mean(&self.squares[end.saturating_sub(BLOCK)..end]);
            pass &= of_block(size).compare(sums.iter().copied(), expected).pass;
        }
        let all = tolerance.compare(self.sums.iter().copied(), &column.expected);
        Deviation { pass, ..all }
    }
}

/// Copies the overlap of `from`, which begins at `from_start`, to `to`, which begins at `to_start`.
fn copy_overlap(to: &mut [f32], to_start: usize, from: &[f32], from_start: usize) {
    let start = to_start.max(from_start);
    let end = (to_start + to.len()).min(from_start + from.len());
    if start < end {
        to[start - to_start..end - to_start].copy_from_slice(&from[start - from_start..end - from_start]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Tolerance = Tolerance { abs: 1e-6, rel: 1e-5 };

    #[test]
    fn fault_11_missing_rows_fail_the_check() {
        let row = SpotCheck::of_rows(vec![1], vec![1.0, 2.0]);
        let pass = |output: &[f32]| row.compare(TIGHT, output).pass;
        assert!(pass(&[0.0, 0.0, 1.0, 2.0]));
        assert!(!pass(&[1.0, 2.0, 0.0, 0.0]));
        assert!(!pass(&[1.0, 2.0]));
        assert!(!SpotCheck::default().compare(TIGHT, &[1.0, 2.0]).pass);
    }

    #[test]
    fn fault_11_every_value_of_a_column_counts() {
        let mut output = vec![0.5; 3 * 200];
        let column = SpotColumn { first_row: 50, ..SpotColumn::channel(1, vec![0.5; 150]) };
        let check = SpotCheck { width: 3, columns: vec![column], ..SpotCheck::default() };
        assert!(check.compare(TIGHT, &output).pass);
        assert!(!check.compare(TIGHT, &output[..598]).pass);
        // Values outside of the checked column do not matter.
        output[3 * 100] = 7.0;
        output[3 * 49 + 1] = 7.0;
        assert!(check.compare(TIGHT, &output).pass);
        output[3 * 131 + 1] = 0.5002;
        assert!(!check.compare(TIGHT, &output).pass);
    }

    #[test]
    fn weighted_columns_and_rows_are_gathered_from_pieces() {
        let output: Vec<f32> = (0..4 * 90_u16).map(f32::from).collect();
        let weights = vec![(0, 2.0), (3, -1.0)];
        let expected = (0..90).map(|t| f64::from(4 * t) * 2.0 - f64::from(4 * t + 3)).collect();
        let columns = vec![SpotColumn { first_row: 0, weights, expected }];
        let row = SpotCheck::of_rows(vec![17], (68..72).map(f64::from).collect());
        let check = SpotCheck { columns, ..row };
        for cut in [1, 4, 69, 70, 71, 359] {
            let mut found = SpotFound::new(&check);
            let (head, tail) = output.split_at(cut);
            found.visit(0, head);
            assert!(!found.compare(TIGHT).pass);
            found.visit(cut, tail);
            assert!(found.compare(TIGHT).pass, "cut at {cut}");
        }
    }

    const DRAW: SpotDraw = SpotDraw { seed: 7, max_flops: 1000, first_row: 0 };

    #[test]
    fn rows_follow_from_the_seed_and_end_with_the_last() {
        let rows = DRAW.rows(4096, 4);
        assert_eq!(rows, DRAW.rows(4096, 4));
        assert_ne!(rows, SpotDraw { seed: 8, ..DRAW }.rows(4096, 4));
        assert_ne!(rows, DRAW.part(1, 1).rows(4096, 4));
        assert!(rows.is_sorted() && rows.len() == 4 && rows[3] == 4095, "{rows:?}");
        assert_eq!(DRAW.rows(1, 4), [0]);
        assert_eq!(DRAW.rows(3, 4), [0, 1, 2]);
    }

    #[test]
    fn rows_of_a_race_of_decoding_are_generated_ones() {
        let decoding = SpotDraw { first_row: 4000, ..DRAW };
        for part in 0..20 {
            let rows = decoding.part(part, 2).rows(4096, 4);
            assert!(rows.is_sorted() && rows.len() == 4 && rows[0] >= 4000 && rows[3] == 4095, "{rows:?}");
        }
        assert_eq!(decoding.rows(4002, 4), [4000, 4001]);
        assert_eq!(decoding.rows(100, 4), [99]);
    }

    /// Tiles have 4 to 128 rows. Most draws of three rows contain a row inside a tile, whatever its size.
    #[test]
    fn rows_lie_inside_tiles_too() {
        for tile in [4, 16, 48, 64, 128] {
            let inside = |seed| {
                let rows = SpotDraw { seed, ..DRAW }.rows(65_536, 4);
                rows[..3].iter().any(|row| row % tile != 0 && (row + 1) % tile != 0)
            };
            assert!((0..100).filter(|&seed| inside(seed)).count() > 80, "tiles of {tile}");
        }
    }

    #[test]
    fn work_is_shared_between_parts() {
        assert_eq!(DRAW.affords(300, 4), 3);
        assert_eq!(DRAW.affords(100, 4), 4);
        assert_eq!(DRAW.affords(5000, 4), 1);
        assert_eq!(DRAW.part(1, 2).max_flops, 500);
    }
}
