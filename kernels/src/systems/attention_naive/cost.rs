//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Level, Problem};

use super::cpu;
use crate::multi_head;
use crate::ops::linear::Linear;

/// Cost of the kernel that writes all scores of a sequence to memory.
pub(super) fn cost(problem: &Problem) -> Cost {
    // A causal mask saves nothing here: all scores are computed, then masked.
    let full = Problem { causal: false, ..*problem };
    let (sizes, width) = (problem.sizes(), problem.d_model);
    let heads = mixer::Count::from(problem.n_heads);
    let scores = heads * sizes.seq_len * sizes.seq_len;
    let streams = |n| multi_head::streams_floats(problem, n);
    let (held, moved) = match problem.level {
        Level::Core => (streams(1), streams(4)),
        Level::Layer => {
            (streams(4) + 4 * Linear::floats(width, width), streams(10) + multi_head::weight_floats(problem))
        }
    };
    let packed = cpu::packed_floats(problem.seq_len, problem.n_heads, problem.d_head());
    let all = sizes.batch * scores;
    let (more, transcendentals) = multi_head::softmax(all, sizes.batch * heads * sizes.seq_len);
    Cost {
        flops: multi_head::flops(&full).get(),
        executed_flops: (multi_head::flops(&full) + more).get(),
        transcendentals: transcendentals.get(),
        // Scores are written twice and read twice: by the product, the softmax and the weighted sum.
        bytes: (4 * (moved + 4 * sizes.batch * scores)).get(),
        peak_bytes: (4 * (multi_head::case_floats(problem) + held + scores + packed)).get(),
        decode_state_bytes: (4 * streams(2)).get(),
        ..Cost::default()
    }
}
