//! Softmax attention on the GPU, one tile of keys at a time, without an L×L buffer.

use mixer::{BufferId, Choice, KernelClass};

use super::attention_variants::{AttentionShaders, BAND, KERNEL, LISTED, variants};
use super::builder::{Builder, INVOCATION_TURNS};
use super::stream::{Stream, vectors, word};

/// Queries per workgroup.
pub const QUERIES: usize = 64;

/// Keys per tile.
pub const KEYS: usize = 32;

/// Output columns per chunk. A workgroup has at most [`MAX_CHUNKS`] chunks.
const COLUMNS: usize = 32;
const MAX_CHUNKS: usize = 4;

/// Workgroups that keep a large device busy. A dispatch that must be short first takes fewer keys, down to this number
/// of workgroups.
const BUSY: usize = 256;

/// Fewest tiles of keys in a dispatch, so that storing and loading the state stays cheap.
const FEWEST_TILES: usize = 16;

/// The keys that a query may attend to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// All keys.
    Full,
    /// Keys up to the query's own position.
    Causal,
    /// Keys within `[query − before, query + after]`.
    Band {
        /// Keys before the query.
        before: usize,
        /// Keys after it.
        after: usize,
    },
    /// Keys in the runs listed for the query's block of [`QUERIES`] queries, within the band given by `before` and
    /// `after`.
    Listed {
        /// The runs `[start, end)` of each block, each at most [`KEYS`] long.
        runs: Vec<Vec<[u32; 2]>>,
        /// Keys before the query.
        before: usize,
        /// Keys after it.
        after: usize,
    },
    /// A mask file of the caller.
    Custom(CustomMask),
}

/// A system's own mask file. Queries and keys may be numbered in any order and with gaps. `n_queries` and `n_keys` then
/// count these numbers, and the file maps them to rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomMask {
    /// The kernels with the mask file. Their bindings are the first five and then those of `lists`, all of them
    /// read-only.
    pub shaders: AttentionShaders,
    /// Buffers at bindings 6 and 7.
    pub lists: Vec<BufferId>,
    /// For each block of [`QUERIES`] query numbers, the most tiles of keys that any head of any sequence visits.
    pub tiles: Vec<usize>,
    /// Rows of a sequence in `q` and `o`.
    pub query_rows: usize,
    /// Rows of a sequence in `k` and `v`.
    pub key_rows: usize,
    /// Buffer for running maxima and sums, of [`TileAttention::state_words`] words. With it, the output is not divided
    /// by the sums, so that it can be merged with other outputs.
    pub state: Option<BufferId>,
}

/// One softmax attention: o = softmax(scale · q kᵀ) v for each head.
///
/// Rows of `q` and `o` are `[batch, n_queries]`, rows of `k` and `v` are `[batch, n_keys]`. Head h starts at column h ·
/// [`Columns::run`](super::Columns::run) of each. The output of a query without visible keys is zero. `o` must have a
/// buffer of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct TileAttention {
    /// Sequences.
    pub batch: usize,
    /// Queries of a sequence.
    pub n_queries: usize,
    /// Keys of a sequence.
    pub n_keys: usize,
    /// Heads of `q` and `o`.
    pub n_heads: usize,
    /// Heads of `k` and `v`, a divisor of `n_heads`: successive heads of `q` share one.
    pub kv_heads: usize,
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
    /// Words of running maxima and sums: for each sequence, head, pass over the output columns and quad of query numbers
    /// four maxima and four sums, in units of log₂. All passes of a head hold the same.
    pub fn state_words(&self) -> usize {
        self.batch * self.n_heads * self.passes() * self.n_queries.div_ceil(QUERIES) * QUERIES * 2
    }

    /// Passes over the output columns, each of at most 128.
    pub fn passes(&self) -> usize {
        self.head().div_ceil(COLUMNS * MAX_CHUNKS)
    }

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
            Mask::Custom(mask) => return mask.tiles.get(block).copied().unwrap_or_default(),
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
        let passes = self.passes();
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
        // The direct kernel goes over the columns twice for each half of a tile.
        let tile_turns = 4 * (vectors(self.head()) as usize + 1);
        // An even number: the tiled kernel takes two at a time.
        segment = segment.min(INVOCATION_TURNS / tile_turns).max(FEWEST_TILES).next_multiple_of(2);
        let x = blocks.min(groups).min(most);
        let y = heads.min((groups / x).max(1)).min(most);
        let z = self.batch.min((groups / (x * y)).max(1)).min(most);

        let split = segment < longest;
        let kept = if let Mask::Custom(mask) = &self.mask { mask.state } else { None };
        let state = match kept {
            Some(state) => state,
            None => builder.scratch("attention state", if split { self.state_words() } else { 4 }),
        };
        let lists = self.upload_lists(builder);
        let record = Record {
            op: self,
            chunks,
            passes,
            blocks,
            heads,
            state,
            lists,
            is_open: kept.is_some(),
            tile_flops,
        };
        for first_sequence in (0..self.batch).step_by(z) {
            for first_head in (0..heads).step_by(y) {
                for first_block in (0..blocks).step_by(x) {
                    let part = Part {
                        first_block,
                        tiles: &tiles[first_block..(first_block + x).min(blocks)],
                        first_head,
                        n_heads: y.min(heads - first_head),
                        first_sequence,
                        n_sequences: z.min(self.batch - first_sequence),
                    };
                    record.segments(builder, part, segment);
                }
            }
        }
    }

    fn upload_lists(&self, builder: &mut Builder) -> Vec<BufferId> {
        let runs = match &self.mask {
            Mask::Listed { runs, .. } => runs,
            Mask::Custom(mask) => return mask.lists.clone(),
            _ => return Vec::new(),
        };
        // For each block where its runs begin and how many there are, then all runs.
        let mut words = Vec::new();
        let mut at = 2 * runs.len();
        for list in runs {
            words.extend([word(at), word(list.len())]);
            at += 2 * list.len();
        }
        words.extend(runs.iter().flatten().flatten());
        vec![builder.upload_words("attention runs", words)]
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
    lists: Vec<BufferId>,
    /// Whether the sums stay undivided.
    is_open: bool,
    tile_flops: u64,
}

/// What a set of dispatches takes.
#[derive(Clone, Copy)]
struct Part<'a> {
    first_block: usize,
    /// Tiles that each block visits.
    tiles: &'a [usize],
    /// Heads times passes.
    first_head: usize,
    n_heads: usize,
    first_sequence: usize,
    n_sequences: usize,
}

/// `Sizes` of attention.wgsl.
struct Sizes {
    n_queries: usize,
    n_keys: usize,
    head: usize,
    passes: usize,
    q: Stream,
    k: Stream,
    v: Stream,
    o: Stream,
    first_block: usize,
    end_block: usize,
    first_head: usize,
    first_sequence: usize,
    heads: usize,
    blocks: usize,
    first_tile: usize,
    end_tile: usize,
    /// Bit 0 at the first, bit 1 at the last of a block's dispatches.
    stage: u32,
    scale: f32,
    before: usize,
    after: usize,
    query_rows: usize,
    key_rows: usize,
    group: usize,
}

impl Sizes {
    fn words(&self) -> Vec<u32> {
        let band = |keys: usize| word(keys.min(1 << 30));
        let mut words = vec![word(self.n_queries), word(self.n_keys), vectors(self.head), word(self.passes)];
        for stream in [self.q, self.k, self.v, self.o] {
            words.extend([vectors(stream.offset), vectors(stream.stride)]);
        }
        let counts = [
            self.first_block,
            self.end_block,
            self.first_head,
            self.first_sequence,
            self.heads,
            self.blocks,
            self.first_tile,
            self.end_tile,
        ];
        words.extend(counts.map(word));
        words.extend([self.stage, (self.scale * std::f32::consts::LOG2_E).to_bits()]);
        words.extend([band(self.before), band(self.after), word(self.query_rows), word(self.key_rows)]);
        words.push(word(self.group));
        words
    }
}

impl Record<'_> {
    /// One set of blocks, their keys in segments.
    fn segments(&self, builder: &mut Builder, part: Part<'_>, segment: usize) {
        let op = self.op;
        let longest = part.tiles.iter().copied().max().unwrap_or(0);
        let (shaders, query_rows, key_rows) = match &op.mask {
            Mask::Custom(mask) => (mask.shaders, mask.query_rows, mask.key_rows),
            Mask::Listed { .. } => (LISTED, op.n_queries, op.n_keys),
            _ => (BAND, op.n_queries, op.n_keys),
        };
        let choice = Choice {
            class: KernelClass { kernel: KERNEL, d_head: op.d_head, causal: op.mask == Mask::Causal },
            variants: variants(builder.target(), &shaders, self.chunks),
        };
        let (before, after) = match op.mask {
            Mask::Full | Mask::Custom(_) => (usize::MAX, usize::MAX),
            Mask::Causal => (usize::MAX, 0),
            Mask::Band { before, after } | Mask::Listed { before, after, .. } => (before, after),
        };
        let mut bindings = vec![op.q.buffer, op.k.buffer, op.v.buffer, op.o.buffer, self.state];
        bindings.extend(&self.lists);
        let mut first_tile = 0;
        loop {
            let end_tile = (first_tile + segment).min(longest);
            let is_last = end_tile == longest && !self.is_open;
            let visited: usize = part.tiles.iter().map(|&n| n.min(end_tile).saturating_sub(first_tile)).sum();
            let sizes = Sizes {
                n_queries: op.n_queries,
                n_keys: op.n_keys,
                head: op.head(),
                passes: self.passes,
                q: op.q,
                k: op.k,
                v: op.v,
                o: op.o,
                first_block: part.first_block,
                end_block: part.first_block + part.tiles.len(),
                first_head: part.first_head,
                first_sequence: part.first_sequence,
                heads: self.heads,
                blocks: self.blocks,
                first_tile,
                end_tile,
                stage: u32::from(first_tile == 0) + 2 * u32::from(is_last),
                scale: op.scale,
                before,
                after,
                query_rows,
                key_rows,
                group: op.n_heads / op.kv_heads,
            };
            builder.dispatch_one_of(
                choice.clone(),
                &sizes.words(),
                &bindings,
                [part.tiles.len(), part.n_heads, part.n_sequences],
                (visited * part.n_heads * part.n_sequences) as u64 * self.tile_flops,
            );
            first_tile = end_tile;
            if first_tile >= longest {
                return;
            }
        }
    }
}
