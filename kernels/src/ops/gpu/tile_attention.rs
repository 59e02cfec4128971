//! Softmax attention by tiles on the GPU: never an L×L buffer.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::stream::{Stream, vectors, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const BAND: Shader = Shader {
    label: "tile_attention",
    source: concat!(include_str!("mask_band.wgsl"), include_str!("tile_attention.wgsl")),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE],
};

const LISTED: Shader = Shader {
    label: "tile_attention_listed",
    source: concat!(include_str!("mask_listed.wgsl"), include_str!("tile_attention.wgsl")),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE, READ],
};

/// Queries of a workgroup.
pub const QUERIES: usize = 64;

/// Keys of a tile.
pub const KEYS: usize = 32;

/// Output columns of a chunk; a workgroup holds at most [`MAX_CHUNKS`].
const COLUMNS: usize = 32;
const MAX_CHUNKS: usize = 4;

/// Workgroups that keep a large device busy: a dispatch that must be short takes fewer keys before it takes fewer
/// workgroups than these.
const BUSY: usize = 256;

/// Fewest tiles of keys in a dispatch, so that carrying the state over stays cheap.
const FEWEST_TILES: usize = 16;

/// Which keys a query sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// All.
    Full,
    /// Those up to its own position.
    Causal,
    /// Those within `[query − before, query + after]`.
    Band {
        /// Keys before the query.
        before: usize,
        /// Keys after it.
        after: usize,
    },
    /// Those in the runs of keys listed for its block of [`QUERIES`] queries, of which those further than `after`
    /// behind or `before` ahead of the query are hidden.
    Listed {
        /// For each block the runs `[start, end)`, each at most [`KEYS`] long.
        runs: Vec<Vec<[u32; 2]>>,
        /// Keys before the query.
        before: usize,
        /// Keys after it.
        after: usize,
    },
}

/// One softmax attention: o = softmax(scale · q kᵀ) v for each head.
///
/// Rows of `q` and `o` are `[batch, n_queries]`, rows of `k` and `v` `[batch, n_keys]`; head h starts at column
/// h · [`Columns::run`](super::Columns::run) in each. A query that sees no key gives zeros. `o` must be in a buffer of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct TileAttention {
    /// Sequences.
    pub batch: usize,
    /// Queries of a sequence.
    pub n_queries: usize,
    /// Keys of a sequence.
    pub n_keys: usize,
    /// Heads.
    pub n_heads: usize,
    /// Head dimension.
    pub d_head: usize,
    /// Which keys count.
    pub mask: Mask,
    /// Usually 1/√`d_head`.
    pub scale: f32,
    /// Queries.
    pub q: Stream,
    /// Keys.
    pub k: Stream,
    /// Values.
    pub v: Stream,
    /// Output.
    pub o: Stream,
}

impl TileAttention {
    fn head(&self) -> usize {
        self.d_head.next_multiple_of(4)
    }

    /// Tiles of keys that `block` visits, as the mask file counts them.
    fn tiles(&self, block: usize) -> usize {
        let (before, after) = match &self.mask {
            Mask::Full => return self.n_keys.div_ceil(KEYS),
            Mask::Causal => (self.n_keys, 0),
            Mask::Band { before, after } => (*before, *after),
            Mask::Listed { runs, .. } => return runs.get(block).map_or(0, Vec::len),
        };
        let first = block * QUERIES;
        let start = first.saturating_sub(before) / KEYS * KEYS;
        let last = (first + QUERIES).min(self.n_queries) - 1;
        self.n_keys.min(last.saturating_add(after).saturating_add(1)).saturating_sub(start).div_ceil(KEYS)
    }

    /// Records the dispatches: one, or several where one would take too long. Long rows are then cut along the keys,
    /// and their running sums wait in memory.
    pub fn record(&self, builder: &mut Builder) {
        if self.batch * self.n_queries * self.n_heads == 0 {
            return;
        }
        let chunks = self.head().div_ceil(COLUMNS).min(MAX_CHUNKS);
        let passes = self.head().div_ceil(COLUMNS * chunks);
        let width = self.head().min(COLUMNS * chunks);
        let blocks = self.n_queries.div_ceil(QUERIES);
        let tiles: Vec<usize> = (0..blocks).map(|block| self.tiles(block)).collect();
        let tile_flops = (2 * QUERIES * KEYS * (self.head() + width)) as u64;
        let budget = usize::try_from(builder.target().max_dispatch_flops / tile_flops.max(1))
            .unwrap_or(usize::MAX)
            .max(FEWEST_TILES);

        let heads = self.n_heads * passes;
        let work = tiles.iter().sum::<usize>().saturating_mul(heads * self.batch);
        let longest = tiles.iter().copied().max().unwrap_or(0).max(1);
        let most = builder.target().max_workgroups_per_dimension as usize;
        let (mut groups, mut segment) = (usize::MAX, longest);
        if work > budget {
            groups = (budget / longest).max(BUSY.min(budget / FEWEST_TILES)).max(1);
            segment = (budget / groups).clamp(FEWEST_TILES, longest.max(FEWEST_TILES));
        }
        let x = blocks.min(groups).min(most);
        let y = heads.min((groups / x).max(1)).min(most);
        let z = self.batch.min((groups / (x * y)).max(1)).min(most);

        let split = segment < longest;
        let state_words = if split { self.batch * heads * blocks * QUERIES * 2 } else { 4 };
        let state = builder.scratch("attention state", state_words);
        let lists = self.upload_lists(builder);
        let record = Record { op: self, chunks, passes, blocks, heads, state, lists, tile_flops };
        for first_sequence in (0..self.batch).step_by(z) {
            for first_head in (0..heads).step_by(y) {
                for first_block in (0..blocks).step_by(x) {
                    let end_block = (first_block + x).min(blocks);
                    let part = &tiles[first_block..end_block];
                    let n_heads = y.min(heads - first_head);
                    let n_sequences = z.min(self.batch - first_sequence);
                    let corner = [first_block, end_block, first_head, n_heads, first_sequence, n_sequences];
                    record.segments(builder, part, corner, segment);
                }
            }
        }
    }

    fn upload_lists(&self, builder: &mut Builder) -> Option<BufferId> {
        let Mask::Listed { runs, .. } = &self.mask else { return None };
        // For each block where its runs begin and how many there are, then all runs.
        let mut words = Vec::new();
        let mut at = 2 * runs.len();
        for list in runs {
            words.extend([word(at), word(list.len())]);
            at += 2 * list.len();
        }
        words.extend(runs.iter().flatten().flatten());
        Some(builder.upload_words("attention runs", words))
    }
}

/// What the dispatches of one attention share.
struct Record<'a> {
    op: &'a TileAttention,
    chunks: usize,
    passes: usize,
    blocks: usize,
    heads: usize,
    state: BufferId,
    lists: Option<BufferId>,
    tile_flops: u64,
}

impl Record<'_> {
    /// One set of blocks, their keys in segments.
    fn segments(&self, builder: &mut Builder, tiles: &[usize], corner: [usize; 6], segment: usize) {
        let longest = tiles.iter().copied().max().unwrap_or(0);
        let [first_block, end_block, first_head, n_heads, first_sequence, n_sequences] = corner;
        let mut first_tile = 0;
        loop {
            let end_tile = (first_tile + segment).min(longest);
            let stage = u32::from(first_tile == 0) + 2 * u32::from(end_tile == longest);
            let visited: usize = tiles.iter().map(|&n| n.min(end_tile).saturating_sub(first_tile)).sum();
            let op = self.op;
            let band = |keys: usize| word(keys.min(1 << 30));
            let (before, after) = match op.mask {
                Mask::Full => (usize::MAX, usize::MAX),
                Mask::Causal => (usize::MAX, 0),
                Mask::Band { before, after } | Mask::Listed { before, after, .. } => (before, after),
            };
            let mut bindings = vec![op.q.buffer, op.k.buffer, op.v.buffer, op.o.buffer, self.state];
            bindings.extend(self.lists);
            builder.dispatch(
                if self.lists.is_some() { LISTED } else { BAND },
                &[("CHUNKS", f64::from(word(self.chunks)))],
                &[
                    word(op.n_queries),
                    word(op.n_keys),
                    vectors(op.head()),
                    word(self.passes),
                    vectors(op.q.offset),
                    vectors(op.q.stride),
                    vectors(op.k.offset),
                    vectors(op.k.stride),
                    vectors(op.v.offset),
                    vectors(op.v.stride),
                    vectors(op.o.offset),
                    vectors(op.o.stride),
                    word(first_block),
                    word(end_block),
                    word(first_head),
                    word(first_sequence),
                    word(self.heads),
                    word(self.blocks),
                    word(first_tile),
                    word(end_tile),
                    stage,
                    (op.scale * std::f32::consts::LOG2_E).to_bits(),
                    band(before),
                    band(after),
                ],
                &bindings,
                [end_block - first_block, n_heads, n_sequences],
                (visited * n_heads * n_sequences) as u64 * self.tile_flops,
            );
            first_tile = end_tile;
            if first_tile >= longest {
                return;
            }
        }
    }
}
