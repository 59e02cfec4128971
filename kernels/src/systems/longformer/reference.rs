//! Longformer in f64, one query at a time, straight from the key sets.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotDraw};

use super::Spec;
use crate::key_list::{attend, core_row, layer_row};
use crate::ops::exact::{linear, widen};

/// The keys of a position that is not global, ascending, each once.
pub(super) fn local_keys(spec: &Spec, sequence: usize, head: usize, i: usize) -> Vec<usize> {
    let (length, dilation) = (spec.base.dims.seq_len, spec.dilations[head]);
    let left = (1..=spec.reach).map_while(|t| i.checked_sub(t * dilation));
    let mut keys: Vec<usize> = left.collect();
    keys.push(i);
    if !spec.base.causal {
        keys.extend((1..=spec.reach).map(|t| i + t).take_while(|&j| j < length));
    }
    keys.extend(&spec.globals[sequence]);
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// `[batch, length, width]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let (width, has_globals) = (spec.base.dims.d_model, spec.n_globals() > 0);
    let streams = |suffix: &str, count: &mut OpCount| -> Result<[Vec<f64>; 3], MixerError> {
        match spec.base.level {
            Level::Core if suffix.is_empty() => Ok(spec.base.streams(&case.tensors)?.map(widen)),
            Level::Core => Ok(spec.global_streams(&case.tensors)?.map(widen)),
            Level::Layer => {
                let x = widen(spec.base.input(&case.tensors)?);
                let mut project = |name: &str| -> Result<Vec<f64>, MixerError> {
                    let (weight, bias) = spec.base.projection(&case.tensors, &format!("{name}{suffix}"))?;
                    if name == "query" && !suffix.is_empty() {
                        // Only the rows of global positions are needed.
                        count.add(2 * spec.n_globals() * width * width);
                        return Ok(linear(&x, weight, bias, width, &mut OpCount::default()));
                    }
                    Ok(linear(&x, weight, bias, width, count))
                };
                Ok([project("query")?, project("key")?, project("value")?])
            }
        }
    };
    let local = streams("", count)?;
    let global = if has_globals { Some(streams("_global", count)?) } else { None };
    let core = mix(&spec, &local, global.as_ref(), count);
    match spec.base.level {
        Level::Core => Ok(core),
        Level::Layer => {
            let (weight, bias) = spec.base.projection(&case.tensors, "out")?;
            Ok(linear(&core, weight, bias, width, count))
        }
    }
}

fn mix(spec: &Spec, local: &[Vec<f64>; 3], global: Option<&[Vec<f64>; 3]>, count: &mut OpCount) -> Vec<f64> {
    let (width, length, d_head) = (spec.base.dims.d_model, spec.base.dims.seq_len, spec.base.d_head());
    let everything: Vec<usize> = (0..length).collect();
    let mut core = vec![0.0; spec.base.dims.batch * length * width];
    for sequence in 0..spec.base.dims.batch {
        for head in 0..spec.base.n_heads {
            let at = |position: usize| (sequence * length + position) * width + head * d_head;
            for i in 0..length {
                let out = match global {
                    Some([q, k, v]) if spec.is_global(sequence, i) => {
                        attend(&q[at(i)..][..d_head], (k, v), &everything, at, count)
                    }
                    _ => {
                        let [q, k, v] = local;
                        let keys = local_keys(spec, sequence, head, i);
                        attend(&q[at(i)..][..d_head], (k, v), &keys, at, count)
                    }
                };
                core[at(i)..][..d_head].copy_from_slice(&out);
            }
        }
    }
    core
}

/// A few rows at any length: the last, two drawn, and one of the global ones, or another one drawn where there are none.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.base.dims.seq_len, spec.base.dims.d_model);
    let mut rows = Vec::new();
    let mut left = draw.max_flops;
    let drawn = draw.distinct(length, 3);
    let globals = &spec.globals[0];
    let global = draw.distinct(globals.len(), 1).first().map(|&index| globals[index]);
    let candidates = drawn.iter().take(2).chain(&global).chain(drawn.last());
    for row in [length - 1].iter().chain(candidates).copied().take(4) {
        let keys = if spec.is_global(0, row) { length } else { 2 * spec.reach + 1 + spec.globals[0].len() };
        let flops = match spec.base.level {
            Level::Core => 4 * keys * width,
            Level::Layer => 4 * keys * width * spec.base.n_heads + 8 * width * width,
        } as u64;
        if !rows.contains(&row) && (rows.is_empty() || flops <= left) {
            rows.push(row);
            left = left.saturating_sub(flops);
        }
    }
    rows.sort_unstable();
    let mut expected = Vec::with_capacity(rows.len() * width);
    for &row in &rows {
        let is_global = spec.is_global(0, row);
        let keys = |head: usize| {
            if is_global { (0..length).collect() } else { local_keys(&spec, 0, head, row) }
        };
        expected.extend(match (spec.base.level, is_global) {
            (Level::Core, false) => core_row(&spec.base, spec.base.streams(&case.tensors)?, row, keys),
            (Level::Core, true) => core_row(&spec.base, spec.global_streams(&case.tensors)?, row, keys),
            (Level::Layer, false) => layer_row(&spec.base, case, ["query", "key", "value"], row, keys)?,
            (Level::Layer, true) => {
                layer_row(&spec.base, case, ["query_global", "key_global", "value_global"], row, keys)?
            }
        });
    }
    Ok(SpotCheck::of_rows(rows, expected))
}
