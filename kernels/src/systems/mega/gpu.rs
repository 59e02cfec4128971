//! The GPU plan: normalisation; the average as a scan over chunks of time, or as an FFT convolution if it is truncated;
//! then runs of whole chunks of one sequence from their projections to the output, so that scores and wide streams stay
//! small. Steps have the names and the order of those in the CPU files.

use mixer::{Access, BufferId, Case, Count, GpuTarget, MixerError, Plan, Shader, room, zeros};

use super::spec::{self, Activation, AttentionSpec, EPS, EmaSpec, LayerParams, LayerSpec, Spec};
use super::{bias, ema};
use crate::ops::gpu::{
    self, Batches, Builder, Columns, Combine, Gemm, Linear, LongConv, Operand, Stream, grid, line_of_groups,
    norm, unpack, vectors, word,
};
use crate::ops::long_conv::{circular_lag, fft_size};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const EMA: Shader = Shader {
    label: "ema",
    source: wgsl!("ops/gpu/line.wgsl", "systems/mega/ema.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE],
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
    bindings: &[WRITE, READ],
};

const BLEND: Shader = Shader {
    label: "blend",
    source: wgsl!("ops/gpu/line.wgsl", "systems/mega/blend.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

/// Dimensions of the average per thread.
const DIMENSIONS: usize = 16;

/// Smallest number of time steps in a chunk of the scan. Chunks of long sequences are longer, so that states stay few.
const STEPS: usize = 64;
const MOST_CHUNKS: usize = 512;

/// Positions of a run between projections and output, unless one chunk is longer.
const ROWS: usize = 8192;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let mut builder = Builder::new(target);
    match Spec::read(case)? {
        Spec::Ema(spec) => {
            let columns = Columns::plain(spec.dims.d_model);
            let x = builder.upload("x", spec.input(&case.tensors)?, columns);
            let e = average(&mut builder, &spec, case, x)?;
            let output = unpack(&mut builder, e, spec.rows(), columns);
            builder.finish(output)
        }
        Spec::Attention(spec) => {
            let [q, k, v] = spec.streams(&case.tensors)?;
            let q = builder.upload("q", q, Columns::plain(spec.z));
            let k = builder.upload("k", k, Columns::plain(spec.z));
            let v = builder.upload("v", v, Columns::plain(spec.h));
            let a = builder.stream("a", spec.batch * spec.seq_len, Columns::plain(spec.h));
            let attention = Attention::new(&mut builder, spec, case)?;
            for run in runs(&spec) {
                attention.record(&mut builder, run, Heads { q, k, v, a }.down(run.first), None);
            }
            let output = unpack(&mut builder, a, spec.batch * spec.seq_len, Columns::plain(spec.h));
            builder.finish(output)
        }
        Spec::Layer(spec) => {
            let y = layer(&mut builder, &spec, case)?;
            let output = unpack(&mut builder, y, spec.ema.rows(), Columns::plain(spec.width()));
            builder.finish(output)
        }
    }
}

/// SiLU(m + ω ⊙ x).
fn average(builder: &mut Builder, spec: &EmaSpec, case: &Case, x: Stream) -> Result<Stream, MixerError> {
    let (batch, length, width) = (spec.dims.batch, spec.dims.seq_len, spec.dims.d_model);
    let columns = Columns::plain(width);
    let dimensions = ema::dimensions(spec, &case.tensors)?;
    let omega = builder.upload("omega", spec.residual(&case.tensors)?, columns).buffer;
    let y = builder.stream("average", spec.rows(), columns);
    let chunk = STEPS.max(length.div_ceil(MOST_CHUNKS));
    let chunks = length.div_ceil(chunk);
    let scan = Scan { width, length, chunk, chunks, x, y, omega };
    if spec.truncation.is_some() {
        let filter = truncated(builder, spec, &dimensions)?;
        filter.0.apply(builder, &filter.1, (x, None), (y, None));
        let nothing = builder.scratch("states", 4);
        let work = Work { stage: Stage::Finish, items: spec.rows() * width, flops: 4 };
        scan.stage(builder, work, x.buffer, nothing, Options::default());
        return Ok(y);
    }
    let states = builder.scratch("states", batch * chunks * width * DIMENSIONS);
    let passes = spec.n.div_ceil(DIMENSIONS);
    for direction in 0..spec.directions() {
        for pass in 0..passes {
            let mut params = vec![0.0; width * 2 * DIMENSIONS];
            for (channel, to) in params.chunks_exact_mut(2 * DIMENSIONS).enumerate() {
                let all = &dimensions[(direction * width + channel) * spec.n..][..spec.n];
                for (index, dimension) in all.iter().skip(pass * DIMENSIONS).take(DIMENSIONS).enumerate() {
                    to[index] = dimension.decay as f32;
                    to[DIMENSIONS + index] = dimension.gain as f32;
                }
            }
            let params = builder.upload_padded("average", params, 2 * DIMENSIONS).buffer;
            let add = direction + pass > 0;
            let last = direction + 1 == spec.directions() && pass + 1 == passes;
            let options = Options { backward: direction == 1, add, last };
            let items = batch * chunks * width;
            for work in [
                Work { stage: Stage::Ends, items, flops: 2 * DIMENSIONS * chunk },
                Work { stage: Stage::Carry, items: batch * width * 4, flops: 8 * chunks },
                Work { stage: Stage::Outputs, items, flops: 4 * DIMENSIONS * chunk },
            ] {
                scan.stage(builder, work, params, states, options);
            }
        }
    }
    Ok(y)
}

/// Values that the stages of a scan share.
struct Scan {
    /// Channels.
    width: usize,
    length: usize,
    /// Steps of a chunk.
    chunk: usize,
    chunks: usize,
    x: Stream,
    y: Stream,
    omega: BufferId,
}

/// Stages of `ema.wgsl`, numbered as there.
#[derive(Clone, Copy)]
enum Stage {
    Ends = 0,
    Carry = 1,
    Outputs = 2,
    Finish = 3,
}

/// A stage with `items` threads of `flops` operations each.
#[derive(Clone, Copy)]
struct Work {
    stage: Stage,
    items: usize,
    flops: usize,
}

/// Options of a pass of the scan.
#[derive(Clone, Copy, Default)]
struct Options {
    backward: bool,
    /// Whether the result is added to y.
    add: bool,
    /// Whether this is the last pass.
    last: bool,
}

impl Scan {
    /// One stage as one dispatch, or several if one would run too long.
    fn stage(
        &self,
        builder: &mut Builder,
        Work { stage, items, flops }: Work,
        params: BufferId,
        states: BufferId,
        options: Options,
    ) {
        let flag = |set: bool| f64::from(u8::from(set));
        let affordable = builder.target().max_dispatch_flops / flops as u64;
        let at_once = usize::try_from(affordable).unwrap_or(usize::MAX).clamp(64, items.max(64));
        for first in (0..items).step_by(at_once) {
            let end = (first + at_once).min(items);
            let groups = (end - first).div_ceil(64);
            let mut uniforms = vec![word(first), word(end)];
            uniforms.extend([self.width, self.length, self.chunk, self.chunks].map(word));
            uniforms.extend([word(self.x.stride), word(self.y.stride)]);
            builder.dispatch(
                EMA,
                &[
                    ("STAGE", f64::from(stage as u8)),
                    ("BACKWARD", flag(options.backward)),
                    ("ADD", flag(options.add)),
                    ("LAST", flag(options.last)),
                ],
                &uniforms,
                &[self.x.buffer, params, self.omega, states, self.y.buffer],
                line_of_groups(groups),
                flops as u64 * (end - first) as u64,
            );
        }
    }
}

/// The truncated average as a circular convolution; both directions include the present.
fn truncated(
    builder: &mut Builder,
    spec: &EmaSpec,
    dimensions: &[ema::Dimension],
) -> Result<(LongConv, gpu::Filter), MixerError> {
    let (batch, length, width) = (spec.dims.batch, spec.dims.seq_len, spec.dims.d_model);
    let size = fft_size(length).max(8);
    let conv = LongConv::new(builder, [batch, length, width], size)?;
    // Reserve all kernels before the first is built.
    drop(room::<f64>(Count::from(dimensions.len() / spec.n.max(1)) * Count::from(spec.lags()))?);
    let kernels: Vec<Vec<f64>> =
        dimensions.chunks_exact(spec.n).map(|dimensions| ema::kernel(dimensions, spec.lags())).collect();
    let stride = Columns::plain(width).stride();
    if !builder.fits(size.saturating_mul(stride)) {
        return Err(MixerError::NeedsBuffer {
            label: "average".to_owned(),
            needed_bytes: (4 * Count::from(size) * Count::from(stride)).get(),
            limit_bytes: builder.max_binding_bytes(),
        });
    }
    let mut taps: Vec<f32> = zeros(Count::from(size) * Count::from(stride))?;
    let value = |row: usize, lag: usize| kernels.get(row).and_then(|k| k.get(lag)).copied().unwrap_or(0.0);
    for (position, row) in taps.chunks_exact_mut(stride).enumerate() {
        let Some(lag) = circular_lag(position, size, length) else { continue };
        for (channel, to) in row[..width].iter_mut().enumerate() {
            *to = match lag {
                Ok(0) => value(channel, 0) + value(width + channel, 0),
                Ok(lag) => value(channel, lag),
                Err(lag) => value(width + channel, lag),
            } as f32;
        }
    }
    let taps = builder.upload_padded("average", taps, stride);
    let filter = conv.filter(builder, taps, size);
    Ok((conv, filter))
}

/// Neighbouring chunks of one sequence, all of one length.
#[derive(Clone, Copy)]
struct Run {
    /// First row, counted over all sequences.
    first: usize,
    /// Number of chunks, and positions of each.
    chunks: usize,
    chunk: usize,
}

impl Run {
    fn rows(self) -> usize {
        self.chunks * self.chunk
    }
}

/// All runs, with at most [`ROWS`] positions each. A short last chunk is a run of its own.
fn runs(spec: &AttentionSpec) -> Vec<Run> {
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
struct Heads {
    q: Stream,
    k: Stream,
    v: Stream,
    a: Stream,
}

impl Heads {
    /// The streams from row `rows` on.
    fn down(self, rows: usize) -> Self {
        let Self { q, k, v, a } = self;
        Self { q: q.down(rows), k: k.down(rows), v: v.down(rows), a: a.down(rows) }
    }
}

/// Attention inside chunks on the device.
struct Attention {
    spec: AttentionSpec,
    /// The bias of each distance, distance 0 at c − 1.
    bias: BufferId,
    /// `[rows of a run, c]`.
    scores: Stream,
}

impl Attention {
    fn new(builder: &mut Builder, spec: AttentionSpec, case: &Case) -> Result<Self, MixerError> {
        let bias = bias::table(&spec, &case.tensors)?;
        let mut bias: Vec<f32> = bias.into_iter().map(|value| value as f32).collect();
        bias.resize(bias.len().next_multiple_of(4), 0.0);
        let stride = bias.len();
        let bias = builder.upload_padded("bias", bias, stride).buffer;
        let rows = runs(&spec).into_iter().map(Run::rows).max().unwrap_or(1);
        let scores = builder.stream("scores", rows, Columns::plain(spec.chunk));
        Ok(Self { spec, bias, scores })
    }

    /// a of one run from its q, k and v, times `gate` if there is one.
    fn record(&self, builder: &mut Builder, run: Run, heads: Heads, gate: Option<Stream>) {
        let Heads { q, k, v, a } = heads;
        let AttentionSpec { z, h, causal, activation, chunk: c, .. } = self.spec;
        let each = |stream: Stream| Operand { stream, outer: 0, inner: run.chunk * stream.stride };
        let batches = Batches { outer: 1, inner: run.chunks };
        let sizes = [run.chunk, run.chunk, z];
        let scores = Gemm::new(each(q), each(k), each(self.scores), sizes);
        Gemm { batches, transpose_b: true, ..scores }.record(builder);
        let number = match activation {
            Activation::Softmax => 0.0,
            Activation::Laplace => 1.0,
            Activation::Relu2 => 2.0,
        };
        let rows = run.rows();
        builder.dispatch(
            WEIGHTS,
            &[("ACTIVATION", number), ("CAUSAL", f64::from(u8::from(causal)))],
            &[
                word(rows),
                word(run.chunk),
                word(self.scores.stride),
                word(c - 1),
                (1.0 / (z as f32).sqrt()).to_bits(),
            ],
            &[self.scores.buffer, self.bias],
            line_of_groups(rows),
            10 * (rows * run.chunk) as u64,
        );
        let mixed = Gemm::new(each(self.scores), each(v), each(a), [run.chunk, h, run.chunk]);
        let combine = gate.map(|gate| (Combine::Multiply, each(gate)));
        Gemm { batches, combine, ..mixed }.record(builder);
    }
}

/// Buffers of a layer for every run.
struct Layer {
    value: Linear,
    to_u: Linear,
    to_z: Linear,
    to_r: Linear,
    to_hidden: Linear,
    out: Linear,
    /// κ₀ and μ₀.
    query: Affine,
    /// κ₁ and μ₁.
    key: Affine,
    norm: gpu::Norm,
}

/// A row that multiplies streams, and a row that is added to them.
#[derive(Clone, Copy)]
struct Affine {
    weight: Stream,
    bias: Stream,
}

impl Layer {
    fn new(builder: &mut Builder, spec: &LayerSpec, params: &LayerParams<'_>) -> Self {
        let (width, z, h) = (spec.width(), spec.attention.z, spec.attention.h);
        let columns = Columns::plain;
        let part = |builder: &mut Builder, first: usize, outputs: usize| {
            let weight = &params.joint.0[first * width..(first + outputs) * width];
            let bias = &params.joint.1[first..first + outputs];
            Linear::upload(builder, weight, Some(bias), columns(width), columns(outputs))
        };
        let (to_u, to_z) = (part(builder, 0, width), part(builder, width, z));
        let (to_r, to_hidden) = (part(builder, width + z, h), part(builder, width + z + h, width));
        let mut affine = |rows: std::ops::Range<usize>| Affine {
            weight: builder.upload("affine", &params.qk_weight[rows.clone()], columns(z)),
            bias: builder.upload("affine", &params.qk_bias[rows], columns(z)),
        };
        let (query, key) = (affine(0..z), affine(z..2 * z));
        let norm = match params.norm {
            spec::Norm::Scale(g) => gpu::Norm::Scale(g),
            spec::Norm::Layer(weight, bias) => gpu::Norm::upload(builder, weight, bias),
        };
        let value = (params.value.0, Some(params.value.1));
        let out = (params.out.0, Some(params.out.1));
        Self {
            value: Linear::upload(builder, value.0, value.1, columns(width), columns(h)),
            to_u,
            to_z,
            to_r,
            to_hidden,
            out: Linear::upload(builder, out.0, out.1, columns(h), columns(width)),
            query,
            key,
            norm,
        }
    }
}

fn layer(builder: &mut Builder, spec: &LayerSpec, case: &Case) -> Result<Stream, MixerError> {
    let (width, z, h, rows) = (spec.width(), spec.attention.z, spec.attention.h, spec.ema.rows());
    let columns = Columns::plain(width);
    let params = spec.params(&case.tensors)?;
    let device = Layer::new(builder, spec, &params);
    let x = builder.upload("x", spec.ema.input(&case.tensors)?, columns);
    let normalized = if spec.pre_norm {
        let normalized = builder.stream("normalized", rows, columns);
        norm(builder, x, device.norm, EPS as f32, normalized, [rows, width]);
        normalized
    } else {
        x
    };
    let e = average(builder, &spec.ema, case, normalized)?;
    let attention = Attention::new(builder, spec.attention, case)?;
    let runs = runs(&spec.attention);
    let most = runs.iter().map(|run| run.rows()).max().unwrap_or(1);
    let [u, hidden] = ["u", "hidden"].map(|label| builder.stream(label, most, columns));
    let candidate = builder.stream("candidate", most, columns);
    let [shared, q, k] = ["z", "q", "k"].map(|label| builder.stream(label, most, Columns::plain(z)));
    let [v, r, a] = ["v", "r", "a"].map(|label| builder.stream(label, most, Columns::plain(h)));
    let y = builder.stream("y", rows, columns);
    for run in runs {
        let n = run.rows();
        let e = e.down(run.first);
        let project = |builder: &mut Builder, linear: &Linear, x: Stream, activation, to: Stream| {
            Gemm { activation, ..linear.gemm(x, n, to, 0) }.record(builder);
        };
        project(builder, &device.value, normalized.down(run.first), gpu::Activation::Silu, v);
        project(builder, &device.to_u, e, gpu::Activation::Sigmoid, u);
        project(builder, &device.to_z, e, gpu::Activation::Silu, shared);
        project(builder, &device.to_r, e, gpu::Activation::Silu, r);
        project(builder, &device.to_hidden, e, gpu::Activation::None, hidden);
        for (Affine { weight, bias }, to) in [(device.query, q), (device.key, k)] {
            blend(builder, true, [shared, weight, bias, to], [n, to.stride]);
        }
        attention.record(builder, run, Heads { q, k, v, a }, Some(r));
        let product = device.out.gemm(a, n, candidate, 0);
        Gemm { combine: Some((Combine::Add, hidden.into())), ..product }.record(builder);
        blend(builder, false, [x.down(run.first), u, candidate, y.down(run.first)], [n, columns.stride()]);
    }
    if spec.pre_norm {
        return Ok(y);
    }
    let normalized = builder.stream("normalized", rows, columns);
    norm(builder, y, device.norm, EPS as f32, normalized, [rows, width]);
    Ok(normalized)
}

/// [a, b, c, y] of blend.wgsl; where `affine`, b and c are single rows.
fn blend(builder: &mut Builder, affine: bool, streams: [Stream; 4], [rows, width]: [usize; 2]) {
    let items = rows * width / 4;
    let mut uniforms = vec![word(items), vectors(width)];
    for (index, stream) in streams.iter().enumerate() {
        let single = affine && (index == 1 || index == 2);
        uniforms.extend([vectors(stream.offset), if single { 0 } else { vectors(stream.stride) }]);
    }
    builder.dispatch(
        BLEND,
        &[("AFFINE", f64::from(u8::from(affine)))],
        &uniforms,
        &streams.map(|stream| stream.buffer),
        grid(items),
        4 * (rows * width) as u64,
    );
}
