//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones;
//! operations of the argmax are not counted.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Sizes};

use super::chunks::Chunks;
use super::hash::Hasher;
use super::{Hashing, Spec};
use crate::multi_head::softmax;
use crate::ops::linear::Linear;

/// Cost of the chunked kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let dims = spec.base.dims;
    let Sizes { batch, seq_len: length, d_model: width } = dims.sizes();
    let [rounds, seen, chunk, heads] =
        Count::all([spec.rounds(), spec.seen(), spec.chunk, spec.base.n_heads]);
    let columns = |hashing: &Hashing| Count::from(hashing.columns());
    // Queries and keys share a projection if they are hashed.
    let projections = Count::new(if spec.avoids_self { 3 } else { 4 });
    let layer =
        if spec.base.level == Level::Layer { 2 * projections * length * width * width } else { Count::ZERO };
    let hash =
        spec.hashing.as_ref().map_or(Count::ZERO, |hashing| 2 * rounds * length * width * columns(hashing));
    let core = 4 * rounds * seen * chunk * length * width;

    let stream = batch * length * width;
    let given = spec.hashing.as_ref().map_or(Count::ZERO, |hashing| {
        // Rotations and bucket numbers.
        rounds * (width * columns(hashing) + batch * heads * length)
    });
    let (case, held, moved) = match spec.base.level {
        Level::Core => {
            let inputs = projections - 1;
            (inputs * stream, stream, inputs * stream + rounds * 2 * stream)
        }
        Level::Layer => {
            let weights = projections * width * width;
            let packed = projections * Linear::floats(dims.d_model, dims.d_model);
            // The projected streams and the core's output; then y.
            let streams = projections * stream + stream;
            (stream + weights, streams + packed, 2 * (projections + rounds) * stream + weights)
        }
    };
    let own = Hasher::words(spec, 1) + Chunks::floats(spec, 1);
    let state = match (&spec.hashing, spec.base.causal) {
        (_, false) => Count::ZERO,
        // All queries and values, and their buckets: any of them may be in a neighbouring chunk.
        (Some(_), true) => batch * length * (2 * width + rounds * heads),
        (None, true) => 2 * batch * width * (seen * chunk).min(length),
    };
    let flops = batch * (layer + hash + core);
    let rows = batch * heads * rounds * length;
    let (more, transcendentals) = softmax(rows * seen * chunk, rows);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + given + held + own)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: 0,
        full_attention: spec.sees_all(),
    }
}
