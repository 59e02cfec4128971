//! Closed forms of the tiled kernel.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes};

use crate::multi_head::{
    case_floats, flops, kv_floats, projection_floats, softmax, streams_floats, weight_floats,
};
use crate::ops::tile_attention::{Shape, TileAttention};

/// Sizes of the core.
pub(super) fn shape(problem: &Problem, kv_heads: usize) -> Shape {
    Shape {
        batch: problem.batch,
        seq_len: problem.seq_len,
        n_heads: problem.n_heads,
        kv_heads,
        d_head: problem.d_head(),
        causal: problem.causal,
    }
}

/// Cost of the tiled kernel, with the scratch of one thread.
pub(super) fn tiled(problem: &Problem, kv_heads: usize) -> Cost {
    let shape = shape(problem, kv_heads);
    let tiles = TileAttention::floats(shape, 1);
    let streams = |n| streams_floats(problem, n);
    let kv = kv_floats(problem, kv_heads);
    let (held, moved) = match problem.level {
        // Output.
        Level::Core => (streams(1), streams(2) + kv),
        // q (then the core's output), k, v, y and the packed weights; each intermediate is written and read.
        Level::Layer => (
            streams(2) + kv + projection_floats(problem, kv_heads),
            streams(6) + 2 * kv + weight_floats(problem, kv_heads),
        ),
    };
    let Sizes { batch, seq_len: length, .. } = problem.sizes();
    let heads = batch * Count::from(problem.n_heads);
    let pairs = if problem.causal { length * (length + 1) / 2 } else { length * length };
    let flops = flops(problem, kv_heads);
    let (more, transcendentals) = softmax(heads * pairs, heads * length);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case_floats(problem, kv_heads) + held + tiles)).get(),
        decode_state_bytes: (4 * kv).get(),
        setup_flops: 0,
        ..Cost::default()
    }
}
