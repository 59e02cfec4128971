//! Closed forms of multi-head attention and its projections. Operations of softmax itself (one exponential and four
//! others per score) count as executed operations but not in the field's count.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Count, Level, Problem, Sizes};

use crate::ops::linear::Linear;

/// Columns of the keys and of the values.
pub(crate) fn kv_width(problem: &Problem, kv_heads: usize) -> Count {
    Count::from(kv_heads) * Count::from(problem.d_head())
}

/// Operations of the forward pass: 4LD² + 4L·D·D_kv for the projections, 4L²D for the core, causal 2L(L+1)D.
pub(crate) fn flops(problem: &Problem, kv_heads: usize) -> Count {
    let Sizes { batch, seq_len: length, d_model: width } = problem.sizes();
    let core = if problem.causal { 2 * length * (length + 1) * width } else { 4 * length * length * width };
    batch * (core + length * projection_flops(problem, kv_heads))
}

/// Operations of a token's four projections.
pub(crate) fn projection_flops(problem: &Problem, kv_heads: usize) -> Count {
    let width = problem.sizes().d_model;
    match problem.level {
        Level::Core => Count::ZERO,
        Level::Layer => 4 * width * (width + kv_width(problem, kv_heads)),
    }
}

/// Floats of `streams` streams `[batch, length, width]`.
pub(crate) fn streams_floats(problem: &Problem, streams: u64) -> Count {
    streams * problem.sizes().stream()
}

/// Floats of keys and values, `[batch, length, kv_heads · d_head]` each.
pub(crate) fn kv_floats(problem: &Problem, kv_heads: usize) -> Count {
    2 * problem.sizes().rows() * kv_width(problem, kv_heads)
}

/// Floats of the four projections' weights and biases.
pub(crate) fn weight_floats(problem: &Problem, kv_heads: usize) -> Count {
    let width = problem.sizes().d_model;
    match problem.level {
        Level::Core => Count::ZERO,
        Level::Layer => 2 * (width + kv_width(problem, kv_heads)) * (width + 1),
    }
}

/// Floats of the four packed projections.
pub(crate) fn projection_floats(problem: &Problem, kv_heads: usize) -> Count {
    let (width, kv_width) = (problem.d_model, kv_width(problem, kv_heads).index());
    2 * (Linear::floats(width, width) + Linear::floats(width, kv_width))
}

/// Floats of the case: inputs and weights.
pub(crate) fn case_floats(problem: &Problem, kv_heads: usize) -> Count {
    let others = match problem.level {
        Level::Core => kv_floats(problem, kv_heads),
        Level::Layer => weight_floats(problem, kv_heads),
    };
    streams_floats(problem, 1) + others
}

/// Executed operations of a softmax over `scores` scores in `rows` rows, products excluded (scaling, maximum,
/// difference and sum of each score), and its transcendentals (an exponential per score and a division per row).
pub(crate) fn softmax(scores: Count, rows: Count) -> (Count, Count) {
    (4 * scores, scores + rows)
}
