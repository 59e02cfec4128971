//! The equations of Linformer (Wang et al., arXiv 2006.04768, section 4), with the sequence maps applied to the input
//! before the projections: equal sums in a cheaper order.

use algebra::{Exact, Load, Mask, attention};
use mixer::{Case, Level, MixerError, SpotCheck, SpotDraw};

use super::Spec;
use crate::model::{Model, sequence};
use crate::multi_head::concat_heads;

/// Outputs of one sequence at `positions`: Concat(head_i) W_O with head_i = Attention(Q_i, Eᵀ K_i, Fᵀ V_i).
fn outputs_at<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    index: usize,
    positions: &[usize],
) -> Result<A::T, MixerError> {
    let (tensors, length, width) = (&case.tensors, spec.dims.seq_len, spec.dims.d_model);
    let maps = spec.sequence_maps(tensors)?.map(|map| {
        let map = a.load(map, [spec.max_length, spec.rank]);
        let map = a.rows(&map, 0..length);
        a.transpose(&map)
    });
    let (q, keys, values) = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(tensors)?;
            let q = sequence(a, q, [length, spec.inner()], index);
            let [k, v] = [k, v].map(|stream| sequence(a, stream, [length, spec.kv_width()], index));
            let keys = a.matmul(&maps[0], &k);
            let values = if spec.share_kv { keys.clone() } else { a.matmul(&maps[1], &v) };
            (a.gather(&q, positions), keys, values)
        }
        Level::Layer => {
            let x = sequence(a, spec.input(tensors)?, [length, width], index);
            let queries = a.gather(&x, positions);
            let weight = a.load(spec.projection(tensors, "query")?, [spec.inner(), width]);
            let q = a.linear(&queries, &weight, None);
            let summary = |a: &mut A, map: &A::T, name: &str| {
                let weight = a.load(spec.projection(tensors, name)?, [spec.kv_width(), width]);
                let mapped = a.matmul(map, &x);
                Ok::<_, MixerError>(a.linear(&mapped, &weight, None))
            };
            let keys = summary(a, &maps[0], "key")?;
            let values = if spec.share_kv { keys.clone() } else { summary(a, &maps[1], "value")? };
            (q, keys, values)
        }
    };
    let core = concat_heads(a, spec.n_heads, |a, head| {
        let own = |index: usize| index * spec.d_head..(index + 1) * spec.d_head;
        let shared = own(if spec.one_kv_head { 0 } else { head });
        let q = a.columns(&q, own(head));
        let (k, v) = (a.columns(&keys, shared.clone()), a.columns(&values, shared));
        attention(a, &q, &k, &v, &Mask::All)
    });
    if spec.level == Level::Core {
        return Ok(core);
    }
    let (weight, bias) = spec.out(tensors)?;
    let (weight, bias) = (a.load(weight, [width, spec.inner()]), a.load(bias, [1, width]));
    Ok(a.linear(&core, &weight, Some(&bias)))
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let positions: Vec<usize> = (0..self.dims.seq_len).collect();
        (0..self.dims.batch).map(|index| outputs_at(a, self, case, index, &positions)).collect()
    }
}

/// A few rows at any length. The order of the products avoids the summaries: scores are Eᵀ p with p_t = x_t·(W_kᵀ q),
/// and outputs W_v Σ_t (F w)_t x_t.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model);
    let per_row = 4 * length as u64 * spec.n_heads as u64 * (width + spec.rank) as u64;
    let rows = draw.rows(length, draw.affords(per_row, 4));
    let expected = outputs_at(&mut Exact::default(), &spec, case, 0, &rows)?.to_vec();
    Ok(SpotCheck::of_rows(rows, expected))
}
