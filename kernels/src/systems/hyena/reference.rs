//! Hyena in f64 by direct convolution, straight from the equations.

use mixer::{Case, MixerError, OpCount, SpotCheck, SpotColumn, SpotDraw};

use super::Spec;
use super::filter::{self, FilterSpec, evaluate_f64};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};
use crate::ops::exact_fft::{convolution_flops, convolve};

/// `[batch, min(length, l_max), width]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let mut y = Vec::new();
    for sequence in 0..spec.dims.batch {
        y.extend(prefix(&spec, case, sequence, spec.out_len(), count)?);
    }
    Ok(y)
}

/// The first `length` outputs of one sequence: they depend on the first `length` inputs alone.
fn prefix(
    spec: &Spec,
    case: &Case,
    sequence: usize,
    length: usize,
    count: &mut OpCount,
) -> Result<Vec<f64>, MixerError> {
    let width = spec.dims.d_model;
    let channels = (spec.order + 1) * width;
    let tensors = &case.tensors;
    let streams = if spec.filter.is_none() {
        widen(&spec.streams(tensors)?[sequence * spec.dims.seq_len * channels..][..length * channels])
    } else {
        let x = &spec.input(tensors)?[sequence * spec.dims.seq_len * width..][..length * width];
        let (weight, bias) = spec.projection(tensors, "in_proj")?;
        let projected = linear(&widen(x), weight, Some(bias), width, count);
        let (weight, bias) = spec.short_filter(tensors)?;
        short_convolution(&projected, weight, bias, spec.taps, count)
    };
    let filters = filters(spec, case, length, if sequence == 0 { Some(count) } else { None })?;
    let mut core = vec![0.0; length * width];
    for channel in 0..width {
        let stream = |index: usize| streams.iter().skip(index * width + channel).step_by(channels).copied();
        let mut v: Vec<f64> = stream(spec.order).collect();
        for (o, filter) in filters.iter().enumerate() {
            v.iter_mut().zip(stream(spec.order - 1 - o)).for_each(|(v, gate)| *v *= gate);
            let skip = f64::from(spec.skip(tensors, o, channel)?);
            let k = &filter[channel * length..][..length];
            v = (0..length)
                .map(|t| {
                    k[..=t].iter().zip(v[..=t].iter().rev()).map(|(k, v)| k * v).sum::<f64>() + skip * v[t]
                })
                .collect();
            count.add(length + length * (length + 1) + 2 * length);
        }
        for ((t, v), gate) in v.iter().enumerate().zip(stream(0)) {
            core[t * width + channel] = v * gate;
        }
        count.add(length);
    }
    if spec.filter.is_none() {
        return Ok(core);
    }
    let (weight, bias) = spec.projection(tensors, "out_proj")?;
    Ok(linear(&core, weight, Some(bias), width, count))
}

/// For each convolution, its filters `[width, length]`.
fn filters(
    spec: &Spec,
    case: &Case,
    length: usize,
    count: Option<&mut OpCount>,
) -> Result<Vec<Vec<f64>>, MixerError> {
    let (width, convolutions) = (spec.dims.d_model, spec.convolutions());
    let Some(filter) = &spec.filter else {
        let (k, _) = spec.core_filter(&case.tensors)?;
        let cut = |filter: &[f32]| {
            filter.chunks_exact(spec.dims.seq_len).flat_map(|row| widen(&row[..length])).collect::<Vec<_>>()
        };
        return Ok(k.chunks_exact(width * spec.dims.seq_len).map(cut).collect());
    };
    let h = evaluate_f64(filter, &case.tensors, length, count.unwrap_or(&mut OpCount::default()))?;
    Ok((0..convolutions)
        .map(|o| {
            (0..width)
                .flat_map(|channel| {
                    h.iter().skip(channel * convolutions + o).step_by(filter.channels).copied()
                })
                .collect()
        })
        .collect())
}

/// s[t, c] = b[c] + Σ_j w[c, j] · p[t − (S − 1) + j, c], with p zero at negative times.
fn short_convolution(p: &[f64], weight: &[f32], bias: &[f32], taps: usize, count: &mut OpCount) -> Vec<f64> {
    let channels = bias.len();
    count.add(2 * taps * p.len());
    let mut s = Vec::with_capacity(p.len());
    for t in 0..p.len() / channels {
        for (channel, bias) in bias.iter().enumerate() {
            let mut sum = f64::from(*bias);
            for (j, weight) in weight[channel * taps..][..taps].iter().enumerate() {
                if t + j + 1 >= taps {
                    sum += f64::from(*weight) * p[(t + j + 1 - taps) * channels + channel];
                }
            }
            s.push(sum);
        }
    }
    s
}

/// Rows of the longest prefix that half of the draw affords, of a core of order 2 the last row as well, which needs one
/// product for each input; and columns. Of a core these are whole channels, which do not depend on each other; of a layer it
/// is one that holds a channel of its core over a far longer prefix.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length) = (spec.dims.d_model, spec.out_len());
    let (order, w) = (spec.order as u64, width as u64);
    let half = draw.part(0, 2);
    let work = |n: u64| {
        let layer =
            spec.filter.map_or(0, |filter| 2 * n * (order + 2) * w * w + filter.flops(n as usize).get());
        layer + (order - 1) * w * n * (n + 1)
    };
    let mut affordable = 1;
    while affordable < length && work(2 * affordable as u64) <= half.max_flops {
        affordable *= 2;
    }
    let affordable = affordable.min(length);
    let head = prefix(&spec, case, 0, affordable, &mut OpCount::default())?;
    let mut rows = half.rows(affordable, 2);
    let mut expected: Vec<f64> =
        rows.iter().flat_map(|row| head[row * width..][..width].iter().copied()).collect();
    let mut columns = Vec::new();
    if affordable < length {
        match &spec.filter {
            Some(filter) => columns.extend(layer_column(&spec, filter, case, draw)?),
            None => columns = core_channels(&spec, case, draw.part(1, 2))?,
        }
        if spec.filter.is_none() && spec.order == 2 {
            rows.push(length - 1);
            expected.extend(last_core_row(&spec, case)?);
        }
    }
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// The last output row of the first sequence of a core of order 2.
fn last_core_row(spec: &Spec, case: &Case) -> Result<Vec<f64>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.streams(&case.tensors)?;
    let (k, _) = spec.core_filter(&case.tensors)?;
    let at = |t: usize, stream: usize, channel: usize| f64::from(x[(t * 3 + stream) * width + channel]);
    let gated = |t: usize, channel: usize| at(t, 1, channel) * at(t, 2, channel);
    let last = length - 1;
    let sums = exact::tap_sums(k, width, 0..length, |s, channel| gated(last - s, channel));
    let channels = sums.into_iter().enumerate();
    channels
        .map(|(channel, sum)| {
            let skip = f64::from(spec.skip(&case.tensors, 0, channel)?);
            Ok((sum + skip * gated(last, channel)) * at(last, 0, channel))
        })
        .collect()
}

/// Channels of a core that are checked in full, at most.
const CHANNELS: usize = 4;

fn core_channels(spec: &Spec, case: &Case, draw: SpotDraw) -> Result<Vec<SpotColumn>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.streams(&case.tensors)?;
    let (k, _) = spec.core_filter(&case.tensors)?;
    let affordable = draw.affords(spec.convolutions() as u64 * convolution_flops(length), CHANNELS);
    let columns = draw.distinct(width, affordable).into_iter().map(|channel| {
        let stream = |index: usize| {
            let values = x.iter().skip(index * width + channel).step_by((spec.order + 1) * width);
            values.take(length).map(|&x| f64::from(x)).collect()
        };
        let filter = |o: usize| widen(&k[(o * width + channel) * length..][..length]);
        Ok(SpotColumn::channel(channel, core_channel(spec, case, channel, stream, filter)?))
    });
    columns.collect()
}

/// One channel of the core: `stream(i)` is x_i, `filter(o)` the filter of convolution o, all of one length.
fn core_channel(
    spec: &Spec,
    case: &Case,
    channel: usize,
    stream: impl Fn(usize) -> Vec<f64>,
    filter: impl Fn(usize) -> Vec<f64>,
) -> Result<Vec<f64>, MixerError> {
    let gate = |v: &mut [f64], by: Vec<f64>| v.iter_mut().zip(by).for_each(|(v, gate)| *v *= gate);
    let mut v = stream(spec.order);
    for o in 0..spec.convolutions() {
        gate(&mut v, stream(spec.order - 1 - o));
        let skip = f64::from(spec.skip(&case.tensors, o, channel)?);
        let mut next = convolve(&filter(o), &v, v.len());
        next.iter_mut().zip(&v).for_each(|(next, v)| *next += skip * v);
        v = next;
    }
    gate(&mut v, stream(0));
    Ok(v)
}

/// One channel of a layer's core over as many positions as the draw affords, as a weighted sum of the layer's outputs
/// ([`exact::best_row`]). `None` where the matrix is too large to be solved with or has no inverse, and where filters depend
/// on all channels.
fn layer_column(
    spec: &Spec,
    filter: &FilterSpec,
    case: &Case,
    draw: SpotDraw,
) -> Result<Option<SpotColumn>, MixerError> {
    let (width, order, tensors) = (spec.dims.d_model, spec.order, &case.tensors);
    let solving = (width * width * width) as u64;
    if solving > draw.max_flops / 4 || filter.normalized {
        return Ok(None);
    }
    let projections = (2 * (order + 2) * width * spec.out_len()) as u64;
    // Networks of several positions at a time run about four times as fast as the loops that `max_flops` means.
    let whole = projections
        + filter.hidden_flops(spec.out_len()) / 4
        + spec.convolutions() as u64 * convolution_flops(spec.out_len());
    let share = ((draw.max_flops - solving) as f64 / whole as f64).min(1.0);
    let length = ((spec.out_len() as f64 * share) as usize).clamp(1, spec.out_len());

    let (weight, bias) = spec.projection(tensors, "out_proj")?;
    let Some((channel, z)) = exact::best_row(weight, &draw.distinct(width, CHANNELS)) else {
        return Ok(None);
    };

    let x = spec.input(tensors)?;
    let (in_weight, in_bias) = spec.projection(tensors, "in_proj")?;
    let (taps, tap_bias) = spec.short_filter(tensors)?;
    let stream = |index: usize| {
        let row = index * width + channel;
        let weights = widen(&in_weight[row * width..][..width]);
        let inputs = x.chunks_exact(width).take(length);
        let projected: Vec<f64> = inputs
            .map(|x| {
                let sum: f64 = x.iter().zip(&weights).map(|(x, w)| f64::from(*x) * w).sum();
                sum + f64::from(in_bias[row])
            })
            .collect();
        let taps = &taps[row * spec.taps..][..spec.taps];
        short_convolution(&projected, taps, &tap_bias[row..=row], spec.taps, &mut OpCount::default())
    };
    let convolutions = spec.convolutions();
    let wanted = channel * convolutions..(channel + 1) * convolutions;
    let h = filter::evaluate_some(filter, tensors, wanted, length)?;
    let mut expected = core_channel(spec, case, channel, stream, |o| h[o].clone())?;
    let offset: f64 = z.iter().zip(bias).map(|(z, b)| z * f64::from(*b)).sum();
    expected.iter_mut().for_each(|value| *value += offset);
    Ok(Some(SpotColumn { first_row: 0, weights: z.into_iter().enumerate().collect(), expected }))
}
