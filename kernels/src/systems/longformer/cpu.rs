//! The CPU kernel: windows as bands of key tiles, the global keys as one more tile, and the global rows last.

use std::sync::Arc;

use mixer::{Case, Floats, Level, Memory, MixerError, Parallel};

use super::Spec;
use crate::ops::gemm::PANEL;
use crate::ops::linear::Linear;
use crate::ops::packed_keys::{PackedKeys, PackedShape};
use crate::ops::parts::{Matrix, for_each};
use crate::ops::query_block::{KEYS, LOWEST, QUERIES, QueryBlock};
use crate::ops::scratch::Scratch;
use crate::ready::{self, Ready};

/// Slots of one residue class of positions, in whole panels. A head of dilation δ has δ classes, each with a plain
/// window.
pub(super) fn class_stride(seq_len: usize, dilation: usize) -> usize {
    seq_len.div_ceil(dilation).next_multiple_of(PANEL)
}

/// The packed global keys, with as many slots as the largest number of global positions in a sequence.
pub(super) fn global_shape(packed: PackedShape, most_globals: usize) -> PackedShape {
    PackedShape { slots: most_globals, ..packed }
}

/// Projections of the global rows.
struct GlobalProjections {
    query: Linear,
    key: Linear,
    value: Linear,
    /// Inputs of the global positions of all sequences, `[n_globals, width]`.
    x: Floats,
    /// Queries of the global positions, `[n_globals, width]`.
    q: Floats,
}

struct Projections {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    /// q, k and v, `[batch, length, width]` each. The core's output overwrites `q`; k′ and v′ overwrite `k` and `v`.
    q: Floats,
    k: Floats,
    v: Floats,
    global: Option<GlobalProjections>,
}

impl Projections {
    fn new(spec: &Spec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let width = spec.base.dims.d_model;
        let len = spec.base.dims.sizes().stream();
        let linear = |name: &str| {
            let (weight, bias) = spec.base.projection(&case.tensors, name)?;
            Linear::new(memory, width, width, weight, bias)
        };
        let n_globals = spec.n_globals();
        let global = if n_globals == 0 {
            None
        } else {
            Some(GlobalProjections {
                query: linear("query_global")?,
                key: linear("key_global")?,
                value: linear("value_global")?,
                x: memory.floats(n_globals * width)?,
                q: memory.floats(n_globals * width)?,
            })
        };
        Ok(Self {
            query: linear("query")?,
            key: linear("key")?,
            value: linear("value")?,
            out: linear("out")?,
            q: memory.floats(len)?,
            k: memory.floats(len)?,
            v: memory.floats(len)?,
            global,
        })
    }
}

/// Tile scratch of both passes.
pub(super) struct Tiles {
    spec: Spec,
    packed: PackedKeys,
    global_keys: PackedKeys,
    scratch: Scratch,
}

impl Tiles {
    /// For sequences of up to `spec`'s length.
    pub(super) fn new(spec: Spec, memory: &Memory, threads: usize) -> Result<Self, MixerError> {
        let (seq_len, d_head) = (spec.base.dims.seq_len, spec.base.d_head());
        let slots = spec.dilations.iter().map(|&dilation| dilation * class_stride(seq_len, dilation)).max();
        let shape = PackedShape {
            batch: spec.base.dims.batch,
            n_heads: spec.base.n_heads,
            d_head,
            slots: slots.unwrap_or_default(),
        };
        let most_globals = spec.globals.iter().map(Vec::len).max().unwrap_or_default();
        Ok(Self {
            packed: PackedKeys::new(memory, shape)?,
            global_keys: PackedKeys::new(memory, global_shape(shape, most_globals))?,
            scratch: Scratch::new(memory, threads, QueryBlock::floats(d_head))?,
            spec,
        })
    }

    /// Writes the core's output over the queries of the local positions from `offset` on, `[batch, n, width]`. Keys and values,
    /// `[batch, length, width]`, from position `offset + n` on are not read.
    pub(super) fn local(
        &mut self,
        q: &mut [f32],
        offset: usize,
        k: &[f32],
        v: &[f32],
        parallel: &dyn Parallel,
    ) {
        let (seq_len, n_heads) = (self.spec.base.dims.seq_len, self.spec.base.n_heads);
        let (spec, packed) = (&self.spec, &mut self.packed);
        let n = q.len() / (spec.base.dims.batch * spec.base.dims.d_model);
        let end = offset + n;
        packed.pack_by(
            k,
            v,
            seq_len,
            |_, head, slot| {
                let dilation = spec.dilations[head];
                let stride = class_stride(seq_len, dilation);
                let (class, index) = (slot / stride, slot % stride);
                Some(index * dilation + class).filter(|&position| class < dilation && position < end)
            },
            parallel,
        );
        self.global_keys.pack_by(
            k,
            v,
            seq_len,
            |sequence, _, slot| spec.globals[sequence].get(slot).copied(),
            parallel,
        );
        let dilation_of = |head_idx: usize| spec.dilations[head_idx % n_heads];
        let class_len = |class: usize, dilation: usize| (n - class).div_ceil(dilation);
        let tasks = |dilation: usize| -> usize {
            (0..dilation.min(n)).map(|class| class_len(class, dilation).div_ceil(QUERIES)).sum()
        };
        let n_tasks = (0..spec.base.dims.batch * n_heads).map(|head_idx| tasks(dilation_of(head_idx))).sum();
        let bands = Matrix::new(q, spec.base.dims.d_model)
            .row_blocks(n)
            .flat_map(|sequence| sequence.column_blocks(spec.base.d_head()))
            .enumerate()
            .flat_map(|(head_idx, head)| {
                let dilation = dilation_of(head_idx);
                head.residue_classes(dilation).enumerate().flat_map(move |(class, positions)| {
                    let (class, before) = ((offset + class) % dilation, (offset + class) / dilation);
                    let class_len = before + positions.rows();
                    positions.row_blocks(QUERIES).enumerate().map(move |(block, queries)| Band {
                        head_idx,
                        dilation,
                        class,
                        class_len,
                        first: before + block * QUERIES,
                        queries,
                    })
                })
            });
        for_each(parallel, n_tasks, bands, |band, worker| self.band(band, &mut self.scratch.of(worker)));
    }

    /// One block of queries against its window and the global keys.
    fn band(&self, band: Band<'_>, scratch: &mut [f32]) {
        let spec = &self.spec;
        let (seq_len, n_heads, d_head) = (spec.base.dims.seq_len, spec.base.n_heads, spec.base.d_head());
        let (sequence, head) = (band.head_idx / n_heads, band.head_idx % n_heads);
        let mut q = band.queries;
        let (reach, first, rows) = (spec.reach, band.first, q.rows());
        let position = |row: usize| band.class + (first + row) * band.dilation;
        let mut block = QueryBlock::new(scratch, d_head, rows);
        block.set_queries(|row| q.row(row), QueryBlock::scale(d_head));
        // The longest key of the head bounds the scores of global keys too.
        block.bound_scores(self.packed.longest(sequence, head));
        let ahead = if spec.base.causal { 0 } else { reach };
        let low = first.saturating_sub(reach) / PANEL * PANEL;
        let high = (first + rows + ahead).min(band.class_len);
        let slots = band.class * class_stride(seq_len, band.dilation);
        let globals = &spec.globals[sequence];
        for tile_start in (low..high).step_by(KEYS) {
            let n_keys = KEYS.min(high - tile_start);
            let tile = self.packed.tile(sequence, head, slots + tile_start, n_keys);
            // Global keys are visited once, in their own tile. Only undilated heads have global keys.
            let from = globals.partition_point(|&position| position < tile_start);
            let to = globals.partition_point(|&position| position < tile_start + n_keys);
            block.absorb(tile, |row, scores| {
                let (i, n_keys) = (first + row, scores.len());
                let left = (i.saturating_sub(reach)).saturating_sub(tile_start).min(n_keys);
                let right = (i + ahead + 1).saturating_sub(tile_start).min(n_keys);
                scores[..left].fill(LOWEST);
                scores[right..].fill(LOWEST);
                globals[from..to].iter().for_each(|position| scores[position - tile_start] = LOWEST);
            });
        }
        for tile_start in (0..globals.len()).step_by(KEYS) {
            let n_keys = KEYS.min(globals.len() - tile_start);
            block.absorb(self.global_keys.tile(sequence, head, tile_start, n_keys), |_, _| {});
        }
        block.finish(|row, output| {
            if !spec.is_global(sequence, position(row)) {
                q.row_mut(row).copy_from_slice(output);
            }
        });
    }

    /// Writes the core's output at the global positions. `query(i, row)` returns a slice that starts with the query of
    /// the i-th global position, counted over the batch; `row` is its row in the input.
    fn global<'a>(
        &mut self,
        query: impl Fn(usize, usize) -> &'a [f32] + Sync,
        k: &[f32],
        v: &[f32],
        out: &mut [f32],
        parallel: &dyn Parallel,
    ) {
        let spec = &self.spec;
        let (seq_len, n_heads, d_head) = (spec.base.dims.seq_len, spec.base.n_heads, spec.base.d_head());
        let in_order = |_, _, slot| Some(slot).filter(|&slot: &usize| slot < seq_len);
        self.packed.pack_by(k, v, seq_len, in_order, parallel);
        let blocks: usize = spec.globals.iter().map(|globals| globals.len().div_ceil(QUERIES)).sum();
        let scale = QueryBlock::scale(d_head);
        let packed = &self.packed;
        let heads = Matrix::new(out, spec.base.dims.d_model)
            .row_blocks(seq_len)
            .flat_map(|sequence| sequence.column_blocks(d_head))
            .enumerate();
        // Global positions are sorted, so the rows of a block of them lie in a range that no other block shares.
        let parts = heads.flat_map(|(head_idx, mut rows)| {
            let mut taken = 0;
            spec.globals[head_idx / n_heads].chunks(QUERIES).enumerate().map(move |(block, globals)| {
                let range = globals.first().map_or(taken, |&first| first)
                    ..globals.last().map_or(taken, |last| last + 1);
                drop(rows.take_rows(range.start - taken));
                taken = range.end;
                (head_idx, block * QUERIES, globals, rows.take_rows(range.len()))
            })
        });
        for_each(parallel, n_heads * blocks, parts, |(head_idx, first, globals, mut out), worker| {
            let (sequence, head) = (head_idx / n_heads, head_idx % n_heads);
            let before: usize = spec.globals[..sequence].iter().map(Vec::len).sum();
            let rows = globals.len();
            let row_of = |row: usize| sequence * seq_len + globals[row];
            let mut scratch = self.scratch.of(worker);
            let mut block = QueryBlock::new(&mut scratch, d_head, rows);
            let query = |row: usize| &query(before + first + row, row_of(row))[head * d_head..][..d_head];
            block.set_queries(query, scale);
            block.bound_scores(packed.longest(sequence, head));
            for start in (0..seq_len).step_by(KEYS) {
                block.absorb(packed.tile(sequence, head, start, KEYS.min(seq_len - start)), |_, _| {});
            }
            block.finish(|row, output| out.row_mut(globals[row] - globals[0]).copy_from_slice(output));
        });
    }
}

/// A block of queries: positions of one residue class, from index `first` in the class.
struct Band<'a> {
    head_idx: usize,
    dilation: usize,
    class: usize,
    /// Positions of the class up to the last query.
    class_len: usize,
    first: usize,
    /// Rows of the queries in the columns of the head; the output is written over them.
    queries: Matrix<'a>,
}

/// Longformer prepared for one case.
pub(super) struct Kernel {
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
                if spec.n_globals() > 0 {
                    spec.global_streams(&case.tensors)?;
                }
                None
            }
            Level::Layer => {
                spec.base.input(&case.tensors)?;
                Some(Projections::new(&spec, case, memory)?)
            }
        };
        let len = spec.base.dims.sizes().stream();
        let kernel = Self { tiles: Tiles::new(spec, memory, parallel.threads())?, projections };
        let output = memory.floats(len)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let tensors = &case.tensors;
        let base = self.tiles.spec.base;
        let (width, has_globals) = (base.dims.d_model, self.tiles.spec.n_globals() > 0);
        match &mut self.projections {
            None => {
                let [q, k, v] = base.streams(tensors)?;
                output.copy_from_slice(q);
                self.tiles.local(output, 0, k, v, parallel);
                if has_globals {
                    let [q, k, v] = self.tiles.spec.global_streams(tensors)?;
                    self.tiles.global(|_, row| &q[row * width..], k, v, output, parallel);
                }
            }
            Some(Projections { query, key, value, out, q, k, v, global }) => {
                let x = base.input(tensors)?;
                query.apply(x, q, parallel);
                key.apply(x, k, parallel);
                value.apply(x, v, parallel);
                self.tiles.local(q, 0, k, v, parallel);
                if let Some(global) = global {
                    let rows = self.tiles.spec.globals.iter().enumerate().flat_map(|(sequence, globals)| {
                        globals.iter().map(move |position| sequence * base.dims.seq_len + position)
                    });
                    for (to, row) in global.x.chunks_exact_mut(width).zip(rows) {
                        to.copy_from_slice(&x[row * width..][..width]);
                    }
                    global.query.apply(&global.x, &mut global.q, parallel);
                    global.key.apply(x, k, parallel);
                    global.value.apply(x, v, parallel);
                    let queries = &global.q;
                    self.tiles.global(|index, _| &queries[index * width..], k, v, q, parallel);
                }
                out.apply(q, output, parallel);
            }
        }
        Ok(())
    }
}
