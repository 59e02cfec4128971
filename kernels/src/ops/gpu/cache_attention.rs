//! Attention of one query of each head over a cache of keys and values.

use mixer::{Access, BufferId, Shader};

use super::builder::{Builder, INVOCATION_TURNS};
use super::decode::Clock;
use super::elementwise::line_of_groups;
use super::stream::{Columns, Stream, vectors, word};

const ATTENTION: Shader = Shader {
    label: "cache_attention",
    source: wgsl!("ops/gpu/cache_attention.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

const MERGE: Shader = Shader {
    label: "merge_parts",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/merge_parts.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

/// Keys that a workgroup takes at a time, and its invocations.
const TILE: usize = 64;

/// Tiles of a part where the cache is long enough: fewer would not be worth a part's start and its merging.
const PART_TILES: usize = 8;

/// Most parts of a cache. With four heads, this many workgroups occupy a large GPU.
const MAX_PARTS: usize = 128;

/// Keys that a query sees in a ring.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Keys before the query's own.
    pub reach: usize,
    /// Distance of these keys for each head, in words.
    pub dilations: BufferId,
}

/// Attention over a cache.
#[derive(Debug, Clone, Copy)]
pub struct CacheAttention {
    /// Layout of queries and outputs.
    pub heads: Columns,
    /// Heads of keys and values; divides the heads.
    pub kv_heads: usize,
    /// Rows of the cache in each sequence.
    pub capacity: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Queries, `[batch]` rows.
    pub q: Stream,
    /// Keys, `[batch, capacity]` rows.
    pub k: Stream,
    /// Values, `[batch, capacity]` rows.
    pub v: Stream,
    /// The keys that queries see; all up to their own where absent.
    pub window: Option<Window>,
    /// Outputs, `[batch]` rows.
    pub y: Stream,
}

impl CacheAttention {
    /// Records the attention of the present token to all positions up to its own.
    pub fn record(&self, builder: &mut Builder, clock: Clock) {
        let run = self.heads.run() / 4;
        let (batch, heads) = (clock.lengths.batch, self.heads.groups);
        let keys = self.window.map_or(self.capacity, |window| self.capacity.min(window.reach + 1));
        let tiles = keys.div_ceil(TILE);
        // Loop iterations of an invocation for a tile: a key's vectors, the maximum, and the values.
        let turns = run + 2 * TILE + 1;
        let parts = tiles.div_ceil(PART_TILES).min(MAX_PARTS).max(tiles.div_ceil(INVOCATION_TURNS / turns));
        let results = builder.scratch("parts", batch * heads * parts * 4 * (run + 1));
        let flops = 4 * (batch * heads * keys) as u64 * self.heads.width as u64;
        let dilations = self.window.map_or(clock.buffer, |window| window.dilations);
        builder.dispatch(
            ATTENTION,
            &[
                ("RUN", run as f64),
                ("SHARED", (heads / self.kv_heads.max(1)) as f64),
                ("WINDOW", f64::from(u8::from(self.window.is_some()))),
            ],
            &[
                word(heads),
                word(parts),
                word(self.capacity),
                vectors(self.q.offset),
                vectors(self.q.stride),
                vectors(self.k.stride),
                (self.scale * std::f32::consts::LOG2_E).to_bits(),
                word(self.window.map_or(0, |window| window.reach)),
            ],
            &[clock.buffer, self.q.buffer, self.k.buffer, self.v.buffer, dilations, results],
            [parts * run.div_ceil(TILE), heads, batch],
            flops,
        );
        let items = batch * heads * run;
        builder.dispatch(
            MERGE,
            &[("RUN", run as f64)],
            &[word(items), word(heads), word(parts), vectors(self.y.offset), vectors(self.y.stride)],
            &[results, self.y.buffer],
            line_of_groups(items.div_ceil(64)),
            (items * parts * 10) as u64,
        );
    }
}
