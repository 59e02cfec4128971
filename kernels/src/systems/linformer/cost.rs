//! Closed forms, with the sequence maps applied before the projections: 4LDI for queries and output, 2LrD and 2rD·Gd for
//! each map, 4LrI for the core.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Sizes};

use super::Spec;
use super::cpu;
use crate::multi_head::softmax;

/// Cost of the kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let Sizes { batch, seq_len: length, d_model: width } = spec.dims.sizes();
    let [rank, inner, kv_width, maps] = Count::all([spec.rank, spec.inner(), spec.kv_width(), spec.maps()]);
    let core = 4 * length * rank * inner;
    let map_floats = maps * Count::from(spec.max_length) * rank;
    let (flops, case, moved) = match spec.level {
        Level::Core => {
            let streams = batch * length * (inner + maps * kv_width);
            (
                core + maps * 2 * length * rank * kv_width,
                streams + map_floats,
                streams + batch * length * inner,
            )
        }
        Level::Layer => {
            let weights = width * inner + maps * kv_width * width + width * (inner + 1);
            let stream = batch * length * width;
            (
                core + 4 * length * width * inner
                    + maps * 2 * (length * rank * width + rank * width * kv_width),
                stream + weights + map_floats,
                (1 + maps) * stream + 4 * batch * length * inner + stream + weights,
            )
        }
    };
    let rows = batch * Count::from(spec.n_heads) * length;
    let (more, transcendentals) = softmax(rows * rank, rows);
    Cost {
        flops: (batch * flops).get(),
        executed_flops: (batch * flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * (moved + map_floats + batch * 2 * maps * rank * (width + kv_width))).get(),
        peak_bytes: (4 * (case + cpu::floats(spec))).get(),
        // Not causal, so it does not decode.
        decode_state_bytes: 0,
        setup_flops: 0,
        ..Cost::default()
    }
}
