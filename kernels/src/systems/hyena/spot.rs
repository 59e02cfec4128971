//! Parts of an output in f64 at any length: rows of a prefix, and whole channels, which are independent of each other.

use std::ops::Range;

use algebra::{Algebra, Exact, Load, Tensor, convolution_flops};
use mixer::{Case, MixerError, SpotCheck, SpotColumn, SpotDraw};

use super::Spec;
use super::filter::FilterSpec;
use super::model::{Filter, Filters, Projections, filter, filters, operator, prefix, project, skips};
use crate::model::sequence;
use crate::ops::exact::best_row;

/// Largest number of channels of a core that are checked in full.
const CHANNELS: usize = 4;

/// Channels of a core computed at once in f64.
const TOGETHER: usize = 16;

/// Positions of a filter's network computed at once in f64.
const POSITIONS: usize = 1024;

/// Positions that a column covers.
#[derive(Debug, Clone, Copy)]
enum Reached {
    /// As many from the first one on as the budget allows.
    Affordable,
    /// All from this one on, whatever they cost.
    From(usize),
}

/// Checked parts: rows of the longest prefix within half of the budget; for a core of order 2 also the last row, which
/// needs one product per input; and columns. For a core, columns are whole channels. For a layer, the column is a
/// weighted sum that shows one channel of its core over a far longer prefix. Where only late rows are of interest, because a
/// decode race generates no other rows, the check is one column from the first of these rows on.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length) = (spec.dims.d_model, spec.out_len());
    let (order, w) = (spec.order as u64, width as u64);
    let half = draw.part(0, 2);
    let work = |n: u64| {
        let layer =
            spec.filter.map_or(0, |filter| 2 * n * (order + 2) * w * w + filter.flops(n as usize).get());
        layer + (order - 1) * w * n * (n + 1)
    };
    let mut affordable = 1;
    while affordable < length && work(2 * affordable as u64) <= half.max_flops {
        affordable *= 2;
    }
    let affordable = affordable.min(length);
    if draw.first_row > 0 && affordable < length {
        let reached = Reached::From(draw.first_row.min(length - 1));
        let column = match &spec.filter {
            Some(filter) => layer_column(&spec, filter, case, draw, reached)?,
            None => core_channels(&spec, case, SpotDraw { max_flops: 0, ..draw }, reached)?.pop(),
        };
        if let Some(column) = column {
            return Ok(SpotCheck { width, columns: vec![column], ..SpotCheck::default() });
        }
    }
    let mut a = Exact::default();
    let of_prefix = filters(&mut a, &spec, &case.tensors, affordable)?;
    let head = prefix(&mut a, &spec, &case.tensors, &of_prefix, 0)?;
    let mut rows = half.rows(affordable, 2);
    let mut expected = a.gather(&head, &rows).to_vec();
    let mut columns = Vec::new();
    if affordable < length {
        match &spec.filter {
            Some(filter) => columns.extend(layer_column(&spec, filter, case, draw, Reached::Affordable)?),
            None => columns = core_channels(&spec, case, draw.part(1, 2), Reached::Affordable)?,
        }
        if spec.filter.is_none() && spec.order == 2 {
            rows.push(length - 1);
            for first in (0..width).step_by(TOGETHER) {
                let channels = first..width.min(first + TOGETHER);
                let (z, filters) = core_of(&mut a, &spec, case, channels)?;
                expected.extend(operator(&mut a, &z, &filters, length - 1..length).to_vec());
            }
        }
    }
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// The input and the filters of some channels of the first sequence of a core.
fn core_of<'a>(
    a: &mut Exact<'a>,
    spec: &Spec,
    case: &'a Case,
    channels: Range<usize>,
) -> Result<(Tensor<'a>, Filters<Tensor<'a>>), MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let shape = [length, (spec.order + 1) * width];
    let z = sequence(a, spec.streams(&case.tensors)?, shape, 0);
    let cut = |part: &Tensor<'a>, a: &mut Exact<'a>, first: usize| {
        a.columns(part, first + channels.start..first + channels.end)
    };
    let streams: Vec<_> = (0..=spec.order).map(|stream| cut(&z, a, stream * width)).collect();
    let Filters { k, skip } = filters(a, spec, &case.tensors, length)?;
    let k = k.iter().map(|k| cut(k, a, 0)).collect();
    let skip = skip.iter().map(|skip| cut(skip, a, 0)).collect();
    Ok((a.concat(&streams), Filters { k, skip }))
}

/// As many channels of a core as the budget allows, at least one, at all positions or from the first one of interest on.
fn core_channels(
    spec: &Spec,
    case: &Case,
    draw: SpotDraw,
    reached: Reached,
) -> Result<Vec<SpotColumn>, MixerError> {
    let length = spec.dims.seq_len;
    let first_row = if let Reached::From(first) = reached { first } else { 0 };
    let affordable = draw.affords(spec.convolutions() as u64 * convolution_flops(length), CHANNELS);
    let columns = draw.distinct(spec.dims.d_model, affordable).into_iter().map(|channel| {
        let mut a = Exact::default();
        let (z, filters) = core_of(&mut a, spec, case, channel..channel + 1)?;
        let expected = operator(&mut a, &z, &filters, first_row..length).to_vec();
        Ok(SpotColumn { first_row, ..SpotColumn::channel(channel, expected) })
    });
    columns.collect()
}

/// One channel of a layer's core, as a weighted sum of the layer's outputs ([`best_row`]). `None` if the matrix is singular
/// or too large to solve within the budget, or if filters depend on all channels.
fn layer_column(
    spec: &Spec,
    filter_spec: &FilterSpec,
    case: &Case,
    draw: SpotDraw,
    reached: Reached,
) -> Result<Option<SpotColumn>, MixerError> {
    let (width, order, tensors) = (spec.dims.d_model, spec.order, &case.tensors);
    let solving = (width * width * width) as u64;
    let is_too_large = matches!(reached, Reached::Affordable) && solving > draw.max_flops / 4;
    if is_too_large || filter_spec.normalized {
        return Ok(None);
    }
    let projections = (2 * (order + 2) * width * spec.out_len()) as u64;
    // Networks run about four times as fast for several positions at once as the loops that `max_flops` is calibrated
    // for.
    let whole = projections
        + filter_spec.hidden_flops(spec.out_len()) / 4
        + spec.convolutions() as u64 * convolution_flops(spec.out_len());
    let rows = match reached {
        Reached::From(first) => first..spec.out_len(),
        Reached::Affordable => {
            let share = ((draw.max_flops - solving) as f64 / whole as f64).min(1.0);
            0..((spec.out_len() as f64 * share) as usize).clamp(1, spec.out_len())
        }
    };
    let (first_row, length) = (rows.start, rows.end);

    let (weight, bias) = spec.projection(tensors, "out_proj")?;
    let Some((channel, z)) = best_row(weight, &draw.distinct(width, CHANNELS)) else {
        return Ok(None);
    };
    let mut a = Exact::default();
    let mut layer = Projections::read(&mut a, spec, tensors)?;
    let own: Vec<usize> = (0..=order).map(|stream| stream * width + channel).collect();
    for part in [&mut layer.input.0, &mut layer.input.1, &mut layer.short.0, &mut layer.short.1] {
        *part = a.gather(part, &own);
    }
    let x = a.load(&spec.input(tensors)?[..length * width], [length, width]);
    let streams = project(&mut a, &layer, &x);

    let convolutions = spec.convolutions();
    let mut network = Filter::read(&mut a, filter_spec, tensors)?;
    for part in [&mut network.out, &mut network.deltas] {
        *part = a.rows(part, channel * convolutions..(channel + 1) * convolutions);
    }
    let blocks: Vec<_> = (0..length)
        .step_by(POSITIONS)
        .map(|first| {
            // Evaluated here, so that the hidden layers are dropped.
            let h = filter(&mut a, filter_spec, &network, first..length.min(first + POSITIONS));
            a.keep(&h)
        })
        .collect();
    let h = a.stack(&blocks);
    let skip =
        skips(&mut a, spec, tensors)?.iter().map(|skip| a.columns(skip, channel..channel + 1)).collect();
    let k = (0..convolutions).map(|o| a.columns(&h, o..o + 1)).collect();
    let mut expected = operator(&mut a, &streams, &Filters { k, skip }, rows).to_vec();
    let offset: f64 = z.iter().zip(bias).map(|(z, b)| z * f64::from(*b)).sum();
    expected.iter_mut().for_each(|value| *value += offset);
    Ok(Some(SpotColumn { first_row, weights: z.into_iter().enumerate().collect(), expected }))
}
