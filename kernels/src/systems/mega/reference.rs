//! Mega in f64: the average as a literal recurrence (a direct sum where it is truncated), attention row by row.

use mixer::{Case, MixerError, OpCount};

use super::bias;
use super::ema::{self, Dimension};
use super::spec::{Activation, AttentionSpec, EPS, EmaSpec, LayerSpec, Norm, Spec};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

/// The whole output in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    match Spec::read(case)? {
        Spec::Ema(spec) => average(&spec, case, &widen(spec.input(&case.tensors)?), count),
        Spec::Attention(spec) => {
            let [q, k, v] = spec.streams(&case.tensors)?.map(widen);
            let bias = bias::table(&spec, &case.tensors, count)?;
            Ok(attend(&spec, &bias, &q, &k, &v, count))
        }
        Spec::Layer(spec) => layer(&spec, case, count),
    }
}

fn layer(spec: &LayerSpec, case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let (width, z, h, joint) = (spec.width(), spec.attention.z, spec.attention.h, spec.joint());
    let params = spec.params(&case.tensors)?;
    let x = widen(spec.ema.input(&case.tensors)?);
    let normalized = if spec.pre_norm { normalize(params.norm, &x, width, count) } else { x.clone() };
    let mut v = linear(&normalized, params.value.0, Some(params.value.1), width, count);
    v.iter_mut().for_each(|v| *v = exact::silu(*v));
    count.add(v.len());
    let e = average(&spec.ema, case, &normalized, count)?;
    let base = linear(&e, params.joint.0, Some(params.joint.1), width, count);
    let (mut q, mut k) = (Vec::new(), Vec::new());
    for row in base.chunks_exact(joint) {
        for component in 0..z {
            let shared = exact::silu(row[width + component]);
            let affine = |which: usize| {
                shared * f64::from(params.qk_weight[which * z + component])
                    + f64::from(params.qk_bias[which * z + component])
            };
            q.push(affine(0));
            k.push(affine(1));
        }
        count.add(z + 4 * z);
    }
    let bias = bias::table(&spec.attention, &case.tensors, count)?;
    let mut a = attend(&spec.attention, &bias, &q, &k, &v, count);
    for (a, row) in a.chunks_exact_mut(h).zip(base.chunks_exact(joint)) {
        for (a, r) in a.iter_mut().zip(&row[width + z..]) {
            *a *= exact::silu(*r);
        }
        count.add(2 * h);
    }
    let hidden = linear(&a, params.out.0, Some(params.out.1), h, count);
    let mut y = x;
    for ((y, hidden), row) in
        y.chunks_exact_mut(width).zip(hidden.chunks_exact(width)).zip(base.chunks_exact(joint))
    {
        for channel in 0..width {
            let u = exact::sigmoid(row[channel]);
            let candidate = exact::silu(hidden[channel] + row[joint - width + channel]);
            y[channel] += u * (candidate - y[channel]);
        }
        // σ and SiLU, the sum inside it, and the gate's three.
        count.add(6 * width);
    }
    Ok(if spec.pre_norm { y } else { normalize(params.norm, &y, width, count) })
}

/// Either normalisation of rows; counted as eight operations an element, or four.
pub(super) fn normalize(norm: Norm<'_>, x: &[f64], width: usize, count: &mut OpCount) -> Vec<f64> {
    match norm {
        Norm::Layer(weight, bias) => exact::layer_norm(x, weight, bias, EPS, count),
        Norm::Scale(g) => {
            count.add(4 * x.len());
            x.chunks_exact(width)
                .flat_map(|row| {
                    let mean_square = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
                    let factor = f64::from(g) / (mean_square + EPS).sqrt();
                    row.iter().map(move |x| x * factor)
                })
                .collect()
        }
    }
}

/// SiLU(m + ω ⊙ x).
fn average(spec: &EmaSpec, case: &Case, x: &[f64], count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let dimensions = ema::dimensions(spec, &case.tensors)?;
    let residual = spec.residual(&case.tensors)?;
    let mut y = vec![0.0; x.len()];
    if spec.truncation.is_some() {
        count.add_setup(2 * dimensions.len() * spec.lags());
    }
    for sequence in 0..spec.dims.batch {
        for channel in 0..width {
            let at = |t: usize| (sequence * length + t) * width + channel;
            let signal: Vec<f64> = (0..length).map(|t| x[at(t)]).collect();
            let reversed: Vec<f64> = signal.iter().rev().copied().collect();
            let of = |channel: usize| &dimensions[channel * spec.n..][..spec.n];
            let mut m = one_way(spec, of(channel), &signal, count);
            if spec.bidirectional {
                let backward = one_way(spec, of(width + channel), &reversed, count);
                m.iter_mut().zip(backward.iter().rev()).for_each(|(m, backward)| *m += backward);
            }
            for (t, m) in m.iter().enumerate() {
                y[at(t)] = exact::silu(m + f64::from(residual[channel]) * signal[t]);
            }
            count.add(3 * length + if spec.bidirectional { length } else { 0 });
        }
    }
    Ok(y)
}

fn one_way(spec: &EmaSpec, dimensions: &[Dimension], x: &[f64], count: &mut OpCount) -> Vec<f64> {
    if spec.truncation.is_some() {
        let kernel = ema::kernel(dimensions, spec.lags());
        return (0..x.len())
            .map(|t| {
                let reach = spec.lags().min(t + 1);
                count.add(2 * reach);
                (0..reach).map(|s| kernel[s] * x[t - s]).sum()
            })
            .collect();
    }
    let mut states = vec![0.0; dimensions.len()];
    x.iter()
        .map(|x| {
            count.add(5 * dimensions.len());
            states
                .iter_mut()
                .zip(dimensions)
                .map(|(state, dimension)| {
                    *state = dimension.decay * *state + x;
                    dimension.gain * *state
                })
                .sum()
        })
        .collect()
}

/// The weight of a score that is not softmax's.
fn weight(activation: Activation, score: f64) -> f64 {
    match activation {
        Activation::Softmax => score.exp(),
        Activation::Laplace => {
            0.5 * (1.0 + exact::erf((score - 707_107.0 / 1e6) / (282_095.0 / 1e6 * std::f64::consts::SQRT_2)))
        }
        Activation::Relu2 => score.max(0.0) * score.max(0.0),
    }
}

/// a_i of one query within a chunk, whose keys and values start at `k` and `v`.
pub(super) fn attend_row(
    spec: &AttentionSpec,
    bias: &[f64],
    (i, chunk_len): (usize, usize),
    q: &[f64],
    k: &[f64],
    v: &[f64],
    count: &mut OpCount,
) -> Vec<f64> {
    let keys = if spec.causal { i + 1 } else { chunk_len };
    count.add(2 * keys * (spec.z + spec.h));
    let mut scores: Vec<f64> = (0..keys)
        .map(|j| {
            let score: f64 = q.iter().zip(&k[j * spec.z..][..spec.z]).map(|(q, k)| q * k).sum();
            let divisor = match spec.activation {
                Activation::Softmax => (spec.z as f64).sqrt(),
                _ => spec.seen(i, chunk_len) as f64,
            };
            score / divisor + bias[spec.chunk - 1 + j - i]
        })
        .collect();
    let mut total = 1.0;
    if spec.activation == Activation::Softmax {
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter_mut().for_each(|score| *score -= highest);
        total = scores.iter().map(|score| score.exp()).sum();
    }
    let mut a = vec![0.0; spec.h];
    for (score, v) in scores.iter().zip(v.chunks_exact(spec.h)) {
        let w = weight(spec.activation, *score) / total;
        a.iter_mut().zip(v).for_each(|(a, v)| *a += w * v);
    }
    a
}

fn attend(
    spec: &AttentionSpec,
    bias: &[f64],
    q: &[f64],
    k: &[f64],
    v: &[f64],
    count: &mut OpCount,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(v.len());
    for sequence in 0..spec.batch {
        for chunk in 0..spec.chunks() {
            let start = sequence * spec.seq_len + chunk * spec.chunk;
            for i in 0..spec.chunk_len(chunk) {
                let q = &q[(start + i) * spec.z..][..spec.z];
                let place = (i, spec.chunk_len(chunk));
                out.extend(attend_row(
                    spec,
                    bias,
                    place,
                    q,
                    &k[start * spec.z..],
                    &v[start * spec.h..],
                    count,
                ));
            }
        }
    }
    out
}
