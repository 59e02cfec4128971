//! The CPU kernel: project, hash, sort, attend in chunks, project back.

use std::sync::Arc;

use mixer::{Case, Floats, Level, Memory, MixerError, Parallel};

use super::Spec;
use super::chunks::Chunks;
use super::hash::Hasher;
use crate::ops::linear::Linear;
use crate::ready::{self, Ready};

/// The projections of a layer, with buffers for their outputs.
struct Projections {
    /// Queries, which are also the keys if they are hashed.
    query: Linear,
    /// Keys, if they have a projection of their own.
    key: Option<Linear>,
    value: Linear,
    out: Linear,
    /// `[batch, length, width]` each.
    q: Floats,
    k: Option<Floats>,
    v: Floats,
    core: Floats,
}

impl Projections {
    fn new(spec: &Spec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let width = spec.base.dims.d_model;
        let len = spec.base.dims.sizes().stream();
        let linear = |name: &str| {
            let (weight, _) = spec.base.projection(&case.tensors, name)?;
            Linear::new(memory, width, width, weight, None)
        };
        let [query, key, value] = spec.projections();
        let is_shared = spec.avoids_self;
        Ok(Self {
            query: linear(query)?,
            key: if is_shared { None } else { Some(linear(key)?) },
            value: linear(value)?,
            out: linear("out")?,
            q: memory.floats(len)?,
            k: if is_shared { None } else { Some(memory.floats(len)?) },
            v: memory.floats(len)?,
            core: memory.floats(len)?,
        })
    }
}

/// Reformer's attention prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    hasher: Option<Hasher>,
    chunks: Chunks,
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
                spec.streams(&case.tensors)?;
                None
            }
            Level::Layer => {
                spec.base.input(&case.tensors)?;
                Some(Projections::new(&spec, case, memory)?)
            }
        };
        let len = spec.base.dims.sizes().stream();
        let threads = parallel.threads();
        let kernel = Self {
            hasher: Hasher::new(&spec, case, memory, threads)?,
            chunks: Chunks::new(spec.clone(), memory, threads)?,
            projections,
            spec,
        };
        let output = memory.floats(len)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let tensors = &case.tensors;
        let mut mix = |streams: [&[f32]; 3], out: &mut [f32]| {
            if let Some(hasher) = &mut self.hasher {
                hasher.hash(streams[0], parallel);
                hasher.sort(parallel);
            }
            let order = self.hasher.as_ref().map(Hasher::order);
            self.chunks.run(streams, order, out, parallel);
        };
        match &mut self.projections {
            None => mix(self.spec.streams(tensors)?, output),
            Some(Projections { query, key, value, out, q, k, v, core }) => {
                let x = self.spec.base.input(tensors)?;
                query.apply(x, q, parallel);
                value.apply(x, v, parallel);
                let keys = match (key, k) {
                    (Some(key), Some(k)) => {
                        key.apply(x, k, parallel);
                        &**k
                    }
                    _ => &**q,
                };
                mix([q, keys, v], core);
                out.apply(core, output, parallel);
            }
        }
        Ok(())
    }
}
