//! Softmax attention by tiles with an online softmax: never an L×L buffer (Rabe and Staats, arXiv 2112.05682; Dao et
//! al., arXiv 2205.14135, algorithm 1).
//!
//! Keys and values are packed once for each head. A task takes a block of queries of one head and walks the key tiles
//! that it may see; causal tiles right of the diagonal are never touched.

#![expect(unsafe_code, reason = "tasks write disjoint rows and columns of the output through `Disjoint`")]

use mixer::{Floats, Memory, MixerError, Parallel};

use super::disjoint::Disjoint;
use super::exp::{exp2, exp2_scalar};
use super::gemm::{PANEL, Store, Tile, multiply};
use super::scratch::Scratch;
use super::simd::{F32x4, LANES};

/// Queries in a block: eight register tiles, so that a tile of scores stays in the first-level cache.
const QUERIES: usize = 48;

/// Keys in a tile: a tile of keys and one of values of head dimension 64 take 64 KiB together.
const KEYS: usize = 128;

/// Stands for −∞: finite, so that differences of two of them stay defined.
const LOWEST: f32 = -1e30;

/// Sizes of one attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Sequence length.
    pub seq_len: usize,
    /// Heads.
    pub n_heads: usize,
    /// Head dimension.
    pub d_head: usize,
    /// Whether position i sees only j ≤ i.
    pub causal: bool,
}

impl Shape {
    fn d_model(self) -> usize {
        self.n_heads * self.d_head
    }

    /// Keys, rounded up to whole panels.
    fn padded_keys(self) -> usize {
        self.seq_len.next_multiple_of(PANEL)
    }

    /// Head dimension, rounded up to whole panels.
    fn padded_head(self) -> usize {
        self.d_head.next_multiple_of(PANEL)
    }

    fn scratch_floats(self) -> usize {
        QUERIES * (KEYS + self.padded_head() + self.d_head + 2)
    }
}

/// Packed keys and values and scratch for attention of one shape.
#[derive(Debug)]
pub struct TileAttention {
    shape: Shape,
    /// `[batch, n_heads, padded_keys / PANEL, d_head, PANEL]`.
    keys: Floats,
    /// `[batch, n_heads, padded_head / PANEL, seq_len, PANEL]`.
    values: Floats,
    scratch: Scratch,
}

impl TileAttention {
    /// Floats that [`TileAttention::new`] takes from the memory budget.
    pub fn floats(shape: Shape, threads: usize) -> usize {
        let heads = shape.batch * shape.n_heads;
        heads * (shape.padded_keys() * shape.d_head + shape.seq_len * shape.padded_head())
            + threads * shape.scratch_floats()
    }

    /// Allocates for `shape`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, shape: Shape, threads: usize) -> Result<Self, MixerError> {
        let heads = shape.batch * shape.n_heads;
        Ok(Self {
            shape,
            keys: memory.floats(heads * shape.padded_keys() * shape.d_head)?,
            values: memory.floats(heads * shape.seq_len * shape.padded_head())?,
            scratch: Scratch::new(memory, threads, shape.scratch_floats())?,
        })
    }

    /// Mixes `q`, `k`, `v` into `out`, all `[batch, seq_len, n_heads · d_head]`.
    pub fn run(&mut self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], parallel: &dyn Parallel) {
        self.pack(k, v, parallel);
        let shape = self.shape;
        let out = Disjoint::new(out);
        self.for_each_block(parallel, |sequence, head, first, queries, scratch| {
            let rows = &q[sequence * shape.seq_len * shape.d_model() + head * shape.d_head..];
            self.block(
                |query| &rows[(first + query) * shape.d_model()..][..shape.d_head],
                |query, values| {
                    let row = sequence * shape.seq_len + first + query;
                    // SAFETY: each task owns its rows in its head's columns.
                    let to = unsafe { out.slice(row * shape.d_model() + head * shape.d_head, shape.d_head) };
                    to.copy_from_slice(values);
                },
                (sequence, head, first, queries),
                scratch,
            );
        });
    }

    /// As [`TileAttention::run`] with the output written over the queries, which saves one stream of memory.
    pub fn run_in_place(&mut self, q: &mut [f32], k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        self.pack(k, v, parallel);
        let shape = self.shape;
        let q = Disjoint::new(q);
        self.for_each_block(parallel, |sequence, head, first, queries, scratch| {
            let start = |query: usize| {
                (sequence * shape.seq_len + first + query) * shape.d_model() + head * shape.d_head
            };
            self.block(
                // SAFETY: only this task touches its rows in its head's columns, and a block has read all its
                // queries before it writes the first output.
                |query| unsafe { q.slice(start(query), shape.d_head) },
                // SAFETY: as above.
                |query, values| unsafe { q.slice(start(query), shape.d_head) }.copy_from_slice(values),
                (sequence, head, first, queries),
                scratch,
            );
        });
    }

    /// Runs `task(sequence, head, first query, queries, scratch)` for every block, the longest first.
    fn for_each_block(
        &self,
        parallel: &dyn Parallel,
        task: impl Fn(usize, usize, usize, usize, &mut [f32]) + Sync,
    ) {
        let heads = self.shape.batch * self.shape.n_heads;
        let blocks = self.shape.seq_len.div_ceil(QUERIES);
        parallel.run(heads * blocks, &|task_idx, worker| {
            let first = (blocks - 1 - task_idx / heads) * QUERIES;
            let (sequence, head) =
                (task_idx % heads / self.shape.n_heads, task_idx % heads % self.shape.n_heads);
            let queries = QUERIES.min(self.shape.seq_len - first);
            task(sequence, head, first, queries, &mut self.scratch.of(worker));
        });
    }

    /// One block of queries of one head against all the keys that it may see.
    fn block<'a>(
        &self,
        query: impl Fn(usize) -> &'a [f32],
        mut emit: impl FnMut(usize, &[f32]),
        (sequence, head, first, queries): (usize, usize, usize, usize),
        scratch: &mut [f32],
    ) {
        let Shape { seq_len, n_heads, d_head, causal, .. } = self.shape;
        let (padded_keys, padded_head) = (self.shape.padded_keys(), self.shape.padded_head());
        let head_idx = sequence * n_heads + head;
        let keys = &self.keys[head_idx * padded_keys * d_head..][..padded_keys * d_head];
        let values = &self.values[head_idx * seq_len * padded_head..][..seq_len * padded_head];

        let (scores, rest) = scratch.split_at_mut(QUERIES * KEYS);
        let (sums, rest) = rest.split_at_mut(QUERIES * padded_head);
        let (scaled, rest) = rest.split_at_mut(QUERIES * d_head);
        let (maxima, totals) = rest.split_at_mut(QUERIES);
        // log₂e folded into the scale turns every exponential into a power of two.
        let scale = std::f32::consts::LOG2_E / (d_head as f32).sqrt();
        for row in 0..queries {
            for (to, from) in scaled[row * d_head..][..d_head].iter_mut().zip(query(row)) {
                *to = from * scale;
            }
        }
        sums.fill(0.0);
        maxima.fill(LOWEST);
        totals[..queries].fill(0.0);

        let visible = if causal { first + queries } else { seq_len };
        for tile in (0..visible).step_by(KEYS) {
            let n_keys = KEYS.min(visible - tile);
            for panel in 0..n_keys.div_ceil(PANEL) {
                let panel_keys = &keys[(tile / PANEL + panel) * d_head * PANEL..][..d_head * PANEL];
                let mut to = Tile { floats: &mut scores[panel * PANEL..], stride: KEYS, columns: PANEL };
                multiply(scaled, d_head, queries, d_head, panel_keys, Store::Set, &mut to);
            }
            for row in 0..queries {
                let scores = &mut scores[row * KEYS..][..n_keys.next_multiple_of(PANEL)];
                let allowed =
                    if causal { n_keys.min((first + row + 1).saturating_sub(tile)) } else { n_keys };
                scores[allowed..].fill(LOWEST);
                let sums = &mut sums[row * padded_head..][..padded_head];
                online_softmax(scores, &mut maxima[row], &mut totals[row], sums);
            }
            for panel in 0..padded_head / PANEL {
                let panel_values = &values[(panel * seq_len + tile) * PANEL..][..n_keys * PANEL];
                let mut to = Tile { floats: &mut sums[panel * PANEL..], stride: padded_head, columns: PANEL };
                multiply(scores, KEYS, queries, n_keys, panel_values, Store::Add, &mut to);
            }
        }
        for row in 0..queries {
            let inverse = 1.0 / totals[row];
            let sums = &mut sums[row * padded_head..][..d_head];
            sums.iter_mut().for_each(|sum| *sum *= inverse);
            emit(row, sums);
        }
    }

    fn pack(&mut self, k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        let shape = self.shape;
        let Shape { seq_len, n_heads, d_head, .. } = shape;
        let (padded_keys, padded_head, d_model) = (shape.padded_keys(), shape.padded_head(), shape.d_model());
        let keys = Disjoint::new(&mut self.keys);
        let values = Disjoint::new(&mut self.values);
        let chunks = seq_len.div_ceil(KEYS);
        parallel.run(shape.batch * n_heads * chunks, &|task, _| {
            let (head_idx, first) = (task / chunks, task % chunks * KEYS);
            let (sequence, head) = (head_idx / n_heads, head_idx % n_heads);
            let n_keys = KEYS.min(seq_len - first);
            let source = |key: usize| (sequence * seq_len + first + key) * d_model + head * d_head;
            // SAFETY: each task is its own head and its own chunk of keys; KEYS is a multiple of PANEL.
            let keys = unsafe {
                keys.slice((head_idx * padded_keys + first) * d_head, n_keys.next_multiple_of(PANEL) * d_head)
            };
            for key in 0..n_keys {
                let panel = &mut keys[key / PANEL * d_head * PANEL + key % PANEL..];
                for (to, &from) in panel.iter_mut().step_by(PANEL).zip(&k[source(key)..][..d_head]) {
                    *to = from;
                }
            }
            for panel in 0..padded_head / PANEL {
                // SAFETY: as above; each panel of values holds this chunk's rows contiguously.
                let values = unsafe {
                    values.slice(
                        head_idx * seq_len * padded_head + (panel * seq_len + first) * PANEL,
                        n_keys * PANEL,
                    )
                };
                let columns = PANEL.min(d_head - panel * PANEL);
                for (key, to) in values.chunks_exact_mut(PANEL).enumerate() {
                    to[..columns].copy_from_slice(&v[source(key) + panel * PANEL..][..columns]);
                }
            }
        });
    }
}

/// One row of one tile: turns scores (in units of log₂) into weights in place, and brings the row's running maximum,
/// total and weighted sums up to date. `scores` is a whole number of vectors.
fn online_softmax(scores: &mut [f32], maximum: &mut f32, total: &mut f32, sums: &mut [f32]) {
    let (scores, _) = scores.as_chunks_mut::<LANES>();
    let highest = scores
        .iter()
        .fold(F32x4::splat(*maximum), |highest, chunk| highest.max(F32x4::from_array(chunk)))
        .max_lane();
    if highest > *maximum {
        let factor = exp2_scalar(*maximum - highest);
        *maximum = highest;
        *total *= factor;
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
    let shift = F32x4::splat(*maximum);
    let mut added = F32x4::zero();
    for chunk in scores {
        let weights = exp2(F32x4::from_array(chunk) - shift);
        weights.write_to(chunk);
        added = added + weights;
    }
    *total += added.sum();
}
