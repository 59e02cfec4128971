//! Single output rows in f64 at any length, and of a core whole channels, in linear memory: filters are evaluated where they are needed and dropped.
//!
//! A bidirectional row depends on the whole sequence, so one row of a layer costs a pass over all projections and
//! filters; a causal row costs its own prefix.

use mixer::{Case, MixerError, OpCount, SpotCheck, SpotColumn, SpotDraw};

use super::filter::{Direction, Filters};
use super::reference::{block_diagonal_rows, mlp, monarch, short_convolution};
use super::{NORM_EPS, SequenceSpec, Spec, TAPS};
use crate::attention::{linear, widen};
use crate::ops::exact;
use crate::ops::exact_fft::{convolution_flops, convolve};

/// Positions projected together.
const TOGETHER: usize = exact::ROWS + 1 - TAPS;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let mut ignored = OpCount::default();
    match Spec::read(case)? {
        Spec::Sequence(spec) => {
            let rows = rows(&spec, draw.part(0, 2));
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
            let columns = match spec.layer {
                None => channels(&spec, case, draw.part(1, 2))?,
                Some(_) => Vec::new(),
            };
            Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
        }
        Spec::Mlp(spec) => {
            let width = spec.dims.d_model;
            let rows = draw.rows(spec.dims.batch * spec.dims.seq_len, ROWS);
            let x = case.tensors.floats("x", &spec.dims.shape(width))?;
            let x: Vec<f64> = rows.iter().flat_map(|row| widen(&x[row * width..][..width])).collect();
            let expected = mlp(&spec, &spec.params(&case.tensors, "param")?, &x, &mut ignored);
            Ok(SpotCheck::of_rows(rows, expected))
        }
        Spec::BlockDiagonal(spec) => {
            let rows = draw.rows(spec.rows, ROWS);
            let mut expected = Vec::new();
            for &row in &rows {
                expected.extend(block_diagonal_rows(&spec, case, row..row + 1, &mut ignored)?);
            }
            Ok(SpotCheck::of_rows(rows, expected))
        }
        Spec::Monarch(spec) => {
            let rows = draw.rows(spec.rows, ROWS);
            let mut expected = Vec::new();
            for &row in &rows {
                expected.extend(monarch(&spec, case, row..row + 1, &mut ignored)?);
            }
            Ok(SpotCheck::of_rows(rows, expected))
        }
    }
}

/// Rows that are checked of what does not mix positions.
const ROWS: usize = 3;

/// Channels of a core that are checked in full, at most.
const CHANNELS: usize = 4;

/// Whole channels of a core's first sequence.
fn channels(spec: &SequenceSpec, case: &Case, draw: SpotDraw) -> Result<Vec<SpotColumn>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.streams(&case.tensors)?;
    let u = spec.core_input(&case.tensors)?;
    let flops = (spec.convolutions() * spec.networks()) as u64 * convolution_flops(length);
    let mut columns = Vec::new();
    for channel in draw.distinct(width, draw.affords(flops, CHANNELS)) {
        let column = |all: &[f32], stride: usize, first: usize| -> Vec<f64> {
            all.iter().skip(first).step_by(stride).take(length).map(|&x| f64::from(x)).collect()
        };
        let stream = |index: usize| column(x, 3 * width, index * width + channel);
        let mut y = vec![0.0; length];
        for convolution in 0..spec.convolutions() {
            let filters = spec.core_filters(&case.tensors, convolution)?;
            let taps = |filter: &[f32]| widen(&filter[channel * length..][..length]);
            let signal: Vec<f64> = match (convolution, u) {
                (1, Some(u)) => column(u, width, channel),
                _ => stream(0).into_iter().zip(stream(2)).map(|(x1, v)| v * x1).collect(),
            };
            let mut c = convolve(&taps(filters.forward), &signal, length);
            if let Some(reverse) = filters.reverse {
                // Σ_s k_rev[s] w[t + 1 + s], from the end.
                let turned: Vec<f64> = signal.iter().rev().copied().collect();
                let ahead = convolve(&taps(reverse), &turned, length);
                c.iter_mut().zip(ahead.iter().rev().skip(1)).for_each(|(c, ahead)| *c += ahead);
            }
            let skip = f64::from(filters.skip[channel]);
            c.iter_mut().zip(&signal).for_each(|(c, w)| *c += skip * w);
            if convolution == 0 {
                c.iter_mut().zip(stream(1)).for_each(|(c, x2)| *c *= x2);
            }
            y.iter_mut().zip(&c).for_each(|(y, c)| *y += c);
        }
        columns.push(SpotColumn::channel(channel, y));
    }
    Ok(columns)
}

/// Rows of the first sequence: a causal one's prefix must be affordable, of a bidirectional one there is always one.
fn rows(spec: &SequenceSpec, draw: SpotDraw) -> Vec<usize> {
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model as u64);
    let work = |positions: usize| {
        let n = positions as u64;
        let layer = spec.layer.map_or(0, |layer| {
            4 * n * width * width
                + (spec.convolutions() * spec.networks()) as u64 * layer.filter.flops(positions)
        });
        layer + spec.convolutions() as u64 * 2 * n * width
    };
    if spec.bidirectional {
        return draw.rows(length, draw.affords(work(length), 3));
    }
    let mut affordable = 1;
    while affordable < length && work(3 * affordable) <= draw.max_flops {
        affordable *= 2;
    }
    draw.rows(affordable.min(length), 2)
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
