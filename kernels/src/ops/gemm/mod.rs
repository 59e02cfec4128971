//! The register-tiled matrix product of all projections and attention tiles.
//!
//! The right-hand side is packed into panels of [`PANEL`] columns, each stored row by row and zero-padded, so that the
//! microkernel reads it sequentially. The left-hand side stays row-major, and its elements are broadcast.

#![expect(
    unsafe_code,
    reason = "the innermost loop reads slices that were cut to its length without asking again: the compiler keeps the \
              checks of a tile's rows, at half the speed"
)]

use super::simd::{LANES, Lanes, Work, run_widest};

/// Columns of a packed panel: two vectors.
pub const PANEL: usize = 2 * LANES;

/// Rows of the register tile. Browsers leave 15 of x86's 16 vector registers: ROWS × 2 accumulators, two panel vectors,
/// a broadcast, and a further one for the product where multiply and add are separate instructions.
pub const ROWS: usize = if cfg!(target_feature = "relaxed-simd") { 6 } else { 5 };

/// Columns that a product of a single row takes at once: enough chains of sums to hide the latency of a multiply-add.
pub const ONE_ROW: usize = 8 * PANEL;

/// How a product tile is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Store {
    /// `c = a·b`.
    Set,
    /// `c += a·b`.
    Add,
}

/// Destination of an output tile: element (row, column) of the product is at `row · stride + column`.
#[derive(Debug)]
pub struct Tile<'a> {
    /// The floats from the tile's first element on.
    pub floats: &'a mut [f32],
    /// Floats between rows.
    pub stride: usize,
    /// Columns to store, at most [`PANEL`].
    pub columns: usize,
}

/// `c[rows × columns] (+)= a[rows × depth] · b[depth × PANEL]`, `rows` any number, `columns` at most [`PANEL`].
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
    multiply_panels(a, a_stride, rows, depth, panel, panel.len(), store, c);
}

/// [`multiply`] for all panels of the columns of `c`, which are `panel_stride` floats apart.
#[inline]
pub fn multiply_panels(
    a: &[f32],
    a_stride: usize,
    rows: usize,
    depth: usize,
    panels: &[f32],
    panel_stride: usize,
    store: Store,
    c: &mut Tile<'_>,
) {
    let Tile { floats, stride, columns } = c;
    let c = Tile { floats, stride: *stride, columns: *columns };
    run_widest(Product { a, a_stride, rows, depth, panels, panel_stride, store, c });
}

/// The product for all of `c`.
struct Product<'a> {
    a: &'a [f32],
    a_stride: usize,
    rows: usize,
    depth: usize,
    panels: &'a [f32],
    panel_stride: usize,
    store: Store,
    c: Tile<'a>,
}

impl Work for Product<'_> {
    type Output = ();

    /// Register tiles of two vectors' columns: one panel of four lanes, two of eight.
    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let mut panel = 0;
        while panel * PANEL < self.c.columns {
            let left = self.c.columns - panel * PANEL;
            if self.rows == 1 && left >= 8 * V::LANES {
                self.strips::<V, 1, 8>(0, panel);
                panel += 8 * V::LANES / PANEL;
                continue;
            }
            if V::LANES == PANEL && left <= PANEL {
                // A single vector: twice as many rows give as many accumulators.
                let rest = self.strips::<V, 12, 1>(0, panel);
                let rest = self.strips::<V, 4, 1>(rest, panel);
                self.strips::<V, 1, 1>(rest, panel);
            } else {
                let rest = if V::FUSED {
                    self.strips::<V, 6, 2>(0, panel)
                } else {
                    self.strips::<V, 5, 2>(0, panel)
                };
                match self.rows - rest {
                    1 => self.strips::<V, 1, 2>(rest, panel),
                    2 => self.strips::<V, 2, 2>(rest, panel),
                    3 => self.strips::<V, 3, 2>(rest, panel),
                    4 => self.strips::<V, 4, 2>(rest, panel),
                    5 => self.strips::<V, 5, 2>(rest, panel),
                    _ => rest,
                };
            }
            panel += (2 * V::LANES / PANEL).max(1);
        }
    }
}

impl Product<'_> {
    /// Computes rows from `first` on, `R` at a time, for `N` vectors of columns from panel `panel` on. Returns the
    /// first remaining row. Not inlined in wasm: within a larger loop, the register allocators of some browsers spill
    /// it.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn strips<V: Lanes, const R: usize, const N: usize>(&mut self, first: usize, panel: usize) -> usize {
        let (depth, a_stride, c_stride) = (self.depth, self.a_stride, self.c.stride);
        let panels: [&[[f32; PANEL]]; N] = std::array::from_fn(|vector| {
            let panel = panel + vector * V::LANES / PANEL;
            self.panels[panel * self.panel_stride..][..depth * PANEL].as_chunks::<PANEL>().0
        });
        let columns = (self.c.columns - panel * PANEL).min(N * V::LANES);
        let end = first + (self.rows - first) / R * R;
        for first in (first..end).step_by(R) {
            let a = &self.a[first * a_stride..][..(R - 1) * a_stride + depth];
            let mut sums = [[V::splat(0.0); N]; R];
            for k in 0..depth {
                let b: [V; N] = std::array::from_fn(|vector| {
                    // SAFETY: every panel was cut to `depth` rows.
                    V::load(&unsafe { panels[vector].get_unchecked(k) }[vector * V::LANES % PANEL..])
                });
                for row in 0..R {
                    // SAFETY: the last row was cut to `depth`, and the others lie before it.
                    let broadcast = V::splat(*unsafe { a.get_unchecked(row * a_stride + k) });
                    for vector in 0..N {
                        sums[row][vector] = sums[row][vector].mul_add(broadcast, b[vector]);
                    }
                }
            }
            let c = &mut self.c.floats[first * c_stride + panel * PANEL..][..(R - 1) * c_stride + columns];
            if columns < N * V::LANES {
                // A copy, so that the accumulators never need an address.
                let copy = sums;
                store_some(&copy, columns, self.store, c, c_stride);
                continue;
            }
            for row in 0..R {
                for vector in 0..N {
                    let at = row * c_stride + vector * V::LANES;
                    // SAFETY: the last row was cut to whole vectors, and the others lie before it.
                    let to = unsafe { c.get_unchecked_mut(at..at + V::LANES) };
                    let sum = sums[row][vector];
                    let sum = if self.store == Store::Add { V::load(to) + sum } else { sum };
                    sum.store(to);
                }
            }
        }
        end
    }
}

/// Stores the first `columns` of each row of `sums`, for an incomplete vector.
#[cfg_attr(target_arch = "wasm32", cold, inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
fn store_some<V: Lanes, const R: usize, const N: usize>(
    sums: &[[V; N]; R],
    columns: usize,
    store: Store,
    c: &mut [f32],
    c_stride: usize,
) {
    for (row, sums) in sums.iter().enumerate() {
        let to = &mut c[row * c_stride..][..columns];
        for (to, &sum) in to.chunks_mut(V::LANES).zip(sums) {
            let sum = if store == Store::Add { V::load(to) + sum } else { sum };
            sum.store(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::simd::InstructionSet;

    /// Covers every instruction set of the machine, and every remainder of rows, columns and panels.
    #[test]
    fn agrees_with_plain_loops_at_every_edge() {
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            for rows in 1..=29 {
                for columns in (1..=3 * PANEL).chain([4 * PANEL, ONE_ROW, 2 * ONE_ROW + 5]) {
                    for depth in [1, 2, 7, 64] {
                        let panels = columns.div_ceil(PANEL);
                        let a: Vec<f32> = (0..rows * depth).map(|i| (i % 13) as f32 - 6.0).collect();
                        let panel_stride = depth * PANEL + 5;
                        let b: Vec<f32> = (0..panels * panel_stride).map(|i| (i % 7) as f32 - 3.0).collect();
                        let stride = columns + 3;
                        for store in [Store::Set, Store::Add] {
                            let mut c = vec![0.5; rows * stride];
                            let tile = Tile { floats: &mut c, stride, columns };
                            set.run(Product {
                                a: &a,
                                a_stride: depth,
                                rows,
                                depth,
                                panels: &b,
                                panel_stride,
                                store,
                                c: tile,
                            });
                            for (at, &got) in c.iter().enumerate() {
                                let (row, column) = (at / stride, at % stride);
                                let weights = &b[(column / PANEL).min(panels - 1) * panel_stride..];
                                let sum: f32 = (0..depth)
                                    .map(|k| a[row * depth + k] * weights[k * PANEL + column % PANEL])
                                    .sum();
                                let want = match store {
                                    _ if column >= columns => 0.5,
                                    Store::Set => sum,
                                    Store::Add => 0.5 + sum,
                                };
                                assert_eq!(got, want, "{set:?}, {rows}×{depth}×{columns} at {row},{column}");
                            }
                        }
                    }
                }
            }
        }
    }
}
