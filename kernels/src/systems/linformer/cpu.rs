//! The CPU kernel: summaries of the input, their projections, then tiled attention of all queries to the rows of the
//! summaries.

use std::sync::Arc;

use mixer::{Case, Count, Floats, Level, Memory, MixerError, Parallel};

use super::Spec;
use super::summary::Summary;
use crate::ops::linear::Linear;
use crate::ops::packed_keys::{PackedKeys, PackedShape};
use crate::ops::parts::{Matrix, for_each};
use crate::ops::query_block::{KEYS, QUERIES, QueryBlock};
use crate::ops::scratch::Scratch;
use crate::ready::{self, Ready};

/// Width of the rows that the sequence maps sum.
fn mapped_width(spec: &Spec) -> usize {
    if spec.level == Level::Layer { spec.dims.d_model } else { spec.kv_width() }
}

fn packed_shape(spec: &Spec) -> PackedShape {
    PackedShape { batch: spec.dims.batch, n_heads: spec.kv_heads(), d_head: spec.d_head, slots: spec.rank }
}

/// Scratch floats of one thread.
pub(super) fn floats(spec: &Spec) -> Count {
    let Spec { dims, rank, .. } = *spec;
    let (inner, kv_width, mapped) = (spec.inner(), spec.kv_width(), mapped_width(spec));
    let (sizes, maps) = (dims.sizes(), Count::from(spec.maps()));
    let summaries = maps * Summary::floats(dims.seq_len, rank, mapped, 1);
    let summary_rows = sizes.batch * Count::from(rank);
    let layer = match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => {
            Linear::floats(dims.d_model, inner)
                + maps * Linear::floats(dims.d_model, kv_width)
                + Linear::floats(inner, dims.d_model)
                + sizes.stream()
                + summary_rows * sizes.d_model
        }
    };
    let attention = packed_shape(spec).floats() + QueryBlock::floats(spec.d_head);
    let kv = maps * summary_rows * Count::from(kv_width);
    summaries + kv + layer + attention + sizes.rows() * Count::from(inner)
}

/// Weights and buffers that only a layer has.
struct Layer {
    query: Linear,
    /// Projection of keys, then of values where their map differs.
    kv: Vec<Linear>,
    out: Linear,
    /// A summary before its projection, `[batch, rank, width]`.
    mapped: Floats,
    /// Queries, then the core's output over them: `[batch, length, inner]`.
    core: Floats,
}

/// Linformer prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    summaries: Vec<Summary>,
    /// Summary of keys, then of values where their map differs: `[batch, rank, kv width]` each.
    kv: Vec<Floats>,
    layer: Option<Layer>,
    packed: PackedKeys,
    scratch: Scratch,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        let tensors = &case.tensors;
        let Spec { dims, rank, .. } = spec;
        let width = dims.d_model;
        let layer = match spec.level {
            Level::Core => {
                spec.streams(tensors)?;
                None
            }
            Level::Layer => {
                spec.input(tensors)?;
                let linear = |name: &str, outputs: usize| {
                    Linear::new(memory, width, outputs, spec.projection(tensors, name)?, None)
                };
                let names = ["key", "value"].into_iter().take(spec.maps());
                let (weight, bias) = spec.out(tensors)?;
                Some(Layer {
                    query: linear("query", spec.inner())?,
                    kv: names.map(|name| linear(name, spec.kv_width())).collect::<Result<_, _>>()?,
                    out: Linear::new(memory, spec.inner(), width, weight, Some(bias))?,
                    mapped: memory.floats(dims.batch * rank * width)?,
                    core: memory.floats(dims.batch * dims.seq_len * spec.inner())?,
                })
            }
        };
        let maps = spec.sequence_maps(tensors)?;
        let shape = (dims.seq_len, rank, mapped_width(&spec));
        let maps = maps.into_iter().take(spec.maps());
        let columns = if spec.level == Level::Layer { width } else { spec.inner() };
        let output = memory.floats(dims.batch * dims.seq_len * columns)?;
        let kernel = Self {
            summaries: maps
                .map(|map| Summary::new(memory, map, shape, parallel.threads()))
                .collect::<Result<_, _>>()?,
            kv: (0..spec.maps())
                .map(|_| memory.floats(dims.batch * rank * spec.kv_width()))
                .collect::<Result<_, _>>()?,
            layer,
            packed: PackedKeys::new(memory, packed_shape(&spec))?,
            scratch: Scratch::new(memory, parallel.threads(), QueryBlock::floats(spec.d_head))?,
            spec,
        };
        Ok(Ready::new(case, kernel, output))
    }

    /// Fills the summaries of keys and values, and the queries: into the buffer of a layer's core, or into the output.
    fn project(
        &mut self,
        case: &Case,
        output: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let spec = &self.spec;
        let sequence = spec.dims.seq_len * mapped_width(spec);
        match &mut self.layer {
            None => {
                let [q, k, v] = spec.streams(&case.tensors)?;
                output.copy_from_slice(q);
                for ((summary, kv), stream) in self.summaries.iter_mut().zip(&mut self.kv).zip([k, v]) {
                    let rows = spec.rank * spec.kv_width();
                    for (x, kv) in stream.chunks_exact(sequence).zip(kv.chunks_exact_mut(rows)) {
                        summary.apply(x, kv, parallel);
                    }
                }
            }
            Some(layer) => {
                let x = spec.input(&case.tensors)?;
                layer.query.apply(x, &mut layer.core, parallel);
                for ((summary, kv), projection) in self.summaries.iter_mut().zip(&mut self.kv).zip(&layer.kv)
                {
                    let rows = spec.rank * spec.dims.d_model;
                    for (x, mapped) in x.chunks_exact(sequence).zip(layer.mapped.chunks_exact_mut(rows)) {
                        summary.apply(x, mapped, parallel);
                    }
                    projection.apply(&layer.mapped, kv, parallel);
                }
            }
        }
        Ok(())
    }

    /// Attention of all queries to the summaries, in place.
    fn attend(&mut self, output: &mut [f32], parallel: &dyn Parallel) {
        let Spec { dims, n_heads, d_head, rank, one_kv_head, .. } = self.spec;
        let inner = self.spec.inner();
        let (keys, values) = match self.kv.as_slice() {
            [keys, values] => (keys, values),
            [keys, ..] => (keys, keys),
            [] => return,
        };
        self.packed.pack(keys, values, parallel);
        let (packed, scratch) = (&self.packed, &self.scratch);
        let core = self.layer.as_mut().map_or(output, |layer| &mut layer.core);
        let blocks = dims.seq_len.div_ceil(QUERIES);
        let scale = QueryBlock::scale(d_head);
        let parts = Matrix::new(core, inner)
            .row_blocks(dims.seq_len)
            .flat_map(|sequence| sequence.column_blocks(d_head))
            .flat_map(|head| head.row_blocks(QUERIES))
            .enumerate();
        for_each(parallel, dims.batch * n_heads * blocks, parts, |(index, mut core), worker| {
            let head_idx = index / blocks;
            let (sequence, head) = (head_idx / n_heads, head_idx % n_heads);
            let mut scratch = scratch.of(worker);
            let mut block = QueryBlock::new(&mut scratch, d_head, core.rows());
            block.set_queries(|row| core.row(row), scale);
            let kv_head = if one_kv_head { 0 } else { head };
            block.bound_scores(packed.longest(sequence, kv_head));
            for slot in (0..rank).step_by(KEYS) {
                block.absorb(packed.tile(sequence, kv_head, slot, KEYS.min(rank - slot)), |_, _| {});
            }
            block.finish(|row, values| core.row_mut(row).copy_from_slice(values));
        });
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        self.project(case, output, parallel)?;
        self.attend(output, parallel);
        if let Some(layer) = &self.layer {
            layer.out.apply(&layer.core, output, parallel);
        }
        Ok(())
    }
}
