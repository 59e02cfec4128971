//! The CPU kernel: projections by packed GEMM, the core by tiles.

use std::sync::Arc;

use mixer::{Case, CpuKernel, Floats, Level, Memory, MixerError, Parallel};

use crate::multi_head::{Projections, Spec};
use crate::ops::tile_attention::TileAttention;

/// Attention made ready for one case.
pub(super) struct Kernel {
    case: Arc<Case>,
    spec: Spec,
    tiles: TileAttention,
    projections: Option<Projections>,
    output: Floats,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Self, MixerError> {
        let spec = Spec::read(case)?;
        let projections = match spec.level {
            Level::Core => {
                spec.streams(&case.tensors)?;
                None
            }
            Level::Layer => {
                spec.input(&case.tensors)?;
                Some(Projections::new(&spec, case, memory)?)
            }
        };
        let len = spec.dims.sizes().stream();
        Ok(Self {
            case: Arc::clone(case),
            spec,
            tiles: TileAttention::new(memory, spec.shape(), parallel.threads())?,
            projections,
            output: memory.floats(len)?,
        })
    }
}

impl CpuKernel for Kernel {
    fn run(&mut self, parallel: &dyn Parallel) -> Result<(), MixerError> {
        match &mut self.projections {
            None => {
                let [q, k, v] = self.spec.streams(&self.case.tensors)?;
                self.tiles.run(q, k, v, &mut self.output, parallel);
            }
            Some(projections) => {
                projections.project(self.spec.input(&self.case.tensors)?, parallel);
                let Projections { q, k, v, out, .. } = projections;
                self.tiles.run_in_place(q, k, v, parallel);
                out.apply(q, &mut self.output, parallel);
            }
        }
        Ok(())
    }

    fn output(&self) -> &[f32] {
        &self.output
    }

    fn output_mut(&mut self) -> &mut [f32] {
        &mut self.output
    }
}
