//! Linformer in f64, straight from the equations, with the sequence maps applied to the input first: the same sums in
//! the cheaper order.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotDraw};

use super::Spec;
use crate::ops::exact::softmax;
use crate::ops::exact::{linear, widen};

/// `[batch, length, width]` in f64 (`inner` wide at core level).
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let maps = spec.sequence_maps(tensors)?;
    let width = spec.dims.d_model;
    let (q, keys, values) = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(tensors)?;
            let keys = summarise(&spec, &widen(k), maps[0], spec.kv_width(), count);
            let values = if spec.share_kv {
                keys.clone()
            } else {
                summarise(&spec, &widen(v), maps[1], spec.kv_width(), count)
            };
            (widen(q), keys, values)
        }
        Level::Layer => {
            let x = widen(spec.input(tensors)?);
            let q = linear(&x, spec.projection(tensors, "query")?, None, width, count);
            let mapped = summarise(&spec, &x, maps[0], width, count);
            let keys = linear(&mapped, spec.projection(tensors, "key")?, None, width, count);
            let values = if spec.share_kv {
                keys.clone()
            } else {
                let mapped = summarise(&spec, &x, maps[1], width, count);
                linear(&mapped, spec.projection(tensors, "value")?, None, width, count)
            };
            (q, keys, values)
        }
    };
    let core = attend(&spec, &q, &keys, &values, count);
    if spec.level == Level::Core {
        return Ok(core);
    }
    let (weight, bias) = spec.out(tensors)?;
    Ok(linear(&core, weight, Some(bias), spec.inner(), count))
}

/// Eᵀ x, `[batch, rank, width]`.
fn summarise(spec: &Spec, x: &[f64], map: &[f32], width: usize, count: &mut OpCount) -> Vec<f64> {
    let (length, rank) = (spec.dims.seq_len, spec.rank);
    let mut summary = vec![0.0; spec.dims.batch * rank * width];
    for (x, summary) in x.chunks_exact(length * width).zip(summary.chunks_exact_mut(rank * width)) {
        for (x, row) in x.chunks_exact(width).zip(map.chunks_exact(rank)) {
            for (summary, &weight) in summary.chunks_exact_mut(width).zip(row) {
                summary.iter_mut().zip(x).for_each(|(to, from)| *to += f64::from(weight) * from);
            }
        }
    }
    count.add(2 * spec.dims.batch * length * rank * width);
    summary
}

fn attend(spec: &Spec, q: &[f64], keys: &[f64], values: &[f64], count: &mut OpCount) -> Vec<f64> {
    let (length, inner, kv_width, rank, d_head) =
        (spec.dims.seq_len, spec.inner(), spec.kv_width(), spec.rank, spec.d_head);
    let scale = 1.0 / (d_head as f64).sqrt();
    let mut core = vec![0.0; q.len()];
    for (row, (q, core)) in q.chunks_exact(inner).zip(core.chunks_exact_mut(inner)).enumerate() {
        let sequence = row / length * rank * kv_width;
        for head in 0..spec.n_heads {
            let shared = if spec.one_kv_head { 0 } else { head * d_head };
            let summary = |all: &'_ [f64], j: usize, c: usize| all[sequence + j * kv_width + shared + c];
            let scores: Vec<f64> = (0..rank)
                .map(|j| scale * (0..d_head).map(|c| q[head * d_head + c] * summary(keys, j, c)).sum::<f64>())
                .collect();
            for (j, weight) in softmax(&scores).into_iter().enumerate() {
                for c in 0..d_head {
                    core[head * d_head + c] += weight * summary(values, j, c);
                }
            }
        }
    }
    count.add(4 * spec.dims.batch * length * rank * inner);
    core
}

/// A few rows at any length, without the summaries: a row's scores are Eᵀ p with p_t = x_t·(W_kᵀ q), and its output is
/// W_v Σ_t (F w)_t x_t.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model);
    let per_row = 4 * length * spec.n_heads * (width + spec.rank);
    let rows = draw.rows(length, draw.affords(per_row as u64, 4));
    let mut expected = Vec::new();
    for &row in &rows {
        expected.extend(one_row(&spec, case, row)?);
    }
    Ok(SpotCheck::of_rows(rows, expected))
}

/// One output row of the first sequence.
fn one_row(spec: &Spec, case: &Case, row: usize) -> Result<Vec<f64>, MixerError> {
    let tensors = &case.tensors;
    let maps = spec.sequence_maps(tensors)?;
    let (width, d_head, rank, length) = (spec.dims.d_model, spec.d_head, spec.rank, spec.dims.seq_len);
    let mut ignored = OpCount::default();
    let mut core = vec![0.0; spec.inner()];
    // At core level keys and values are their own inputs, and the projections of a head pick its channels.
    let (key_input, value_input, input_width, q) = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(tensors)?;
            (k, v, spec.kv_width(), widen(&q[row * spec.inner()..][..spec.inner()]))
        }
        Level::Layer => {
            let x = spec.input(tensors)?;
            let query = spec.projection(tensors, "query")?;
            let q = linear(&widen(&x[row * width..][..width]), query, None, width, &mut ignored);
            (x, x, width, q)
        }
    };
    let input = |all: &'_ [f32], t: usize, i: usize| f64::from(all[t * input_width + i]);
    for head in 0..spec.n_heads {
        let shared = if spec.one_kv_head { 0 } else { head * d_head };
        let weight = |name: &str, c: usize, i: usize| -> Result<f64, MixerError> {
            Ok(match spec.level {
                Level::Core => f64::from(u8::from(i == shared + c)),
                Level::Layer => f64::from(spec.projection(tensors, name)?[(shared + c) * width + i]),
            })
        };
        let mut probe = vec![0.0; input_width];
        for c in 0..d_head {
            for (i, probe) in probe.iter_mut().enumerate() {
                *probe += q[head * d_head + c] * weight("key", c, i)?;
            }
        }
        let mut scores = vec![0.0; rank];
        let scale = 1.0 / (d_head as f64).sqrt();
        for t in 0..length {
            let p = scale
                * probe.iter().enumerate().map(|(i, probe)| probe * input(key_input, t, i)).sum::<f64>();
            let row = &maps[0][t * rank..][..rank];
            scores.iter_mut().zip(row).for_each(|(score, &e)| *score += f64::from(e) * p);
        }
        let weights = softmax(&scores);
        let mut mixed = vec![0.0; input_width];
        for t in 0..length {
            let row = &maps[1][t * rank..][..rank];
            let share: f64 = row.iter().zip(&weights).map(|(&f, weight)| f64::from(f) * weight).sum();
            mixed.iter_mut().enumerate().for_each(|(i, to)| *to += share * input(value_input, t, i));
        }
        for c in 0..d_head {
            for (i, mixed) in mixed.iter().enumerate() {
                core[head * d_head + c] += weight("value", c, i)? * mixed;
            }
        }
    }
    if spec.level == Level::Core {
        return Ok(core);
    }
    let (weight, bias) = spec.out(tensors)?;
    Ok(linear(&core, weight, Some(bias), spec.inner(), &mut ignored))
}
