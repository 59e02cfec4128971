//! The same product with 256-bit multiply-adds: a native program asks the processor it finds itself on, so that one
//! binary runs everywhere and is not slower than it need be.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take raw pointers, each from a slice that was cut to length; and code for an \
              instruction set may only be entered where the processor has it"
)]

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps,
};
use std::ops::Range;

use super::{PANEL, Store, Tile};

/// Rows of the register tile: 12 accumulators of the 16 registers hide a multiply-add's latency, 4 cycles at 2 a cycle.
const ROWS: usize = 12;

/// [`super::multiply`], or `false` where the processor has no such instructions.
pub(super) fn multiply(
    a: &[f32],
    a_stride: usize,
    rows: usize,
    depth: usize,
    panel: &[f32],
    store: Store,
    c: &mut Tile<'_>,
) -> bool {
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return false;
    }
    let twelves = rows / ROWS * ROWS;
    let fours = rows / 4 * 4;
    // SAFETY: the processor has both instruction sets.
    unsafe {
        strips::<ROWS>(a, a_stride, 0..twelves, depth, panel, store, c);
        strips::<4>(a, a_stride, twelves..fours, depth, panel, store, c);
        strips::<1>(a, a_stride, fours..rows, depth, panel, store, c);
    }
    true
}

#[target_feature(enable = "avx2,fma")]
fn strips<const R: usize>(
    a: &[f32],
    a_stride: usize,
    rows: Range<usize>,
    depth: usize,
    panel: &[f32],
    store: Store,
    c: &mut Tile<'_>,
) {
    let (panel, _) = panel[..depth * PANEL].as_chunks::<PANEL>();
    for first in rows.step_by(R) {
        let a: [*const f32; R] =
            std::array::from_fn(|row| a[(first + row) * a_stride..][..panel.len()].as_ptr());
        let mut sums = [_mm256_setzero_ps(); R];
        for (k, b) in panel.iter().enumerate() {
            // SAFETY: the reference covers 32 readable bytes, and the load has no alignment requirement.
            let b = unsafe { _mm256_loadu_ps(b.as_ptr()) };
            for row in 0..R {
                // SAFETY: each pointer is to a row of as many floats as the panel has rows. The compiler keeps the
                // twelve bounds checks of slices here, at half the speed.
                let broadcast = _mm256_set1_ps(unsafe { *a[row].add(k) });
                sums[row] = _mm256_fmadd_ps(broadcast, b, sums[row]);
            }
        }
        for (row, sum) in sums.into_iter().enumerate() {
            let to = &mut c.floats[(first + row) * c.stride..][..c.columns];
            if let Some(full) = to.first_chunk_mut::<PANEL>() {
                save(if store == Store::Add { _mm256_add_ps(load(full), sum) } else { sum }, full);
            } else {
                let mut sums = [0.0; PANEL];
                save(sum, &mut sums);
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = if store == Store::Add { *to + sum } else { sum };
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn load(floats: &[f32; PANEL]) -> __m256 {
    // SAFETY: the reference covers 32 readable bytes, and the load has no alignment requirement.
    unsafe { _mm256_loadu_ps(floats.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn save(lanes: __m256, floats: &mut [f32; PANEL]) {
    // SAFETY: the reference covers 32 writable bytes, and the store has no alignment requirement.
    unsafe { _mm256_storeu_ps(floats.as_mut_ptr(), lanes) }
}
