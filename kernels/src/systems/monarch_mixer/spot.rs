//! Single output rows in f64 at any length, and whole channels of a core, in linear memory: a few channels are computed
//! at once in f64.
//!
//! A row of a bidirectional layer depends on the whole sequence, so it costs a pass over all projections and filters. A
//! causal row costs its own prefix.

use std::ops::Range;

use algebra::{Algebra, Exact, Load, Tensor, convolution_flops};
use mixer::{Case, MixerError, SpotCheck, SpotColumn, SpotDraw, Tensors};

use super::model::{
    Convolution, FilterSet, Layer, Mlp, Network, block_diagonal_rows, core, core_convolutions, monarch,
};
use super::{LayerSpec, SequenceSpec, Spec};
use crate::ops::exact;

/// Channels computed at once in f64.
const TOGETHER: usize = 32;

/// Positions of a filter's network computed at once in f64.
const POSITIONS: usize = 1024;

/// Checked rows of parts that do not mix positions.
const ROWS: usize = 3;

/// Largest number of channels of a core that are checked in full.
const CHANNELS: usize = 4;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let mut a = Exact::default();
    let tensors = &case.tensors;
    let (rows, expected) = match Spec::read(case)? {
        Spec::Sequence(spec) => return sequence(&spec, tensors, draw),
        Spec::Mlp(spec) => {
            let width = spec.dims.d_model;
            let all = spec.dims.batch * spec.dims.seq_len;
            let rows = draw.rows(all, ROWS);
            let x = a.load(tensors.floats("x", &spec.dims.shape(width))?, [all, width]);
            let x = a.gather(&x, &rows);
            let mlp = Mlp::read(&mut a, &spec, tensors, "param")?;
            (rows, mlp.apply(&mut a, &spec, &x))
        }
        Spec::BlockDiagonal(spec) => {
            let rows = draw.rows(spec.rows, ROWS);
            let expected = block_diagonal_rows(&mut a, &spec, tensors, &rows)?;
            (rows, expected)
        }
        Spec::Monarch(spec) => {
            let rows = draw.rows(spec.rows, ROWS);
            let expected = monarch(&mut a, &spec, tensors, &rows)?;
            (rows, expected)
        }
    };
    Ok(SpotCheck::of_rows(rows, expected.to_vec()))
}

fn sequence(spec: &SequenceSpec, tensors: &Tensors, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let mut a = Exact::default();
    // A decode race generates late rows only. A column from the first of these rows on is then computed, whatever it
    // costs.
    let first =
        (!spec.bidirectional && draw.first_row > 0).then(|| draw.first_row.min(spec.dims.seq_len - 1));
    let columns = match &spec.layer {
        None => core_columns(spec, tensors, draw.part(1, 2), first.unwrap_or(0))?,
        Some(layer) => layer_column(spec, layer, tensors, draw, first)?.into_iter().collect(),
    };
    if first.is_some() && !columns.is_empty() {
        return Ok(SpotCheck { width: spec.dims.d_model, columns, ..SpotCheck::default() });
    }
    // A row of a bidirectional layer needs all projections and all filters of the whole sequence.
    let rows_cost_more =
        spec.layer.is_some() && spec.bidirectional && row_flops(spec, spec.dims.seq_len) > draw.max_flops / 2;
    let rows = if rows_cost_more && !columns.is_empty() { Vec::new() } else { rows(spec, draw.part(0, 2)) };
    if rows.is_empty() {
        return Ok(SpotCheck { width: spec.dims.d_model, rows, expected: Vec::new(), columns });
    }
    let mut y = match &spec.layer {
        None => core_rows(&mut a, spec, tensors, &rows)?,
        Some(layer) => layer_rows(&mut a, spec, layer, tensors, &rows)?,
    };
    if let Some(mlp_spec) = &spec.mlp {
        y = Mlp::read(&mut a, mlp_spec, tensors, "param.mlp")?.apply(&mut a, mlp_spec, &y);
    }
    Ok(SpotCheck { width: spec.dims.d_model, rows, expected: y.to_vec(), columns })
}

/// [`core`] of some channels at each of `rows`.
fn core_at<'a>(
    a: &mut Exact<'a>,
    streams: &Tensor<'a>,
    u: Option<&Tensor<'a>>,
    convolutions: &[Convolution<Tensor<'a>>],
    rows: &[usize],
) -> Tensor<'a> {
    let rows: Vec<_> = rows.iter().map(|&row| row..row + 1).collect();
    core(a, streams, u, convolutions, &rows)
}

/// Channels in blocks of [`TOGETHER`].
fn blocks(width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..width).step_by(TOGETHER).map(move |first| first..width.min(first + TOGETHER))
}

/// The streams of some channels of a core's first sequence and, with a residual convolution, its input.
fn core_inputs<'a>(
    a: &mut Exact<'a>,
    spec: &SequenceSpec,
    tensors: &'a Tensors,
    channels: &Range<usize>,
) -> Result<(Tensor<'a>, Option<Tensor<'a>>), MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = a.load(&spec.streams(tensors)?[..length * 3 * width], [length, 3 * width]);
    let streams =
        [0, 1, 2].map(|index| a.columns(&x, index * width + channels.start..index * width + channels.end));
    let u = spec.core_input(tensors)?.map(|u| {
        let u = a.load(&u[..length * width], [length, width]);
        a.columns(&u, channels.clone())
    });
    Ok((a.concat(&streams), u))
}

fn core_rows<'a>(
    a: &mut Exact<'a>,
    spec: &SequenceSpec,
    tensors: &'a Tensors,
    rows: &[usize],
) -> Result<Tensor<'a>, MixerError> {
    let of_channels = blocks(spec.dims.d_model).map(|channels| {
        let (streams, u) = core_inputs(a, spec, tensors, &channels)?;
        let convolutions = core_convolutions(a, spec, tensors, channels)?;
        Ok(core_at(a, &streams, u.as_ref(), &convolutions, rows))
    });
    let of_channels = of_channels.collect::<Result<Vec<_>, MixerError>>()?;
    Ok(a.concat(&of_channels))
}

/// Channels of a core's first sequence, from position `first_row` on.
fn core_columns(
    spec: &SequenceSpec,
    tensors: &Tensors,
    draw: SpotDraw,
    first_row: usize,
) -> Result<Vec<SpotColumn>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let flops = (spec.convolutions() * spec.networks()) as u64 * convolution_flops(length);
    let channels = draw.distinct(width, draw.affords(flops, CHANNELS)).into_iter().map(|channel| {
        let mut a = Exact::default();
        let own = channel..channel + 1;
        let (streams, u) = core_inputs(&mut a, spec, tensors, &own)?;
        let convolutions = core_convolutions(&mut a, spec, tensors, own)?;
        let g = core(&mut a, &streams, u.as_ref(), &convolutions, std::slice::from_ref(&(first_row..length)));
        Ok(SpotColumn { first_row, ..SpotColumn::channel(channel, g.to_vec()) })
    });
    channels.collect()
}

/// f of blocks of positions, concatenated by rows. Each block is evaluated at once, so that its intermediates are
/// dropped.
fn in_blocks<'a>(
    a: &mut Exact<'a>,
    length: usize,
    f: impl Fn(&mut Exact<'a>, Range<usize>) -> Tensor<'a>,
) -> Tensor<'a> {
    let parts: Vec<_> = (0..length)
        .step_by(POSITIONS)
        .map(|first| {
            let part = f(a, first..length.min(first + POSITIONS));
            a.keep(&part)
        })
        .collect();
    a.stack(&parts)
}

fn layer_rows<'a>(
    a: &mut Exact<'a>,
    spec: &SequenceSpec,
    layer_spec: &LayerSpec,
    tensors: &'a Tensors,
    rows: &[usize],
) -> Result<Tensor<'a>, MixerError> {
    let width = spec.dims.d_model;
    let length = if spec.bidirectional { spec.dims.seq_len } else { rows.last().map_or(1, |row| row + 1) };
    let layer = Layer::read(a, spec, &layer_spec.filter, tensors)?;
    let x = a.load(&spec.input(tensors)?[..length * width], [length, width]);
    let u = layer.prepare(a, &x);
    // Values that all channels share.
    let hidden = |a: &mut Exact<'a>, set: &FilterSet<Tensor<'a>>, network: &Network<Tensor<'a>>| {
        in_blocks(a, length, |a, positions| set.hidden(a, network, positions))
    };
    let hidden: Vec<Vec<Tensor<'a>>> = layer
        .sets
        .iter()
        .map(|set| set.networks.iter().map(|network| hidden(a, set, network)).collect())
        .collect();
    let of_channels: Vec<_> = blocks(width)
        .map(|channels| {
            let convolutions: Vec<_> = layer
                .sets
                .iter()
                .zip(&hidden)
                .map(|(set, hidden)| {
                    let taps =
                        set.networks.iter().zip(hidden).map(|(network, hidden)| {
                            set.taps(a, network, hidden, 0..length, channels.clone())
                        });
                    let taps = taps.collect();
                    set.convolution(a, taps, channels.clone())
                })
                .collect();
            let streams = layer.streams(a, &u, &channels);
            let u = a.columns(&u, channels);
            core_at(a, &streams, Some(&u), &convolutions, rows)
        })
        .collect();
    let g = a.concat(&of_channels);
    Ok(layer.project(a, &g))
}

/// One channel of a layer's core as a weighted sum of the layer's outputs ([`exact::best_row`]): from position `first` on,
/// whatever it costs, or over the whole sequence or, if causal, over the positions that the budget allows. `None` if the
/// budget is too small although rows fit, if the matrix is too large to solve or singular, or if an MLP follows.
fn layer_column(
    spec: &SequenceSpec,
    layer_spec: &LayerSpec,
    tensors: &Tensors,
    draw: SpotDraw,
    first: Option<usize>,
) -> Result<Option<SpotColumn>, MixerError> {
    let (width, whole) = (spec.dims.d_model, spec.dims.seq_len);
    let is_too_large = first.is_none() && (width * width * width) as u64 > draw.max_flops / 4;
    if spec.mlp.is_some() || is_too_large {
        return Ok(None);
    }
    // Networks run about four times as fast for several positions at once as the loops that `max_flops` is calibrated
    // for.
    let work = (16 * width * whole) as u64
        + (spec.convolutions() * spec.networks()) as u64
            * (layer_spec.filter.hidden_flops(whole) / 4 + convolution_flops(whole));
    let length = if first.is_some() {
        whole
    } else if spec.bidirectional {
        if work > draw.max_flops && row_flops(spec, whole) <= draw.max_flops / 2 {
            return Ok(None);
        }
        whole
    } else {
        let share = (draw.max_flops as f64 / work as f64).min(1.0);
        ((whole as f64 * share) as usize).clamp(1, whole)
    };
    let first_row = first.unwrap_or(0);
    let (weight, bias) = spec.projection(tensors, "out_linear")?;
    let Some((channel, z)) = exact::best_row(weight, &draw.distinct(width, CHANNELS)) else {
        return Ok(None);
    };

    let mut a = Exact::default();
    let own = channel..channel + 1;
    let layer = Layer::read(&mut a, spec, &layer_spec.filter, tensors)?;
    let x = a.load(&spec.input(tensors)?[..length * width], [length, width]);
    let u = layer.prepare(&mut a, &x);
    let convolutions: Vec<_> = layer
        .sets
        .iter()
        .map(|set| {
            let taps = set.networks.iter().map(|network| {
                in_blocks(&mut a, length, |a, positions| {
                    let hidden = set.hidden(a, network, positions.clone());
                    set.taps(a, network, &hidden, positions, own.clone())
                })
            });
            let taps = taps.collect();
            set.convolution(&mut a, taps, own.clone())
        })
        .collect();
    let streams = layer.streams(&mut a, &u, &own);
    let u = a.columns(&u, own);
    let mut expected =
        core(&mut a, &streams, Some(&u), &convolutions, std::slice::from_ref(&(first_row..length))).to_vec();
    let offset: f64 = z.iter().zip(bias).map(|(z, b)| z * f64::from(*b)).sum();
    expected.iter_mut().for_each(|value| *value += offset);
    Ok(Some(SpotColumn { first_row, weights: z.into_iter().enumerate().collect(), expected }))
}

/// Operations of one row that depends on `positions` positions.
fn row_flops(spec: &SequenceSpec, positions: usize) -> u64 {
    let (n, width) = (positions as u64, spec.dims.d_model as u64);
    let layer = spec.layer.map_or(0, |layer| {
        4 * n * width * width
            + (spec.convolutions() * spec.networks()) as u64 * layer.filter.flops(positions).get()
    });
    layer + spec.convolutions() as u64 * 2 * n * width
}

/// Rows of the first sequence: in the causal form those whose prefix fits the budget; in the bidirectional form always
/// one.
fn rows(spec: &SequenceSpec, draw: SpotDraw) -> Vec<usize> {
    let length = spec.dims.seq_len;
    let work = |positions: usize| row_flops(spec, positions);
    if spec.bidirectional {
        return draw.rows(length, draw.affords(work(length), 3));
    }
    let mut affordable = 1;
    while affordable < length && work(3 * affordable) <= draw.max_flops {
        affordable *= 2;
    }
    draw.rows(affordable.min(length), 2)
}
