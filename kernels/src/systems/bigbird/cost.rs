//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes};

use super::Blocks;
use super::cpu::packed_shape;
use crate::multi_head;
use crate::ops::linear::Linear;
use crate::ops::query_block::QueryBlock;
use crate::ops::tile_attention::{Shape, TileAttention};

/// Pairs of a query and a key in one sequence and one head; a block that is listed twice counts twice. A partly filled
/// last block has fewer queries, and fewer keys wherever it is listed.
fn pairs(blocks: &Blocks) -> Count {
    let [length, b, r, n] = Count::all([blocks.seq_len, blocks.size, blocks.n_random, blocks.count()]);
    if blocks.full {
        return length * length;
    }
    let last = length - (n - 1) * b;
    let global = (b + last) * length;
    let edge = 2 * b * ((3 + r) * b + last);
    let inner = (n - 4) * b * ((4 + r) * b + last);
    global + edge + inner
}

/// Cost of the tiled kernel, with the scratch of one thread.
pub(super) fn cost(problem: &Problem, blocks: &Blocks) -> Cost {
    let Sizes { batch, seq_len: length, d_model: width } = problem.sizes();
    let (n_heads, d_head) = (problem.n_heads, problem.d_head());
    let projections = if problem.level == Level::Layer { 8 * length * width * width } else { Count::ZERO };
    let tiles = if blocks.full {
        let (batch, seq_len) = (problem.batch, problem.seq_len);
        let shape = Shape { batch, seq_len, n_heads, kv_heads: n_heads, d_head, causal: false };
        TileAttention::floats(shape, 1)
    } else {
        packed_shape(blocks, problem.batch, n_heads, d_head).floats() + QueryBlock::floats(d_head)
    };
    let table = if blocks.full {
        Count::ZERO
    } else {
        Count::all(blocks.random_shape(n_heads)).into_iter().product()
    };
    let case = multi_head::case_floats(problem, n_heads) + table;
    let streams = |n| multi_head::streams_floats(problem, n);
    let (held, moved) = match problem.level {
        Level::Core => (streams(1), streams(4)),
        Level::Layer => (
            streams(4) + 4 * Linear::floats(problem.d_model, problem.d_model),
            streams(10) + multi_head::weight_floats(problem, n_heads),
        ),
    };
    let flops = batch * (4 * width * pairs(blocks) + projections);
    let heads = batch * Count::from(n_heads);
    let (more, transcendentals) = multi_head::softmax(heads * pairs(blocks), heads * length);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + held + tiles)).get(),
        // An encoder, which does not decode.
        decode_state_bytes: 0,
        setup_flops: 0,
        full_attention: blocks.full,
    }
}
