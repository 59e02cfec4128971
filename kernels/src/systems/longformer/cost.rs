//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes};

use super::Race;
use super::cpu::{class_stride, global_shape};
use crate::multi_head::{softmax, streams_floats};
use crate::ops::linear::Linear;
use crate::ops::packed_keys::PackedShape;
use crate::ops::query_block::QueryBlock;

/// Σ min(t, c) over t = 0 … n − 1.
fn sum_min(n: Count, c: Count) -> Count {
    let rising = n.min(c);
    rising * (rising - 1) / 2 + (n - rising) * c
}

/// Pairs of a query and a key in the local rows of one sequence and one head.
fn local_pairs(length: Count, reach: Count, race: &Race) -> Count {
    let [g, dilation] = Count::all([race.n_global, race.dilation]);
    let dilation = dilation.min(length);
    if dilation > Count::new(1) {
        // Each residue class is a causal window of its own.
        let (short, longer) = (length / dilation, length % dilation);
        let class = |n: Count| sum_min(n, reach) + n;
        return longer * class(short + 1) + (dilation - longer) * class(short);
    }
    let left = sum_min(length, reach) - sum_min(g, reach);
    let right = sum_min(length - g, reach);
    // Global positions left of the window; those inside it are already counted.
    let beyond = sum_min(length - reach, g) - sum_min(g - reach, g);
    (length - g) + left + beyond + right
}

/// [`local_pairs`] for the causal form.
fn causal_pairs(length: Count, reach: Count, race: &Race) -> Count {
    if race.dilation > 1 { local_pairs(length, reach, race) } else { length + sum_min(length, reach) }
}

/// Pairs of a query and a key under full attention in one sequence and one head.
fn every_pair(length: Count, causal: bool) -> Count {
    if causal { length * (length + 1) / 2 } else { length * length }
}

/// Cost of the tiled kernel, with the scratch of one thread.
pub(super) fn cost(problem: &Problem, race: &Race) -> Cost {
    let Sizes { batch, seq_len: length, d_model: width } = problem.sizes();
    let [g, window] = Count::all([race.n_global, race.window]);
    let reach = (window / 2).min(length);
    let pairs =
        if problem.causal { causal_pairs(length, reach, race) } else { local_pairs(length, reach, race) };
    let core = 4 * width * (pairs + g * length);
    let has_globals = race.n_global > 0;
    let global_projections = if has_globals { (4 * length + 2 * g) * width * width } else { Count::ZERO };
    let layer = 8 * length * width * width + global_projections;

    let stride = class_stride(problem.seq_len, race.dilation.min(problem.seq_len));
    let packed = PackedShape {
        batch: problem.batch,
        n_heads: problem.n_heads,
        d_head: problem.d_head(),
        // At most one panel for each position.
        slots: stride.saturating_mul(race.dilation.min(problem.seq_len)),
    };
    let tiles = packed.floats() + global_shape(packed, race.n_global).floats();
    let scratch = QueryBlock::floats(problem.d_head());
    let mask = batch * length;
    let weights = 7 * width * (width + 1);
    let linears = if has_globals { 7 } else { 4 };
    let packed_weights = linears * Linear::floats(problem.d_model, problem.d_model);
    let streams = |n| streams_floats(problem, n);
    let (case, held, moved) = match problem.level {
        Level::Core => {
            let (inputs, moved) = if has_globals { (6, 7) } else { (3, 4) };
            // Output, which holds the queries first.
            (streams(inputs) + mask, streams(1), streams(moved))
        }
        Level::Layer => (
            streams(1) + weights + mask,
            // q (then the core's output), k, v (then k′, v′), y; inputs and queries of the global rows.
            streams(4) + packed_weights + 2 * batch * g * width,
            // Each intermediate is written and read.
            streams(if has_globals { 16 } else { 10 }) + weights,
        ),
    };
    let state = match (problem.causal, problem.level) {
        // Ring of the keys and values inside the window.
        (true, _) => 8 * batch * width * (reach * Count::from(race.dilation) + 1).min(length),
        (false, _) => Count::ZERO,
    };
    let flops = batch * (core + if problem.level == Level::Layer { layer } else { Count::ZERO });
    let heads = batch * Count::from(problem.n_heads);
    let (more, transcendentals) = softmax(heads * (pairs + g * length), heads * length);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + held + tiles + scratch)).get(),
        decode_state_bytes: state.get(),
        setup_flops: 0,
        full_attention: pairs + g * length == every_pair(length, problem.causal),
    }
}
