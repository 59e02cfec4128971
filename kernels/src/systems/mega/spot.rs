//! Single output rows in f64 at any length, and of the average alone whole channels: a row sees its chunk, and through the average only as far as powers of the
//! decay stay above rounding.

use std::ops::Range;

use mixer::{Case, MixerError, OpCount, SpotCheck, SpotColumn, SpotDraw};

use super::bias;
use super::ema::{self, Dimension};
use super::reference::{attend_row, normalize};
use super::spec::{AttentionSpec, EmaSpec, LayerSpec, Spec};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};
use crate::ops::exact_fft::{convolution_flops, convolve};

/// Channels that are checked in full, at most.
const CHANNELS: usize = 4;

/// A lag's power this small is below f64 rounding of the sum.
const NEGLIGIBLE: f64 = 1e-18;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let length = match spec {
        Spec::Ema(spec) => spec.dims.seq_len,
        Spec::Attention(spec) => spec.seq_len,
        Spec::Layer(spec) => spec.ema.dims.seq_len,
    };
    let averager = match spec {
        Spec::Ema(spec) => Some(Averager::new(spec, case)?),
        Spec::Layer(spec) => Some(Averager::new(spec.ema, case)?),
        Spec::Attention(_) => None,
    };
    let chunk = match spec {
        Spec::Ema(_) => 1,
        Spec::Attention(spec) | Spec::Layer(LayerSpec { attention: spec, .. }) => spec.chunk,
    };
    let projections = match spec {
        Spec::Ema(_) => 0,
        Spec::Attention(spec) => 2 * (spec.z + spec.h),
        Spec::Layer(spec) => 2 * (spec.attention.z + spec.attention.h) * (spec.width() + 1),
    };
    let average = averager.as_ref().map_or(0, |averager| 2 * averager.kernels.len() * averager.reach());
    let per_position = projections + average;
    let half = draw.part(0, 2);
    let rows = half.rows(length, half.affords((per_position * chunk) as u64, 3));
    let mut expected = Vec::new();
    for &row in &rows {
        expected.extend(match (&spec, &averager) {
            (Spec::Ema(spec), Some(averager)) => averager.rows(&spec.dims, row..row + 1, |range| {
                Ok(widen(
                    &spec.input(&case.tensors)?
                        [range.start * spec.dims.d_model..range.end * spec.dims.d_model],
                ))
            })?,
            (Spec::Layer(spec), Some(averager)) => layer_row(spec, averager, case, row)?,
            (Spec::Attention(spec) | Spec::Layer(LayerSpec { attention: spec, .. }), _) => {
                attention_row(spec, case, row)?
            }
            (Spec::Ema(_), None) => Vec::new(),
        });
    }
    let columns = match (&spec, &averager) {
        (Spec::Ema(spec), Some(averager)) => averager.channels(spec.input(&case.tensors)?, draw.part(1, 2)),
        _ => Vec::new(),
    };
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// Kernels of the average, as far as they reach.
struct Averager {
    spec: EmaSpec,
    /// For each direction and channel.
    kernels: Vec<Vec<f64>>,
    residual: Vec<f64>,
}

impl Averager {
    fn new(spec: EmaSpec, case: &Case) -> Result<Self, MixerError> {
        let dimensions = ema::dimensions(&spec, &case.tensors)?;
        let kernels = dimensions
            .chunks_exact(spec.n)
            .map(|dimensions| ema::kernel(dimensions, reach(dimensions).min(spec.lags())))
            .collect();
        Ok(Self { spec, kernels, residual: widen(spec.residual(&case.tensors)?) })
    }

    /// Most lags that any channel reaches.
    fn reach(&self) -> usize {
        self.kernels.iter().map(Vec::len).max().unwrap_or(1)
    }

    /// Whole channels of e of the first sequence.
    fn channels(&self, x: &[f32], draw: SpotDraw) -> Vec<SpotColumn> {
        let (width, length) = (self.spec.dims.d_model, self.spec.dims.seq_len);
        let flops = self.spec.directions() as u64 * convolution_flops(length);
        let channels = draw.distinct(width, draw.affords(flops, CHANNELS)).into_iter();
        channels
            .map(|channel| {
                let values = x.iter().skip(channel).step_by(width).take(length);
                let mut x: Vec<f64> = values.map(|&x| f64::from(x)).collect();
                let mut m = convolve(&self.kernels[channel], &x, length);
                m.iter_mut().zip(&x).for_each(|(m, x)| *m += self.residual[channel] * x);
                if self.spec.bidirectional {
                    x.reverse();
                    let backward = convolve(&self.kernels[width + channel], &x, length);
                    m.iter_mut().zip(backward.iter().rev()).for_each(|(m, backward)| *m += backward);
                }
                SpotColumn::channel(channel, m.into_iter().map(exact::silu).collect())
            })
            .collect()
    }

    /// e at the positions `rows` of the first sequence; `inputs(range)` gives x̂.
    fn rows(
        &self,
        dims: &crate::dims::Dims,
        rows: Range<usize>,
        inputs: impl Fn(Range<usize>) -> Result<Vec<f64>, MixerError>,
    ) -> Result<Vec<f64>, MixerError> {
        let (width, length) = (dims.d_model, dims.seq_len);
        let first = rows.start.saturating_sub(self.reach() - 1);
        let end = if self.spec.bidirectional { (rows.end + self.reach() - 1).min(length) } else { rows.end };
        let x = inputs(first..end)?;
        let at = |t: usize, channel: usize| x[(t - first) * width + channel];
        let mut e = Vec::with_capacity(rows.len() * width);
        for t in rows {
            for channel in 0..width {
                let forward = self.kernels[channel].iter().take(t + 1).enumerate();
                let mut m: f64 = forward.map(|(s, k)| k * at(t - s, channel)).sum();
                if self.spec.bidirectional {
                    let backward = self.kernels[width + channel].iter().take(length - t).enumerate();
                    m += backward.map(|(s, k)| k * at(t + s, channel)).sum::<f64>();
                }
                e.push(exact::silu(m + self.residual[channel] * at(t, channel)));
            }
        }
        Ok(e)
    }
}

/// Lags after which every power is negligible.
fn reach(dimensions: &[Dimension]) -> usize {
    let slowest = dimensions.iter().map(|dimension| dimension.decay).fold(0.0, f64::max);
    if slowest <= 0.0 {
        return 1;
    }
    let lags = NEGLIGIBLE.ln() / slowest.ln();
    if lags.is_finite() && lags >= 0.0 { (lags as usize).saturating_add(2) } else { usize::MAX }
}

/// Positions of the chunk of `row`, and its place in it.
fn place(spec: &AttentionSpec, row: usize) -> (Range<usize>, usize) {
    let chunk = row / spec.chunk;
    let start = chunk * spec.chunk;
    (start..start + spec.chunk_len(chunk), row - start)
}

fn attention_row(spec: &AttentionSpec, case: &Case, row: usize) -> Result<Vec<f64>, MixerError> {
    let [q, k, v] = spec.streams(&case.tensors)?;
    let (positions, i) = place(spec, row);
    let cut = |stream: &[f32], width: usize| widen(&stream[positions.start * width..positions.end * width]);
    let bias = bias::table(spec, &case.tensors, &mut OpCount::default())?;
    let q = widen(&q[row * spec.z..][..spec.z]);
    let (k, v) = (cut(k, spec.z), cut(v, spec.h));
    Ok(attend_row(spec, &bias, (i, positions.len()), &q, &k, &v, &mut OpCount::default()))
}

fn layer_row(spec: &LayerSpec, averager: &Averager, case: &Case, row: usize) -> Result<Vec<f64>, MixerError> {
    let (width, z, h, joint) = (spec.width(), spec.attention.z, spec.attention.h, spec.joint());
    let params = spec.params(&case.tensors)?;
    let x = spec.ema.input(&case.tensors)?;
    let mut ignored = OpCount::default();
    let prepared = |range: Range<usize>| -> Result<Vec<f64>, MixerError> {
        let rows = widen(&x[range.start * width..range.end * width]);
        Ok(if spec.pre_norm { normalize(params.norm, &rows, width, &mut OpCount::default()) } else { rows })
    };
    let (chunk, i) = place(&spec.attention, row);
    // A causal row sees the chunk up to itself.
    let seen = chunk.start..if spec.attention.causal { row + 1 } else { chunk.end };
    let e = averager.rows(&spec.ema.dims, seen.clone(), prepared)?;
    let mut v = linear(&prepared(seen.clone())?, params.value.0, Some(params.value.1), width, &mut ignored);
    v.iter_mut().for_each(|v| *v = exact::silu(*v));
    let shared_weight = &params.joint.0[width * width..(width + z) * width];
    let shared_bias = &params.joint.1[width..width + z];
    let shared = linear(&e, shared_weight, Some(shared_bias), width, &mut ignored);
    let affine = |which: usize, index: usize, value: f64| {
        exact::silu(value) * f64::from(params.qk_weight[which * z + index % z])
            + f64::from(params.qk_bias[which * z + index % z])
    };
    let k: Vec<f64> = shared.iter().enumerate().map(|(index, value)| affine(1, index, *value)).collect();
    let own = row - chunk.start;
    let q: Vec<f64> =
        shared[own * z..][..z].iter().enumerate().map(|(index, value)| affine(0, index, *value)).collect();
    let base = linear(&e[own * width..][..width], params.joint.0, Some(params.joint.1), width, &mut ignored);
    let bias = bias::table(&spec.attention, &case.tensors, &mut ignored)?;
    let mut a = attend_row(&spec.attention, &bias, (i, chunk.len()), &q, &k, &v, &mut ignored);
    a.iter_mut().zip(&base[width + z..]).for_each(|(a, r)| *a *= exact::silu(*r));
    let hidden = linear(&a, params.out.0, Some(params.out.1), h, &mut ignored);
    let mut y = widen(&x[row * width..][..width]);
    for channel in 0..width {
        let candidate = exact::silu(hidden[channel] + base[joint - width + channel]);
        y[channel] += exact::sigmoid(base[channel]) * (candidate - y[channel]);
    }
    Ok(if spec.pre_norm { y } else { normalize(params.norm, &y, width, &mut ignored) })
}
