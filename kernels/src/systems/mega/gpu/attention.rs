//! Attention inside chunks, as products of whole chunks.

use mixer::{Access, BufferId, Case, MixerError, Shader};

use super::super::bias;
use super::super::spec::{Activation, AttentionSpec};
use crate::ops::gpu::{
    Batches, Builder, Clock, Columns, Combine, Gemm, Operand, Stream, line_of_groups, word,
};

const WEIGHTS: Shader = Shader {
    label: "weights",
    source: wgsl!(
        "ops/gpu/line.wgsl",
        "ops/gpu/reduce.wgsl",
        "ops/gpu/erf.wgsl",
        "systems/mega/weights.wgsl"
    ),
    entry: "main",
    bindings: &[Access::ReadWrite, Access::Read, Access::Read],
};

/// Positions of a run between projections and output, unless one chunk is longer.
const ROWS: usize = 8192;

/// Neighbouring chunks of one sequence, all of one length.
#[derive(Clone, Copy)]
pub struct Run {
    /// First row, counted over all sequences.
    pub first: usize,
    /// Number of chunks, and positions of each.
    pub chunks: usize,
    pub chunk: usize,
}

impl Run {
    pub fn rows(self) -> usize {
        self.chunks * self.chunk
    }
}

/// All runs, with at most [`ROWS`] positions each. A short last chunk is a run of its own.
pub fn runs(spec: &AttentionSpec) -> Vec<Run> {
    let mut runs = Vec::new();
    let whole = spec.seq_len / spec.chunk;
    let at_once = (ROWS / spec.chunk).max(1);
    for sequence in 0..spec.batch {
        let start = sequence * spec.seq_len;
        for first in (0..whole).step_by(at_once) {
            let chunks = at_once.min(whole - first);
            runs.push(Run { first: start + first * spec.chunk, chunks, chunk: spec.chunk });
        }
        let rest = spec.seq_len - whole * spec.chunk;
        if rest > 0 {
            runs.push(Run { first: start + whole * spec.chunk, chunks: 1, chunk: rest });
        }
    }
    runs
}

/// Inputs of attention, and its output `a`.
#[derive(Clone, Copy)]
pub struct Heads {
    pub q: Stream,
    pub k: Stream,
    pub v: Stream,
    pub a: Stream,
}

impl Heads {
    /// The streams from row `rows` on.
    pub fn down(self, rows: usize) -> Self {
        let Self { q, k, v, a } = self;
        Self { q: q.down(rows), k: k.down(rows), v: v.down(rows), a: a.down(rows) }
    }
}

/// Attention inside chunks on the device.
pub struct Attention {
    spec: AttentionSpec,
    /// The bias of each distance, distance 0 at c − 1.
    bias: BufferId,
}

/// Scores of equal blocks of queries and keys, `[blocks, queries]` rows.
#[derive(Clone, Copy)]
struct Scores {
    queries: usize,
    keys: usize,
    blocks: usize,
    stream: Stream,
}

impl Attention {
    pub fn upload(builder: &mut Builder, spec: AttentionSpec, case: &Case) -> Result<Self, MixerError> {
        let bias = bias::table(&spec, &case.tensors)?;
        let mut bias: Vec<f32> = bias.into_iter().map(|value| value as f32).collect();
        bias.resize(bias.len().next_multiple_of(4), 0.0);
        let stride = bias.len();
        Ok(Self { spec, bias: builder.upload_padded("bias", bias, stride).buffer })
    }

    /// Room for the scores of `rows` queries.
    pub fn scores(&self, builder: &mut Builder, rows: usize) -> Stream {
        builder.stream("scores", rows, Columns::plain(self.spec.chunk))
    }

    /// a of one run from its q, k and v, times `gate` if there is one.
    pub fn record(
        &self,
        builder: &mut Builder,
        run: Run,
        heads: Heads,
        gate: Option<Stream>,
        scores: Stream,
    ) {
        let scores = Scores { queries: run.chunk, keys: run.chunk, blocks: run.chunks, stream: scores };
        self.blocks(builder, scores, heads, gate, None);
    }

    /// a of one token of every sequence: k and v are a cache of the chunk's keys and values, `[batch, c]` rows, up to the
    /// clock's position.
    pub fn step(
        &self,
        builder: &mut Builder,
        clock: Clock,
        heads: Heads,
        gate: Option<Stream>,
        scores: Stream,
    ) {
        let scores = Scores { queries: 1, keys: self.spec.chunk, blocks: self.spec.batch, stream: scores };
        self.blocks(builder, scores, heads, gate, Some(clock));
    }

    fn blocks(
        &self,
        builder: &mut Builder,
        scores: Scores,
        heads: Heads,
        gate: Option<Stream>,
        clock: Option<Clock>,
    ) {
        let Heads { q, k, v, a } = heads;
        let Scores { queries, keys, blocks, stream: scores } = scores;
        let AttentionSpec { z, h, causal, activation, chunk: c, .. } = self.spec;
        let by = |rows: usize, stream: Stream| Operand { stream, outer: 0, inner: rows * stream.stride };
        let batches = Batches { outer: 1, inner: blocks };
        let product = Gemm::new(by(queries, q), by(keys, k), by(queries, scores), [queries, keys, z]);
        Gemm { batches, transpose_b: true, ..product }.record(builder);
        let number = match activation {
            Activation::Softmax => 0.0,
            Activation::Laplace => 1.0,
            Activation::Relu2 => 2.0,
        };
        let flag = |set: bool| f64::from(u8::from(set));
        let rows = blocks * queries;
        builder.dispatch(
            WEIGHTS,
            &[("ACTIVATION", number), ("CAUSAL", flag(causal)), ("CACHE", flag(clock.is_some()))],
            &[word(rows), word(keys), word(scores.stride), word(c - 1), (1.0 / (z as f32).sqrt()).to_bits()],
            // Without a clock, its binding needs a placeholder.
            &[scores.buffer, self.bias, clock.map_or(self.bias, |clock| clock.buffer)],
            line_of_groups(rows),
            10 * (rows * keys) as u64,
        );
        let mixed = Gemm::new(by(queries, scores), by(keys, v), by(queries, a), [queries, h, keys]);
        let combine = gate.map(|gate| (Combine::Multiply, by(queries, gate)));
        Gemm { batches, combine, ..mixed }.record(builder);
    }
}
