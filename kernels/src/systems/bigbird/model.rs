//! The equations of BigBird (Zaheer et al., arXiv 2007.14062, section 2): a block of queries attends to a list of key
//! blocks: global, window and random.

use algebra::{Exact, Load};
use mixer::{Case, MixerError, SpotCheck, SpotDraw};

use super::Spec;
use crate::model::Model;
use crate::multi_head::{Source, attend_to, concat_heads, of_head, output, streams};

/// The keys of position `i`, each as many times as its block is listed.
pub(super) fn keys(spec: &Spec, random: &[i32], head: usize, i: usize) -> Vec<usize> {
    let block = i / spec.blocks.size;
    if spec.is_global(block) {
        return (0..spec.blocks.seq_len).collect();
    }
    let row = spec.random_row(random, head, block);
    spec.key_blocks(block, row).flat_map(|block| spec.blocks.range(block)).collect()
}

/// Outputs of one sequence at `positions`, which are in ascending order.
fn outputs_at<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    index: usize,
    positions: &[usize],
) -> Result<A::T, MixerError> {
    let base = &spec.base;
    let random = spec.random(&case.tensors)?;
    let [q, mut k, mut v] = streams(a, base, case, index, Source::plain(base, case)?, positions)?;
    if positions.len() == base.dims.seq_len {
        (k, v) = (a.keep(&k), a.keep(&v));
    }
    let streams = [q, k, v];
    let core = concat_heads(a, base.n_heads, |a, head| {
        let [q, k, v] = of_head(a, &streams, base.n_heads, head);
        let mut first = 0;
        let blocks: Vec<_> = positions
            .chunk_by(|left, right| left / spec.blocks.size == right / spec.blocks.size)
            .map(|block| {
                let q = a.rows(&q, first..first + block.len());
                first += block.len();
                attend_to(a, &q, [&k, &v], &keys(spec, random, head, block[0]))
            })
            .collect();
        a.stack(&blocks)
    });
    output(a, base, case, core)
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let positions: Vec<usize> = (0..self.base.dims.seq_len).collect();
        (0..self.base.dims.batch).map(|index| outputs_at(a, self, case, index, &positions)).collect()
    }
}

/// A few rows at any length: two random ones, the last row, and a row of the first block, which sees every position.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let length = spec.base.dims.seq_len;
    let random = spec.random(&case.tensors)?;
    let drawn = draw.distinct(length, 3);
    let first_block = drawn.last().map(|row| row % spec.blocks.size);
    let candidates = drawn.iter().copied().take(2).chain([length - 1]).chain(first_block);
    let n_keys = |row| keys(&spec, random, 0, row).len();
    let rows = spec.base.affordable_rows(draw.max_flops, candidates, n_keys);
    let expected = outputs_at(&mut Exact::default(), &spec, case, 0, &rows)?.to_vec();
    Ok(SpotCheck::of_rows(rows, expected))
}
