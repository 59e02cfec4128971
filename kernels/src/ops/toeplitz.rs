//! Products with a Toeplitz matrix, for eight channels at once, each with its own matrix: a causal convolution, or a
//! rectangle of one, without a transform.

use super::fft::Row;
use super::simd::{Lanes, Work, run_eight};

/// Rows of a tile: their sums and one input fill the registers.
const TILE: usize = if cfg!(target_arch = "wasm32") { 4 } else { 8 };

/// Inputs that are read again for each tile: with their taps, 32 KiB.
const BLOCK: usize = 512;

/// `rows[r] += Σ_i inputs[i] ⊙ taps[R − 1 + i − r]` for R rows; `taps` has one row less than `inputs` and `rows`
/// together. Taps are in the order of falling lags, so that all three are read forwards.
pub fn add_products(inputs: &[Row], taps: &[Row], rows: &mut [Row]) {
    debug_assert_eq!(taps.len() + 1, inputs.len() + rows.len());
    run_eight(Products { inputs, taps, rows });
}

/// As [`add_products`] for inputs that end at their own row: `rows[r] += Σ_{i ≤ r} inputs[i] ⊙ taps[R − 1 + i − r]`, with
/// as many inputs and taps as rows.
pub fn add_triangle(inputs: &[Row], taps: &[Row], rows: &mut [Row]) {
    let n = rows.len();
    for (block, rows) in rows.chunks_mut(TILE).enumerate() {
        let first = block * TILE;
        add_products(&inputs[..first], &taps[n - first - rows.len()..n - 1], rows);
        for (r, row) in rows.iter_mut().enumerate() {
            let own = &inputs[first..=first + r];
            add_products(own, &taps[n - own.len()..], std::slice::from_mut(row));
        }
    }
}

/// [`add_products`].
struct Products<'a> {
    inputs: &'a [Row],
    taps: &'a [Row],
    rows: &'a mut [Row],
}

impl Work for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { inputs, taps, rows } = self;
        let n = rows.len();
        for (block, inputs) in inputs.chunks(BLOCK).enumerate() {
            let taps = &taps[block * BLOCK..][..inputs.len() + n - 1];
            let (tiles, rest) = rows.as_chunks_mut::<TILE>();
            let mut after = n;
            for tile in tiles {
                after -= TILE;
                add_tile::<V>(inputs, &taps[after..][..inputs.len() + TILE - 1], tile);
            }
            for row in rest {
                after -= 1;
                add_row::<V>(inputs, &taps[after..][..inputs.len()], row);
            }
        }
    }
}

#[inline(always)]
fn add_tile<V: Lanes>(inputs: &[Row], taps: &[Row], rows: &mut [Row; TILE]) {
    let mut sums: [V; TILE] = std::array::from_fn(|r| V::load(&rows[r]));
    for (input, taps) in inputs.iter().zip(taps.windows(TILE)) {
        // Of a length that the compiler knows, so that the sums stay in registers.
        let Some(taps) = taps.first_chunk::<TILE>() else { break };
        let input = V::load(input);
        for r in 0..TILE {
            sums[r] = sums[r].mul_add(input, V::load(&taps[TILE - 1 - r]));
        }
    }
    for (row, sum) in rows.iter_mut().zip(sums) {
        sum.store(row);
    }
}

/// One row, with as many sums as a tile has, so that the chains of additions overlap.
#[inline(always)]
fn add_row<V: Lanes>(inputs: &[Row], taps: &[Row], row: &mut Row) {
    let mut sums = [V::splat(0.0); TILE];
    sums[0] = V::load(row);
    let (input_blocks, last_inputs) = inputs.as_chunks::<TILE>();
    let (tap_blocks, last_taps) = taps.as_chunks::<TILE>();
    for (inputs, taps) in input_blocks.iter().zip(tap_blocks) {
        for chain in 0..TILE {
            sums[chain] = sums[chain].mul_add(V::load(&inputs[chain]), V::load(&taps[chain]));
        }
    }
    for (sum, (input, tap)) in sums.iter_mut().zip(last_inputs.iter().zip(last_taps)) {
        *sum = sum.mul_add(V::load(input), V::load(tap));
    }
    sums[1..].iter().fold(sums[0], |sum, more| sum + *more).store(row);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize, seed: u64) -> Vec<Row> {
        let value = |index: u64| ((index * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0;
        (0..len as u64).map(|t| std::array::from_fn(|lane| value(8 * t + lane as u64))).collect()
    }

    /// `rows[r] += Σ_i inputs[i] ⊙ taps[R − 1 + i − r]` over the pairs that `is_present` allows.
    fn plain(
        inputs: &[Row],
        taps: &[Row],
        rows: &[Row],
        is_present: impl Fn(usize, usize) -> bool,
    ) -> Vec<[f64; 8]> {
        let n = rows.len();
        let sum = |r: usize, lane: usize| {
            let products = (0..inputs.len())
                .filter(|&i| is_present(i, r))
                .map(|i| f64::from(inputs[i][lane]) * f64::from(taps[n - 1 + i - r][lane]));
            f64::from(rows[r][lane]) + products.sum::<f64>()
        };
        (0..n).map(|r| std::array::from_fn(|lane| sum(r, lane))).collect()
    }

    fn assert_close(got: &[Row], want: &[[f64; 8]]) {
        for (got, want) in got.as_flattened().iter().zip(want.as_flattened()) {
            assert!((f64::from(*got) - want).abs() < 1e-4 + 1e-5 * want.abs(), "{got} {want}");
        }
    }

    #[test]
    fn rectangles_equal_plain_sums() {
        for (n_inputs, n_rows) in [(0, 3), (1, 1), (5, 1), (1, 5), (17, 8), (1030, 19), (3, 40)] {
            let (inputs, taps) = (random(n_inputs, 1), random(n_inputs + n_rows - 1, 2));
            let mut rows = random(n_rows, 3);
            let want = plain(&inputs, &taps, &rows, |_, _| true);
            add_products(&inputs, &taps, &mut rows);
            assert_close(&rows, &want);
        }
    }

    #[test]
    fn triangles_equal_plain_sums() {
        for n in [1, 2, 7, 8, 9, 30, 600] {
            let (inputs, taps) = (random(n, 1), random(n, 2));
            let mut rows = random(n, 3);
            let want = plain(&inputs, &taps, &rows, |i, r| i <= r);
            add_triangle(&inputs, &taps, &mut rows);
            assert_close(&rows, &want);
        }
    }
}
