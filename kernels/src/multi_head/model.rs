//! The equations of multi-head attention (Vaswani et al., arXiv 1706.03762, sections 3.2.1 and 3.2.2).

use algebra::{Algebra, Load, Mask, attention};
use mixer::{Case, Level, MixerError, SpotCheck, SpotDraw};

use super::Spec;
use crate::model::{Model, sequence};

/// Where queries, keys and values come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// At core level: the streams themselves, `[batch, length, width]` each; keys and values may have fewer columns.
    pub inputs: Option<[&'a [f32]; 3]>,
    /// At layer level: names of their projections.
    pub names: [&'static str; 3],
}

impl<'a> Source<'a> {
    /// The queries, keys and values that every system with heads has.
    pub(crate) fn plain(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        let inputs = match spec.level {
            Level::Core => Some(spec.streams(&case.tensors)?),
            Level::Layer => None,
        };
        Ok(Self { inputs, names: ["query", "key", "value"] })
    }
}

/// Queries at `positions`, keys and values at every position of one sequence, `[.., width]`: at layer level x W_Q, x W_K and
/// x W_V.
pub(crate) fn streams<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    index: usize,
    source: Source<'a>,
    positions: &[usize],
) -> Result<[A::T; 3], MixerError> {
    let shape = [spec.dims.seq_len, spec.dims.d_model];
    let Source { inputs, names } = source;
    if let Some(inputs) = inputs {
        let kv = [spec.dims.seq_len, spec.kv_width()];
        let [q, k, v] = [(inputs[0], shape), (inputs[1], kv), (inputs[2], kv)]
            .map(|(stream, shape)| sequence(a, stream, shape, index));
        return Ok([a.gather(&q, positions), k, v]);
    }
    let x = sequence(a, spec.input(&case.tensors)?, shape, index);
    let queries = a.gather(&x, positions);
    Ok([
        project(a, spec, case, names[0], &queries)?,
        project(a, spec, case, names[1], &x)?,
        project(a, spec, case, names[2], &x)?,
    ])
}

/// x Wᵀ + b with the weights called `name`.
fn project<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    name: &str,
    x: &A::T,
) -> Result<A::T, MixerError> {
    let (width, outputs) = (spec.dims.d_model, spec.outputs_of(name));
    let (weight, bias) = spec.projection(&case.tensors, name)?;
    let weight = a.load(weight, [outputs, width]);
    let bias = bias.map(|bias| a.load(bias, [1, outputs]));
    Ok(a.linear(x, &weight, bias.as_ref()))
}

/// Concat(head_1, …, head_h) with `head(a, i)`.
pub(crate) fn concat_heads<A: Algebra>(
    a: &mut A,
    n_heads: usize,
    mut head: impl FnMut(&mut A, usize) -> A::T,
) -> A::T {
    let heads: Vec<_> = (0..n_heads).map(|index| head(a, index)).collect();
    a.concat(&heads)
}

/// The columns of head `index` of the queries, and those of its group's keys and values.
pub(crate) fn of_head<A: Algebra>(a: &mut A, streams: &[A::T; 3], n_heads: usize, index: usize) -> [A::T; 3] {
    let d_head = a.shape(&streams[0])[1] / n_heads;
    streams.each_ref().map(|stream| {
        let heads = a.shape(stream)[1] / d_head;
        let first = index * heads / n_heads * d_head;
        a.columns(stream, first..first + d_head)
    })
}

/// Attention of one query, or of queries that see the same keys: `keys` names them, each as often as it counts.
pub(crate) fn attend_to<A: Algebra>(a: &mut A, q: &A::T, [k, v]: [&A::T; 2], keys: &[usize]) -> A::T {
    let (k, v) = (a.gather(k, keys), a.gather(v, keys));
    attention(a, q, &k, &v, &Mask::All)
}

/// At layer level x W_O + b, at core level x.
pub(crate) fn output<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    core: A::T,
) -> Result<A::T, MixerError> {
    match spec.level {
        Level::Core => Ok(core),
        Level::Layer => project(a, spec, case, "out", &core),
    }
}

/// MultiHead(x) of one sequence at `positions`.
fn multi_head<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    case: &'a Case,
    index: usize,
    positions: &[usize],
) -> Result<A::T, MixerError> {
    let streams = streams(a, spec, case, index, Source::plain(spec, case)?, positions)?;
    let mask = if spec.causal { Mask::Causal(positions.to_vec()) } else { Mask::All };
    let core = concat_heads(a, spec.n_heads, |a, head| {
        let [q, k, v] = of_head(a, &streams, spec.n_heads, head);
        attention(a, &q, &k, &v, &mask)
    });
    output(a, spec, case, core)
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read_grouped(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let positions: Vec<usize> = (0..self.dims.seq_len).collect();
        (0..self.dims.batch).map(|index| multi_head(a, self, case, index, &positions)).collect()
    }
}

/// A few rows at any length.
pub(crate) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read_grouped(case)?;
    let length = spec.dims.seq_len;
    let rows = draw.rows(length, draw.affords(spec.row_flops(length), 4));
    let expected = multi_head(&mut algebra::Exact::default(), &spec, case, 0, &rows)?.to_vec();
    Ok(SpotCheck::of_rows(rows, expected))
}
