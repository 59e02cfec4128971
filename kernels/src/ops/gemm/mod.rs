//! The register-tiled matrix product under every projection and every attention tile.
//!
//! The right-hand side is packed into panels of [`PANEL`] columns, each stored row by row and zero-padded, so the
//! microkernel reads it as one stream. The left-hand side stays row-major: its elements are broadcast.

#[cfg(target_arch = "x86_64")]
mod avx2;

use std::ops::Range;

use super::simd::{F32x4, LANES};

/// Columns of a packed panel: two vectors.
pub const PANEL: usize = 2 * LANES;

/// Rows of the register tile. Browsers leave 15 of x86's 16 vector registers: ROWS × 2 accumulators, 2 panel vectors and a
/// broadcast, and one more for the product where multiply and add are two instructions.
pub const ROWS: usize = if cfg!(target_feature = "relaxed-simd") { 6 } else { 5 };

/// What becomes of a product tile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Store {
    /// `c = a·b`.
    Set,
    /// `c += a·b`.
    Add,
}

/// Where an output tile goes: element (row, column) of the product is at `row · stride + column`.
#[derive(Debug)]
pub struct Tile<'a> {
    /// The floats from the tile's first element on.
    pub floats: &'a mut [f32],
    /// Floats between rows.
    pub stride: usize,
    /// Columns wanted, at most [`PANEL`].
    pub columns: usize,
}

/// `c[rows × columns] (+)= a[rows × depth] · b[depth × PANEL]`, `rows` any number.
///
/// `a` is row-major with `a_stride` floats between rows; `panel` holds `depth · PANEL` floats.
#[inline]
pub fn multiply(
    a: &[f32],
    a_stride: usize,
    rows: usize,
    depth: usize,
    panel: &[f32],
    store: Store,
    c: &mut Tile<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    if avx2::multiply(a, a_stride, rows, depth, panel, store, c) {
        return;
    }
    let whole = rows / ROWS * ROWS;
    strips::<ROWS>(a, a_stride, 0..whole, depth, panel, store, c);
    match rows - whole {
        1 => strips::<1>(a, a_stride, whole..rows, depth, panel, store, c),
        2 => strips::<2>(a, a_stride, whole..rows, depth, panel, store, c),
        3 => strips::<3>(a, a_stride, whole..rows, depth, panel, store, c),
        4 => strips::<4>(a, a_stride, whole..rows, depth, panel, store, c),
        5 => strips::<5>(a, a_stride, whole..rows, depth, panel, store, c),
        _ => {}
    }
}

/// `rows` of the product, `R` at a time. Never inlined: inside a larger loop the register allocator of some browsers spills
/// it.
#[inline(never)]
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
        let a: [&[f32]; R] = std::array::from_fn(|row| &a[(first + row) * a_stride..][..panel.len()]);
        let mut sums = [[F32x4::zero(); 2]; R];
        for (k, b) in panel.iter().enumerate() {
            let (low, high) = halves(b);
            for row in 0..R {
                let broadcast = F32x4::splat(a[row][k]);
                sums[row][0] = sums[row][0].mul_add(broadcast, low);
                sums[row][1] = sums[row][1].mul_add(broadcast, high);
            }
        }
        for (row, sum) in sums.iter().enumerate() {
            let to = &mut c.floats[(first + row) * c.stride..][..c.columns];
            if let Some(full) = to.first_chunk_mut::<PANEL>() {
                let (low, high) =
                    if store == Store::Add { halves(full) } else { (F32x4::zero(), F32x4::zero()) };
                let (to_low, to_high) = full.split_at_mut(LANES);
                (low + sum[0]).store(to_low);
                (high + sum[1]).store(to_high);
            } else {
                let sums = sum[0].to_array().into_iter().chain(sum[1].to_array());
                for (to, sum) in to.iter_mut().zip(sums) {
                    *to = if store == Store::Add { *to + sum } else { sum };
                }
            }
        }
    }
}

/// A panel row as two vectors.
#[inline(always)]
fn halves(row: &[f32; PANEL]) -> (F32x4, F32x4) {
    let [a, b, c, d, e, f, g, h] = *row;
    (F32x4::from_array(&[a, b, c, d]), F32x4::from_array(&[e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_plain_loops_at_every_edge() {
        for rows in 1..=29 {
            for columns in 1..=PANEL {
                for depth in [1, 2, 7, 64] {
                    let a: Vec<f32> = (0..rows * depth).map(|i| (i % 13) as f32 - 6.0).collect();
                    let b: Vec<f32> = (0..depth * PANEL).map(|i| (i % 7) as f32 - 3.0).collect();
                    let stride = columns + 3;
                    let mut c = vec![0.5; rows * stride];
                    let mut tile = Tile { floats: &mut c, stride, columns };
                    multiply(&a, depth, rows, depth, &b, Store::Add, &mut tile);
                    for row in 0..rows {
                        for column in 0..stride {
                            let sum: f32 =
                                (0..depth).map(|k| a[row * depth + k] * b[k * PANEL + column % PANEL]).sum();
                            let want = if column < columns { 0.5 + sum } else { 0.5 };
                            assert_eq!(
                                c[row * stride + column],
                                want,
                                "{rows}×{depth}×{columns} at {row},{column}"
                            );
                        }
                    }
                }
            }
        }
    }
}
