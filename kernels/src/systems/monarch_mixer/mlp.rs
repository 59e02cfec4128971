//! The block-diagonal MLP on the CPU: a block of rows goes through all steps while it is in cache.

use std::sync::Arc;

use mixer::{Case, Count, Memory, MixerError, Parallel};

use super::spec::Affine;
use super::{MlpParams, MlpSpec};
use crate::ops::activation::{Gelu, GeluTimes, Sum, map, map2};
use crate::ops::block_diagonal::BlockDiagonal;
use crate::ops::linear::BLOCK;
use crate::ops::norm::layer_norm;
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;
use crate::ready::{self, Ready};

/// The MLP's matrices, packed.
pub(super) struct Mlp {
    spec: MlpSpec,
    up: BlockDiagonal,
    down: BlockDiagonal,
}

/// Floats that [`Mlp::new`] takes from the memory budget.
pub(super) fn floats(spec: &MlpSpec) -> Count {
    BlockDiagonal::floats(spec.up(), false) + BlockDiagonal::floats(spec.down(), true)
}

/// Floats of scratch for one block of rows.
pub(super) fn scratch_floats(spec: &MlpSpec) -> Count {
    Count::from(BLOCK) * Count::from(spec.up().outputs)
}

impl Mlp {
    pub(super) fn new(spec: MlpSpec, params: &MlpParams<'_>, memory: &Memory) -> Result<Self, MixerError> {
        Ok(Self {
            spec,
            up: BlockDiagonal::new(memory, spec.up(), params.up, None)?,
            down: BlockDiagonal::new(memory, spec.down(), params.down, Some(params.bias))?,
        })
    }

    /// y = LN(x + W₂ h) for at most [`BLOCK`] rows.
    pub(super) fn apply_rows(&self, norm: Affine<'_>, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let (width, inner) = (self.spec.dims.d_model, self.spec.intermediate);
        let rows = x.len() / width;
        let hidden = &mut scratch[..rows * self.spec.up().outputs];
        self.up.apply_rows(x, hidden);
        if self.spec.glu {
            // Rows shrink to half their width and move up; each row is read before a later write reaches it.
            for row in 0..rows {
                let (before, here) = hidden.split_at_mut(2 * row * inner);
                let (gate, value) = here[..2 * inner].split_at_mut(inner);
                map2(gate, value, GeluTimes);
                if row > 0 {
                    before[row * inner..][..inner].copy_from_slice(gate);
                }
            }
        } else {
            map(hidden, Gelu);
        }
        self.down.apply_rows(&hidden[..rows * inner], y);
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            map2(y, x, Sum);
            layer_norm(y, norm.0, norm.1, self.spec.eps as f32);
        }
    }
}

/// The MLP alone, prepared for one case.
pub(super) struct Kernel {
    spec: MlpSpec,
    mlp: Mlp,
    scratch: Scratch,
}

impl Kernel {
    pub(super) fn new(
        spec: MlpSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let shape = spec.dims.shape(spec.dims.d_model);
        case.tensors.floats("x", &shape)?;
        let kernel = Self {
            spec,
            mlp: Mlp::new(spec, &spec.params(&case.tensors, "param")?, memory)?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(kernel.spec.dims.sizes().stream())?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let width = self.spec.dims.d_model;
        let x = case.tensors.floats("x", &self.spec.dims.shape(width))?;
        let params = self.spec.params(&case.tensors, "param")?;
        let blocks = x.chunks(BLOCK * width).zip(output.chunks_mut(BLOCK * width));
        for_each(parallel, blocks.len(), blocks, |(x, y), worker| {
            self.mlp.apply_rows(params.norm, x, y, &mut self.scratch.of(worker));
        });
        Ok(())
    }
}
