//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes, Task};

use super::cpu;
use crate::multi_head::{
    case_floats, kv_floats, kv_width, projection_floats, projection_flops, softmax, streams_floats,
    weight_floats,
};

/// Cost of the kernel that writes all scores of a sequence to memory.
pub(super) fn cost(problem: &Problem, kv_heads: usize) -> Cost {
    let length = problem.sizes().seq_len;
    let streams = |n| streams_floats(problem, n);
    let held = match problem.level {
        Level::Core => streams(1),
        Level::Layer => streams(2) + kv_floats(problem, kv_heads) + projection_floats(problem, kv_heads),
    };
    Cost {
        peak_bytes: (4 * (case_floats(problem, kv_heads) + held + scratch(problem, kv_heads))).get(),
        ..passes(problem, kv_heads, 2 * length, length * length)
    }
}

/// Cost of a step of decoding: the forward pass over the context, the tokens generated before and the token itself.
pub(super) fn step(problem: &Problem, kv_heads: usize) -> Cost {
    let (whole, context) = (problem.whole(), problem.sizes().seq_len);
    let tokens = match problem.task {
        Task::Forward => Count::ZERO,
        Task::Decode { tokens } => Count::from(tokens),
    };
    // The lengths go from context + 1 to context + tokens.
    let square = context * (context + tokens + 1) + (tokens + 1) * (2 * tokens + 1) / 6;
    let state = state_floats(&whole, kv_heads);
    let sequence = Problem { batch: 1, ..whole };
    let held = match problem.level {
        Level::Core => streams_floats(&sequence, 1),
        Level::Layer => {
            streams_floats(&sequence, 2)
                + kv_floats(&sequence, kv_heads)
                + projection_floats(problem, kv_heads)
        }
    };
    let work = held + scratch(&whole, kv_heads);
    Cost {
        peak_bytes: (4 * (case_floats(&whole, kv_heads) + state + work)).get(),
        decode_state_bytes: (4 * state).get(),
        ..passes(problem, kv_heads, 2 * context + tokens + 1, square)
    }
}

/// Floats of the inputs of all positions, which are the state of decoding.
fn state_floats(problem: &Problem, kv_heads: usize) -> Count {
    match problem.level {
        Level::Core => case_floats(problem, kv_heads),
        Level::Layer => streams_floats(problem, 1),
    }
}

/// Floats of the scores and of the packed keys and values of one sequence.
fn scratch(problem: &Problem, kv_heads: usize) -> Count {
    let length = problem.sizes().seq_len;
    let scores = Count::from(problem.n_heads) * length * length;
    scores + cpu::packed_floats(problem.seq_len, kv_heads, problem.d_head())
}

/// Mean cost of forward passes over several lengths, from twice the mean of the lengths and the mean of their squares. A causal
/// mask saves nothing: all scores are computed, then masked.
fn passes(problem: &Problem, kv_heads: usize, twice_length: Count, square: Count) -> Cost {
    let Sizes { batch, d_model: width, .. } = problem.sizes();
    let kv = 2 * kv_width(problem, kv_heads);
    let (weights, row) = match problem.level {
        Level::Core => (Count::ZERO, 2 * width + kv),
        // Each intermediate is written and read.
        Level::Layer => (weight_floats(problem, kv_heads), 6 * width + 2 * kv),
    };
    let heads = batch * Count::from(problem.n_heads);
    let flops = batch * (twice_length * projection_flops(problem, kv_heads) / 2 + 4 * square * width);
    let (more, transcendentals) = softmax(heads * square, heads * twice_length / 2);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        // Scores are written twice and read twice: by the product, the softmax and the weighted sum.
        bytes: (4 * (weights + batch * twice_length * row / 2 + 4 * heads * square)).get(),
        decode_state_bytes: (4 * state_floats(problem, kv_heads)).get(),
        ..Cost::default()
    }
}
