//! Softmax attention by tiles with an online softmax, without an L×L buffer (Rabe and Staats, arXiv 2112.05682; Dao et
//! al., arXiv 2205.14135, algorithm 1).
//!
//! Keys and values are packed once per head. A task processes a block of queries of one head and all key tiles that it
//! may see; causal tiles above the diagonal are skipped.

use mixer::{Count, Memory, MixerError, Parallel};

use super::packed_keys::{PackedKeys, PackedShape};
use super::parts::{Matrix, for_each};
use super::query_block::{KEYS, LOWEST, QUERIES, QueryBlock};
use super::scratch::Scratch;

/// Sizes of one attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Sequence length.
    pub seq_len: usize,
    /// Heads of the queries.
    pub n_heads: usize,
    /// Heads of the keys and values, a divisor of `n_heads`: successive queries' heads share one (grouped-query attention,
    /// Ainslie et al., arXiv 2305.13245).
    pub kv_heads: usize,
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
        let Self { batch, seq_len, kv_heads, d_head, .. } = self;
        PackedShape { batch, n_heads: kv_heads, d_head, slots: seq_len }
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

    /// Mixes `q`, `k`, `v` into `out`. `q` and `out` are `[batch, seq_len, n_heads · d_head]`, `k` and `v`
    /// `[batch, seq_len, kv_heads · d_head]`.
    pub fn run(&mut self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], parallel: &dyn Parallel) {
        self.packed.pack(k, v, parallel);
        let Shape { seq_len, d_head, .. } = self.shape;
        let d_model = self.shape.d_model();
        self.for_each_block(out, 0, parallel, |block, scratch, mut out| {
            let rows = &q[block.sequence * seq_len * d_model + block.head * d_head..];
            let mut queries = QueryBlock::new(scratch, d_head, block.queries);
            let query = |query: usize| &rows[(block.first + query) * d_model..][..d_head];
            queries.set_queries(query, QueryBlock::scale(d_head));
            self.attend(block, &mut queries);
            queries.finish(|query, values| out.row_mut(query).copy_from_slice(values));
        });
    }

    /// Like [`TileAttention::run`], but overwrites the queries with the output, which saves the memory of one stream.
    pub fn run_in_place(&mut self, q: &mut [f32], k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        self.continue_in_place(q, 0, k, v, parallel);
    }

    /// Like [`TileAttention::run_in_place`] for the queries from position `offset` on, `[batch, n, n_heads · d_head]`, of causal
    /// attention. Keys and values from position `offset + n` on are not read.
    pub fn continue_in_place(
        &mut self,
        q: &mut [f32],
        offset: usize,
        k: &[f32],
        v: &[f32],
        parallel: &dyn Parallel,
    ) {
        let n = q.len() / (self.shape.batch * self.shape.d_model());
        self.packed.pack_first(k, v, offset + n, parallel);
        let d_head = self.shape.d_head;
        self.for_each_block(q, offset, parallel, |block, scratch, mut q| {
            let mut queries = QueryBlock::new(scratch, d_head, block.queries);
            queries.set_queries(|query| q.row(query), QueryBlock::scale(d_head));
            self.attend(block, &mut queries);
            queries.finish(|query, values| q.row_mut(query).copy_from_slice(values));
        });
    }

    /// Runs `task(block, scratch, part)` for every block and its part of `out`, `[batch, n, n_heads · d_head]`, the longest
    /// first. `out` begins with position `offset`.
    fn for_each_block(
        &self,
        out: &mut [f32],
        offset: usize,
        parallel: &dyn Parallel,
        task: impl Fn(Block, &mut [f32], Matrix<'_>) + Sync,
    ) {
        let Shape { batch, n_heads, d_head, .. } = self.shape;
        let d_model = self.shape.d_model();
        let heads = batch * n_heads;
        let n = out.len() / (batch * d_model);
        let blocks = n.div_ceil(QUERIES);
        let parts = Matrix::new(out, n * d_model)
            .column_blocks(QUERIES * d_model)
            .rev()
            .flat_map(Matrix::into_rows)
            .flat_map(|rows| Matrix::new(rows, d_model).column_blocks(d_head))
            .enumerate();
        for_each(parallel, heads * blocks, parts, |(index, part), worker| {
            let (sequence, head) = (index % heads / n_heads, index % heads % n_heads);
            let first = (blocks - 1 - index / heads) * QUERIES;
            let block = Block { sequence, head, first: offset + first, queries: part.rows() };
            task(block, &mut self.scratch.of(worker), part);
        });
    }

    /// Lets a block of queries of one head see all the keys that it may see.
    fn attend(&self, block: Block, queries: &mut QueryBlock<'_>) {
        let Block { sequence, head, first, queries: n_queries } = block;
        let Shape { seq_len, causal, n_heads, kv_heads, .. } = self.shape;
        let head = head / (n_heads / kv_heads);
        queries.bound_scores(self.packed.longest(sequence, head));
        let visible = if causal { first + n_queries } else { seq_len };
        for start in (0..visible).step_by(KEYS) {
            let tile = self.packed.tile(sequence, head, start, KEYS.min(visible - start));
            queries.absorb(tile, |row, scores| {
                if causal {
                    let allowed = scores.len().min((first + row + 1).saturating_sub(start));
                    scores[allowed..].fill(LOWEST);
                }
            });
        }
    }
}

/// `queries` queries of one head from position `first` on.
#[derive(Debug, Clone, Copy)]
struct Block {
    sequence: usize,
    head: usize,
    first: usize,
    queries: usize,
}
