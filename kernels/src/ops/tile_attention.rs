//! Softmax attention by tiles with an online softmax, without an L×L buffer (Rabe and Staats, arXiv 2112.05682; Dao et
//! al., arXiv 2205.14135, algorithm 1).
//!
//! Keys and values are packed once per head. A task processes a block of queries of one head and all key tiles that it
//! may see; causal tiles above the diagonal are skipped.

#![expect(unsafe_code, reason = "tasks write disjoint rows and columns of the output through `Disjoint`")]

use mixer::{Count, Memory, MixerError, Parallel};

use super::disjoint::Disjoint;
use super::packed_keys::{PackedKeys, PackedShape};
use super::query_block::{KEYS, LOWEST, QUERIES, QueryBlock};
use super::scratch::Scratch;

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
    /// Whether position i sees positions j ≤ i only.
    pub causal: bool,
}

impl Shape {
    fn d_model(self) -> usize {
        self.n_heads * self.d_head
    }

    fn packed(self) -> PackedShape {
        let Self { batch, seq_len, n_heads, d_head, .. } = self;
        PackedShape { batch, n_heads, d_head, slots: seq_len }
    }
}

/// Packed keys and values, and scratch, for attention of one shape.
#[derive(Debug)]
pub struct TileAttention {
    shape: Shape,
    packed: PackedKeys,
    scratch: Scratch,
}

impl TileAttention {
    /// Floats that [`TileAttention::new`] takes from the memory budget.
    pub fn floats(shape: Shape, threads: usize) -> Count {
        shape.packed().floats() + Count::from(threads) * QueryBlock::floats(shape.d_head)
    }

    /// Allocates the buffers for `shape`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, shape: Shape, threads: usize) -> Result<Self, MixerError> {
        Ok(Self {
            shape,
            packed: PackedKeys::new(memory, shape.packed())?,
            scratch: Scratch::new(memory, threads, QueryBlock::floats(shape.d_head))?,
        })
    }

    /// Mixes `q`, `k`, `v` into `out`, all `[batch, seq_len, n_heads · d_head]`.
    pub fn run(&mut self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], parallel: &dyn Parallel) {
        self.packed.pack(k, v, parallel);
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

    /// Like [`TileAttention::run`], but overwrites the queries with the output, which saves the memory of one stream.
    pub fn run_in_place(&mut self, q: &mut [f32], k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        self.packed.pack(k, v, parallel);
        let shape = self.shape;
        let q = Disjoint::new(q);
        self.for_each_block(parallel, |sequence, head, first, queries, scratch| {
            let start = |query: usize| {
                (sequence * shape.seq_len + first + query) * shape.d_model() + head * shape.d_head
            };
            self.block(
                // SAFETY: only this task touches its rows in its head's columns, and a block has read all its
                // queries before it writes the first output.
                |query| unsafe { q.read(start(query), shape.d_head) },
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

    /// Processes one block of queries of one head with all of its visible keys.
    fn block<'a>(
        &self,
        query: impl Fn(usize) -> &'a [f32],
        emit: impl FnMut(usize, &[f32]),
        (sequence, head, first, queries): (usize, usize, usize, usize),
        scratch: &mut [f32],
    ) {
        let Shape { seq_len, d_head, causal, .. } = self.shape;
        let scale = QueryBlock::scale(d_head);
        let mut block = QueryBlock::new(scratch, d_head, queries);
        block.set_queries(query, scale);
        block.bound_scores(self.packed.longest(sequence, head));
        let visible = if causal { first + queries } else { seq_len };
        for start in (0..visible).step_by(KEYS) {
            let tile = self.packed.tile(sequence, head, start, KEYS.min(visible - start));
            block.absorb(tile, |row, scores| {
                if causal {
                    let allowed = scores.len().min((first + row + 1).saturating_sub(start));
                    scores[allowed..].fill(LOWEST);
                }
            });
        }
        block.finish(emit);
    }
}
