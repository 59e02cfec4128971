//! BigBird in f64, one query at a time, straight from the lists of key blocks.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotDraw};

use super::Spec;
use crate::key_list::{attend, core_row, layer_row};
use crate::ops::exact::{linear, widen};

/// The keys of position `i`, each as often as its block is listed.
pub(super) fn keys(spec: &Spec, random: &[i32], head: usize, i: usize) -> Vec<usize> {
    let block = i / spec.blocks.size;
    if spec.is_global(block) {
        return (0..spec.blocks.seq_len).collect();
    }
    let row = spec.random_row(random, head, block);
    spec.key_blocks(block, row).flat_map(|block| spec.blocks.range(block)).collect()
}

/// `[batch, length, width]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length, d_head) = (spec.base.dims.d_model, spec.base.dims.seq_len, spec.base.d_head());
    let [q, k, v] = match spec.base.level {
        Level::Core => spec.base.streams(&case.tensors)?.map(widen),
        Level::Layer => {
            let x = widen(spec.base.input(&case.tensors)?);
            let mut project = |name: &str| -> Result<Vec<f64>, MixerError> {
                let (weight, bias) = spec.base.projection(&case.tensors, name)?;
                Ok(linear(&x, weight, bias, width, count))
            };
            [project("query")?, project("key")?, project("value")?]
        }
    };
    let random = spec.random(&case.tensors)?;
    let mut core = vec![0.0; q.len()];
    for sequence in 0..spec.base.dims.batch {
        for head in 0..spec.base.n_heads {
            let at = |position: usize| (sequence * length + position) * width + head * d_head;
            for i in 0..length {
                let keys = keys(&spec, random, head, i);
                let out = attend(&q[at(i)..][..d_head], (&k, &v), &keys, at, count);
                core[at(i)..][..d_head].copy_from_slice(&out);
            }
        }
    }
    match spec.base.level {
        Level::Core => Ok(core),
        Level::Layer => {
            let (weight, bias) = spec.base.projection(&case.tensors, "out")?;
            Ok(linear(&core, weight, bias, width, count))
        }
    }
}

/// A few rows at any length: two drawn, then the last one and one of the first block, which see everything.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.base.dims.seq_len, spec.base.dims.d_model);
    let random = spec.random(&case.tensors)?;
    let mut rows = Vec::new();
    let mut left = draw.max_flops;
    let drawn = draw.distinct(length, 3);
    let first_block = drawn.last().map(|row| row % spec.blocks.size);
    let candidates = drawn.iter().copied().take(2).chain([length - 1]).chain(first_block);
    for row in candidates {
        let n_keys = keys(&spec, random, 0, row).len();
        let flops = match spec.base.level {
            Level::Core => 4 * n_keys * width,
            Level::Layer => 4 * n_keys * width * spec.base.n_heads + 8 * width * width,
        } as u64;
        if !rows.contains(&row) && (rows.is_empty() || flops <= left) {
            rows.push(row);
            left = left.saturating_sub(flops);
        }
    }
    rows.sort_unstable();
    let mut expected = Vec::with_capacity(rows.len() * width);
    for &row in &rows {
        let keys = |head: usize| keys(&spec, random, head, row);
        expected.extend(match spec.base.level {
            Level::Core => core_row(&spec.base, spec.base.streams(&case.tensors)?, row, keys),
            Level::Layer => layer_row(&spec.base, case, ["query", "key", "value"], row, keys)?,
        });
    }
    Ok(SpotCheck::of_rows(rows, expected))
}
