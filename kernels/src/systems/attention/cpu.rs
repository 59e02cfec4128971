//! The CPU kernel: projections by packed GEMM, attention by tiles.

use std::sync::Arc;

use mixer::{Case, Level, Memory, MixerError, Parallel};

use crate::multi_head::{Projections, Spec};
use crate::ops::tile_attention::TileAttention;
use crate::ready::{self, Ready};

/// Attention prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    tiles: TileAttention,
    projections: Option<Projections>,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read_grouped(case)?;
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
        let kernel =
            Self { spec, tiles: TileAttention::new(memory, spec.shape(), parallel.threads())?, projections };
        let output = memory.floats(len)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        match &mut self.projections {
            None => {
                let [q, k, v] = self.spec.streams(&case.tensors)?;
                self.tiles.run(q, k, v, output, parallel);
            }
            Some(projections) => {
                projections.project(self.spec.input(&case.tensors)?, parallel);
                let Projections { q, k, v, out, .. } = projections;
                self.tiles.run_in_place(q, k, v, parallel);
                out.apply(q, output, parallel);
            }
        }
        Ok(())
    }
}
