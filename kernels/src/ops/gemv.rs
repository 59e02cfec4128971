//! A packed panel times a single vector, as a step of decoding needs it. The tiles of [`super::gemm`] have one chain of sums for
//! each row and vector of columns, and with a single row these chains would wait for themselves.

use super::gemm::PANEL;
use super::simd::{Lanes, Work, run_eight};

/// Chains of sums: enough to hide the latency of a multiply-add, few enough for the registers.
const CHAINS: usize = if cfg!(target_arch = "wasm32") { 4 } else { 8 };

/// `y += x · panel` for x `[depth]` and a panel `[depth, PANEL]`; columns that `y` lacks are dropped.
pub fn add_panel(x: &[f32], panel: &[f32], y: &mut [f32]) {
    run_eight(Panel { x, weights: panel, y });
}

/// [`add_panel`].
struct Panel<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    y: &'a mut [f32],
}

impl Work for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let mut sums = [V::splat(0.0); CHAINS];
        sums[0] = V::load(self.y);
        let (rows, _) = self.weights.as_chunks::<PANEL>();
        let (blocks, last_rows) = rows.as_chunks::<CHAINS>();
        let (values, last_values) = self.x.as_chunks::<CHAINS>();
        for (rows, values) in blocks.iter().zip(values) {
            for chain in 0..CHAINS {
                sums[chain] = sums[chain].mul_add(V::splat(values[chain]), V::load(&rows[chain]));
            }
        }
        for (row, value) in last_rows.iter().zip(last_values) {
            sums[0] = sums[0].mul_add(V::splat(*value), V::load(row));
        }
        sums[1..].iter().fold(sums[0], |sum, more| sum + *more).store(self.y);
    }
}
