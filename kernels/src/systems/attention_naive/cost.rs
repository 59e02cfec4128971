//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Level, Problem};

use super::cpu;
use crate::multi_head;

/// Cost of the kernel that writes all scores of a sequence to memory.
pub(super) fn cost(problem: &Problem, kv_heads: usize) -> Cost {
    // A causal mask saves nothing here: all scores are computed, then masked.
    let full = Problem { causal: false, ..*problem };
    let sizes = problem.sizes();
    let heads = mixer::Count::from(problem.n_heads);
    let scores = heads * sizes.seq_len * sizes.seq_len;
    let streams = |n| multi_head::streams_floats(problem, n);
    let kv = multi_head::kv_floats(problem, kv_heads);
    let (held, moved) = match problem.level {
        Level::Core => (streams(1), streams(2) + kv),
        Level::Layer => (
            streams(2) + kv + multi_head::projection_floats(problem, kv_heads),
            streams(6) + 2 * kv + multi_head::weight_floats(problem, kv_heads),
        ),
    };
    let packed = cpu::packed_floats(problem.seq_len, kv_heads, problem.d_head());
    let flops = multi_head::flops(&full, kv_heads);
    let all = sizes.batch * scores;
    let (more, transcendentals) = multi_head::softmax(all, sizes.batch * heads * sizes.seq_len);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        // Scores are written twice and read twice: by the product, the softmax and the weighted sum.
        bytes: (4 * (moved + 4 * sizes.batch * scores)).get(),
        peak_bytes: (4 * (multi_head::case_floats(problem, kv_heads) + held + scores + packed)).get(),
        decode_state_bytes: (4 * kv).get(),
        ..Cost::default()
    }
}
