//! Attention from chunks of a list of positions to themselves and their neighbours, round after round.
//!
//! A task walks over a few neighbouring chunks and keeps the visible keys packed in a ring, so that each chunk is
//! gathered once. A query's running softmax continues from round to round, rescaled to the larger maximum. If no other
//! key is visible, that maximum is exactly the mask's score, so nothing is rounded.

use mixer::{Count, Floats, Memory, MixerError, Parallel};

use super::Spec;
use crate::ops::gemm::PANEL;
use crate::ops::parts::{Matrix, Permuted, for_each};
use crate::ops::permutation::Permutations;
use crate::ops::prefetch::prefetch;
use crate::ops::query_block::{KEYS, KeyTile, QUERIES, QueryBlock};
use crate::ops::scratch::Scratch;
use crate::ops::simd::{F32x4, LANES};

/// Score of a hidden key: −10⁹ in units of log₂.
const HIDDEN: f32 = -1e9 * std::f32::consts::LOG2_E;

/// Score of a position with itself: −10⁵ in units of log₂, above the score of hidden keys.
const ITSELF: f32 = -1e5 * std::f32::consts::LOG2_E;

/// Added to the mean square of a key before the root, as in the reference.
const EPSILON: f32 = 1e-6;

/// Largest number of neighbouring chunks in one walk.
const RUN: usize = 16;

/// Number of tasks of a round above which longer walks are better: a few per thread for many threads.
const TASKS: usize = 64;

/// Scratch and running softmax.
pub(super) struct Chunks {
    spec: Spec,
    /// Running maximum and total of each query, `[batch, n_heads, length, 2]`; empty for a single round.
    state: Floats,
    scratch: Scratch,
}

/// Slots of one chunk in the ring: whole panels.
fn slots(spec: &Spec) -> usize {
    spec.chunk.next_multiple_of(PANEL)
}

/// Floats of the visible keys: packed keys, packed values, positions.
fn ring_floats(spec: &Spec) -> Count {
    let d_head = spec.base.d_head();
    let [seen, slots, head] =
        Count::all([spec.seen(), slots(spec), d_head + d_head.next_multiple_of(PANEL) + 1]);
    seen * slots * head
}

fn state_floats(spec: &Spec) -> Count {
    let rows = spec.base.dims.sizes().rows();
    if spec.rounds() > 1 { 2 * rows * Count::from(spec.base.n_heads) } else { Count::ZERO }
}

impl Chunks {
    /// Floats that [`Chunks::new`] takes from the memory budget.
    pub(super) fn floats(spec: &Spec, threads: usize) -> Count {
        let scratch = ring_floats(spec) + QueryBlock::floats(spec.base.d_head());
        state_floats(spec) + Count::from(threads) * scratch
    }

    pub(super) fn new(spec: Spec, memory: &Memory, threads: usize) -> Result<Self, MixerError> {
        let floats = ring_floats(&spec) + QueryBlock::floats(spec.base.d_head());
        Ok(Self {
            state: memory.floats(state_floats(&spec))?,
            scratch: Scratch::new(memory, threads, floats)?,
            spec,
        })
    }

    /// Attends with q, k and v to `out`, all `[batch, length, width]`. `order` holds the positions of each round,
    /// `[batch, n_heads, rounds]` of `padded`; without it, positions are in natural order.
    pub(super) fn run(
        &mut self,
        [q, k, v]: [&[f32]; 3],
        order: Option<&Permutations>,
        out: &mut [f32],
        parallel: &dyn Parallel,
    ) {
        let spec = &self.spec;
        let heads = spec.base.dims.batch * spec.base.n_heads;
        let per_round = spec.padded() / spec.chunk;
        // Long walks gather less, short walks occupy more threads. The length of a walk must not depend on the number
        // of threads: it determines the order in which a query meets its keys, and so the rounding.
        let run = (per_round * heads / TASKS).clamp(1, RUN);
        let walks = per_round.div_ceil(run);
        let (seq_len, d_model, d_head) = (spec.base.dims.seq_len, spec.base.dims.d_model, spec.base.d_head());
        for round in 0..spec.rounds() {
            // A position is in one chunk of each round, so the walks of a round write different rows.
            let permutation =
                |head_idx: usize| order.and_then(|order| order.get(head_idx * spec.rounds() + round));
            let entries = run * spec.chunk;
            let outputs = Matrix::new(out, d_model)
                .row_blocks(seq_len)
                .flat_map(|sequence| sequence.column_blocks(d_head))
                .enumerate()
                .flat_map(|(head_idx, head)| {
                    let walks = head.permuted_blocks(permutation(head_idx), entries).enumerate();
                    walks.map(move |(walk, out)| (head_idx, walk, out))
                });
            let states = Matrix::new(&mut self.state, 2).row_blocks(seq_len).enumerate();
            let states =
                states.flat_map(|(head_idx, head)| head.permuted_blocks(permutation(head_idx), entries));
            let parts = outputs.zip(states.map(Some).chain(std::iter::repeat_with(|| None)));
            for_each(parallel, heads * walks, parts, |((head_idx, walk, out), state), worker| {
                let chunks = walk * run..((walk + 1) * run).min(per_round);
                let mut scratch = self.scratch.of(worker);
                let (ring, queries) = scratch.split_at_mut(ring_floats(spec).index());
                let list = order.map(|order| {
                    let len = spec.rounds() * spec.padded();
                    &order.entries()[head_idx * len..][..len]
                });
                let view = View { spec, head_idx, q, k, v, list };
                view.walk(round, chunks, &mut Ring::new(spec, ring), queries, Results { out, state });
            });
        }
    }
}

/// Outputs of a walk. Entries count from its first chunk.
struct Results<'a> {
    /// The rows of its queries, in its head's columns.
    out: Permuted<'a>,
    /// Running maximum and total of its queries; empty for a single round.
    state: Option<Permuted<'a>>,
}

/// The visible keys.
struct Ring<'a> {
    /// Total number of slots.
    len: usize,
    /// `[len / PANEL, d_head, PANEL]`.
    keys: &'a mut [f32],
    /// `[padded_head / PANEL, len, PANEL]`.
    values: &'a mut [f32],
    /// The position in each slot, exact as a float; infinite where a slot is empty.
    positions: &'a mut [f32],
}

impl<'a> Ring<'a> {
    fn new(spec: &Spec, floats: &'a mut [f32]) -> Self {
        let len = spec.seen() * slots(spec);
        let (keys, rest) = floats.split_at_mut(len * spec.base.d_head());
        let (positions, values) = rest.split_at_mut(len);
        positions.fill(f32::INFINITY);
        Self { len, keys, values, positions }
    }
}

/// The streams of one head of one sequence.
struct View<'a> {
    spec: &'a Spec,
    head_idx: usize,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// The head's positions in all rounds.
    list: Option<&'a [u32]>,
}

impl View<'_> {
    /// The position at `index` of the list of all rounds.
    fn position(&self, index: usize) -> usize {
        self.list.map_or(index, |list| list[index] as usize)
    }

    /// Offset of the head's channels of a position in a stream.
    fn start(&self, position: usize) -> usize {
        let base = &self.spec.base;
        let (sequence, head) = (self.head_idx / base.n_heads, self.head_idx % base.n_heads);
        (sequence * base.dims.seq_len + position) * base.dims.d_model + head * base.d_head()
    }

    /// Attends from the chunks `chunks` of `round`.
    fn walk(
        &self,
        round: usize,
        chunks: std::ops::Range<usize>,
        ring: &mut Ring<'_>,
        queries: &mut [f32],
        mut results: Results<'_>,
    ) {
        let spec = self.spec;
        let per_round = spec.padded() / spec.chunk;
        for (step, chunk) in chunks.enumerate() {
            let m = round * per_round + chunk;
            let seen = spec.seen();
            if step == 0 {
                for (place, neighbour) in spec.seen_from(m).enumerate() {
                    self.gather(neighbour, place, ring);
                }
            } else if let Some(neighbour) = spec.seen_from(m).last() {
                // The farthest chunk ahead replaces the chunk that is no longer visible.
                self.gather(neighbour, (step - 1) % seen, ring);
            }
            self.attend(round, m, ring, queries, step * spec.chunk, &mut results);
        }
    }

    /// Packs the keys and values of one chunk into a place of the ring.
    fn gather(&self, chunk: usize, place: usize, ring: &mut Ring<'_>) {
        let (spec, d_head) = (self.spec, self.spec.base.d_head());
        let seq_len = spec.base.dims.seq_len;
        let position = |entry: usize| self.position(chunk * spec.chunk + entry);
        for entry in 0..spec.chunk {
            if entry.is_multiple_of(PANEL) {
                let ahead =
                    (entry..spec.chunk.min(entry + PANEL)).map(position).filter(|&next| next < seq_len);
                prefetch(
                    ahead.flat_map(|next| {
                        [self.k, self.v].map(|stream| &stream[self.start(next)..][..d_head])
                    }),
                );
            }
            let slot = place * slots(spec) + entry;
            let position = position(entry);
            ring.positions[slot] = position as f32;
            let (panel, _) =
                ring.keys[slot / PANEL * PANEL * d_head..][..PANEL * d_head].as_chunks_mut::<PANEL>();
            if position >= seq_len {
                panel.iter_mut().for_each(|channel| channel[slot % PANEL] = 0.0);
                for panel in 0..d_head.div_ceil(PANEL) {
                    ring.values[(panel * ring.len + slot) * PANEL..][..PANEL].fill(0.0);
                }
                continue;
            }
            let start = self.start(position);
            let key = &self.k[start..][..d_head];
            let scale = if spec.avoids_self {
                let squares = key.chunks(LANES).map(F32x4::load);
                let square = squares.fold(F32x4::zero(), |sum, values| sum.mul_add(values, values)).sum();
                1.0 / ((square / d_head as f32 + EPSILON) * d_head as f32).sqrt()
            } else {
                1.0
            };
            panel.iter_mut().zip(key).for_each(|(channel, key)| channel[slot % PANEL] = key * scale);
            // Copy whole panels as arrays: a copy of unknown length is a function call.
            let (panels, rest) = self.v[start..][..d_head].as_chunks::<PANEL>();
            let mut at = slot * PANEL;
            for from in panels {
                if let Some(to) = ring.values[at..].first_chunk_mut::<PANEL>() {
                    *to = *from;
                }
                at += ring.len * PANEL;
            }
            if !rest.is_empty() {
                ring.values[at..][..rest.len()].copy_from_slice(rest);
            }
        }
    }

    /// Attends from the queries of chunk `m` to the ring. Their results are entries `first_entry` and up.
    fn attend(
        &self,
        round: usize,
        m: usize,
        ring: &Ring<'_>,
        scratch: &mut [f32],
        first_entry: usize,
        results: &mut Results<'_>,
    ) {
        let (spec, d_head) = (self.spec, self.spec.base.d_head());
        let seq_len = spec.base.dims.seq_len;
        let (is_first, is_last) = (round == 0, round + 1 == spec.rounds());
        // The scale of hashed keys includes 1/√d.
        let scale = if spec.avoids_self { std::f32::consts::LOG2_E } else { QueryBlock::scale(d_head) };
        let first = m * spec.chunk;
        // Padding is sorted to the end of a round, so the real positions of a chunk come first.
        let real = (0..spec.chunk).take_while(|&entry| self.position(first + entry) < seq_len).count();
        let parts = real.div_ceil(QUERIES).max(1);
        let part_len = real.div_ceil(parts).max(1);
        for part in (0..real).step_by(part_len) {
            let rows = part_len.min(real - part);
            let position = |row: usize| self.position(first + part + row);
            let entry = |row: usize| first_entry + part + row;
            let mut block = QueryBlock::new(scratch, d_head, rows);
            block.set_queries(|row| &self.q[self.start(position(row))..][..d_head], scale);
            if let (false, Some(state)) = (is_first, &results.state) {
                for row in 0..rows {
                    let state = state.row(entry(row));
                    block.resume(row, results.out.row(entry(row)), state[0], state[1]);
                }
            }
            for tile_start in (0..ring.len).step_by(KEYS) {
                let n_keys = KEYS.min(ring.len - tile_start);
                let tile = KeyTile {
                    keys: &ring.keys[tile_start * d_head..],
                    values: &ring.values[tile_start * PANEL..],
                    values_stride: ring.len * PANEL,
                    n_keys,
                };
                let positions = &ring.positions[tile_start..][..n_keys];
                block.absorb(tile, |row, scores| {
                    let i = position(row) as f32;
                    let last = if spec.base.causal { i } else { (seq_len - 1) as f32 };
                    for (score, &j) in scores.iter_mut().zip(positions) {
                        *score = if j > last { HIDDEN } else { *score };
                    }
                    if spec.avoids_self {
                        for (score, &j) in scores.iter_mut().zip(positions) {
                            *score = if j == i { ITSELF } else { *score };
                        }
                    }
                });
            }
            if is_last {
                block.finish(|row, output| results.out.row_mut(entry(row)).copy_from_slice(output));
            } else if let Some(state) = &mut results.state {
                for row in 0..rows {
                    let (sums, maximum, total) = block.state(row);
                    results.out.row_mut(entry(row)).copy_from_slice(sums);
                    state.row_mut(entry(row)).copy_from_slice(&[maximum, total]);
                }
            }
        }
    }
}
