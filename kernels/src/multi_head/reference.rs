//! Attention in f64, one query at a time, straight from the equations.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotDraw};

use super::Spec;
use crate::ops::exact::{dot, linear, softmax, widen};

/// `[batch, length, width]` in f64.
pub(crate) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let width = spec.dims.d_model;
    let (q, k, v) = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(&case.tensors)?;
            (widen(q), widen(k), widen(v))
        }
        Level::Layer => {
            let x = widen(spec.input(&case.tensors)?);
            let mut project = |name: &str| -> Result<Vec<f64>, MixerError> {
                let (weight, bias) = spec.projection(&case.tensors, name)?;
                Ok(linear(&x, weight, bias, width, count))
            };
            (project("query")?, project("key")?, project("value")?)
        }
    };
    let core = mix(&spec, &q, &k, &v, count);
    match spec.level {
        Level::Core => Ok(core),
        Level::Layer => {
            let (weight, bias) = spec.projection(&case.tensors, "out")?;
            Ok(linear(&core, weight, bias, width, count))
        }
    }
}

fn mix(spec: &Spec, q: &[f64], k: &[f64], v: &[f64], count: &mut OpCount) -> Vec<f64> {
    let (width, length, d_head) = (spec.dims.d_model, spec.dims.seq_len, spec.d_head());
    let scale = 1.0 / (d_head as f64).sqrt();
    let mut core = vec![0.0; q.len()];
    for sequence in 0..spec.dims.batch {
        for head in 0..spec.n_heads {
            let row = |position: usize| (sequence * length + position) * width + head * d_head;
            for i in 0..length {
                let keys = if spec.causal { i + 1 } else { length };
                let query = &q[row(i)..][..d_head];
                let scores: Vec<f64> =
                    (0..keys).map(|j| scale * dot(query, &k[row(j)..][..d_head])).collect();
                count.add(2 * keys * d_head);
                let weights = softmax(&scores);
                let out = &mut core[row(i)..][..d_head];
                for (j, weight) in weights.iter().enumerate() {
                    for (to, from) in out.iter_mut().zip(&v[row(j)..][..d_head]) {
                        *to += weight * from;
                    }
                }
                count.add(2 * keys * d_head);
            }
        }
    }
    core
}

/// A few rows at any length. At layer level no projection of the whole sequence is needed: a score is
/// (W_kᵀ q)·x_j + q·b_k, and Σ w_j v_j is W_v Σ w_j x_j + b_v.
pub(crate) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model);
    let scores = 4 * length as u64 * width as u64;
    let per_row = match spec.level {
        Level::Core => scores,
        Level::Layer => scores * spec.n_heads as u64 + 8 * (width * width) as u64,
    };
    let rows = draw.rows(length, draw.affords(per_row, 4));
    let mut expected = Vec::with_capacity(rows.len() * width);
    for &row in &rows {
        expected.extend(match spec.level {
            Level::Core => core_row(&spec, case, row)?,
            Level::Layer => layer_row(&spec, case, row)?,
        });
    }
    Ok(SpotCheck::of_rows(rows, expected))
}

fn core_row(spec: &Spec, case: &Case, row: usize) -> Result<Vec<f64>, MixerError> {
    let [q, k, v] = spec.streams(&case.tensors)?;
    let (width, d_head) = (spec.dims.d_model, spec.d_head());
    let keys = if spec.causal { row + 1 } else { spec.dims.seq_len };
    let mut out = vec![0.0; width];
    for head in 0..spec.n_heads {
        let at = |stream: &[f32], position: usize, channel: usize| {
            f64::from(stream[position * width + head * d_head + channel])
        };
        let scale = 1.0 / (d_head as f64).sqrt();
        let scores: Vec<f64> = (0..keys)
            .map(|j| scale * (0..d_head).map(|channel| at(q, row, channel) * at(k, j, channel)).sum::<f64>())
            .collect();
        for (j, weight) in softmax(&scores).into_iter().enumerate() {
            for channel in 0..d_head {
                out[head * d_head + channel] += weight * at(v, j, channel);
            }
        }
    }
    Ok(out)
}

fn layer_row(spec: &Spec, case: &Case, row: usize) -> Result<Vec<f64>, MixerError> {
    let x = spec.input(&case.tensors)?;
    let (width, d_head) = (spec.dims.d_model, spec.d_head());
    let keys = if spec.causal { row + 1 } else { spec.dims.seq_len };
    let mut ignored = OpCount::default();
    let (query_weight, query_bias) = spec.projection(&case.tensors, "query")?;
    let (key_weight, key_bias) = spec.projection(&case.tensors, "key")?;
    let (value_weight, value_bias) = spec.projection(&case.tensors, "value")?;
    let (out_weight, out_bias) = spec.projection(&case.tensors, "out")?;
    let query = linear(&widen(&x[row * width..][..width]), query_weight, query_bias, width, &mut ignored);
    let scale = 1.0 / (d_head as f64).sqrt();
    let mut core = vec![0.0; width];
    for head in 0..spec.n_heads {
        let channels = head * d_head..(head + 1) * d_head;
        let mut probe = vec![0.0; width];
        let mut offset = 0.0;
        for channel in channels.clone() {
            for (to, weight) in probe.iter_mut().zip(&key_weight[channel * width..][..width]) {
                *to += query[channel] * f64::from(*weight);
            }
            offset += key_bias.map_or(0.0, |bias| query[channel] * f64::from(bias[channel]));
        }
        let input = |j: usize| x[j * width..][..width].iter().map(|&value| f64::from(value));
        let scores: Vec<f64> = (0..keys)
            .map(|j| scale * (offset + probe.iter().zip(input(j)).map(|(a, b)| a * b).sum::<f64>()))
            .collect();
        let mut mixed = vec![0.0; width];
        for (j, weight) in softmax(&scores).into_iter().enumerate() {
            mixed.iter_mut().zip(input(j)).for_each(|(to, from)| *to += weight * from);
        }
        for channel in channels {
            let row = value_weight[channel * width..][..width].iter().map(|&value| f64::from(value));
            core[channel] = mixed.iter().zip(row).map(|(a, b)| a * b).sum::<f64>()
                + value_bias.map_or(0.0, |bias| f64::from(bias[channel]));
        }
    }
    Ok(linear(&core, out_weight, out_bias, width, &mut ignored))
}
