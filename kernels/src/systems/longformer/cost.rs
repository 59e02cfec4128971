//! Closed forms. Operations of softmax (one exponential and four others per score) count only among the executed ones.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Problem, Sizes};

use super::Race;
use super::cpu::{class_stride, global_shape};
use super::decode::span;
use crate::decoding::PIECE;
use crate::multi_head::{TokenStreams, projection_flops, softmax, step_bytes, streams_floats};
use crate::ops::cache_attention::{CacheAttention, CacheShape};
use crate::ops::kv_cache::KvCache;
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

/// Floats of the case.
fn case_floats(problem: &Problem, race: &Race) -> Count {
    let Sizes { batch, seq_len: length, d_model: width } = problem.sizes();
    let mask = batch * length;
    mask + match problem.level {
        Level::Core => streams_floats(problem, if race.n_global > 0 { 6 } else { 3 }),
        Level::Layer => streams_floats(problem, 1) + 7 * width * (width + 1),
    }
}

/// Floats of the packed keys and values and of one thread's scratch, for this dilation.
fn tile_floats(problem: &Problem, race: &Race, dilation: usize) -> Count {
    let packed = PackedShape {
        batch: problem.batch,
        n_heads: problem.n_heads,
        d_head: problem.d_head(),
        // At most one panel for each position.
        slots: class_stride(problem.seq_len, dilation).saturating_mul(dilation),
    };
    packed.floats() + global_shape(packed, race.n_global).floats() + QueryBlock::floats(problem.d_head())
}

/// Rows of the ring of keys and values inside the window.
fn ring_rows(seq_len: usize, race: &Race) -> usize {
    (race.window / 2).min(seq_len).saturating_mul(race.dilation).saturating_add(1).min(seq_len)
}

/// Floats of the ring of keys and values inside the window.
fn ring_floats(problem: &Problem, race: &Race) -> Count {
    KvCache::floats(problem.batch, ring_rows(problem.seq_len, race), problem.d_model)
}

/// Cost of a step of the causal form. A position sees itself and up to half a window before it.
pub(super) fn step(problem: &Problem, race: &Race) -> Cost {
    let whole = problem.whole();
    let tokens = Count::from(whole.seq_len.saturating_sub(problem.seq_len));
    let Sizes { batch, d_model: width, .. } = problem.sizes();
    let reach = Count::from((race.window / 2).min(whole.seq_len));
    let pairs = |length: usize| causal_pairs(Count::from(length), reach, race);
    let pairs = pairs(whole.seq_len) - pairs(problem.seq_len);
    let mean = |amount: Count| amount / tokens.max(Count::new(1));
    let n_heads = problem.n_heads;
    let heads = batch * Count::from(n_heads);
    let flops = batch * (projection_flops(problem, n_heads) + mean(4 * width * pairs));
    let (more, transcendentals) = softmax(mean(heads * pairs), heads);
    let rows = ring_rows(whole.seq_len, race);
    let piece = whole.seq_len.min(PIECE);
    let span = Problem { seq_len: span(rows, whole.seq_len), ..whole };
    let state = ring_floats(&whole, race);
    let work = TokenStreams::floats(problem, n_heads, piece)
        + KvCache::floats(span.batch, span.seq_len, span.d_model)
        + CacheAttention::floats(cache_shape(&whole, rows), 1)
        + tile_floats(&span, race, race.dilation.min(whole.seq_len));
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (step_bytes(problem, n_heads) + 8 * batch * mean(width * pairs)).get(),
        peak_bytes: (4 * (case_floats(&whole, race) + 2 * state + work)).get(),
        decode_state_bytes: (4 * state).get(),
        ..Cost::default()
    }
}

fn cache_shape(problem: &Problem, rows: usize) -> CacheShape {
    let (batch, n_heads, d_head) = (problem.batch, problem.n_heads, problem.d_head());
    CacheShape { batch, rows, n_heads, kv_heads: n_heads, d_head }
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

    let tiles = tile_floats(problem, race, race.dilation.min(problem.seq_len));
    let weights = 7 * width * (width + 1);
    let linears = if has_globals { 7 } else { 4 };
    let packed_weights = linears * Linear::floats(problem.d_model, problem.d_model);
    let streams = |n| streams_floats(problem, n);
    let (held, moved) = match problem.level {
        // Output, which holds the queries first.
        Level::Core => (streams(1), streams(if has_globals { 7 } else { 4 })),
        Level::Layer => (
            // q (then the core's output), k, v (then k′, v′), y; inputs and queries of the global rows.
            streams(4) + packed_weights + 2 * batch * g * width,
            // Each intermediate is written and read.
            streams(if has_globals { 16 } else { 10 }) + weights,
        ),
    };
    let state = if problem.causal { 4 * ring_floats(problem, race) } else { Count::ZERO };
    let flops = batch * (core + if problem.level == Level::Layer { layer } else { Count::ZERO });
    let heads = batch * Count::from(problem.n_heads);
    let (more, transcendentals) = softmax(heads * (pairs + g * length), heads * length);
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case_floats(problem, race) + held + tiles)).get(),
        decode_state_bytes: state.get(),
        setup_flops: 0,
        full_attention: pairs + g * length == every_pair(length, problem.causal),
    }
}
