//! The equations of Longformer (Beltagy et al., arXiv 2004.05150, section 3.1): attention over a dilated window and the
//! global positions; global positions attend to all, with projections of their own.

use algebra::{Exact, Load, Mask, attention};
use mixer::{Case, Level, MixerError, SpotCheck, SpotDraw};

use super::Spec;
use crate::model::Model;
use crate::multi_head::{Source, attend_to, concat_heads, of_head, output, streams};

/// The keys of a local position, each once, in ascending order.
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

/// Names of the projections of global positions.
const GLOBAL: [&str; 3] = ["query_global", "key_global", "value_global"];

/// Outputs of one sequence at `positions`.
fn outputs_at<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    index: usize,
    positions: &[usize],
) -> Result<A::T, MixerError> {
    let base = &spec.base;
    let [q, mut k, mut v] = streams(a, base, case, index, Source::plain(base, case)?, positions)?;
    if positions.len() == base.dims.seq_len {
        (k, v) = (a.keep(&k), a.keep(&v));
    }
    let local = [q, k, v];
    let of_global: Vec<usize> =
        positions.iter().copied().filter(|&position| spec.is_global(index, position)).collect();
    let global = if spec.n_globals() > 0 {
        let inputs = match base.level {
            Level::Core => Some(spec.global_streams(&case.tensors)?),
            Level::Layer => None,
        };
        Some(streams(a, base, case, index, Source { inputs, names: GLOBAL }, &of_global)?)
    } else {
        None
    };
    let core = concat_heads(a, base.n_heads, |a, head| {
        let [q, k, v] = of_head(a, &local, base.n_heads, head);
        let global = global.as_ref().map(|global| {
            let [q, k, v] = of_head(a, global, base.n_heads, head);
            attention(a, &q, &k, &v, &Mask::All)
        });
        let rows: Vec<_> = positions
            .iter()
            .enumerate()
            .map(|(row, &position)| {
                if let (Some(global), Ok(row)) = (&global, of_global.binary_search(&position)) {
                    return a.rows(global, row..row + 1);
                }
                let q = a.rows(&q, row..row + 1);
                attend_to(a, &q, [&k, &v], &local_keys(spec, index, head, position))
            })
            .collect();
        a.stack(&rows)
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

/// A few rows at any length: the last, two random ones, and a global one, or a third random one if there are no global
/// ones.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let length = spec.base.dims.seq_len;
    let drawn = draw.distinct(length, 3);
    let globals = &spec.globals[0];
    let global = draw.distinct(globals.len(), 1).first().map(|&index| globals[index]);
    let others = drawn.iter().take(2).chain(&global).chain(drawn.last()).copied();
    let candidates = [length - 1].into_iter().chain(others).take(4);
    let n_keys = |row| if spec.is_global(0, row) { length } else { 2 * spec.reach + 1 + globals.len() };
    let rows = spec.base.affordable_rows(draw.max_flops, candidates, n_keys);
    let expected = outputs_at(&mut Exact::default(), &spec, case, 0, &rows)?.to_vec();
    Ok(SpotCheck::of_rows(rows, expected))
}
