//! Closed forms. Operations of softmax itself (one exponential and about four others for each score) and of the
//! argmax are left out, as the field does.

use mixer::{Cost, Level};

use super::Spec;
use super::chunks::Chunks;
use super::hash::Hasher;
use crate::ops::linear::Linear;

/// Cost of the chunked kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let dims = spec.base.dims;
    let (batch, length, width) = (dims.batch as u64, dims.seq_len as u64, dims.d_model as u64);
    let (rounds, seen, chunk) = (spec.rounds() as u64, spec.seen() as u64, spec.chunk as u64);
    // Queries and keys share a projection where they are hashed.
    let projections = if spec.avoids_self { 3 } else { 4 };
    let layer = if spec.base.level == Level::Layer { 2 * projections * length * width * width } else { 0 };
    let hash =
        spec.hashing.as_ref().map_or(0, |hashing| 2 * rounds * length * width * hashing.columns() as u64);
    let core = 4 * rounds * seen * chunk * length * width;

    let stream = batch * length * width;
    let given = spec.hashing.as_ref().map_or(0, |hashing| {
        // Rotations and bucket numbers.
        rounds * (width * hashing.columns() as u64 + batch * spec.base.n_heads as u64 * length)
    });
    let (case, held, moved) = match spec.base.level {
        Level::Core => {
            let inputs = projections - 1;
            (inputs * stream, stream, inputs * stream + rounds * 2 * stream)
        }
        Level::Layer => {
            let weights = projections * width * width;
            let packed = projections * Linear::floats(dims.d_model, dims.d_model) as u64;
            // The projected streams and the core's output; then y.
            let streams = projections * stream + stream;
            (stream + weights, streams + packed, 2 * (projections + rounds) * stream + weights)
        }
    };
    let own = (Hasher::words(spec, 1) + Chunks::floats(spec, 1)) as u64;
    let state = match (&spec.hashing, spec.base.causal) {
        (_, false) => 0,
        // All queries and values, and their buckets: what is near may be anywhere.
        (Some(_), true) => batch * length * (2 * width + rounds * spec.base.n_heads as u64),
        (None, true) => 2 * batch * width * (seen * chunk).min(length),
    };
    Cost {
        flops: batch * (layer + hash + core),
        bytes: 4 * moved,
        peak_bytes: 4 * (case + given + held + own),
        decode_state_bytes: 4 * state,
        setup_flops: 0,
        ..Cost::default()
    }
}
