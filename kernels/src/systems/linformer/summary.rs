//! Eᵀ x on the CPU: a reduction over the sequence, cut into one part per thread. The order of the sum, and so every bit
//! of the result, depends only on the number of threads.

use mixer::{Count, Floats, Memory, MixerError, Parallel};

use crate::ops::gemm::{PANEL, Store, Tile, multiply};
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;

/// Positions in a block. A panel of a block has 4 KiB, and the partial sums of 256 rows stay in the second-level cache.
const BLOCK: usize = 128;

/// A packed sequence map with its scratch.
#[derive(Debug)]
pub(super) struct Summary {
    length: usize,
    rank: usize,
    width: usize,
    /// Eᵀ by blocks of positions, `[blocks, rank, BLOCK]`, zero beyond the length.
    blocks: Floats,
    /// Partial sums, `[parts, rank, width]`.
    partial: Floats,
    /// A panel of a block of x for each thread.
    panels: Scratch,
}

impl Summary {
    fn n_blocks(length: usize) -> usize {
        length.div_ceil(BLOCK)
    }

    fn parts(length: usize, threads: usize) -> usize {
        threads.clamp(1, Self::n_blocks(length).max(1))
    }

    /// Floats that [`Summary::new`] takes from the memory budget.
    pub(super) fn floats(length: usize, rank: usize, width: usize, threads: usize) -> Count {
        let [blocks, parts] = Count::all([Self::n_blocks(length), Self::parts(length, threads)]);
        let [rank, width, threads] = Count::all([rank, width, threads]);
        let [block, panel] = Count::all([BLOCK, PANEL]);
        blocks * block * rank + parts * rank * width + threads * block * panel
    }

    /// Packs the first `length` rows of `map`, `[≥ length, rank]`, for inputs of `width`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub(super) fn new(
        memory: &Memory,
        map: &[f32],
        (length, rank, width): (usize, usize, usize),
        threads: usize,
    ) -> Result<Self, MixerError> {
        let mut blocks = memory.floats(Self::n_blocks(length) * BLOCK * rank)?;
        for (position, row) in map.chunks_exact(rank).take(length).enumerate() {
            let block = &mut blocks[position / BLOCK * BLOCK * rank + position % BLOCK..];
            block.iter_mut().step_by(BLOCK).zip(row).for_each(|(to, from)| *to = *from);
        }
        Ok(Self {
            length,
            rank,
            width,
            blocks,
            partial: memory.floats(Self::parts(length, threads) * rank * width)?,
            panels: Scratch::new(memory, threads, BLOCK * PANEL)?,
        })
    }

    /// Computes `out`, `[rank, width]`, from one sequence `x`, `[length, width]`.
    pub(super) fn apply(&mut self, x: &[f32], out: &mut [f32], parallel: &dyn Parallel) {
        let (length, rank, width) = (self.length, self.rank, self.width);
        let n_parts = self.partial.len() / (rank * width).max(1);
        let n_blocks = Self::n_blocks(length);
        let (map, panels) = (&self.blocks, &self.panels);
        let partial = self.partial.chunks_exact_mut((rank * width).max(1)).enumerate();
        for_each(parallel, n_parts, partial, |(part, sums), worker| {
            sums.fill(0.0);
            let mut panels = panels.of(worker);
            for block in part * n_blocks / n_parts..(part + 1) * n_blocks / n_parts {
                let first = block * BLOCK;
                let rows = BLOCK.min(length - first);
                let map = &map[first * rank..][..rank * BLOCK];
                for panel in 0..width.div_ceil(PANEL) {
                    let columns = PANEL.min(width - panel * PANEL);
                    let packed = &mut panels[..rows * PANEL];
                    for (row, to) in packed.chunks_exact_mut(PANEL).enumerate() {
                        let from = &x[(first + row) * width + panel * PANEL..][..columns];
                        to[..columns].copy_from_slice(from);
                        to[columns..].fill(0.0);
                    }
                    let mut tile = Tile { floats: &mut sums[panel * PANEL..], stride: width, columns };
                    multiply(map, BLOCK, rank, rows, packed, Store::Add, &mut tile);
                }
            }
        });
        out.copy_from_slice(&self.partial[..rank * width]);
        for part in self.partial.chunks_exact(rank * width).skip(1) {
            out.iter_mut().zip(part).for_each(|(to, from)| *to += from);
        }
    }
}
