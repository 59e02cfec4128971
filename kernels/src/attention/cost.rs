//! Closed forms. Operations of softmax itself (one exponential and about four others for each score) are left out, as
//! the field does.

use mixer::{Cost, Level, Problem};

use crate::ops::linear::Linear;
use crate::ops::tile_attention::{Shape, TileAttention};

/// Operations of the forward pass: 8LD² for the projections, 4L²D for the core, causal 2L(L+1)D.
pub(crate) fn flops(problem: &Problem) -> u64 {
    let (batch, length, width) = (problem.batch as u64, problem.seq_len as u64, problem.d_model as u64);
    let core = if problem.causal { 2 * length * (length + 1) * width } else { 4 * length * length * width };
    let projections = if problem.level == Level::Layer { 8 * length * width * width } else { 0 };
    batch * (core + projections)
}

/// Bytes of one stream `[batch, length, width]`.
pub(crate) fn streams_bytes(problem: &Problem, streams: u64) -> u64 {
    4 * streams * problem.batch as u64 * problem.seq_len as u64 * problem.d_model as u64
}

/// Floats of the four projections' weights and biases.
pub(crate) fn weight_floats(problem: &Problem) -> u64 {
    let width = problem.d_model as u64;
    if problem.level == Level::Layer { 4 * width * (width + 1) } else { 0 }
}

/// Floats of the case itself: inputs and weights.
pub(crate) fn case_floats(problem: &Problem) -> u64 {
    let streams = if problem.level == Level::Layer { 1 } else { 3 };
    streams_bytes(problem, streams) / 4 + weight_floats(problem)
}

/// Cost of the tiled kernel, its scratch taken for one thread.
pub(super) fn tiled(problem: &Problem) -> Cost {
    let shape = Shape {
        batch: problem.batch,
        seq_len: problem.seq_len,
        n_heads: problem.n_heads,
        d_head: problem.d_head(),
        causal: problem.causal,
    };
    let tiles = 4 * TileAttention::floats(shape, 1) as u64;
    let width = problem.d_model;
    let (held, moved) = match problem.level {
        // The output.
        Level::Core => (streams_bytes(problem, 1), streams_bytes(problem, 4)),
        // q (then the core's output), k, v, y and the packed weights; each intermediate is written and read.
        Level::Layer => (
            streams_bytes(problem, 4) + 16 * Linear::floats(width, width) as u64,
            streams_bytes(problem, 10) + 4 * weight_floats(problem),
        ),
    };
    Cost {
        flops: flops(problem),
        bytes: moved,
        peak_bytes: 4 * case_floats(problem) + held + tiles,
        decode_state_bytes: streams_bytes(problem, 2),
        setup_flops: 0,
        ..Cost::default()
    }
}
