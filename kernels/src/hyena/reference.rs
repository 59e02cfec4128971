//! Hyena in f64 by direct convolution, straight from the equations.

use mixer::{Case, MixerError, OpCount, SpotCheck};

use super::Spec;
use super::filter::evaluate_f64;
use crate::attention::{linear, widen};

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

/// Rows of the longest prefix that `max_flops` affords; of a core of order 2 the last row as well, which needs one
/// product for each input.
pub(super) fn spot_check(case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let width = spec.dims.d_model;
    let length = spec.out_len();
    let (order, w) = (spec.order as u64, width as u64);
    let work = |n: u64| {
        let layer =
            spec.filter.map_or(0, |filter| 2 * n * (order + 2) * w * w + filter.flops(n as usize).get());
        layer + (order - 1) * w * n * (n + 1)
    };
    let mut affordable = 1;
    while affordable < length && work(2 * affordable as u64) <= max_flops {
        affordable *= 2;
    }
    let affordable = affordable.min(length);
    let head = prefix(&spec, case, 0, affordable, &mut OpCount::default())?;
    let mut rows = vec![affordable / 2, affordable - 1];
    rows.dedup();
    let mut expected: Vec<f64> =
        rows.iter().flat_map(|row| head[row * width..][..width].iter().copied()).collect();
    if spec.filter.is_none() && spec.order == 2 && affordable < length {
        rows.push(length - 1);
        expected.extend(last_core_row(&spec, case)?);
    }
    Ok(SpotCheck { rows, expected })
}

/// The last output row of the first sequence of a core of order 2.
fn last_core_row(spec: &Spec, case: &Case) -> Result<Vec<f64>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.streams(&case.tensors)?;
    let (k, _) = spec.core_filter(&case.tensors)?;
    let at = |t: usize, stream: usize, channel: usize| f64::from(x[(t * 3 + stream) * width + channel]);
    (0..width)
        .map(|channel| {
            let gated = |t: usize| at(t, 1, channel) * at(t, 2, channel);
            let convolved: f64 =
                (0..length).map(|s| f64::from(k[channel * length + s]) * gated(length - 1 - s)).sum();
            let skip = f64::from(spec.skip(&case.tensors, 0, channel)?);
            Ok((convolved + skip * gated(length - 1)) * at(length - 1, 0, channel))
        })
        .collect()
}
