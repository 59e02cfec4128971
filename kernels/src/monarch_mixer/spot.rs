//! Single output rows in f64 at any length, in linear memory: filters are evaluated where they are needed and dropped.
//!
//! A bidirectional row depends on the whole sequence, so one row of a layer costs a pass over all projections and
//! filters; a causal row costs its own prefix.

use mixer::{Case, MixerError, OpCount, SpotCheck};

use super::filter::{Direction, Filters};
use super::reference::{block_diagonal_rows, mlp, monarch, short_convolution};
use super::{NORM_EPS, SequenceSpec, Spec, TAPS};
use crate::attention::{linear, widen};
use crate::ops::exact;

/// Positions projected together.
const TOGETHER: usize = exact::ROWS + 1 - TAPS;

pub(super) fn spot_check(case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
    let mut ignored = OpCount::default();
    match Spec::read(case)? {
        Spec::Sequence(spec) => {
            let rows = rows(&spec, max_flops);
            let mut expected = Vec::new();
            for &row in &rows {
                let y = match spec.layer {
                    None => core_row(&spec, case, row)?,
                    Some(_) => layer_row(&spec, case, row)?,
                };
                expected.extend(match spec.mlp {
                    None => y,
                    Some(mlp_spec) => {
                        mlp(&mlp_spec, &mlp_spec.params(&case.tensors, "param.mlp")?, &y, &mut ignored)
                    }
                });
            }
            Ok(SpotCheck { rows, expected })
        }
        Spec::Mlp(spec) => {
            let width = spec.dims.d_model;
            let rows = spread(spec.dims.batch * spec.dims.seq_len);
            let x = case.tensors.floats("x", &spec.dims.shape(width))?;
            let x: Vec<f64> = rows.iter().flat_map(|row| widen(&x[row * width..][..width])).collect();
            let expected = mlp(&spec, &spec.params(&case.tensors, "param")?, &x, &mut ignored);
            Ok(SpotCheck { rows, expected })
        }
        Spec::BlockDiagonal(spec) => {
            let rows = spread(spec.rows);
            let mut expected = Vec::new();
            for &row in &rows {
                expected.extend(block_diagonal_rows(&spec, case, row..row + 1, &mut ignored)?);
            }
            Ok(SpotCheck { rows, expected })
        }
        Spec::Monarch(spec) => {
            let rows = spread(spec.rows);
            let mut expected = Vec::new();
            for &row in &rows {
                expected.extend(monarch(&spec, case, row..row + 1, &mut ignored)?);
            }
            Ok(SpotCheck { rows, expected })
        }
    }
}

/// The first, a middle and the last row.
fn spread(rows: usize) -> Vec<usize> {
    let mut spread = vec![0, rows / 2, rows - 1];
    spread.dedup();
    spread
}

/// Rows of the first sequence: a causal one's prefix must be affordable, of a bidirectional one there is always one.
fn rows(spec: &SequenceSpec, max_flops: u64) -> Vec<usize> {
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model as u64);
    let work = |positions: usize| {
        let n = positions as u64;
        let layer = spec.layer.map_or(0, |layer| {
            4 * n * width * width
                + (spec.convolutions() * spec.networks()) as u64 * layer.filter.flops(positions).get()
        });
        layer + spec.convolutions() as u64 * 2 * n * width
    };
    if spec.bidirectional {
        let affordable = (max_flops / work(length).max(1)).clamp(1, 3) as usize;
        let mut rows: Vec<usize> = [length / 2, length - 1, 0].into_iter().take(affordable).collect();
        rows.sort_unstable();
        rows.dedup();
        return rows;
    }
    let mut affordable = 1;
    while affordable < length && work(3 * affordable) <= max_flops {
        affordable *= 2;
    }
    let last = affordable.min(length) - 1;
    if last == 0 { vec![0] } else { vec![last / 2, last] }
}

fn core_row(spec: &SequenceSpec, case: &Case, t: usize) -> Result<Vec<f64>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.streams(&case.tensors)?;
    let at = |t: usize, stream: usize, channel: usize| f64::from(x[(t * 3 + stream) * width + channel]);
    let u = spec.core_input(&case.tensors)?;
    let mut y = vec![0.0; width];
    for convolution in 0..spec.convolutions() {
        let filters = spec.core_filters(&case.tensors, convolution)?;
        for (channel, y) in y.iter_mut().enumerate() {
            let signal = |t: usize| match (convolution, u) {
                (1, Some(u)) => f64::from(u[t * width + channel]),
                _ => at(t, 0, channel) * at(t, 2, channel),
            };
            let tap = |filter: &[f32], s: usize| f64::from(filter[channel * length + s]);
            let mut sum = f64::from(filters.skip[channel]) * signal(t);
            sum += (0..=t).map(|s| tap(filters.forward, s) * signal(t - s)).sum::<f64>();
            if let Some(reverse) = filters.reverse {
                sum += (t + 1..length).map(|j| tap(reverse, j - t - 1) * signal(j)).sum::<f64>();
            }
            *y += if convolution == 0 { sum * at(t, 1, channel) } else { sum };
        }
    }
    Ok(y)
}

fn layer_row(spec: &SequenceSpec, case: &Case, t: usize) -> Result<Vec<f64>, MixerError> {
    let Some(layer) = spec.layer else { return core_row(spec, case, t) };
    let (width, tensors) = (spec.dims.d_model, &case.tensors);
    let mut ignored = OpCount::default();
    let x = spec.input(tensors)?;
    let norm = spec.norm(tensors)?;
    let (weight, bias) = spec.projection(tensors, "in_linear")?;
    let (taps, tap_bias) = spec.short_filter(tensors)?;
    let sets = spec
        .filter_sets()
        .iter()
        .map(|set| Filters::new(&layer.filter, tensors, set, spec.bidirectional))
        .collect::<Result<Vec<_>, _>>()?;
    let weights = widen(weight);

    // Rows of u, and all three streams at positions `first ..`, two positions of history before them.
    let mut streams = |first: usize, end: usize| {
        let start = first.saturating_sub(TAPS - 1);
        let mut u = widen(&x[start * width..end * width]);
        if let Some((weight, bias)) = norm {
            u = exact::layer_norm(&u, weight, bias, NORM_EPS, &mut ignored);
        }
        let projected = exact::linear_rows(&u, &weights, bias, width);
        let mixed = short_convolution(&projected, taps, tap_bias, &mut ignored);
        let history = first - start;
        (u.split_off(history * width), mixed[history * 3 * width..].to_vec())
    };

    let end = if spec.bidirectional { spec.dims.seq_len } else { t + 1 };
    let mut sums = vec![vec![0.0; width]; spec.convolutions()];
    let mut first = 0;
    while first < end {
        // A block never straddles t, so that it has one direction.
        let last = if first <= t { (first + TOGETHER).min(t + 1) } else { first + TOGETHER }.min(end);
        let (u, mixed) = streams(first, last);
        let w: Vec<f64> = mixed
            .chunks_exact(3 * width)
            .flat_map(|row| row[..width].iter().zip(&row[2 * width..]).map(|(x1, v)| v * x1))
            .collect();
        for ((filters, sums), signal) in sets.iter().zip(&mut sums).zip([&w, &u]) {
            if first <= t {
                let lags = t + 1 - last..t + 1 - first;
                filters.for_each(Direction::Forward, lags, |lag, channel, value| {
                    sums[channel] += value * signal[(t - lag - first) * width + channel];
                });
            } else {
                let lags = first - t - 1..last - t - 1;
                filters.for_each(Direction::Reverse, lags, |lag, channel, value| {
                    sums[channel] += value * signal[(t + 1 + lag - first) * width + channel];
                });
            }
        }
        first = last;
    }
    let (u, mixed) = streams(t, t + 1);
    let mut g = vec![0.0; width];
    for channel in 0..width {
        let (x1, x2, v) = (mixed[channel], mixed[width + channel], mixed[2 * width + channel]);
        g[channel] = (sums[0][channel] + f64::from(sets[0].skip[channel]) * v * x1) * x2;
        if let (Some(sums), Some(filters)) = (sums.get(1), sets.get(1)) {
            g[channel] += sums[channel] + f64::from(filters.skip[channel]) * u[channel];
        }
    }
    let (weight, bias) = spec.projection(tensors, "out_linear")?;
    Ok(linear(&g, weight, Some(bias), width, &mut OpCount::default()))
}
