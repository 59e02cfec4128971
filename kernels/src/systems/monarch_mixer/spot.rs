//! Single output rows in f64 at any length, and whole channels of a core, in linear memory: filters are evaluated where
//! they are needed and dropped.
//!
//! A bidirectional row depends on the whole sequence, so one row of a layer costs a pass over all projections and
//! filters; a causal row costs its own prefix.

use algebra::{convolution_flops, convolve};
use mixer::{Case, MixerError, OpCount, SpotCheck, SpotColumn, SpotDraw};

use super::filter::{Direction, Filters};
use super::reference::{block_diagonal_rows, mlp, monarch, short_convolution};
use super::{LayerSpec, NORM_EPS, SequenceSpec, Spec, TAPS};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

/// Positions projected together.
const TOGETHER: usize = exact::ROWS + 1 - TAPS;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let mut ignored = OpCount::default();
    match Spec::read(case)? {
        Spec::Sequence(spec) => {
            let columns = match &spec.layer {
                None => channels(&spec, case, draw.part(1, 2))?,
                Some(layer) => layer_column(&spec, layer, case, draw)?.into_iter().collect(),
            };
            // A row of a bidirectional layer takes all projections and all filters of the whole sequence.
            let rows_cost_more = spec.layer.is_some()
                && spec.bidirectional
                && row_flops(&spec, spec.dims.seq_len) > draw.max_flops / 2;
            let rows =
                if rows_cost_more && !columns.is_empty() { Vec::new() } else { rows(&spec, draw.part(0, 2)) };
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
            Ok(SpotCheck { width: spec.dims.d_model, rows, expected, columns })
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
        let streams = [0, 1, 2].map(|index| column(x, 3 * width, index * width + channel));
        let u = u.map(|u| column(u, width, channel));
        let filters = (0..spec.convolutions()).map(|convolution| {
            let filters = spec.core_filters(&case.tensors, convolution)?;
            let taps = |filter: &[f32]| widen(&filter[channel * length..][..length]);
            Ok(Taps {
                forward: taps(filters.forward),
                reverse: filters.reverse.map(taps),
                skip: f64::from(filters.skip[channel]),
            })
        });
        let filters = filters.collect::<Result<Vec<_>, MixerError>>()?;
        columns.push(SpotColumn::channel(channel, whole_channel(&streams, u.as_deref(), &filters)));
    }
    Ok(columns)
}

/// One channel's filters of a convolution.
struct Taps {
    forward: Vec<f64>,
    reverse: Option<Vec<f64>>,
    skip: f64,
}

/// One channel of the core from its streams x₁, x₂, v and, where there is a residual convolution, u.
fn whole_channel([x1, x2, v]: &[Vec<f64>; 3], u: Option<&[f64]>, filters: &[Taps]) -> Vec<f64> {
    let length = v.len();
    let convolved = |taps: &Taps, signal: &[f64]| {
        let mut c = convolve(&taps.forward, signal, length);
        if let Some(reverse) = &taps.reverse {
            // Σ_s k_rev[s] w[t + 1 + s], from the end.
            let turned: Vec<f64> = signal.iter().rev().copied().collect();
            let ahead = convolve(reverse, &turned, length);
            c.iter_mut().zip(ahead.iter().rev().skip(1)).for_each(|(c, ahead)| *c += ahead);
        }
        c.iter_mut().zip(signal).for_each(|(c, w)| *c += taps.skip * w);
        c
    };
    let gated: Vec<f64> = x1.iter().zip(v).map(|(x1, v)| v * x1).collect();
    let mut y = filters.first().map_or_else(|| vec![0.0; length], |taps| convolved(taps, &gated));
    y.iter_mut().zip(x2).for_each(|(y, x2)| *y *= x2);
    if let (Some(taps), Some(u)) = (filters.get(1), u) {
        y.iter_mut().zip(convolved(taps, u)).for_each(|(y, c)| *y += c);
    }
    y
}

/// One channel of a layer's core as a weighted sum of the layer's outputs ([`exact::best_row`]), over the whole sequence or,
/// where causal, over as much of it as the draw affords. `None` where that is out of reach although rows are not, where the
/// matrix is too large to be solved with or has no inverse, and where an MLP follows.
fn layer_column(
    spec: &SequenceSpec,
    layer: &LayerSpec,
    case: &Case,
    draw: SpotDraw,
) -> Result<Option<SpotColumn>, MixerError> {
    let (width, whole, tensors) = (spec.dims.d_model, spec.dims.seq_len, &case.tensors);
    if spec.mlp.is_some() || (width * width * width) as u64 > draw.max_flops / 4 {
        return Ok(None);
    }
    // Networks of several positions at a time run about four times as fast as the loops that `max_flops` means.
    let work = (16 * width * whole) as u64
        + (spec.convolutions() * spec.networks()) as u64
            * (layer.filter.hidden_flops(whole) / 4 + convolution_flops(whole));
    let length = if spec.bidirectional {
        if work > draw.max_flops && row_flops(spec, whole) <= draw.max_flops / 2 {
            return Ok(None);
        }
        whole
    } else {
        let share = (draw.max_flops as f64 / work as f64).min(1.0);
        ((whole as f64 * share) as usize).clamp(1, whole)
    };
    let (weight, bias) = spec.projection(tensors, "out_linear")?;
    let Some((channel, z)) = exact::best_row(weight, &draw.distinct(width, CHANNELS)) else {
        return Ok(None);
    };

    let x = spec.input(tensors)?;
    let norm = spec.norm(tensors)?;
    let (in_weight, in_bias) = spec.projection(tensors, "in_linear")?;
    let (taps, tap_bias) = spec.short_filter(tensors)?;
    let rows = [0, 1, 2].map(|index| index * width + channel);
    let weights = rows.map(|row| widen(&in_weight[row * width..][..width]));
    let mut projected = [0, 1, 2].map(|_| Vec::with_capacity(length));
    let mut u = Vec::with_capacity(length);
    for x in x.chunks_exact(width).take(length) {
        let mut x = widen(x);
        if let Some((weight, bias)) = norm {
            x = exact::layer_norm(&x, weight, bias, NORM_EPS, &mut OpCount::default());
        }
        for ((projected, weights), row) in projected.iter_mut().zip(&weights).zip(rows) {
            projected.push(exact::dot(weights, &x) + f64::from(in_bias[row]));
        }
        u.push(x[channel]);
    }
    let short = |index: usize| {
        let row = rows[index];
        let taps = &taps[row * TAPS..][..TAPS];
        short_convolution(&projected[index], taps, &tap_bias[row..=row], &mut OpCount::default())
    };
    let streams = [0, 1, 2].map(short);
    let filters = spec.filter_sets().iter().map(|set| {
        let filters = Filters::new(&layer.filter, tensors, set, spec.bidirectional)?;
        Ok(Taps {
            forward: filters.channel(Direction::Forward, channel, length),
            reverse: spec.bidirectional.then(|| filters.channel(Direction::Reverse, channel, length)),
            skip: f64::from(filters.skip[channel]),
        })
    });
    let filters = filters.collect::<Result<Vec<_>, MixerError>>()?;
    let mut expected = whole_channel(&streams, spec.residual.then_some(&u[..]), &filters);
    let offset: f64 = z.iter().zip(bias).map(|(z, b)| z * f64::from(*b)).sum();
    expected.iter_mut().for_each(|value| *value += offset);
    Ok(Some(SpotColumn { first_row: 0, weights: z.into_iter().enumerate().collect(), expected }))
}

/// Operations of one row that depends on `positions` positions.
fn row_flops(spec: &SequenceSpec, positions: usize) -> u64 {
    let (n, width) = (positions as u64, spec.dims.d_model as u64);
    let layer = spec.layer.map_or(0, |layer| {
        4 * n * width * width
            + (spec.convolutions() * spec.networks()) as u64 * layer.filter.flops(positions).get()
    });
    layer + spec.convolutions() as u64 * 2 * n * width
}

/// Rows of the first sequence: a causal one's prefix must be affordable, of a bidirectional one there is always one.
fn rows(spec: &SequenceSpec, draw: SpotDraw) -> Vec<usize> {
    let length = spec.dims.seq_len;
    let work = |positions: usize| row_flops(spec, positions);
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
        let signal = |t: usize, channel: usize| match (convolution, u) {
            (1, Some(u)) => f64::from(u[t * width + channel]),
            _ => at(t, 0, channel) * at(t, 2, channel),
        };
        let mut sums = exact::tap_sums(filters.forward, width, 0..t + 1, |s, channel| signal(t - s, channel));
        if let Some(reverse) = filters.reverse {
            let ahead = 0..length - t - 1;
            let ahead = exact::tap_sums(reverse, width, ahead, |s, channel| signal(t + 1 + s, channel));
            sums.iter_mut().zip(ahead).for_each(|(sum, ahead)| *sum += ahead);
        }
        for ((channel, y), sum) in y.iter_mut().enumerate().zip(sums) {
            let sum = sum + f64::from(filters.skip[channel]) * signal(t, channel);
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
