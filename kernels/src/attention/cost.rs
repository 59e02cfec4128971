//! Closed forms. Operations of softmax itself (one exponential and four others for each score) are left out of the field's
//! count and are in the executed one.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes};

use crate::ops::linear::Linear;
use crate::ops::tile_attention::{Shape, TileAttention};

/// Operations of the forward pass: 8LD² for the projections, 4L²D for the core, causal 2L(L+1)D.
pub(crate) fn flops(problem: &Problem) -> Count {
    let Sizes { batch, seq_len: length, d_model: width } = problem.sizes();
    let core = if problem.causal { 2 * length * (length + 1) * width } else { 4 * length * length * width };
    let projections = if problem.level == Level::Layer { 8 * length * width * width } else { Count::ZERO };
    batch * (core + projections)
}

/// Floats of `streams` streams `[batch, length, width]`.
pub(crate) fn streams_floats(problem: &Problem, streams: u64) -> Count {
    streams * problem.sizes().stream()
}

/// Floats of the four projections' weights and biases.
pub(crate) fn weight_floats(problem: &Problem) -> Count {
    let width = problem.sizes().d_model;
    if problem.level == Level::Layer { 4 * width * (width + 1) } else { Count::ZERO }
}

/// Floats of the case itself: inputs and weights.
pub(crate) fn case_floats(problem: &Problem) -> Count {
    let streams = if problem.level == Level::Layer { 1 } else { 3 };
    streams_floats(problem, streams) + weight_floats(problem)
}

/// What a softmax over `scores` scores of `rows` rows executes beside the products: scaling, maximum, difference and sum
/// of each score; then its exponentials, and a division for each row.
pub(crate) fn softmax(scores: Count, rows: Count) -> (Count, Count) {
    (4 * scores, scores + rows)
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
    let tiles = TileAttention::floats(shape, 1);
    let streams = |n| streams_floats(problem, n);
    let width = problem.d_model;
    let (held, moved) = match problem.level {
        // The output.
        Level::Core => (streams(1), streams(4)),
        // q (then the core's output), k, v, y and the packed weights; each intermediate is written and read.
        Level::Layer => (streams(4) + 4 * Linear::floats(width, width), streams(10) + weight_floats(problem)),
    };
    let Sizes { batch, seq_len: length, .. } = problem.sizes();
    let heads = batch * Count::from(problem.n_heads);
    let pairs = if problem.causal { length * (length + 1) / 2 } else { length * length };
    let (more, transcendentals) = softmax(heads * pairs, heads * length);
    Cost {
        flops: flops(problem).get(),
        executed_flops: (flops(problem) + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case_floats(problem) + held + tiles)).get(),
        decode_state_bytes: (4 * streams(2)).get(),
        setup_flops: 0,
        ..Cost::default()
    }
}
