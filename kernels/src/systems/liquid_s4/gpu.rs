//! The GPU plan: the state-space model by FFT and the products by a table of positions, or the recurrence as a scan
//! over chunks; then GELU, the output layer and its gate by blocks of rows. Steps have the names and the order of those
//! in the CPU files.

mod scan;

use mixer::{Access, Case, Count, GpuTarget, Level, MixerError, Plan, Serial, Shader, gather, room, zeros};

pub(super) use self::scan::Scan;
use super::kb;
use super::liquid::{self, Tuples};
use super::spec::{Contraction, Liquid, Spec};
use super::ssm::Ssm;
use crate::ops::gpu::{
    Activation, Builder, Columns, Combine, Filter, Gemm, Linear, LongConv, Stream, grid, map, unpack,
    vectors, word,
};
use crate::ops::long_conv::{circular_lag, fft_size};

const PRODUCTS: Shader = Shader {
    label: "products",
    source: wgsl!("ops/gpu/line.wgsl", "systems/liquid_s4/products.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

/// Position of a factor before the start of the sequence.
const NOWHERE: u32 = u32::MAX;

/// Rows per block of the output layer.
const ROWS: usize = 16_384;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let (width, rows) = (spec.dims.d_model, spec.rows());
    let columns = Columns::plain(width);
    let x = builder.upload("x", spec.input(&case.tensors)?, columns);
    let s = match spec.liquid {
        Liquid::Recurrence => {
            let scan = Scan::upload(&mut builder, &spec, case)?;
            let steps = scan.steps(&mut builder, spec.dims.seq_len);
            let state = builder.scratch("state", scan.state_floats());
            scan.record(&mut builder, x, steps, state, true)
        }
        _ => convolution(&mut builder, &spec, case, x)?,
    };
    let y = match spec.level {
        Level::Core => s,
        Level::Layer => {
            let layer = OutputLayer::upload(&mut builder, &spec, case)?;
            let rows = layer.rows(&mut builder, rows);
            layer.record(&mut builder, s, rows)
        }
    };
    let output = unpack(&mut builder, y, rows, columns);
    builder.finish(output)
}

/// A circular filter of every channel, as taps.
fn filter(
    builder: &mut Builder,
    spec: &Spec,
    (conv, size): (&LongConv, usize),
    both_ways: bool,
    tap: &dyn Fn(usize, Result<usize, usize>) -> f32,
) -> Result<Filter, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let stride = Columns::plain(width).stride();
    let n_taps = if both_ways { size } else { length };
    if !builder.fits(n_taps.saturating_mul(stride)) {
        return Err(MixerError::NeedsBuffer {
            label: "kernel".to_owned(),
            needed_bytes: (4 * Count::from(n_taps) * Count::from(stride)).get(),
            limit_bytes: builder.max_binding_bytes(),
        });
    }
    let mut taps: Vec<f32> = zeros(Count::from(n_taps) * Count::from(stride))?;
    for (position, row) in taps.chunks_exact_mut(stride).enumerate() {
        let Some(lag) = circular_lag(position, size, length) else { continue };
        row[..width].iter_mut().enumerate().for_each(|(channel, to)| *to = tap(channel, lag));
    }
    let taps = builder.upload_padded("kernel", taps, stride);
    Ok(conv.filter(builder, taps, n_taps))
}

fn convolution(builder: &mut Builder, spec: &Spec, case: &Case, x: Stream) -> Result<Stream, MixerError> {
    let (batch, length, width) = (spec.dims.batch, spec.dims.seq_len, spec.dims.d_model);
    let (rows, columns) = (spec.rows(), Columns::plain(width));
    let size = fft_size(length).max(8);
    let conv = LongConv::new(builder, [batch, length, width], size)?;
    let skip = spec.skip(&case.tensors)?;
    let [directions, channels, positions_of_k] = Count::all([spec.directions(), width, length]);
    let mut k: Vec<f32> = zeros(directions * channels * positions_of_k)?;
    Ssm::read(spec, &case.tensors)?.kernels(length, &mut k, &Serial);
    let model = filter(builder, spec, (&conv, size), spec.bidirectional, &|channel, lag| match lag {
        Ok(0) => k[channel * length] + skip[channel],
        Ok(s) => k[channel * length + s],
        // The backward kernel starts at t + 1.
        Err(s) => k[(width + channel) * length + s - 1],
    })?;
    let s = builder.stream("s", rows, columns);
    conv.apply(builder, &model, (x, None), (s, None));
    if spec.degree < 2 {
        return Ok(s);
    }
    let gains = liquid::gains(spec, &case.tensors)?;
    let narrow = |gain: &[f64]| gain.iter().map(|gain| *gain as f32).collect::<Vec<_>>();
    let products = if spec.liquid == Liquid::Kb { builder.stream("products", rows, columns) } else { s };
    for degree in 0..spec.degree - 1 {
        let (positions, factors) = positions(spec, degree + 2)?;
        let positions = builder.upload_words("positions", positions);
        for (reversed, gain) in [(true, Some(&gains.reversed[degree])), (false, gains.straight.get(degree))] {
            let Some(gain) = gain else { continue };
            let gain = builder.upload("gain", &narrow(gain), columns);
            let contraction = match spec.contraction {
                Contraction::None => 0.0,
                Contraction::Tanh => 1.0,
                Contraction::Lecun => 2.0,
            };
            let set = spec.liquid == Liquid::Kb && degree == 0;
            let items = rows * columns.stride() / 4;
            builder.dispatch(
                PRODUCTS,
                &[
                    ("CONTRACTION", contraction),
                    ("REVERSED", f64::from(u8::from(reversed))),
                    ("SET", f64::from(u8::from(set))),
                ],
                &[
                    word(items),
                    vectors(columns.stride()),
                    word(length),
                    word(factors),
                    vectors(x.stride),
                    vectors(products.stride),
                ],
                &[x.buffer, positions, gain.buffer, products.buffer],
                grid(items),
                ((factors + 1) * rows * width) as u64,
            );
        }
    }
    if spec.liquid != Liquid::Kb {
        return Ok(s);
    }
    // Reserve all filters before the first is built.
    drop(room::<f64>(2 * channels * positions_of_k)?);
    let filters: Vec<Vec<f64>> = (0..width)
        .map(|channel| {
            let k: Vec<f64> = k[channel * length..][..length].iter().map(|k| f64::from(*k)).collect();
            kb::filter(&k)
        })
        .collect();
    let filter = filter(builder, spec, (&conv, size), true, &|channel, lag| match lag {
        Ok(s) => filters[channel][s] as f32,
        Err(s) => filters[channel][2 * length - s] as f32,
    })?;
    let convolved = builder.stream("convolved", rows, columns);
    conv.apply(builder, &filter, (products, None), (convolved, None));
    let sum = builder.stream("sum", rows, columns);
    map(builder, s, 1.0, Activation::None, Some((Combine::Add, convolved)), sum, [rows, columns.stride()]);
    Ok(sum)
}

/// Positions of the factors of each product of degree `q`, and the number of factors.
fn positions(spec: &Spec, q: usize) -> Result<(Vec<u32>, usize), MixerError> {
    let length = spec.dims.seq_len;
    if !spec.allcombs {
        // c_q[t] = c_{q−1}[t] c_{q−1}[t − 1] has binomial(q − 1, age) factors of each age.
        let ages: Vec<usize> = (0..q)
            .flat_map(|age| {
                let times = usize::try_from(liquid::binomial(q - 1, age)).unwrap_or(usize::MAX);
                std::iter::repeat_n(age, times)
            })
            .collect();
        let position = |t: usize, age: usize| t.checked_sub(age).map_or(NOWHERE, word);
        let all = (0..length).flat_map(|t| ages.iter().map(move |age| position(t, *age)));
        return Ok((gather(Count::from(length) * Count::from(ages.len()), all)?, ages.len()));
    }
    let mut words = room(Count::from(length) * Count::from(q))?;
    if let Some(mut tuples) = Tuples::last(length, q) {
        let base = length - tuples.n();
        loop {
            let (prefix, last) = tuples.run();
            for last in last {
                words.extend(prefix.iter().map(|p| word(base + p)));
                words.push(word(base + last));
            }
            if !tuples.advance() {
                break;
            }
        }
    }
    Ok((words, q))
}

/// GLU(W gelu(s) + b).
pub(super) struct OutputLayer {
    columns: Columns,
    value: Linear,
    gate: Linear,
}

/// The output layer's buffers for a number of rows.
#[derive(Clone, Copy)]
pub(super) struct OutputRows {
    rows: usize,
    /// Rows of a block.
    block: usize,
    activated: Stream,
    gated: Stream,
    y: Stream,
}

impl OutputLayer {
    pub(super) fn upload(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let columns = Columns::plain(width);
        let (weight, bias) = spec.output_linear(&case.tensors)?;
        let (value_weight, gate_weight) = weight.split_at(width * width);
        let (value_bias, gate_bias) = bias.split_at(width);
        let value = Linear::upload(builder, value_weight, Some(value_bias), columns, columns);
        let gate = Linear::upload(builder, gate_weight, Some(gate_bias), columns, columns);
        Ok(Self { columns, value, gate })
    }

    pub(super) fn rows(&self, builder: &mut Builder, rows: usize) -> OutputRows {
        let block = ROWS.min(rows);
        let [activated, gated] =
            ["activated", "gate"].map(|label| builder.stream(label, block, self.columns));
        OutputRows { rows, block, activated, gated, y: builder.stream("y", rows, self.columns) }
    }

    /// Records the layer's outputs for the rows of s.
    pub(super) fn record(&self, builder: &mut Builder, s: Stream, rows: OutputRows) -> Stream {
        let OutputRows { rows, block, activated, gated, y } = rows;
        for first in (0..rows).step_by(block) {
            let n = block.min(rows - first);
            let sizes = [n, self.columns.stride()];
            map(builder, s.down(first), 1.0, Activation::Gelu, None, activated, sizes);
            Gemm { activation: Activation::Sigmoid, ..self.gate.gemm(activated, n, gated, 0) }
                .record(builder);
            let product = self.value.gemm(activated, n, y.down(first), 0);
            Gemm { combine: Some((Combine::Multiply, gated.into())), ..product }.record(builder);
        }
        y
    }
}
