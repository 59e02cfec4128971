//! Closed forms of multi-head attention and its projections. Operations of softmax itself (one exponential and four
//! others per score) count as executed operations but not in the field's count.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Count, Level, Problem, Sizes};

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

/// Floats of the case: inputs and weights.
pub(crate) fn case_floats(problem: &Problem) -> Count {
    let streams = if problem.level == Level::Layer { 1 } else { 3 };
    streams_floats(problem, streams) + weight_floats(problem)
}

/// Executed operations of a softmax over `scores` scores in `rows` rows, products excluded (scaling, maximum,
/// difference and sum of each score), and its transcendentals (an exponential per score and a division per row).
pub(crate) fn softmax(scores: Count, rows: Count) -> (Count, Count) {
    (4 * scores, scores + rows)
}
