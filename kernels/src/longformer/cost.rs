//! Closed forms. Operations of softmax itself (one exponential and about four others for each score) are left out, as
//! the field does.

use mixer::{Cost, Level, Problem};

use super::Race;
use super::cpu::{class_stride, global_shape};
use crate::attention::streams_bytes;
use crate::ops::linear::Linear;
use crate::ops::packed_keys::PackedShape;
use crate::ops::query_block::QueryBlock;

/// Σ min(t, c) over t = 0 … n − 1.
fn sum_min(n: u64, c: u64) -> u64 {
    let rising = n.min(c);
    rising * rising.saturating_sub(1) / 2 + (n - rising) * c
}

/// Pairs of a query and a key that local rows of one sequence and one head have.
fn local_pairs(length: u64, reach: u64, race: &Race) -> u64 {
    let (g, dilation) = (race.n_global as u64, (race.dilation as u64).min(length));
    if dilation > 1 {
        // Each residue class is a causal window of its own.
        let (short, longer) = (length / dilation, length % dilation);
        let class = |n: u64| sum_min(n, reach) + n;
        return longer * class(short + 1) + (dilation - longer) * class(short);
    }
    let left = sum_min(length, reach) - sum_min(g, reach);
    let right = sum_min(length - g, reach);
    // Global positions left of the window; those within it are already counted.
    let beyond = sum_min(length.saturating_sub(reach), g) - sum_min(g.saturating_sub(reach), g);
    (length - g) + left + beyond + right
}

/// As [`local_pairs`] where nothing right of a query is seen.
fn causal_pairs(length: u64, reach: u64, race: &Race) -> u64 {
    if race.dilation > 1 { local_pairs(length, reach, race) } else { length + sum_min(length, reach) }
}

/// Cost of the tiled kernel, its scratch taken for one thread.
pub(super) fn cost(problem: &Problem, race: &Race) -> Cost {
    let (batch, length, width) = (problem.batch as u64, problem.seq_len as u64, problem.d_model as u64);
    let g = race.n_global as u64;
    let reach = (race.window as u64 / 2).min(length);
    let pairs =
        if problem.causal { causal_pairs(length, reach, race) } else { local_pairs(length, reach, race) };
    let core = 4 * width * (pairs + g * length);
    let global_projections = if g > 0 { (4 * length + 2 * g) * width * width } else { 0 };
    let layer = 8 * length * width * width + global_projections;

    let stride = class_stride(problem.seq_len, race.dilation.min(problem.seq_len));
    let packed = PackedShape {
        batch: problem.batch,
        n_heads: problem.n_heads,
        d_head: problem.d_head(),
        slots: stride * race.dilation.min(problem.seq_len),
    };
    let tiles = packed.floats() + global_shape(packed, race.n_global).floats();
    let scratch = QueryBlock::floats(problem.d_head());
    let mask = batch * length;
    let weights = 7 * width * (width + 1);
    let linears = if g > 0 { 7 } else { 4 };
    let packed_weights = linears * Linear::floats(problem.d_model, problem.d_model) as u64;
    let streams = |n: u64| streams_bytes(problem, n) / 4;
    let (case, held, moved) = match problem.level {
        Level::Core => {
            let inputs = if g > 0 { 6 } else { 3 };
            // The output, which holds the queries first.
            (streams(inputs) + mask, streams(1), streams(inputs + 1))
        }
        Level::Layer => (
            streams(1) + weights + mask,
            // q (then the core's output), k, v (then k′, v′), y; inputs and queries of the global rows.
            streams(4) + packed_weights + 2 * batch * g * width,
            // Each intermediate is written and read.
            streams(if g > 0 { 16 } else { 10 }) + weights,
        ),
    };
    let state = match (problem.causal, problem.level) {
        // A ring of the keys and values that the window reaches.
        (true, _) => 8 * batch * width * (reach * race.dilation as u64 + 1).min(length),
        (false, _) => 0,
    };
    Cost {
        flops: batch * (core + if problem.level == Level::Layer { layer } else { 0 }),
        bytes: 4 * moved,
        peak_bytes: 4 * (case + held + (tiles + scratch) as u64),
        decode_state_bytes: state,
        setup_flops: 0,
        ..Cost::default()
    }
}
