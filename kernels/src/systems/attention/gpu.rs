//! The GPU plan: one matrix product for query, key and value, tiled attention, then the output projection. Steps have
//! the names and the order of those in `cpu.rs`.

use mixer::{Case, GpuTarget, MixerError, Plan};

use crate::multi_head::{GpuStreams, Spec};
use crate::ops::gpu::{Builder, Mask, TileAttention};

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read_grouped(case)?;
    let mut builder = Builder::new(target);
    let streams = GpuStreams::new(&mut builder, &spec, case)?;
    TileAttention {
        batch: spec.dims.batch,
        n_queries: spec.dims.seq_len,
        n_keys: spec.dims.seq_len,
        n_heads: spec.n_heads,
        kv_heads: spec.kv_heads,
        d_head: spec.d_head(),
        mask: if spec.causal { Mask::Causal } else { Mask::Full },
        scale: 1.0 / (spec.d_head() as f32).sqrt(),
        q: streams.q,
        k: streams.k,
        v: streams.v,
        o: streams.core,
    }
    .record(&mut builder);
    streams.finish(builder)
}
