//! Single output rows in f64 at any length: a row needs the inputs before it (with a backward model also those after),
//! and for each degree one product.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck};

use super::kb;
use super::liquid::{self, Gains, Tuples, contract};
use super::reference::{output, recurrence};
use super::spec::{Liquid, Spec};
use super::ssm::{Channel, Ssm};

pub(super) fn spot_check(case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let length = spec.dims.seq_len;
    let per_position = (16 * spec.dims.d_model * spec.modes) as u64;
    let rows = if spec.bidirectional || spec.liquid == Liquid::Kb {
        // Every row needs whole kernels.
        vec![length / 2]
    } else {
        let affordable = (max_flops / (2 * per_position)).clamp(1, length as u64) as usize;
        if affordable == 1 { vec![0] } else { vec![affordable / 2, affordable - 1] }
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
    Ok(SpotCheck { rows, expected })
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
    let kernel = |direction: usize, length: usize| {
        let mut k = vec![0.0; length];
        model.for_each_tap(direction, length, |l, value| k[l] = value);
        k
    };
    let forward = kernel(0, if spec.liquid == Liquid::Kb { length } else { last + 1 });
    let backward = if spec.bidirectional { kernel(1, length) } else { Vec::new() };
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
