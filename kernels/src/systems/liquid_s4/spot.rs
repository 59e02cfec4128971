//! Single output rows in f64 at any length, and of a core whole channels: a row needs the inputs before it (with a backward model also those after),
//! and for each degree one product.

use algebra::{convolution_flops, convolve};
use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotColumn, SpotDraw};

use super::kb;
use super::liquid::{self, Gains, Tuples, contract};
use super::reference::{output, recurrence};
use super::spec::{Liquid, Spec};
use super::ssm::{Channel, Ssm};

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let length = spec.dims.seq_len;
    let per_position = (16 * spec.dims.d_model * spec.modes) as u64;
    let half = draw.part(0, 2);
    let rows = if spec.bidirectional || spec.liquid == Liquid::Kb {
        // Every row needs whole kernels.
        half.distinct(length, 1)
    } else {
        half.rows(half.affords(2 * per_position, length), 2)
    };
    let x = spec.input(&case.tensors)?;
    let skip = spec.skip(&case.tensors)?;
    let ssm = Ssm::read(&spec, &case.tensors)?;
    let gains = if spec.degree > 1 { Some(liquid::gains(&spec, &case.tensors)?) } else { None };
    let width = spec.dims.d_model;
    let mut s = vec![0.0; rows.len() * width];
    for (channel, model) in ssm.channels.iter().enumerate() {
        let x: Vec<f64> =
            x[..length * width].iter().skip(channel).step_by(width).map(|&x| f64::from(x)).collect();
        let sums = one_channel(&spec, model, &x, &rows, gains.as_ref().map(|gains| (gains, channel)));
        for ((row, sum), t) in sums.into_iter().enumerate().zip(&rows) {
            s[row * width + channel] = sum + f64::from(skip[channel]) * x[*t];
        }
    }
    let expected = match spec.level {
        Level::Core => s,
        Level::Layer => output(&spec, case, &s, &mut OpCount::default())?,
    };
    let columns = match spec.level {
        Level::Core => channels(&spec, case, &ssm, gains.as_ref(), draw.part(1, 2))?,
        Level::Layer => Vec::new(),
    };
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// Channels of a core that are checked in full, at most.
const CHANNELS: usize = 4;

/// Whole channels of a core's first sequence.
fn channels(
    spec: &Spec,
    case: &Case,
    ssm: &Ssm,
    gains: Option<&Gains>,
    draw: SpotDraw,
) -> Result<Vec<SpotColumn>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.input(&case.tensors)?;
    let skip = spec.skip(&case.tensors)?;
    let modes = (16 * spec.modes * spec.directions() * length) as u64;
    let affordable = draw.affords(modes + 4 * convolution_flops(length), CHANNELS);
    let columns = draw.distinct(width, affordable).into_iter().map(|channel| {
        let values = x.iter().skip(channel).step_by(width).take(length);
        let x: Vec<f64> = values.map(|&x| f64::from(x)).collect();
        let gains = gains.map(|gains| (gains, channel));
        let mut s = whole_channel(spec, &ssm.channels[channel], &x, gains);
        s.iter_mut().zip(&x).for_each(|(s, x)| *s += f64::from(skip[channel]) * x);
        SpotColumn::channel(channel, s)
    });
    Ok(columns.collect())
}

/// s of one channel without the skip, at all positions.
fn whole_channel(spec: &Spec, model: &Channel, x: &[f64], gains: Option<(&Gains, usize)>) -> Vec<f64> {
    let length = x.len();
    if spec.liquid == Liquid::Recurrence {
        return recurrence(model, x, &mut OpCount::default());
    }
    let forward = kernel(model, 0, length);
    let mut sums = convolve(&forward, x, length);
    if spec.bidirectional {
        // Σ_j k₁[j] x[t + 1 + j], from the end.
        let turned: Vec<f64> = x.iter().rev().copied().collect();
        let ahead = convolve(&kernel(model, 1, length), &turned, length);
        sums.iter_mut().zip(ahead.iter().rev().skip(1)).for_each(|(sum, ahead)| *sum += ahead);
    }
    let Some((gains, channel)) = gains else { return sums };
    let mut reversed = vec![0.0; length];
    for degree in 0..spec.degree - 1 {
        for (t, product) in all_products(spec, x, degree + 2).into_iter().enumerate() {
            let a = contract(spec.contraction, product);
            reversed[length - 1 - t] += gains.reversed[degree][channel] * a;
            if let Some(straight) = gains.straight.get(degree) {
                sums[t] += straight[channel] * a;
            }
        }
    }
    if spec.liquid == Liquid::Kb {
        // On a circle of 2L positions: what passes the end comes back at the start.
        let around = convolve(&reversed, &kb::filter(&forward), 3 * length);
        for (t, reversed) in reversed.iter_mut().enumerate() {
            *reversed = around[t] + around[t + 2 * length];
        }
    }
    sums.iter_mut().zip(&reversed).for_each(|(sum, a)| *sum += a);
    sums
}

/// k[0 .. length] of one direction.
fn kernel(model: &Channel, direction: usize, length: usize) -> Vec<f64> {
    let mut k = vec![0.0; length];
    model.for_each_tap(direction, length, |l, value| k[l] = value);
    k
}

/// c_q[t] of one channel at all positions; as many zeros where no tuples are enough.
fn all_products(spec: &Spec, x: &[f64], q: usize) -> Vec<f64> {
    let length = x.len();
    if !spec.allcombs {
        return (0..length).map(|t| consecutive(x, t, q)).collect();
    }
    let mut products = Vec::with_capacity(length);
    if let Some(mut tuples) = Tuples::last(length, q) {
        let tail = &x[length - tuples.n()..];
        loop {
            let (prefix, last) = tuples.run();
            let common: f64 = prefix.iter().map(|&p| tail[p]).product();
            products.extend(tail[last].iter().map(|x| common * x));
            if !tuples.advance() {
                break;
            }
        }
    }
    products.resize(length, 0.0);
    products
}

/// s without the skip at each of `rows`.
fn one_channel(
    spec: &Spec,
    model: &Channel,
    x: &[f64],
    rows: &[usize],
    gains: Option<(&Gains, usize)>,
) -> Vec<f64> {
    let length = x.len();
    let last = rows.iter().copied().max().unwrap_or(0);
    if spec.liquid == Liquid::Recurrence {
        let sums = recurrence(model, &x[..=last], &mut OpCount::default());
        return rows.iter().map(|&t| sums[t]).collect();
    }
    let forward = kernel(model, 0, if spec.liquid == Liquid::Kb { length } else { last + 1 });
    let backward = if spec.bidirectional { kernel(model, 1, length) } else { Vec::new() };
    let filter = if spec.liquid == Liquid::Kb { kb::filter(&forward) } else { Vec::new() };
    let products = |q: usize| products(spec, x, q);
    rows.iter()
        .map(|&t| {
            let mut sum: f64 = (0..=t).map(|j| forward[j] * x[t - j]).sum();
            sum += backward.iter().zip(&x[t + 1..]).map(|(k, x)| k * x).sum::<f64>();
            let Some((gains, channel)) = gains else { return sum };
            for degree in 0..spec.degree - 1 {
                let gain = gains.reversed[degree][channel];
                let signal = products(degree + 2);
                let a = |t: usize| contract(spec.contraction, signal(t));
                if spec.liquid == Liquid::Kb {
                    for j in 0..length {
                        sum += gain * a(length - 1 - j) * filter[(t + 2 * length - j) % (2 * length)];
                    }
                } else {
                    sum += gain * a(length - 1 - t);
                }
                if let Some(straight) = gains.straight.get(degree) {
                    sum += straight[channel] * a(t);
                }
            }
            sum
        })
        .collect()
}

/// c_q[t] of one channel.
fn products<'a>(spec: &Spec, x: &'a [f64], q: usize) -> impl Fn(usize) -> f64 + use<'a> {
    let allcombs = spec.allcombs;
    let length = x.len();
    move |t: usize| {
        if !allcombs {
            return consecutive(x, t, q);
        }
        let Some(n) = liquid::positions(length, q) else { return 0.0 };
        let rank = liquid::binomial(n, q) - length as u64 + t as u64;
        let tuples = Tuples::from_rank(n, q, rank);
        let (prefix, last) = tuples.run();
        prefix.iter().chain([&last.start]).map(|p| x[length - n + p]).product()
    }
}

/// c_q[t] = c_{q−1}[t] c_{q−1}[t − 1], c₁ = x, zero before the start.
fn consecutive(x: &[f64], t: usize, q: usize) -> f64 {
    match (q, t) {
        (1, _) => x[t],
        (_, 0) => 0.0,
        _ => consecutive(x, t, q - 1) * consecutive(x, t - 1, q - 1),
    }
}
