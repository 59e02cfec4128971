//! The GPU plan. Sequences are processed in runs of chunks, so that features exist for one run at a time. Sums are a
//! prefix sum over chunks:
//!
//! 1. the largest key projection of each head, run by run;
//! 2. for each run its key features, S and z of each chunk, and their running sums, which continue in the next run;
//! 3. the query features of the run, and the outputs from the sums before each chunk (causal) or of the whole sequence;
//!    the causal form adds the masked square of each chunk.
//!
//! Names as in `cpu.rs`. If one run covers everything, step 2 reuses the key projections of step 1.
//!
//! Decoding takes the largest key projection so far. Its key features are relative to the largest one of the context,
//! without ε, and one further feature carries ε: it is ε in every key, and in a query the sum of its features times
//! e^(the largest projection so far − that of the context).

use mixer::{Access, Case, GpuTarget, Level, MixerError, Plan, Shader};

use super::Spec;
use crate::multi_head::gpu_project;
use crate::ops::gpu::{
    Axis, Batches, Builder, Columns, Combine, Gemm, Linear, Operand, Stream, copy, grid, line_of_groups,
    prefix_sum, unpack, vectors, word,
};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const MAXIMUM: Shader = Shader {
    label: "maximum",
    source: wgsl!("systems/performer/maximum.wgsl"),
    entry: "main",
    bindings: &[READ, WRITE],
};

const FEATURES: Shader = Shader {
    label: "features",
    source: wgsl!("ops/gpu/line.wgsl", "systems/performer/features.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

const RUNNING_MAXIMUM: Shader = Shader {
    label: "running_maximum",
    source: wgsl!("systems/performer/running_maximum.wgsl"),
    entry: "main",
    bindings: &[WRITE],
};

const TOTALS: Shader = Shader {
    label: "totals",
    source: wgsl!("ops/gpu/line.wgsl", "systems/performer/totals.wgsl"),
    entry: "main",
    bindings: &[READ, WRITE],
};

const DIVIDE: Shader = Shader {
    label: "divide",
    source: wgsl!("ops/gpu/line.wgsl", "systems/performer/divide.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

/// Positions of a chunk: the masked square then has two tiles of a matrix product in each direction.
const CHUNK: usize = 128;

/// Largest number of positions in a run.
const ROWS: usize = 8192;

/// Largest size in bytes of a run's features, and of its sums, unless a single chunk takes more.
const RUN_BYTES: usize = 48 << 20;

/// Approximate number of operations per feature in the shaders outside matrix products.
const FEATURE_FLOPS: usize = 10;

/// Rows per workgroup of the maximum.
const MAXIMUM_ROWS: usize = 32;

/// Rows per workgroup of `features.wgsl` and `divide.wgsl`.
const GROUP_ROWS: usize = 8;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let mut builder = Builder::new(target);
    let (width, rows) = (spec.dims.d_model, spec.dims.batch * spec.dims.seq_len);
    let (plain, columns) = (Columns::plain(width), Columns::heads(spec.n_heads, spec.d_head));
    let [q, k, v] = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(tensors)?;
            [
                builder.upload("q", q, columns),
                builder.upload("k", k, columns),
                builder.upload("v", v, columns),
            ]
        }
        Level::Layer => {
            let x = builder.upload("x", spec.input(tensors)?, plain);
            let linear = |name| spec.linear(tensors, name);
            let layers = [linear("query")?, linear("key")?, linear("value")?];
            gpu_project(&mut builder, x, rows, plain, columns, &layers)
        }
    };
    let core = builder.stream("core", rows, columns);
    let mixer = Mixer::new(&mut builder, &spec, spec.projection(tensors)?, [q, k, v, core], None);
    mixer.record(&mut builder, true);
    let (result, columns) = match spec.level {
        Level::Core => (core, columns),
        Level::Layer => {
            let (weight, bias) = spec.linear(tensors, "out")?;
            let out = Linear::upload(&mut builder, weight, bias, columns, plain);
            let y = builder.stream("y", rows, plain);
            out.apply(&mut builder, core, rows, y, 0);
            (y, plain)
        }
    };
    let output = unpack(&mut builder, result, rows, columns);
    builder.finish(output)
}

/// Neighbouring chunks of one sequence, all of one length.
#[derive(Debug, Clone, Copy)]
struct Run {
    sequence: usize,
    /// First row, counted over all sequences.
    first: usize,
    chunks: usize,
    /// Positions of each chunk.
    chunk: usize,
}

impl Run {
    fn rows(self) -> usize {
        self.chunks * self.chunk
    }

    fn batches(self, heads: usize) -> Batches {
        Batches { outer: self.chunks, inner: heads }
    }
}

/// All runs of one sequence with up to `at_once` chunks each. A short last chunk is a run of its own.
fn runs(spec: &Spec, sequence: usize, at_once: usize) -> Vec<Run> {
    let length = spec.dims.seq_len;
    let start = sequence * length;
    let whole = length / CHUNK;
    let mut runs: Vec<Run> = (0..whole)
        .step_by(at_once)
        .map(|first| Run {
            sequence,
            first: start + first * CHUNK,
            chunks: at_once.min(whole - first),
            chunk: CHUNK,
        })
        .collect();
    if length > whole * CHUNK {
        runs.push(Run { sequence, first: start + whole * CHUNK, chunks: 1, chunk: length - whole * CHUNK });
    }
    runs
}

/// The sums after all keys of each sequence, from which a decoder goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    /// S, `[batch, heads, m + 1, padded d]`.
    pub products: Stream,
    /// z, `[batch, heads, padded m + 1]`.
    pub totals: Stream,
    /// Largest key projections, `[batch · heads]`.
    pub maxima: Stream,
}

impl Sums {
    pub(super) fn new(builder: &mut Builder, spec: &Spec) -> Self {
        let (batch, heads, features) = (spec.dims.batch, spec.n_heads, spec.n_features + 1);
        let products = Columns::plain(heads * features * Columns::plain(spec.d_head).stride());
        Self {
            products: builder.stream("sums", batch, products),
            totals: builder.stream("totals", batch, Columns::heads(heads, features)),
            maxima: builder.stream("maxima", 1, Columns::plain(batch * heads)),
        }
    }

    /// Records a copy to `other`.
    pub(super) fn copy_to(&self, builder: &mut Builder, other: &Self, batch: usize) {
        let streams = [(self.products, other.products), (self.totals, other.totals)];
        for (own, other) in streams {
            copy(builder, own, other, [batch, own.stride]);
        }
        let maxima = self.maxima;
        copy(builder, maxima, other.maxima, [1, maxima.stride]);
    }
}

/// Values that all steps use.
pub(super) struct Mixer {
    spec: Spec,
    /// Largest number of chunks in a run.
    at_once: usize,
    q: Stream,
    k: Stream,
    v: Stream,
    core: Stream,
    /// W d^(−1/4), transposed: `[d, m]`.
    pub(super) projection: Stream,
    /// Features of a run, `[rows, heads · padded m]`.
    key_features: Stream,
    query_features: Stream,
    /// Largest key projections of blocks of rows, `[batch · heads, blocks]`, and of heads, `[batch · heads]`. Where a
    /// decoder's outputs are wanted, a block is one row, and has the largest key projection up to it.
    block_maxima: Stream,
    maxima: Stream,
    /// S: slot 0 holds the sums before the run, then each chunk has a slot; `[at_once + 2, heads, m, padded d]`.
    products: Stream,
    /// Running sums of S: slot c holds the sums before chunk c.
    products_before: Stream,
    /// z with the slots of S, `[at_once + 2, heads · padded m]`.
    totals: Stream,
    totals_before: Stream,
    /// Buffers of the causal form only.
    square: Option<Square>,
    /// Set for decoding.
    kept: Option<Sums>,
}

/// Buffers of the masked square inside a chunk.
struct Square {
    /// Ones up to the diagonal, `[CHUNK, CHUNK]`.
    lower: Stream,
    /// Scores, `[rows, heads · CHUNK]`.
    scores: Stream,
    /// Scores times values, `[rows, heads · padded d]`.
    mixed: Stream,
}

impl Mixer {
    /// With `kept`, outputs are those of a decoder, and `kept` receives the sums.
    pub(super) fn new(
        builder: &mut Builder,
        spec: &Spec,
        projection: &[f32],
        [q, k, v, core]: [Stream; 4],
        kept: Option<Sums>,
    ) -> Self {
        let (m, d, heads) = (spec.n_features, spec.d_head, spec.n_heads);
        let scale = spec.projection_scale();
        let mut turned = vec![0.0; m * d];
        for (feature, row) in projection.chunks_exact(d).enumerate() {
            for (channel, &value) in row.iter().enumerate() {
                turned[channel * m + feature] = (scale * f64::from(value)) as f32;
            }
        }
        let n_columns = m + usize::from(kept.is_some());
        let features = Columns::heads(heads, n_columns);
        let streams = Columns::heads(heads, d);
        let sums = Columns::plain(heads * n_columns * Columns::plain(d).stride());
        let target = *builder.target();
        let affordable = usize::try_from(target.max_dispatch_flops).unwrap_or(usize::MAX);
        let length = spec.dims.seq_len;
        let at_once = [
            ROWS / CHUNK,
            length.div_ceil(CHUNK),
            affordable / (FEATURE_FLOPS * features.stride() * CHUNK),
            (affordable / sums.stride()).saturating_sub(2),
            RUN_BYTES / (4 * features.stride() * CHUNK),
            (RUN_BYTES / (4 * sums.stride())).saturating_sub(2),
        ];
        let at_once = at_once.into_iter().min().unwrap_or(1).max(1);
        let rows = (at_once * CHUNK).min(length);
        let square = spec.causal.then(|| {
            let lower = (0..CHUNK * CHUNK).map(|at| f32::from(u8::from(at % CHUNK <= at / CHUNK)));
            Square {
                lower: builder.upload("lower triangle", &lower.collect::<Vec<f32>>(), Columns::plain(CHUNK)),
                scores: builder.stream("scores", rows, Columns::heads(heads, CHUNK)),
                mixed: builder.stream("mixed", rows, streams),
            }
        });
        let all_heads = spec.dims.batch * heads;
        let blocks = if kept.is_some() { length } else { length.div_ceil(MAXIMUM_ROWS) + 1 };
        let maxima = match kept {
            Some(kept) => kept.maxima,
            None => builder.stream("maxima", 1, Columns::plain(all_heads)),
        };
        Self {
            spec: *spec,
            at_once,
            q,
            k,
            v,
            core,
            projection: builder.upload("projection", &turned, Columns::plain(m)),
            key_features: builder.stream("key features", rows, features),
            query_features: builder.stream("query features", rows, features),
            block_maxima: builder.stream("block maxima", all_heads, Columns::plain(blocks)),
            maxima,
            products: builder.stream("sums", at_once + 2, sums),
            products_before: builder.stream("sums before", at_once + 2, sums),
            totals: builder.stream("totals", at_once + 2, features),
            totals_before: builder.stream("totals before", at_once + 2, features),
            square,
            kept,
        }
    }

    /// Columns of a head's features: one more than features for a decoder's ε.
    fn feature_columns(&self) -> usize {
        self.spec.n_features + usize::from(self.kept.is_some())
    }

    /// Floats of a head's features and of a head, with padding.
    pub(super) fn feature_run(&self) -> usize {
        Columns::plain(self.feature_columns()).stride()
    }

    pub(super) fn head_run(&self) -> usize {
        Columns::plain(self.spec.d_head).stride()
    }

    /// Records the sums and, with `answers`, the outputs.
    pub(super) fn record(&self, builder: &mut Builder, answers: bool) {
        let sequences: Vec<Vec<Run>> =
            (0..self.spec.dims.batch).map(|sequence| runs(&self.spec, sequence, self.at_once)).collect();
        let is_one_run = sequences.iter().map(Vec::len).sum::<usize>() == 1;
        let mut blocks = 0;
        for runs in &sequences {
            blocks = 0;
            for &run in runs {
                self.project(builder, self.k, run, self.key_features);
                let rows = if self.kept.is_some() && answers { 1 } else { MAXIMUM_ROWS };
                blocks += self.block_maxima(builder, run, blocks, rows);
            }
        }
        self.head_maxima(builder, blocks);
        if self.kept.is_some() && answers {
            self.running_maxima(builder);
        }
        for runs in &sequences {
            for (index, &run) in runs.iter().enumerate() {
                if !is_one_run {
                    self.project(builder, self.k, run, self.key_features);
                }
                self.features(builder, self.k, run, self.key_features, true);
                self.sum(builder, run, index == 0);
                if let Some(square) = self.square.as_ref().filter(|_| answers) {
                    self.queries(builder, run);
                    self.causal(builder, run, square);
                }
                if index + 1 < runs.len() {
                    self.carry(builder, run);
                } else if let Some(kept) = &self.kept {
                    self.keep(builder, run, kept);
                }
            }
            if let (None, Some(last)) = (&self.square, runs.last()) {
                for &run in runs {
                    self.queries(builder, run);
                    self.bidirectional(builder, run, last.chunks);
                }
            }
        }
    }

    /// The rows of a run in a stream as an operand: chunk by chunk, head by head.
    fn of_run(stream: Stream, run: Run, head: usize) -> Operand {
        Operand { stream, outer: run.chunk * stream.stride, inner: head }
    }

    /// p of the queries or keys of a run.
    fn project(&self, builder: &mut Builder, x: Stream, run: Run, y: Stream) {
        let Spec { n_heads, n_features, d_head, .. } = self.spec;
        let x = Operand { stream: x.down(run.first), outer: 0, inner: self.head_run() };
        let y = Operand { stream: y, outer: 0, inner: self.feature_run() };
        let gemm = Gemm::new(x, self.projection.into(), y, [run.rows(), n_features, d_head]);
        Gemm { batches: Batches { outer: 1, inner: n_heads }, ..gemm }.record(builder);
    }

    /// The largest projections of a run's blocks of `rows` rows, which start at number `first` in their sequence. Returns
    /// the number of blocks.
    fn block_maxima(&self, builder: &mut Builder, run: Run, first: usize, rows: usize) -> usize {
        let (heads, stride) = (self.spec.n_heads, self.block_maxima.stride);
        let blocks = run.rows().div_ceil(rows);
        builder.dispatch(
            MAXIMUM,
            &[],
            &[
                word(run.rows()),
                word(self.spec.n_features),
                0,
                word(self.key_features.stride),
                word(self.feature_run()),
                word(rows),
                word(run.sequence * heads * stride + first),
                word(stride),
            ],
            &[self.key_features.buffer, self.block_maxima.buffer],
            [blocks, heads, 1],
            (run.rows() * heads * self.feature_run()) as u64,
        );
        blocks
    }

    fn head_maxima(&self, builder: &mut Builder, blocks: usize) {
        let (all_heads, stride) = (self.spec.dims.batch * self.spec.n_heads, self.block_maxima.stride);
        builder.dispatch(
            MAXIMUM,
            &[],
            &[1, word(blocks), 0, word(stride), word(stride), 1, 0, 1],
            &[self.block_maxima.buffer, self.maxima.buffer],
            [1, all_heads, 1],
            (all_heads * blocks) as u64,
        );
    }

    /// Replaces the rows' maxima by those up to each row.
    fn running_maxima(&self, builder: &mut Builder) {
        let (all_heads, length) = (self.spec.dims.batch * self.spec.n_heads, self.spec.dims.seq_len);
        builder.dispatch(
            RUNNING_MAXIMUM,
            &[],
            &[word(length), word(self.block_maxima.stride)],
            &[self.block_maxima.buffer],
            [1, all_heads, 1],
            2 * (all_heads * length) as u64,
        );
    }

    /// Keeps the sums after the last run of a sequence.
    fn keep(&self, builder: &mut Builder, run: Run, kept: &Sums) {
        for (before, kept) in [(self.products_before, kept.products), (self.totals_before, kept.totals)] {
            let (last, kept) = (before.down(run.chunks), kept.down(run.sequence));
            copy(builder, last, kept, [1, before.stride]);
        }
    }

    /// Replaces p by the features.
    fn features(&self, builder: &mut Builder, x: Stream, run: Run, p: Stream, keys: bool) {
        let heads = self.spec.n_heads;
        let x = x.down(run.first);
        let running = self.block_maxima.stride;
        let position = run.first - run.sequence * self.spec.dims.seq_len;
        builder.dispatch(
            FEATURES,
            &[("KEYS", f64::from(u8::from(keys))), ("RUNNING", f64::from(u8::from(self.kept.is_some())))],
            &[
                word(run.rows() * heads),
                word(heads),
                vectors(self.head_run()),
                vectors(self.feature_run()),
                word(self.spec.n_features),
                vectors(x.offset),
                vectors(x.stride),
                vectors(p.stride),
                word(run.sequence * heads),
                (self.spec.norm_scale() as f32).to_bits(),
                (self.spec.kernel_eps as f32).to_bits(),
                word(run.sequence * heads * running + position),
                word(running),
            ],
            &[x.buffer, self.maxima.buffer, self.block_maxima.buffer, p.buffer],
            row_groups(run.rows() * heads),
            (FEATURE_FLOPS * run.rows() * p.stride) as u64,
        );
    }

    fn queries(&self, builder: &mut Builder, run: Run) {
        self.project(builder, self.q, run, self.query_features);
        self.features(builder, self.q, run, self.query_features, false);
    }

    /// Writes S and z of a run's chunks to slots 1 and up, and their running sums.
    fn sum(&self, builder: &mut Builder, run: Run, is_first: bool) {
        let Spec { n_heads, d_head, .. } = self.spec;
        let keys = Self::of_run(self.key_features, run, self.feature_run());
        let values = Self::of_run(self.v.down(run.first), run, self.head_run());
        let sums = self.sums_operand(self.products.down(1));
        let gemm = Gemm::new(keys, values, sums, [self.feature_columns(), d_head, run.chunk]);
        Gemm { batches: run.batches(n_heads), transpose_a: true, ..gemm }.record(builder);
        let columns = self.totals.stride;
        let items = run.chunks * columns / 4;
        builder.dispatch(
            TOTALS,
            &[],
            &[
                word(items),
                vectors(columns),
                word(run.chunk),
                vectors(self.key_features.stride),
                vectors(columns),
                vectors(columns),
            ],
            &[self.key_features.buffer, self.totals.buffer],
            grid(items),
            (run.rows() * columns) as u64,
        );
        // Nothing precedes the first run of a sequence: its slot 0 is skipped, and every sum ends one slot earlier.
        for (own, before) in [(self.products, self.products_before), (self.totals, self.totals_before)] {
            let from = Axis { stream: if is_first { own.down(1) } else { own }, outer: 0 };
            let sizes = [1, run.chunks + 1, own.stride];
            prefix_sum(builder, from, Axis { stream: before, outer: 0 }, is_first, sizes);
        }
    }

    /// Moves the sums after a run to slot 0 for the next run.
    fn carry(&self, builder: &mut Builder, run: Run) {
        for (own, before) in [(self.products, self.products_before), (self.totals, self.totals_before)] {
            let last = before.down(run.chunks);
            copy(builder, last, own, [1, own.stride]);
        }
    }

    /// S of `slot` and of the following slots as an operand: slot by slot, head by head.
    fn sums_operand(&self, slots: Stream) -> Operand {
        Operand {
            stream: Stream { stride: self.head_run(), ..slots },
            outer: slots.stride,
            inner: self.feature_columns() * self.head_run(),
        }
    }

    /// Outputs of a run from the sums before each chunk and the masked square inside it.
    fn causal(&self, builder: &mut Builder, run: Run, square: &Square) {
        let Spec { n_heads, d_head, .. } = self.spec;
        let n_features = self.feature_columns();
        let batches = run.batches(n_heads);
        let chunk = Columns::plain(run.chunk).stride();
        let queries = Self::of_run(self.query_features, run, self.feature_run());
        let keys = Self::of_run(self.key_features, run, self.feature_run());
        let values = Self::of_run(self.v.down(run.first), run, self.head_run());
        let scores = Stream { stride: n_heads * chunk, ..square.scores };
        let scores = Self::of_run(scores, run, chunk);
        let mixed = Self::of_run(square.mixed, run, self.head_run());
        let core = Self::of_run(self.core.down(run.first), run, self.head_run());
        let lower = Some((Combine::Multiply, square.lower.into()));
        let gemm = Gemm::new(queries, keys, scores, [run.chunk, run.chunk, n_features]);
        Gemm { batches, transpose_b: true, combine: lower, ..gemm }.record(builder);
        let gemm = Gemm::new(scores, values, mixed, [run.chunk, d_head, run.chunk]);
        Gemm { batches, ..gemm }.record(builder);
        let before = self.sums_operand(self.products_before);
        let gemm = Gemm::new(queries, before, core, [run.chunk, d_head, n_features]);
        Gemm { batches, combine: Some((Combine::Add, mixed)), ..gemm }.record(builder);
        self.divide(builder, run, self.totals_before, Some((scores.stream, chunk)));
    }

    /// Outputs of a run from the sums over all keys, which are in `slot`.
    fn bidirectional(&self, builder: &mut Builder, run: Run, slot: usize) {
        let Spec { n_heads, n_features, d_head, .. } = self.spec;
        let queries = Operand { stream: self.query_features, outer: 0, inner: self.feature_run() };
        let sums = self.sums_operand(self.products_before.down(slot));
        let core = Operand { stream: self.core.down(run.first), outer: 0, inner: self.head_run() };
        let gemm = Gemm::new(queries, sums, core, [run.rows(), d_head, n_features]);
        Gemm { batches: Batches { outer: 1, inner: n_heads }, ..gemm }.record(builder);
        self.divide(builder, run, self.totals_before.down(slot), None);
    }

    fn divide(&self, builder: &mut Builder, run: Run, z: Stream, scores: Option<(Stream, usize)>) {
        let (heads, core, q) = (self.spec.n_heads, self.core.down(run.first), self.query_features);
        let (s, keys) = scores.unwrap_or((q, 0));
        builder.dispatch(
            DIVIDE,
            &[
                ("CAUSAL", f64::from(u8::from(scores.is_some()))),
                ("RUNNING", f64::from(u8::from(self.kept.is_some()))),
            ],
            &[
                word(run.rows() * heads),
                word(heads),
                vectors(self.head_run()),
                vectors(self.feature_run()),
                vectors(keys),
                vectors(q.stride),
                vectors(z.offset),
                word(run.chunk),
                if scores.is_some() { vectors(z.stride) } else { 0 },
                vectors(s.stride),
                vectors(core.offset),
                vectors(core.stride),
                (self.spec.unscaled_eta() as f32).to_bits(),
                word(self.spec.n_features),
            ],
            &[q.buffer, z.buffer, s.buffer, core.buffer],
            row_groups(run.rows() * heads),
            (2 * run.rows() * (q.stride + heads * (keys + self.head_run()))) as u64,
        );
    }
}

/// A grid of workgroups for `items` rows of all heads.
fn row_groups(items: usize) -> [usize; 3] {
    let groups = items.div_ceil(GROUP_ROWS);
    line_of_groups(groups)
}
