//! Closed forms, with the sequence maps applied before the projections: 4LDI for queries and output, 2LrD and 2rD·Gd for
//! each map, 4LrI for the core.

use mixer::{Cost, Level};

use super::Spec;
use super::cpu;

/// Cost of the kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (length, width, rank) = (spec.dims.seq_len as u64, spec.dims.d_model as u64, spec.rank as u64);
    let (inner, kv_width, maps) = (spec.inner() as u64, spec.kv_width() as u64, spec.maps() as u64);
    let batch = spec.dims.batch as u64;
    let core = 4 * length * rank * inner;
    let map_floats = maps * spec.max_length as u64 * rank;
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
    Cost {
        flops: batch * flops,
        bytes: 4 * (moved + map_floats + batch * 2 * maps * rank * (width + kv_width)),
        peak_bytes: 4 * (case + cpu::floats(spec) as u64),
        // Not causal: no decoding.
        decode_state_bytes: 0,
        setup_flops: 0,
        ..Cost::default()
    }
}
