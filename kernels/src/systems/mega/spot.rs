//! Single output rows in f64 at any length, and whole channels of the average alone. A row depends on its chunk and,
//! through the average, on the lags at which powers of the decay are above rounding.

use std::ops::Range;

use algebra::{Algebra, Exact, Load, Tensor, convolution_flops};
use mixer::{Case, MixerError, SpotCheck, SpotColumn, SpotDraw};

use super::ema::{self, Dimension};
use super::model::{Direction, Ema, Weights, attend, average, bias, chunk};
use super::spec::{AttentionSpec, EmaSpec, LayerSpec, Spec};
use crate::model::sequence;

/// Largest number of channels that are checked in full.
const CHANNELS: usize = 4;

/// Largest negligible power of the decay: below f64 rounding of the sum.
const NEGLIGIBLE: f64 = 1e-18;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let length = match spec {
        Spec::Ema(spec) => spec.dims.seq_len,
        Spec::Attention(spec) => spec.seq_len,
        Spec::Layer(spec) => spec.ema.dims.seq_len,
    };
    let mut a = Exact::default();
    let averager = match spec {
        Spec::Ema(spec) => Some(Averager::new(&mut a, spec, case)?),
        Spec::Layer(spec) => Some(Averager::new(&mut a, spec.ema, case)?),
        Spec::Attention(_) => None,
    };
    let chunk = match spec {
        Spec::Ema(_) => 1,
        Spec::Attention(spec) | Spec::Layer(LayerSpec { attention: spec, .. }) => spec.chunk,
    };
    let projections = match spec {
        Spec::Ema(_) => 0,
        Spec::Attention(spec) => 2 * (spec.z + spec.h),
        Spec::Layer(spec) => 2 * (spec.attention.z + spec.attention.h) * (spec.width() + 1),
    };
    let average = averager
        .as_ref()
        .map_or(0, |averager| 2 * averager.spec.directions() * averager.spec.dims.d_model * averager.reach);
    let per_position = projections + average;
    let half = draw.part(0, 2);
    let rows = half.rows(length, half.affords(per_position as u64 * chunk as u64, 3));
    let mut expected = Vec::new();
    for &row in &rows {
        let values = match (&spec, &averager) {
            (Spec::Ema(spec), Some(averager)) => {
                let x = sequence(&mut a, spec.input(&case.tensors)?, [length, spec.dims.d_model], 0);
                averager.rows(&mut a, row..row + 1, &x, |_, x| x)
            }
            (Spec::Layer(spec), Some(averager)) => layer_row(&mut a, spec, averager, case, row)?,
            (Spec::Attention(spec) | Spec::Layer(LayerSpec { attention: spec, .. }), _) => {
                attention_row(&mut a, spec, case, row)?
            }
            (Spec::Ema(_), None) => continue,
        };
        expected.extend(values.to_vec());
    }
    let columns = match (&spec, &averager) {
        (Spec::Ema(spec), Some(averager)) => {
            let x = sequence(&mut a, spec.input(&case.tensors)?, [length, spec.dims.d_model], 0);
            averager.channels(&mut a, &x, draw.part(1, 2))
        }
        _ => Vec::new(),
    };
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// The average as a convolution over all lags that are not negligible.
struct Averager<'a> {
    spec: EmaSpec,
    ema: Ema<Tensor<'a>>,
    /// Largest number of lags of a channel.
    reach: usize,
}

impl<'a> Averager<'a> {
    fn new(a: &mut Exact<'a>, spec: EmaSpec, case: &'a Case) -> Result<Self, MixerError> {
        let reach = reach(&ema::dimensions(&spec, &case.tensors)?).min(spec.lags());
        Ok(Self { spec, ema: Ema::read(a, &spec, &case.tensors, Some(reach))?, reach })
    }

    /// Whole channels of e of the first sequence.
    fn channels(&self, a: &mut Exact<'a>, x: &Tensor<'a>, draw: SpotDraw) -> Vec<SpotColumn> {
        let length = self.spec.dims.seq_len;
        let flops = self.spec.directions() as u64 * convolution_flops(length);
        let channels = draw.distinct(self.spec.dims.d_model, draw.affords(flops, CHANNELS));
        let mut columns = Vec::new();
        for channel in channels {
            let mut own = |values: &Tensor<'a>| a.columns(values, channel..channel + 1);
            let mut direction = |direction: &Direction<Tensor<'a>>| match direction {
                Direction::Kernel(kernel) => Direction::Kernel(own(kernel)),
                Direction::Recurrence { decay, input, output } => Direction::Recurrence {
                    decay: decay.clone(),
                    input: input.clone(),
                    output: output.clone(),
                },
            };
            let (forward, backward) =
                (direction(&self.ema.forward), self.ema.backward.as_ref().map(&mut direction));
            let ema = Ema { forward, backward, residual: own(&self.ema.residual) };
            let x = own(x);
            columns.push(SpotColumn::channel(channel, average(a, &ema, &x, 0..length).to_vec()));
        }
        columns
    }

    /// e at the positions `rows` of a sequence `x`; `prepare` computes the input of the average from x.
    fn rows(
        &self,
        a: &mut Exact<'a>,
        rows: Range<usize>,
        x: &Tensor<'a>,
        prepare: impl FnOnce(&mut Exact<'a>, Tensor<'a>) -> Tensor<'a>,
    ) -> Tensor<'a> {
        let length = self.spec.dims.seq_len;
        let first = rows.start.saturating_sub(self.reach - 1);
        let end = if self.spec.bidirectional { (rows.end + self.reach - 1).min(length) } else { rows.end };
        let x = a.rows(x, first..end);
        let x = prepare(a, x);
        average(a, &self.ema, &x, rows.start - first..rows.end - first)
    }
}

/// Number of lags after which every power is negligible.
fn reach(dimensions: &[Dimension]) -> usize {
    let slowest = dimensions.iter().map(|dimension| dimension.decay).fold(0.0, f64::max);
    if slowest <= 0.0 {
        return 1;
    }
    let lags = NEGLIGIBLE.ln() / slowest.ln();
    if lags.is_finite() && lags >= 0.0 { (lags as usize).saturating_add(2) } else { usize::MAX }
}

/// Positions of its chunk that `row` sees, and its index among them.
fn place(spec: &AttentionSpec, row: usize) -> (Range<usize>, usize) {
    let index = row / spec.chunk;
    let start = index * spec.chunk;
    let end = if spec.causal { row + 1 } else { start + spec.chunk_len(index) };
    (start..end, row - start)
}

fn attention_row<'a>(
    a: &mut Exact<'a>,
    spec: &AttentionSpec,
    case: &'a Case,
    row: usize,
) -> Result<Tensor<'a>, MixerError> {
    let [q, k, v] = spec.streams(&case.tensors)?;
    let (seen, position) = place(spec, row);
    let mut cut = |stream: &'a [f32], width: usize, rows: Range<usize>| {
        a.load(&stream[rows.start * width..rows.end * width], [rows.len(), width])
    };
    let (q, k, v) = (cut(q, spec.z, row..row + 1), cut(k, spec.z, seen.clone()), cut(v, spec.h, seen));
    let bias = bias(a, spec, &case.tensors)?;
    Ok(attend(a, spec, &bias, [&q, &k, &v], &[position]))
}

fn layer_row<'a>(
    a: &mut Exact<'a>,
    spec: &LayerSpec,
    averager: &Averager<'a>,
    case: &'a Case,
    row: usize,
) -> Result<Tensor<'a>, MixerError> {
    let weights = Weights::read(a, spec, &case.tensors)?;
    let x = sequence(a, spec.ema.input(&case.tensors)?, [spec.ema.dims.seq_len, spec.width()], 0);
    let (seen, position) = place(&spec.attention, row);
    let e = averager.rows(a, seen.clone(), &x, |a, x| weights.prepared(a, spec, &x));
    let x = a.rows(&x, seen);
    let prepared = weights.prepared(a, spec, &x);
    Ok(chunk(a, spec, &weights, [&x, &prepared, &e], &[position]))
}
