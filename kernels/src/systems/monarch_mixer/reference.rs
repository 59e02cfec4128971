//! Monarch Mixer in f64: direct convolutions and plain products, straight from the equations.

use mixer::{Case, MixerError, OpCount};

use super::filter::{Direction, evaluate_f64};
use super::{BlockDiagonalSpec, MlpParams, MlpSpec, MonarchSpec, NORM_EPS, SequenceSpec, Spec, TAPS};
use crate::ops::block_diagonal::BlockShape;
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

/// The whole output in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    match Spec::read(case)? {
        Spec::Sequence(spec) => {
            let y = sequence(&spec, case, count)?;
            match spec.mlp {
                None => Ok(y),
                Some(mlp_spec) => {
                    Ok(mlp(&mlp_spec, &mlp_spec.params(&case.tensors, "param.mlp")?, &y, count))
                }
            }
        }
        Spec::Mlp(spec) => {
            let x = widen(case.tensors.floats("x", &spec.dims.shape(spec.dims.d_model))?);
            Ok(mlp(&spec, &spec.params(&case.tensors, "param")?, &x, count))
        }
        Spec::BlockDiagonal(spec) => {
            let rows = block_diagonal_rows(&spec, case, 0..spec.rows, count)?;
            Ok(rows)
        }
        Spec::Monarch(spec) => monarch(&spec, case, 0..spec.rows, count),
    }
}

/// One convolution's filters, `[width, length]` each.
struct Filter {
    forward: Vec<f64>,
    reverse: Option<Vec<f64>>,
    skip: Vec<f64>,
}

fn filters(spec: &SequenceSpec, case: &Case, count: &mut OpCount) -> Result<Vec<Filter>, MixerError> {
    let length = spec.dims.seq_len;
    (0..spec.convolutions())
        .map(|convolution| match &spec.layer {
            None => {
                let filters = spec.core_filters(&case.tensors, convolution)?;
                Ok(Filter {
                    forward: widen(filters.forward),
                    reverse: filters.reverse.map(widen),
                    skip: widen(filters.skip),
                })
            }
            Some(layer) => {
                let set = spec.filter_sets()[convolution];
                let mut evaluate =
                    |direction| evaluate_f64(&layer.filter, &case.tensors, (set, direction), length, count);
                let skip = case.tensors.floats(&format!("param.{set}.bias"), &[spec.dims.d_model])?;
                Ok(Filter {
                    forward: evaluate(Direction::Forward)?,
                    reverse: if spec.bidirectional { Some(evaluate(Direction::Reverse)?) } else { None },
                    skip: widen(skip),
                })
            }
        })
        .collect()
}

/// c[t] = Σ_{s ≤ t} k[s] w[t − s] + Σ_s k_rev[s] w[t + 1 + s] + β w[t], one channel.
fn convolve(filter: &Filter, channel: usize, w: &[f64], count: &mut OpCount) -> Vec<f64> {
    let length = w.len();
    let k = &filter.forward[channel * length..][..length];
    let mut c = Vec::with_capacity(length);
    for t in 0..length {
        let mut sum: f64 = k[..=t].iter().zip(w[..=t].iter().rev()).map(|(k, w)| k * w).sum();
        count.add(2 * (t + 1));
        if let Some(reverse) = &filter.reverse {
            let ahead = &w[t + 1..];
            sum += reverse[channel * length..].iter().zip(ahead).map(|(k, w)| k * w).sum::<f64>();
            count.add(2 * ahead.len());
        }
        c.push(sum + filter.skip[channel] * w[t]);
        count.add(2);
    }
    c
}

fn sequence(spec: &SequenceSpec, case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let tensors = &case.tensors;
    let filters = filters(spec, case, count)?;
    let mut y = Vec::new();
    for index in 0..spec.dims.batch {
        let rows = |stream: &[f32], channels: usize| {
            widen(&stream[index * length * channels..][..length * channels])
        };
        let (streams, u) = if spec.layer.is_none() {
            (rows(spec.streams(tensors)?, 3 * width), spec.core_input(tensors)?.map(|u| rows(u, width)))
        } else {
            let mut u = rows(spec.input(tensors)?, width);
            if let Some((weight, bias)) = spec.norm(tensors)? {
                u = exact::layer_norm(&u, weight, bias, NORM_EPS, count);
            }
            let (weight, bias) = spec.projection(tensors, "in_linear")?;
            let projected = linear(&u, weight, Some(bias), width, count);
            let (weight, bias) = spec.short_filter(tensors)?;
            (short_convolution(&projected, weight, bias, count), Some(u))
        };
        let mut g = vec![0.0; length * width];
        for channel in 0..width {
            let stream =
                |index: usize| streams.iter().skip(index * width + channel).step_by(3 * width).copied();
            let w: Vec<f64> = stream(0).zip(stream(2)).map(|(x1, v)| v * x1).collect();
            let c = convolve(&filters[0], channel, &w, count);
            for ((t, c), x2) in c.iter().enumerate().zip(stream(1)) {
                g[t * width + channel] = c * x2;
            }
            count.add(2 * length);
            if let (Some(filter), Some(u)) = (filters.get(1), &u) {
                let u: Vec<f64> = u.iter().skip(channel).step_by(width).copied().collect();
                for (t, c) in convolve(filter, channel, &u, count).iter().enumerate() {
                    g[t * width + channel] += c;
                }
                count.add(length);
            }
        }
        if spec.layer.is_some() {
            let (weight, bias) = spec.projection(tensors, "out_linear")?;
            g = linear(&g, weight, Some(bias), width, count);
        }
        y.extend(g);
    }
    Ok(y)
}

/// s[t, c] = b[c] + Σ_j w[c, j] · p[t − 2 + j, c], with p zero at negative times.
pub(super) fn short_convolution(p: &[f64], weight: &[f32], bias: &[f32], count: &mut OpCount) -> Vec<f64> {
    let channels = bias.len();
    count.add(2 * TAPS * p.len());
    let mut s = Vec::with_capacity(p.len());
    for t in 0..p.len() / channels {
        for (channel, bias) in bias.iter().enumerate() {
            let mut sum = f64::from(*bias);
            for (j, weight) in weight[channel * TAPS..][..TAPS].iter().enumerate() {
                if t + j + 1 >= TAPS {
                    sum += f64::from(*weight) * p[(t + j + 1 - TAPS) * channels + channel];
                }
            }
            s.push(sum);
        }
    }
    s
}

/// One block-diagonal product: row by row, block by block, padded inputs being zero.
fn block_diagonal(
    shape: BlockShape,
    x: &[f64],
    weight: &[f32],
    bias: Option<&[f32]>,
    count: &mut OpCount,
) -> Vec<f64> {
    let (p, q) = (shape.block_inputs(), shape.block_outputs());
    let mut y = Vec::with_capacity(x.len() / shape.inputs * shape.outputs);
    for row in x.chunks_exact(shape.inputs) {
        for output in 0..shape.outputs {
            let first = (output / q * p).min(shape.inputs);
            let inputs = &row[first..(first + p).min(shape.inputs)];
            let sum: f64 = weight[output * p..][..p].iter().zip(inputs).map(|(w, x)| f64::from(*w) * x).sum();
            y.push(sum + bias.map_or(0.0, |bias| f64::from(bias[output])));
        }
        count.add(shape.flops());
    }
    y
}

/// y = LN(x + W₂ h), h = GELU(W₁ x) or its gated form.
pub(super) fn mlp(spec: &MlpSpec, params: &MlpParams<'_>, x: &[f64], count: &mut OpCount) -> Vec<f64> {
    let rows = x.len() / spec.dims.d_model;
    let hidden = block_diagonal(spec.up(), x, params.up, None, count);
    count.add(rows * spec.intermediate * if spec.glu { 2 } else { 1 });
    let hidden: Vec<f64> = if spec.glu {
        hidden
            .chunks_exact(2 * spec.intermediate)
            .flat_map(|row| {
                let (gate, value) = row.split_at(spec.intermediate);
                gate.iter().zip(value).map(|(gate, value)| exact::gelu(*gate) * value).collect::<Vec<_>>()
            })
            .collect()
    } else {
        hidden.into_iter().map(exact::gelu).collect()
    };
    let mut o = block_diagonal(spec.down(), &hidden, params.down, Some(params.bias), count);
    o.iter_mut().zip(x).for_each(|(o, x)| *o += x);
    count.add(o.len());
    exact::layer_norm(&o, params.norm.0, params.norm.1, spec.eps, count)
}

/// Some rows of a block-diagonal layer.
pub(super) fn block_diagonal_rows(
    spec: &BlockDiagonalSpec,
    case: &Case,
    rows: std::ops::Range<usize>,
    count: &mut OpCount,
) -> Result<Vec<f64>, MixerError> {
    let inputs = spec.shape.inputs;
    let x = widen(&spec.input(&case.tensors)?[rows.start * inputs..rows.end * inputs]);
    let x: Vec<f64> = if spec.shuffle {
        let (blocks, each) = (spec.shape.blocks, inputs / spec.shape.blocks);
        x.chunks_exact(inputs)
            .flat_map(|row| (0..inputs).map(|to| row[to % blocks * each + to / blocks]))
            .collect()
    } else {
        x
    };
    let (weight, bias) = spec.params(&case.tensors)?;
    Ok(block_diagonal(spec.shape, &x, weight, Some(bias), count))
}

/// Some rows times a Monarch matrix; complex results as re, im pairs.
pub(super) fn monarch(
    spec: &MonarchSpec,
    case: &Case,
    rows: std::ops::Range<usize>,
    count: &mut OpCount,
) -> Result<Vec<f64>, MixerError> {
    let ([k, q, p], [l, s, r]) = (spec.right, spec.left);
    let x = spec.input(&case.tensors)?;
    let (w1, w2) = spec.factors(&case.tensors)?;
    let floats = spec.floats();
    let entry = |w: &[f32], index: usize| {
        let part = |part: usize| if part < floats { f64::from(w[index * floats + part]) } else { 0.0 };
        [part(0), part(1)]
    };
    let mut y = Vec::new();
    for x in x[rows.start * k * p..rows.end * k * p].chunks_exact(k * p) {
        let mut mid = vec![[0.0; 2]; k * q];
        for a in 0..k {
            for b in 0..q {
                for c in 0..p {
                    let x = f64::from(if spec.permute { x[c * k + a] } else { x[a * p + c] });
                    let w = entry(w1, (a * q + b) * p + c);
                    mid[a * q + b][0] += w[0] * x;
                    mid[a * q + b][1] += w[1] * x;
                }
            }
        }
        let mut out = vec![[0.0; 2]; l * s];
        for lambda in 0..l {
            for sigma in 0..s {
                for rho in 0..r {
                    let z = mid[rho * l + lambda];
                    let w = entry(w2, (lambda * s + sigma) * r + rho);
                    out[sigma * l + lambda][0] += w[0] * z[0] - w[1] * z[1];
                    out[sigma * l + lambda][1] += w[0] * z[1] + w[1] * z[0];
                }
            }
        }
        count.add(if spec.complex { 4 * k * q * p + 8 * l * s * r } else { 2 * (k * q * p + l * s * r) });
        y.extend(out.iter().flat_map(|pair| pair[..floats].to_vec()));
    }
    Ok(y)
}
