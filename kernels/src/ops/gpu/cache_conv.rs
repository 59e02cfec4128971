//! Convolutions of generated tokens: dot products of the filters with caches of all inputs, and short convolutions over rings.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::decode::Clock;
use super::elementwise::{Combine, line_of_groups};
use super::ring::Ring;
use super::short_conv::ShortFilters;
use super::stream::{Columns, Stream, vectors, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const CONV: Shader = Shader {
    label: "cache_conv",
    source: wgsl!("ops/gpu/cache_conv.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

const MERGE: Shader = Shader {
    label: "merge_conv",
    source: wgsl!("ops/gpu/erf.wgsl", "ops/gpu/activation.wgsl", "ops/gpu/merge_conv.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

const STREAMS: Shader = Shader {
    label: "token_streams",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/token_streams.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE, WRITE],
};

/// Invocations of a convolution's workgroup, and of one of the streams.
const THREADS: usize = 256;
const STREAM_THREADS: usize = 64;

/// Most vectors of channels in a workgroup: 256 bytes of a row.
const MAX_COLUMNS: usize = 16;

/// Positions of each thread of a part where the history is long enough: fewer would not be worth a part's start and merging.
const PART_TURNS: usize = 4;

/// Most parts of a history. With 256 channels, this many parts occupy a large GPU.
const MAX_PARTS: usize = 128;

/// Short convolutions and their last inputs, `[streams, batch, taps − 1]`.
#[derive(Debug, Clone, Copy)]
struct Short {
    filters: ShortFilters,
    ring: Ring,
}

/// Where a convolution's result goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To rows `[batch]`.
    Rows(Stream),
    /// To the history of another convolution.
    History(usize),
}

/// Caches of the streams of a token and of the long convolutions over them.
#[derive(Debug)]
pub struct CacheConv {
    clock: Clock,
    columns: Columns,
    streams: usize,
    /// Taps by lag, `[capacity]` rows for each convolution.
    taps: Vec<Stream>,
    /// Inputs, `[batch, capacity]` rows for each convolution.
    histories: Vec<Stream>,
    /// The token's streams after their short convolutions, `[streams, batch]`.
    values: Stream,
    results: BufferId,
    parts: usize,
    short: Option<Short>,
}

impl CacheConv {
    /// `streams` streams of `columns`, plain columns, with their short convolutions, if any, and one long convolution for each of
    /// `taps`, `[capacity]` rows.
    pub fn new(
        builder: &mut Builder,
        clock: Clock,
        columns: Columns,
        (streams, short): (usize, Option<ShortFilters>),
        taps: Vec<Stream>,
    ) -> Self {
        let (batch, capacity) = (clock.lengths.batch, clock.lengths.capacity());
        let groups = THREADS / columns_at_once(columns);
        let parts = capacity.div_ceil(PART_TURNS * groups).min(MAX_PARTS);
        let short = short.map(|filters| {
            // A ring has at least one row.
            let rows = (filters.taps - 1).max(1);
            Short { filters, ring: Ring::new(builder, clock.lengths, [streams, rows], columns) }
        });
        let histories = taps.iter().map(|_| builder.stream("history", batch * capacity, columns)).collect();
        Self {
            clock,
            columns,
            streams,
            taps,
            histories,
            values: builder.stream("token streams", streams * batch, columns),
            results: builder.scratch("convolution parts", batch * parts * columns.stride()),
            parts,
            short,
        }
    }

    /// Buffers of the state.
    pub fn state(&self) -> Vec<BufferId> {
        let ring = self.short.iter().map(|short| short.ring.stream.buffer);
        self.histories.iter().map(|history| history.buffer).chain(ring).collect()
    }

    /// Records the storage of the last rows of stream `index` of the context before its short convolution, `[batch, context]`.
    pub fn keep_stream(&self, builder: &mut Builder, index: usize, x: Stream) {
        if let Some(short) = &self.short {
            short.ring.keep(builder, index, x);
        }
    }

    /// Records the storage of the context's inputs of convolution `index`, `[batch, context]`.
    pub fn keep_inputs(&self, builder: &mut Builder, index: usize, x: Stream) {
        let cache = (self.histories[index], self.clock.lengths.capacity());
        self.clock.append(builder, (x, self.clock.lengths.context), cache, self.columns.stride(), false);
    }

    /// Records the return to the state after the context.
    pub fn restore(&self, builder: &mut Builder) {
        if let Some(short) = &self.short {
            short.ring.restore(builder);
        }
    }

    /// Records the token's streams and the product of two of them, the input of convolution 0. In `x`, `[batch]` rows, streams are
    /// `apart` floats apart.
    pub fn streams(&self, builder: &mut Builder, x: Stream, apart: usize, product: [usize; 2]) {
        let (batch, stride) = (self.clock.lengths.batch, self.columns.stride());
        let Some(history) = self.histories.first() else { return };
        let items = batch * stride / 4;
        let taps = self.short.map_or(1, |short| short.filters.taps);
        let ring_rows = self.short.map_or(1, |short| short.ring.rows);
        let filters = self.short.map_or(x, |short| short.filters.stream);
        // The convolution's results are written later in the step.
        let ring = self.short.map_or(self.results, |short| short.ring.stream.buffer);
        builder.dispatch(
            STREAMS,
            &[
                ("SHORT", f64::from(u8::from(self.short.is_some()))),
                ("TAPS", taps as f64),
                ("RING", ring_rows as f64),
            ],
            &[
                word(batch),
                vectors(stride),
                word(self.streams),
                vectors(x.offset),
                vectors(x.stride),
                vectors(apart),
                vectors(filters.offset),
                vectors(filters.stride),
                word(self.clock.lengths.capacity()),
                word(product[0]),
                word(product[1]),
            ],
            &[self.clock.buffer, x.buffer, filters.buffer, ring, self.values.buffer, history.buffer],
            line_of_groups(items.div_ceil(STREAM_THREADS)),
            (batch * stride * (2 * self.streams * (taps + 1) + 1)) as u64,
        );
    }

    /// Stream `index` of the token, `[batch]` rows.
    pub fn value(&self, index: usize) -> Stream {
        self.values.down(index * self.clock.lengths.batch)
    }

    /// Records the storage of the token's input of convolution `index`, `[batch]` rows.
    pub fn append(&self, builder: &mut Builder, index: usize, x: Stream) {
        let cache = (self.histories[index], self.clock.lengths.capacity());
        self.clock.append(builder, (x, 1), cache, self.columns.stride(), true);
    }

    /// Records convolution `index` of the token, combined with another stream, `[batch]` rows.
    pub fn apply(&self, builder: &mut Builder, index: usize, combine: Option<(Combine, Stream)>, to: Next) {
        let (batch, capacity) = (self.clock.lengths.batch, self.clock.lengths.capacity());
        let row_vectors = self.columns.stride() / 4;
        let at_once = columns_at_once(self.columns);
        let (history, taps) = (self.histories[index], self.taps[index]);
        builder.dispatch(
            CONV,
            &[("COLUMNS", at_once as f64)],
            &[
                word(row_vectors),
                word(self.parts),
                word(capacity),
                vectors(history.offset),
                vectors(history.stride),
                vectors(taps.offset),
                vectors(taps.stride),
            ],
            &[self.clock.buffer, history.buffer, taps.buffer, self.results],
            [self.parts, row_vectors.div_ceil(at_once), batch],
            8 * (batch * capacity * row_vectors) as u64,
        );
        let (y, rows) = match to {
            Next::Rows(rows) => (rows, 1),
            Next::History(index) => (self.histories[index], capacity),
        };
        let (how, b) = combine.unwrap_or((Combine::None, self.values));
        builder.dispatch(
            MERGE,
            &[
                ("COLUMNS", at_once as f64),
                ("FROM_CLOCK", f64::from(u8::from(matches!(to, Next::History(_))))),
                ("COMBINE", how.number()),
            ],
            &[
                word(row_vectors),
                word(self.parts),
                vectors(b.offset),
                vectors(b.stride),
                word(rows),
                vectors(y.offset),
                vectors(y.stride),
            ],
            &[self.clock.buffer, self.results, b.buffer, y.buffer],
            [row_vectors.div_ceil(at_once), batch, 1],
            4 * (batch * (self.parts + 1) * row_vectors) as u64,
        );
    }
}

/// Vectors of channels of a workgroup, a power of two.
fn columns_at_once(columns: Columns) -> usize {
    (columns.stride() / 4).next_power_of_two().min(MAX_COLUMNS)
}
