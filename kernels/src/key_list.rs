//! Attention in f64 with an explicit list of keys for each query, one query at a time: the reference of systems with
//! restricted keys. A key that is listed twice counts twice.

use mixer::{Case, MixerError, OpCount};

use crate::multi_head::Spec;
use crate::ops::exact::{dot, softmax};
use crate::ops::exact::{linear, widen};

/// Softmax of q·k/√d over `keys`, applied to the values. Two products per key are added to `count`.
///
/// `query` is one head's `[d_head]`; `k` and `v` are streams `[batch · length, width]` whose row `row_of(j)` holds key
/// j, the head's channels starting at `first`.
pub(crate) fn attend(
    query: &[f64],
    (k, v): (&[f64], &[f64]),
    keys: &[usize],
    at: impl Fn(usize) -> usize,
    count: &mut OpCount,
) -> Vec<f64> {
    let d_head = query.len();
    let scale = 1.0 / (d_head as f64).sqrt();
    let scores: Vec<f64> = keys.iter().map(|&j| scale * dot(query, &k[at(j)..][..d_head])).collect();
    let mut out = vec![0.0; d_head];
    for (weight, &j) in softmax(&scores).into_iter().zip(keys) {
        out.iter_mut().zip(&v[at(j)..][..d_head]).for_each(|(to, from)| *to += weight * from);
    }
    count.add(4 * keys.len() * d_head);
    out
}

/// The output row `row` (of `batch · length`) of a `core` case whose streams are `q`, `k`, `v`; `keys(head)` lists the
/// positions in the row's own sequence.
pub(crate) fn core_row(
    spec: &Spec,
    [q, k, v]: [&[f32]; 3],
    row: usize,
    keys: impl Fn(usize) -> Vec<usize>,
) -> Vec<f64> {
    let (width, d_head) = (spec.dims.d_model, spec.d_head());
    let sequence = row / spec.dims.seq_len * spec.dims.seq_len;
    let scale = 1.0 / (d_head as f64).sqrt();
    let mut out = Vec::with_capacity(width);
    for head in 0..spec.n_heads {
        let keys = keys(head);
        let at = |stream: &[f32], row: usize| widen(&stream[row * width + head * d_head..][..d_head]);
        let query = at(q, row);
        let scores: Vec<f64> = keys.iter().map(|&j| scale * dot(&query, &at(k, sequence + j))).collect();
        let mut mixed = vec![0.0; d_head];
        for (weight, &j) in softmax(&scores).into_iter().zip(&keys) {
            mixed.iter_mut().zip(at(v, sequence + j)).for_each(|(to, from)| *to += weight * from);
        }
        out.extend(mixed);
    }
    out
}

/// Like [`core_row`], for a `layer` case with its output projection. Avoids projecting the whole sequence: a score is
/// (W_kᵀ q)·x_j + q·b_k, and Σ w_j v_j is W_v Σ w_j x_j + b_v. `names` are the weights of q, k and v.
pub(crate) fn layer_row(
    spec: &Spec,
    case: &Case,
    names: [&str; 3],
    row: usize,
    keys: impl Fn(usize) -> Vec<usize>,
) -> Result<Vec<f64>, MixerError> {
    let x = spec.input(&case.tensors)?;
    let (width, d_head) = (spec.dims.d_model, spec.d_head());
    let sequence = row / spec.dims.seq_len * spec.dims.seq_len;
    let mut ignored = OpCount::default();
    let [(query_weight, query_bias), (key_weight, key_bias), (value_weight, value_bias)] = [
        spec.projection(&case.tensors, names[0])?,
        spec.projection(&case.tensors, names[1])?,
        spec.projection(&case.tensors, names[2])?,
    ];
    let query = linear(&widen(&x[row * width..][..width]), query_weight, query_bias, width, &mut ignored);
    let input = |j: usize| x[(sequence + j) * width..][..width].iter().map(|&value| f64::from(value));
    let scale = 1.0 / (d_head as f64).sqrt();
    let mut core = vec![0.0; width];
    for head in 0..spec.n_heads {
        let channels = head * d_head..(head + 1) * d_head;
        let keys = keys(head);
        let mut probe = vec![0.0; width];
        let mut offset = 0.0;
        for channel in channels.clone() {
            for (to, weight) in probe.iter_mut().zip(&key_weight[channel * width..][..width]) {
                *to += query[channel] * f64::from(*weight);
            }
            offset += key_bias.map_or(0.0, |bias| query[channel] * f64::from(bias[channel]));
        }
        let scores: Vec<f64> = keys
            .iter()
            .map(|&j| scale * (offset + probe.iter().zip(input(j)).map(|(a, b)| a * b).sum::<f64>()))
            .collect();
        let mut mixed = vec![0.0; width];
        for (weight, &j) in softmax(&scores).into_iter().zip(&keys) {
            mixed.iter_mut().zip(input(j)).for_each(|(to, from)| *to += weight * from);
        }
        for channel in channels {
            let weights = value_weight[channel * width..][..width].iter().map(|&value| f64::from(value));
            core[channel] = mixed.iter().zip(weights).map(|(a, b)| a * b).sum::<f64>()
                + value_bias.map_or(0.0, |bias| f64::from(bias[channel]));
        }
    }
    let (weight, bias) = spec.projection(&case.tensors, "out")?;
    Ok(linear(&core, weight, bias, width, &mut ignored))
}
