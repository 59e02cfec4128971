//! Closed forms of the tiled kernel.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes};

use crate::multi_head::{case_floats, flops, softmax, streams_floats, weight_floats};
use crate::ops::linear::Linear;
use crate::ops::tile_attention::{Shape, TileAttention};

/// Cost of the tiled kernel, with the scratch of one thread.
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
        // Output.
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
