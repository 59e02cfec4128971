//! Decoders of gated long convolutions: streams of channels, projected and convolved with a few taps, are gated and
//! convolved with long filters. Tasks share groups of eight channels, each of which goes through all convolutions alone.

use mixer::{Count, DecodeMemory, Floats, MixerError, Parallel};

use crate::decoding::FixedState;
use crate::ops::fft::Row;
use crate::ops::grain::{product, worth};
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::GROUP;
use crate::ops::online_conv::{Channels, Method, OnlineConv, Shape, Span, Taps};
use crate::ops::parts::{Matrix, for_each};
use crate::ops::scratch::Scratch;
use crate::ops::short_conv;

/// Sizes of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamSizes {
    /// Sizes of the long convolutions.
    pub long: Shape,
    /// How the long convolutions compute the output for a token.
    pub method: Method,
    /// Streams that are gated and convolved.
    pub streams: usize,
    /// Whether the layer's input is a stream too, without projection.
    pub has_input: bool,
    /// Taps of the short convolution; 0 without projections.
    pub taps: usize,
    /// Scratch of a worker for blocks of [`BLOCK`] rows, besides the core's output.
    pub scratch: usize,
}

/// Weights of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamWeights<'a> {
    /// Weight `[streams · width, width]` and bias of the projection.
    pub input: (&'a [f32], &'a [f32]),
    /// Weight `[streams · width, 1, taps]` and bias of the short convolution.
    pub short: (&'a [f32], &'a [f32]),
}

impl StreamSizes {
    /// Floats of the state.
    pub(crate) fn state_floats(&self) -> Count {
        self.long.state_floats(self.method) + self.short_floats(self.taps.saturating_sub(1) * self.long.batch)
    }

    /// Floats of a [`ConvStreams`] for one thread, with its state.
    pub(crate) fn floats(&self) -> Count {
        let [width, streams, groups] = Count::all([self.long.width, self.streams, self.long.groups()]);
        let rows = Count::from(self.long.batch) * Count::from(self.long.piece());
        let buffers = streams + u64::from(self.has_input);
        let layer = if self.taps > 0 {
            let outputs = (groups * streams * Count::from(GROUP)).index();
            let before = self.short_floats((self.taps - 1) * self.long.batch);
            Linear::floats(self.long.width, outputs) + self.short_floats(self.taps + 1) + 3 * before
        } else {
            Count::ZERO
        };
        self.long.floats(self.method)
            + layer
            + buffers * groups * rows * Count::from(GROUP)
            + Count::from(BLOCK) * width
            + Count::from(self.scratch)
    }

    /// Floats of `rows` rows for each group of each stream.
    fn short_floats(&self, rows: usize) -> Count {
        let [groups, streams, rows] = Count::all([self.long.groups(), self.streams, rows]);
        groups * streams * rows * Count::from(GROUP)
    }
}

/// Projection and short convolution.
struct Layer {
    /// Outputs `[groups, streams, GROUP]`.
    projection: Linear,
    /// `[groups, streams, taps + 1]` rows, the bias last.
    short: Floats,
    /// Inputs of the short convolution before the next token, `[groups, streams, batch, taps − 1]` rows.
    before: FixedState,
}

/// Streams with the state of their convolutions.
pub(crate) struct ConvStreams {
    sizes: StreamSizes,
    conv: OnlineConv,
    layer: Option<Layer>,
    /// `[groups, streams, batch · count]` rows. The last stream becomes the core's output.
    streams: Floats,
    /// `[groups, batch · count]` rows, where the input is a stream.
    input: Floats,
    scratch: Scratch,
}

/// One group's streams for the tokens of a call.
pub(crate) struct Gated<'a> {
    /// `[streams, batch · count]` rows.
    pub streams: &'a mut [Row],
    /// `[batch · count]` rows; empty unless the input is a stream.
    pub input: &'a mut [Row],
    /// Rows of a stream.
    pub rows: usize,
    /// Whether the core's output is needed, in the last stream.
    pub is_answered: bool,
}

impl ConvStreams {
    /// An empty state. Skips are added to the first of the long filters' taps.
    pub(crate) fn new(
        memory: &DecodeMemory,
        sizes: StreamSizes,
        filters: Taps,
        weights: Option<StreamWeights<'_>>,
        threads: usize,
    ) -> Result<Self, MixerError> {
        let StreamSizes { long, streams, taps, .. } = sizes;
        let conv = OnlineConv::new(memory, long, sizes.method, filters, threads)?;
        let rows = long.groups() * long.batch * long.piece() * GROUP;
        let layer = match weights {
            Some(weights) => Some(Layer::new(memory, sizes, weights)?),
            None => None,
        };
        debug_assert_eq!(layer.is_some(), taps > 0);
        Ok(Self {
            sizes,
            conv,
            layer,
            streams: memory.work.floats(streams * rows)?,
            input: memory.work.floats(if sizes.has_input { rows } else { 0 })?,
            scratch: Scratch::new(&memory.work, threads, BLOCK * long.width + sizes.scratch)?,
        })
    }

    /// Absorbs tokens of which `x` are the streams `[batch, count, streams · width]` or, of a layer, the input
    /// `[batch, count, width]`; `input` is the input where it is a stream. `mix` gates and convolves the streams of a group.
    pub(crate) fn advance(
        &mut self,
        span: Span,
        x: &[f32],
        input: Option<&[f32]>,
        is_answered: bool,
        mix: impl Fn(&mut Channels<'_>, Gated<'_>) + Sync,
        parallel: &dyn Parallel,
    ) {
        let Shape { batch, width, .. } = self.sizes.long;
        let (rows, streams) = (batch * span.count, self.sizes.streams);
        let groups = self.sizes.long.groups();
        let panels = &mut self.streams[..groups * streams * rows * GROUP];
        let inputs = if input.is_some() { &mut self.input[..groups * rows * GROUP] } else { &mut [] };
        let mut short = None;
        if let Some(layer) = &mut self.layer {
            layer.project(x, rows, panels, worth(parallel, product([rows, streams, width, width])));
            short = Some((&layer.short[..], &mut layer.before.now[..]));
        }
        let (taps, before) = short.unwrap_or_default();
        let (taps, _) = taps.as_chunks::<GROUP>();
        let (before, _) = before.as_chunks_mut::<GROUP>();
        let n_taps = self.sizes.taps + 1;
        let n_before = batch * self.sizes.taps.saturating_sub(1);
        let before =
            before.chunks_mut((streams * n_before).max(1)).chain(std::iter::repeat_with(|| &mut [][..]));
        let inputs = inputs.as_chunks_mut().0.chunks_mut(rows).chain(std::iter::repeat_with(|| &mut [][..]));
        let (panels, _) = panels.as_chunks_mut::<GROUP>();
        let parts = panels.chunks_exact_mut(streams * rows).zip(before).zip(inputs).enumerate();
        self.conv.advance(span, parallel, parts, |channels, (group, ((panels, before), inputs))| {
            for (stream, panel) in panels.chunks_exact_mut(rows).enumerate() {
                if taps.is_empty() {
                    scatter(x, streams * width, stream * width, (group, width), panel);
                    continue;
                }
                let taps = &taps[(group * streams + stream) * n_taps..][..n_taps];
                let before = &mut before[stream * n_before..][..n_before];
                for (sequence, rows) in panel.chunks_exact_mut(span.count).enumerate() {
                    let n = n_before / batch;
                    short_conv::convolve(taps, &mut before[sequence * n..][..n], rows);
                }
            }
            if let Some(input) = input {
                scatter(input, width, 0, (group, width), inputs);
            }
            mix(channels, Gated { streams: panels, input: inputs, rows, is_answered });
        });
    }

    /// Calls `finish(core, y, scratch)` for blocks of at most [`BLOCK`] rows of `output`, with the core's outputs for them,
    /// `[n, width]`. `multiply_adds` is the work for a row.
    pub(crate) fn answer(
        &self,
        output: &mut [f32],
        multiply_adds: usize,
        finish: impl Fn(&[f32], &mut [f32], &mut [f32]) + Sync,
        parallel: &dyn Parallel,
    ) {
        let (width, streams) = (self.sizes.long.width, self.sizes.streams);
        let rows = output.len() / width;
        let (panels, _) = self.streams.as_chunks::<GROUP>();
        let blocks = output.chunks_mut(BLOCK * width).enumerate();
        for_each(
            worth(parallel, product([rows, multiply_adds])),
            blocks.len(),
            blocks,
            |(block, y), worker| {
                let mut scratch = self.scratch.of(worker);
                let (core, scratch) = scratch.split_at_mut(BLOCK * width);
                let core = &mut core[..y.len()];
                for group in 0..self.sizes.long.groups() {
                    let first = ((group + 1) * streams - 1) * rows + block * BLOCK;
                    let columns = group * GROUP..width.min((group + 1) * GROUP);
                    for (to, from) in core.chunks_exact_mut(width).zip(&panels[first..]) {
                        to[columns.clone()].copy_from_slice(&from[..columns.len()]);
                    }
                }
                finish(core, y, scratch);
            },
        );
    }

    pub(crate) fn mark(&mut self) {
        self.conv.mark();
        self.layer.iter_mut().for_each(|layer| layer.before.mark());
    }

    pub(crate) fn rewind(&mut self, position: usize) {
        self.conv.rewind(position);
        self.layer.iter_mut().for_each(|layer| layer.before.rewind());
    }

    pub(crate) fn clear(&mut self) {
        self.conv.clear();
        self.layer.iter_mut().for_each(|layer| layer.before.clear());
    }
}

impl Layer {
    fn new(
        memory: &DecodeMemory,
        sizes: StreamSizes,
        weights: StreamWeights<'_>,
    ) -> Result<Self, MixerError> {
        let StreamSizes { long: Shape { batch, width, .. }, streams, taps, .. } = sizes;
        let groups = sizes.long.groups();
        // The channel of lane `lane` of a group's stream.
        let source = |group: usize, stream: usize, lane: usize| {
            let channel = group * GROUP + lane;
            (channel < width).then_some(stream * width + channel)
        };
        let (weight, bias) = weights.input;
        let projection = Linear::of_rows(&memory.work, width, groups * streams * GROUP, |output| {
            let (panel, lane) = (output / GROUP, output % GROUP);
            let source = source(panel / streams, panel % streams, lane)?;
            Some((&weight[source * width..][..width], bias[source]))
        })?;
        let mut short = memory.work.floats(groups * streams * (taps + 1) * GROUP)?;
        let (weight, bias) = weights.short;
        for (panel, rows) in short.chunks_exact_mut((taps + 1) * GROUP).enumerate() {
            for lane in 0..GROUP {
                let Some(source) = source(panel / streams, panel % streams, lane) else { continue };
                let values = weight[source * taps..][..taps].iter().chain(&bias[source..=source]);
                rows.iter_mut().skip(lane).step_by(GROUP).zip(values).for_each(|(to, from)| *to = *from);
            }
        }
        let before = FixedState::new(memory, groups * streams * batch * (taps - 1) * GROUP, |_| {})?;
        Ok(Self { projection, short, before })
    }

    /// The projections of `rows` rows, `[groups, streams, rows, GROUP]`.
    fn project(&self, x: &[f32], rows: usize, panels: &mut [f32], parallel: &dyn Parallel) {
        if rows >= BLOCK {
            return self.projection.apply_paneled(x, panels, parallel);
        }
        // Few rows: tasks share the weights.
        let count = (panels.len() / (rows * GROUP)).div_ceil(parallel.threads());
        let blocks = Matrix::new(panels, rows * GROUP).row_blocks(count).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, mut panels), _| {
            for index in 0..panels.rows() {
                let (panel_idx, panel) = (block * count + index, panels.row_mut(index));
                match rows {
                    1 => self.projection.apply_row_panel(x, panel_idx, panel),
                    _ => self.projection.apply_panel(x, panel_idx, panel),
                }
            }
        });
    }
}

/// Copies a group's channels of row-major `from`, `stride` floats for each row and from column `first` on, to `rows`.
/// Channels that do not exist become zero.
fn scatter(from: &[f32], stride: usize, first: usize, (group, width): (usize, usize), rows: &mut [Row]) {
    let columns = GROUP.min(width - group * GROUP);
    for (row, from) in rows.iter_mut().zip(from.chunks_exact(stride)) {
        row[..columns].copy_from_slice(&from[first + group * GROUP..][..columns]);
        row[columns..].fill(0.0);
    }
}

/// `rows ⊙= gates`, elementwise.
pub(crate) fn gate(rows: &mut [Row], gates: &[Row]) {
    rows.as_flattened_mut().iter_mut().zip(gates.as_flattened()).for_each(|(value, gate)| *value *= gate);
}
