//! Mega on the CPU, in four passes: normalise and project values; average; compute the other projections and pack keys;
//! attend, gate and project. A task of all passes but the second processes a block of positions of one chunk.

use std::sync::Arc;

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel};

use super::attention::{self, ChunkAttention};
use super::ema::{self, Ema};
use super::spec::{AttentionSpec, EPS, EmaSpec, LayerParams, LayerSpec, Norm};
use crate::ops::activation::{Difference, Product, Sigmoid, Silu, SiluOfSum, Sum, map, map2};
use crate::ops::gemm::PANEL;
use crate::ops::linear::Linear;
use crate::ops::norm::{layer_norm, scale_norm};
use crate::ops::panels;
use crate::ops::parts::for_each;
use crate::ops::query_block::QUERIES;
use crate::ops::scratch::Scratch;
use crate::ready::{self, Ready};

/// The moving average alone.
pub(super) struct EmaKernel {
    spec: EmaSpec,
    ema: Ema,
    scratch: Scratch,
}

impl EmaKernel {
    pub(super) fn new(
        spec: EmaSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let x = spec.input(&case.tensors)?;
        let kernel = Self {
            spec,
            ema: Ema::new(spec, &case.tensors, memory)?,
            scratch: Scratch::new(memory, parallel.threads(), ema::scratch_floats(&spec))?,
        };
        let output = memory.floats(x.len())?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for EmaKernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let x = self.spec.input(&case.tensors)?;
        self.ema.run_rows(&self.scratch, x, output, parallel);
        Ok(())
    }
}

/// The attention alone.
pub(super) struct AttentionKernel {
    spec: AttentionSpec,
    attention: ChunkAttention,
    scratch: Scratch,
}

impl AttentionKernel {
    pub(super) fn new(
        spec: AttentionSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let [_, _, v] = spec.streams(&case.tensors)?;
        let kernel = Self {
            spec,
            attention: ChunkAttention::new(spec, &case.tensors, memory, memory)?,
            scratch: Scratch::new(memory, parallel.threads(), attention::scratch_floats(&spec))?,
        };
        let output = memory.floats(v.len())?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for AttentionKernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = &self.spec;
        let [q, k, v] = spec.streams(&case.tensors)?;
        let n_blocks = attention::blocks(spec).count();
        let (keys, values) = self.attention.packing();
        let parts = attention::blocks(spec).zip(keys.zip(values));
        for_each(parallel, n_blocks, parts, |(block, (mut keys, mut values)), _| {
            keys.fill(block.rows, spec.z, |row, component| k[(block.row + row) * spec.z + component]);
            let rows = &v[block.row * spec.h..][..block.rows * spec.h];
            for panel in 0..values.rows() {
                panels::scatter(rows, spec.h, panel, &mut values.row_mut(panel)[..block.rows * PANEL]);
            }
        });
        let parts = attention::blocks(spec).zip(attention::block_rows(spec, output, spec.h));
        for_each(parallel, n_blocks, parts, |(block, out), worker| {
            self.attention.mix(
                &block,
                |row| &q[(block.row + row) * spec.z..][..spec.z],
                &mut self.scratch.of(worker),
                |row, a| out[row * spec.h..][..spec.h].copy_from_slice(a),
            );
        });
        Ok(())
    }
}

/// A whole layer.
pub(super) struct LayerKernel {
    spec: LayerSpec,
    value: Linear,
    joint: Linear,
    out: Linear,
    ema: Ema,
    attention: ChunkAttention,
    /// x̂, `[groups, batch · length, GROUP]`.
    normalized: Floats,
    /// e, `[groups, batch · length, GROUP]`.
    averaged: Floats,
    /// u | q | r | h₀ of every position, `[batch · length, D + Z + H + D]`.
    base: Floats,
    scratch: Scratch,
}

/// Floats of one worker's scratch.
pub(super) fn scratch_floats(spec: &LayerSpec) -> Count {
    let [queries, width, h] = Count::all([QUERIES, spec.width(), spec.attention.h]);
    let rows = queries * width;
    let last = attention::scratch_floats(&spec.attention) + queries * h + rows;
    last.max(rows).max(ema::scratch_floats(&spec.ema))
}

/// Floats that the kernel keeps, without its scratch and output.
pub(super) fn held_floats(spec: &LayerSpec) -> Count {
    let (width, h) = (spec.width(), spec.attention.h);
    Linear::floats(width, h)
        + Linear::floats(width, spec.joint())
        + Linear::floats(h, width)
        + ema::floats(&spec.ema)
        + attention::floats(&spec.attention)
        + 2 * panels::floats(spec.ema.rows(), width)
        + spec.ema.dims.sizes().rows() * Count::from(spec.joint())
}

impl LayerKernel {
    pub(super) fn new(
        spec: LayerSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let (width, h, rows) = (spec.width(), spec.attention.h, spec.ema.rows());
        let x = spec.ema.input(&case.tensors)?;
        let params = spec.params(&case.tensors)?;
        let linear = |inputs, outputs, (weight, bias): (&[f32], &[f32])| {
            Linear::new(memory, inputs, outputs, weight, Some(bias))
        };
        // Build the average first, since its construction needs temporary memory.
        let ema = Ema::new(spec.ema, &case.tensors, memory)?;
        let kernel = Self {
            spec,
            value: linear(width, h, params.value)?,
            joint: linear(width, spec.joint(), params.joint)?,
            out: linear(h, width, params.out)?,
            ema,
            attention: ChunkAttention::new(spec.attention, &case.tensors, memory, memory)?,
            normalized: memory.floats(panels::floats(rows, width))?,
            averaged: memory.floats(panels::floats(rows, width))?,
            base: memory.floats(rows * spec.joint())?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(x.len())?;
        Ok(Ready::new(case, kernel, output))
    }

    /// x̂ and v.
    fn values(&mut self, params: &LayerParams<'_>, x: &[f32], parallel: &dyn Parallel) {
        let (spec, value, scratch) = (&self.spec, &self.value, &self.scratch);
        let width = spec.width();
        let normalized = attention::block_panels(&spec.attention, &mut self.normalized);
        let parts = attention::blocks(&spec.attention).zip(normalized.zip(self.attention.packing().1));
        let n_blocks = attention::blocks(&spec.attention).count();
        for_each(parallel, n_blocks, parts, |(block, (mut normalized, mut values)), worker| {
            let mut scratch = scratch.of(worker);
            let prepared = &mut scratch[..block.rows * width];
            prepared.copy_from_slice(&x[block.row * width..][..block.rows * width]);
            if spec.pre_norm {
                normalize(params.norm, prepared, width);
            }
            for group in 0..normalized.rows() {
                panels::scatter(prepared, width, group, normalized.row_mut(group));
            }
            for panel in 0..values.rows() {
                let to = &mut values.row_mut(panel)[..block.rows * PANEL];
                value.apply_panel(prepared, panel, to);
                map(to, Silu);
            }
        });
    }

    /// u, q, r, h₀ and the packed keys.
    fn project(&mut self, params: &LayerParams<'_>, parallel: &dyn Parallel) {
        let (spec, joint_linear, scratch, averaged) =
            (&self.spec, &self.joint, &self.scratch, &self.averaged);
        let (width, z, rows, joint) = (spec.width(), spec.attention.z, spec.ema.rows(), spec.joint());
        let (key_weight, key_bias) = (&params.qk_weight[z..], &params.qk_bias[z..]);
        let base = attention::block_rows(&spec.attention, &mut self.base, joint);
        let parts = attention::blocks(&spec.attention).zip(base.zip(self.attention.packing().0));
        let n_blocks = attention::blocks(&spec.attention).count();
        for_each(parallel, n_blocks, parts, |(block, (base, mut keys)), worker| {
            let mut scratch = scratch.of(worker);
            let gathered = &mut scratch[..block.rows * width];
            panels::gather(averaged, rows, block.row, width, gathered);
            joint_linear.apply_rows(gathered, base);
            activate(spec, base);
            keys.fill(block.rows, z, |row, component| {
                base[row * joint + width + component] * key_weight[component] + key_bias[component]
            });
            queries(spec, params, base);
        });
    }

    /// Attention, gates and the output projection.
    fn finish(&mut self, params: &LayerParams<'_>, x: &[f32], output: &mut [f32], parallel: &dyn Parallel) {
        let spec = &self.spec;
        let (width, z, h, joint) = (spec.width(), spec.attention.z, spec.attention.h, spec.joint());
        let parts =
            attention::blocks(&spec.attention).zip(attention::block_rows(&spec.attention, output, width));
        let n_blocks = attention::blocks(&spec.attention).count();
        for_each(parallel, n_blocks, parts, |(block, y), worker| {
            let mut scratch = self.scratch.of(worker);
            let (gated, rest) = scratch.split_at_mut(QUERIES * h);
            let (hidden, rest) = rest.split_at_mut(QUERIES * width);
            let base = &self.base[block.row * joint..][..block.rows * joint];
            self.attention.mix(
                &block,
                |row| &base[row * joint + width..][..z],
                rest,
                |row, a| {
                    let gated = &mut gated[row * h..][..h];
                    gated.copy_from_slice(a);
                    map2(gated, &base[row * joint + width + z..][..h], Product);
                },
            );
            let hidden = &mut hidden[..block.rows * width];
            self.out.apply_rows(&gated[..block.rows * h], hidden);
            let x = &x[block.row * width..][..block.rows * width];
            blend(spec, params, (x, base), hidden, y);
        });
    }
}

/// Activations of u, z and r in rows of u | z | r | h₀.
pub(super) fn activate(spec: &LayerSpec, base: &mut [f32]) {
    let (width, joint) = (spec.width(), spec.joint());
    for row in base.chunks_exact_mut(joint) {
        map(&mut row[..width], Sigmoid);
        map(&mut row[width..joint - width], Silu);
    }
}

/// Queries in place of z.
pub(super) fn queries(spec: &LayerSpec, params: &LayerParams<'_>, base: &mut [f32]) {
    let (width, z) = (spec.width(), spec.attention.z);
    for row in base.chunks_exact_mut(spec.joint()) {
        let query = &mut row[width..width + z];
        map2(query, &params.qk_weight[..z], Product);
        map2(query, &params.qk_bias[..z], Sum);
    }
}

/// y of rows of x and u | q | r | h₀, from the projection of the gated attention in `hidden`.
pub(super) fn blend(
    spec: &LayerSpec,
    params: &LayerParams<'_>,
    (x, base): (&[f32], &[f32]),
    hidden: &mut [f32],
    y: &mut [f32],
) {
    let (width, joint) = (spec.width(), spec.joint());
    y.copy_from_slice(x);
    let rows = y.chunks_exact_mut(width).zip(hidden.chunks_exact_mut(width));
    for ((y, hidden), base) in rows.zip(base.chunks_exact(joint)) {
        map2(hidden, &base[joint - width..], SiluOfSum);
        map2(hidden, y, Difference);
        map2(hidden, base, Product);
        map2(y, hidden, Sum);
    }
    if !spec.pre_norm {
        normalize(params.norm, y, width);
    }
}

pub(super) fn normalize(norm: Norm<'_>, rows: &mut [f32], width: usize) {
    for row in rows.chunks_exact_mut(width) {
        match norm {
            Norm::Scale(g) => scale_norm(row, g, EPS as f32),
            Norm::Layer(weight, bias) => layer_norm(row, weight, bias, EPS as f32),
        }
    }
}

impl ready::Kernel for LayerKernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let x = self.spec.ema.input(&case.tensors)?;
        let params = self.spec.params(&case.tensors)?;
        self.values(&params, x, parallel);
        self.ema.run_panels(&self.scratch, &self.normalized, &mut self.averaged, parallel);
        self.project(&params, parallel);
        self.finish(&params, x, output, parallel);
        Ok(())
    }
}
