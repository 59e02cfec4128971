//! The four projections of a layer, on the CPU.

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel};

use super::Spec;
use crate::ops::linear::Linear;

/// The four projections of a layer, with buffers for their results.
#[derive(Debug)]
pub(crate) struct Projections {
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub out: Linear,
    /// `[batch, length, width]`; the core's output overwrites it.
    pub q: Floats,
    /// Keys, then values, `[batch, length, kv_heads · d_head]` each.
    pub k: Floats,
    pub v: Floats,
}

impl Projections {
    /// Packs the weights of a `layer` case.
    pub(crate) fn new(spec: &Spec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let sizes = spec.dims.sizes();
        let kv = sizes.rows() * Count::from(spec.kv_width());
        let linear = |name: &str| {
            let (weight, bias) = spec.projection(&case.tensors, name)?;
            Linear::new(memory, width, spec.outputs_of(name), weight, bias)
        };
        Ok(Self {
            query: linear("query")?,
            key: linear("key")?,
            value: linear("value")?,
            out: linear("out")?,
            q: memory.floats(sizes.stream())?,
            k: memory.floats(kv)?,
            v: memory.floats(kv)?,
        })
    }

    /// Fills q, k and v from x.
    pub(crate) fn project(&mut self, x: &[f32], parallel: &dyn Parallel) {
        self.query.apply(x, &mut self.q, parallel);
        self.key.apply(x, &mut self.k, parallel);
        self.value.apply(x, &mut self.v, parallel);
    }
}
