//! The register-tiled matrix product under every projection and every attention tile.
//!
//! The right-hand side is packed into panels of [`PANEL`] columns, each stored row by row and zero-padded, so the
//! microkernel reads it as one stream. The left-hand side stays row-major: its elements are broadcast.

use super::simd::{F32x4, LANES};

/// Columns of a packed panel: two vectors.
pub const PANEL: usize = 2 * LANES;

/// Rows of the register tile: 6 × 2 accumulators, 2 panel vectors and a broadcast fill 15 of 16 vector registers.
pub const ROWS: usize = 6;

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
    let mut row = 0;
    while row + ROWS <= rows {
        strip::<ROWS>(&a[row * a_stride..], a_stride, depth, panel, store, row, c);
        row += ROWS;
    }
    let rest = &a[(row * a_stride).min(a.len())..];
    match rows - row {
        1 => strip::<1>(rest, a_stride, depth, panel, store, row, c),
        2 => strip::<2>(rest, a_stride, depth, panel, store, row, c),
        3 => strip::<3>(rest, a_stride, depth, panel, store, row, c),
        4 => strip::<4>(rest, a_stride, depth, panel, store, row, c),
        5 => strip::<5>(rest, a_stride, depth, panel, store, row, c),
        _ => {}
    }
}

/// `R` rows of the product. Never inlined: inside a larger loop the register allocator of some browsers spills it.
#[inline(never)]
fn strip<const R: usize>(
    a: &[f32],
    a_stride: usize,
    depth: usize,
    panel: &[f32],
    store: Store,
    first_row: usize,
    c: &mut Tile<'_>,
) {
    let rows: [&[f32]; R] = std::array::from_fn(|row| &a[row * a_stride..][..depth]);
    let (panel, _) = panel[..depth * PANEL].as_chunks::<PANEL>();
    let mut sums = [[F32x4::zero(); 2]; R];
    for (k, b) in panel.iter().enumerate() {
        let (low, high) = halves(b);
        for row in 0..R {
            let broadcast = F32x4::splat(rows[row][k]);
            sums[row][0] = sums[row][0].mul_add(broadcast, low);
            sums[row][1] = sums[row][1].mul_add(broadcast, high);
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        let to = &mut c.floats[(first_row + row) * c.stride..][..c.columns];
        if let Some(full) = to.first_chunk_mut::<PANEL>() {
            let (low, high) = if store == Store::Add { halves(full) } else { (F32x4::zero(), F32x4::zero()) };
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
        for rows in 1..=14 {
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
