//! The CPU kernel: tiles of keys gathered by block number from the packed keys.

use std::sync::Arc;

use mixer::{Case, Level, Memory, MixerError, Parallel};

use super::{Blocks, Spec};
use crate::multi_head::Projections;
use crate::ops::gemm::PANEL;
use crate::ops::packed_keys::{PackedKeys, PackedShape};
use crate::ops::parts::{Matrix, for_each};
use crate::ops::query_block::{KEYS, LOWEST, QUERIES, QueryBlock};
use crate::ops::scratch::Scratch;
use crate::ops::tile_attention::TileAttention;
use crate::ready::{self, Ready};

/// Slots of one block: whole panels, so that a tile can start at every block.
fn block_slots(blocks: &Blocks) -> usize {
    blocks.size.next_multiple_of(PANEL)
}

/// Sizes of the packed keys.
pub(super) fn packed_shape(blocks: &Blocks, batch: usize, n_heads: usize, d_head: usize) -> PackedShape {
    PackedShape { batch, n_heads, d_head, slots: blocks.count() * block_slots(blocks) }
}

enum Tiles {
    Full(TileAttention),
    Sparse { packed: PackedKeys, scratch: Scratch },
}

impl Tiles {
    fn new(spec: &Spec, memory: &Memory, threads: usize) -> Result<Self, MixerError> {
        let (batch, n_heads, d_head) = (spec.base.dims.batch, spec.base.n_heads, spec.base.d_head());
        if spec.blocks.full {
            return Ok(Self::Full(TileAttention::new(memory, spec.base.shape(), threads)?));
        }
        Ok(Self::Sparse {
            packed: PackedKeys::new(memory, packed_shape(&spec.blocks, batch, n_heads, d_head))?,
            scratch: Scratch::new(memory, threads, QueryBlock::floats(d_head))?,
        })
    }

    /// Writes the core's output over the queries.
    fn run(
        &mut self,
        spec: &Spec,
        random: &[i32],
        q: &mut [f32],
        (k, v): (&[f32], &[f32]),
        parallel: &dyn Parallel,
    ) {
        let (packed, scratch) = match self {
            Self::Full(tiles) => return tiles.run_in_place(q, k, v, parallel),
            Self::Sparse { packed, scratch } => (packed, scratch),
        };
        let (blocks, seq_len) = (spec.blocks, spec.blocks.seq_len);
        let slots = block_slots(&blocks);
        packed.pack_by(
            k,
            v,
            seq_len,
            |_, _, slot| {
                let (block, within) = (slot / slots, slot % slots);
                Some(block * blocks.size + within)
                    .filter(|&position| within < blocks.size && position < seq_len)
            },
            parallel,
        );
        let packed = &*packed;
        let n_heads = spec.base.n_heads;
        let (heads, count) = (spec.base.dims.batch * n_heads, blocks.count());
        let parts = blocks.size.div_ceil(QUERIES);
        let (d_model, d_head) = (spec.base.dims.d_model, spec.base.d_head());
        let mut by_block = Matrix::new(q, seq_len * d_model).column_blocks(blocks.size * d_model).enumerate();
        // The last block, then the first block run first, since they take longest.
        let last = by_block.next_back();
        let tasks = last.into_iter().chain(by_block).flat_map(|(block, positions)| {
            positions.column_blocks(QUERIES * d_model).flat_map(move |part| {
                let heads =
                    part.into_rows().flat_map(move |rows| Matrix::new(rows, d_model).column_blocks(d_head));
                heads.enumerate().map(move |(head_idx, q)| {
                    let (sequence, head) = (head_idx / n_heads, head_idx % n_heads);
                    Task { sequence, head, block, q }
                })
            })
        });
        for_each(parallel, heads * count * parts, tasks, |task, worker| {
            let Task { head, block, .. } = task;
            let random = if spec.is_global(block) { random } else { spec.random_row(random, head, block) };
            attend(spec, packed, task, random, &mut scratch.of(worker));
        });
    }
}

/// Queries of one block of one head.
struct Task<'a> {
    sequence: usize,
    head: usize,
    block: usize,
    /// Rows of the queries in the columns of the head; the output is written over them.
    q: Matrix<'a>,
}

fn attend(spec: &Spec, packed: &PackedKeys, mut task: Task<'_>, random: &[i32], scratch: &mut [f32]) {
    let (blocks, d_head) = (spec.blocks, spec.base.d_head());
    let (slots, count) = (block_slots(&blocks), blocks.count());
    let mut queries = QueryBlock::new(scratch, d_head, task.q.rows());
    queries.set_queries(|row| task.q.row(row), QueryBlock::scale(d_head));
    queries.bound_scores(packed.longest(task.sequence, task.head));
    // Keys of blocks `from` … `from + n − 1`, which are contiguous in the packed order.
    let mut absorb = |from: usize, n: usize| {
        let (low, last) = (from * slots, from + n - 1);
        let high = last * slots + blocks.range(last).len();
        for tile_start in (low..high).step_by(KEYS) {
            let tile = packed.tile(task.sequence, task.head, tile_start, KEYS.min(high - tile_start));
            queries.absorb(tile, |_, scores| {
                if slots != blocks.size {
                    for (slot, score) in scores.iter_mut().enumerate() {
                        if (tile_start + slot) % slots >= blocks.size {
                            *score = LOWEST;
                        }
                    }
                }
            });
        }
    };
    if spec.is_global(task.block) {
        absorb(0, count);
    } else {
        // Consecutive blocks form one range: the window, and a global block next to it.
        let mut run: Option<(usize, usize)> = None;
        for block in spec.key_blocks(task.block, random) {
            match &mut run {
                Some((from, n)) if *from + *n == block => *n += 1,
                _ => {
                    if let Some((from, n)) = run.replace((block, 1)) {
                        absorb(from, n);
                    }
                }
            }
        }
        if let Some((from, n)) = run {
            absorb(from, n);
        }
    }
    queries.finish(|row, output| task.q.row_mut(row).copy_from_slice(output));
}

/// BigBird prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    tiles: Tiles,
    projections: Option<Projections>,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        let projections = match spec.base.level {
            Level::Core => {
                spec.base.streams(&case.tensors)?;
                None
            }
            Level::Layer => {
                spec.base.input(&case.tensors)?;
                Some(Projections::new(&spec.base, case, memory)?)
            }
        };
        let len = spec.base.dims.sizes().stream();
        let kernel = Self { spec, tiles: Tiles::new(&spec, memory, parallel.threads())?, projections };
        let output = memory.floats(len)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let tensors = &case.tensors;
        let random = self.spec.random(tensors)?;
        match &mut self.projections {
            None => {
                let [q, k, v] = self.spec.base.streams(tensors)?;
                output.copy_from_slice(q);
                self.tiles.run(&self.spec, random, output, (k, v), parallel);
            }
            Some(projections) => {
                projections.project(self.spec.base.input(tensors)?, parallel);
                let Projections { q, k, v, out, .. } = projections;
                self.tiles.run(&self.spec, random, q, (k, v), parallel);
                out.apply(q, output, parallel);
            }
        }
        Ok(())
    }
}
