//! The GPU plan: one product for all streams, short convolutions fused with the first gate, long convolutions fused
//! with the other gates, then the output projection. Steps have the names and the order of those in `cpu.rs`. A decoder
//! processes its context by the same steps, and takes the inputs of all convolutions from them.

use mixer::{Case, Count, GpuTarget, Level, MixerError, Plan, Serial, gather, zeros};

use super::Spec;
use super::filter;
use crate::ops::gpu::{
    Activation, Builder, CacheConv, Columns, Combine, Filter, Linear, LongConv, ShortFilters, Stream, map,
    short_conv, unpack,
};
use crate::ops::long_conv::fft_size;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let (batch, length, width) = (spec.dims.batch, spec.out_len(), spec.dims.d_model);
    let columns = Columns::plain(width);
    let taps = taps(&mut builder, &spec, case)?;
    let operator = Operator::new(&mut builder, &spec, &taps, length, false)?;
    let output = match spec.level {
        Level::Core => {
            let streams = upload_streams(&mut builder, &spec, case)?;
            operator.core(&mut builder, &streams, None, true)
        }
        Level::Layer => {
            let x = builder.upload("x", &input(&spec, case)?, columns);
            let layer = Layer::new(&mut builder, &spec, case, length)?;
            operator.layer(&mut builder, &layer, x, None, true)
        }
    };
    let output = unpack(&mut builder, output, batch * length, columns);
    builder.finish(output)
}

/// The input of a layer, cut to the length that the filter is built for: `[batch, out_len, width]`.
pub(super) fn input(spec: &Spec, case: &Case) -> Result<Vec<f32>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.out_len());
    let sequences = spec.input(&case.tensors)?.chunks_exact(spec.dims.seq_len * width);
    let rows = sequences.flat_map(|sequence| &sequence[..length * width]).copied();
    gather(Count::all([spec.dims.batch, length, width]).into_iter().product::<Count>(), rows)
}

/// The streams of a core, each in a buffer of its own.
fn upload_streams(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Vec<Stream>, MixerError> {
    let (x, width) = (spec.streams(&case.tensors)?, spec.dims.d_model);
    let stream = |stream: usize| {
        let rows = x.chunks_exact((spec.order + 1) * width);
        let values = rows.flat_map(|row| &row[stream * width..][..width]).copied();
        let part = gather(spec.dims.sizes().stream(), values)?;
        Ok(builder.upload("stream", &part, Columns::plain(width)))
    };
    (0..=spec.order).map(stream).collect()
}

/// Taps of all convolutions by lag, `[length]` rows each. The skip is added to the first tap.
pub(super) fn taps(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Vec<Stream>, MixerError> {
    let (width, length, convolutions) = (spec.dims.d_model, spec.out_len(), spec.convolutions());
    let columns = Columns::plain(width);
    // Check the tensors before using their sizes.
    let [positions, stride] = Count::all([length, columns.stride()]);
    let empty = || (0..convolutions).map(|_| zeros(positions * stride)).collect::<Result<Vec<Vec<f32>>, _>>();
    let mut taps;
    if let Some(filter) = &spec.filter {
        let evaluator = filter::Filter::new(filter, &case.tensors)?;
        taps = empty()?;
        let mut h = zeros(positions * Count::from(filter.channels))?;
        evaluator.evaluate(&mut h, &Serial);
        for (t, row) in h.chunks_exact(filter.channels).enumerate() {
            for (channel, values) in row.chunks_exact(convolutions).enumerate() {
                for (taps, &value) in taps.iter_mut().zip(values) {
                    taps[t * columns.stride() + channel] = value;
                }
            }
        }
    } else {
        let (k, _) = spec.core_filter(&case.tensors)?;
        taps = empty()?;
        for (index, values) in k.chunks_exact(length).enumerate() {
            let (o, channel) = (index / width, index % width);
            for (t, &value) in values.iter().enumerate() {
                taps[o][t * columns.stride() + channel] = value;
            }
        }
    }
    for (o, taps) in taps.iter_mut().enumerate() {
        for (channel, tap) in taps.iter_mut().enumerate().take(width) {
            *tap += spec.skip(&case.tensors, o, channel)?;
        }
    }
    Ok(taps.into_iter().map(|taps| builder.upload_padded("filter", taps, columns.stride())).collect())
}

/// Weights of a layer, and buffers for some rows.
pub(super) struct Layer {
    /// One projection for all streams, if there is memory for all of them at once; else one per stream.
    stacked: Option<Stream>,
    in_proj: Vec<Linear>,
    pub short: ShortFilters,
    pub out_proj: Linear,
    /// Three stream buffers rotate; the last free one takes the output.
    buffers: [Stream; 3],
    rows: usize,
}

impl Layer {
    /// Buffers are for `length` rows of each sequence.
    pub(super) fn new(
        builder: &mut Builder,
        spec: &Spec,
        case: &Case,
        length: usize,
    ) -> Result<Self, MixerError> {
        let (width, rows) = (spec.dims.d_model, spec.dims.batch * length);
        let columns = Columns::plain(width);
        let (weight, bias) = spec.projection(&case.tensors, "in_proj")?;
        let layers: Vec<_> = weight
            .chunks_exact(width * width)
            .zip(bias.chunks_exact(width))
            .map(|(weight, bias)| (weight, Some(bias)))
            .collect();
        let words = layers.len() * rows * columns.stride();
        let (stacked, in_proj) = if builder.fits(words) {
            let all = builder.stream("projected", layers.len() * rows, columns);
            (Some(all), vec![Linear::upload_stacked(builder, &layers, columns, columns)])
        } else {
            let each = layers
                .iter()
                .map(|&(weight, bias)| Linear::upload(builder, weight, bias, columns, columns))
                .collect();
            (None, each)
        };
        let (taps, tap_bias) = spec.short_filter(&case.tensors)?;
        let short = ShortFilters::upload(builder, taps, Some(tap_bias), spec.taps, columns);
        let (weight, bias) = spec.projection(&case.tensors, "out_proj")?;
        let out_proj = Linear::upload(builder, weight, Some(bias), columns, columns);
        let buffers = ["value", "value", "gate"].map(|label| builder.stream(label, rows, columns));
        Ok(Self { stacked, in_proj, short, out_proj, buffers, rows })
    }

    /// Stream `index` of x before its short convolution: a part of the joint product, or projected into `room`.
    fn projected(&self, builder: &mut Builder, x: Stream, index: usize, room: Stream) -> Stream {
        if let Some(all) = self.stacked {
            return all.down(index * self.rows);
        }
        self.in_proj[index].apply(builder, x, self.rows, room, 0);
        room
    }

    /// All streams of `rows` rows of x before their short convolutions: `[streams, rows]`.
    pub(super) fn project_all(&self, builder: &mut Builder, x: Stream, rows: usize, to: Stream) {
        for (index, linear) in self.in_proj.iter().enumerate() {
            linear.apply(builder, x, rows, to.down(index * rows), rows * to.stride);
        }
    }
}

/// Convolutions and gates of some rows.
pub(super) struct Operator {
    order: usize,
    /// Sequences, their rows, and the width.
    sizes: [usize; 3],
    conv: LongConv,
    filters: Vec<Filter>,
    /// Outputs of a core's convolutions, in turn, and the first product where a decoder needs it.
    values: Vec<Stream>,
}

impl Operator {
    /// For `length` rows of each sequence. With `decodes`, [`Operator::core`] may be given a decoder's caches.
    pub(super) fn new(
        builder: &mut Builder,
        spec: &Spec,
        taps: &[Stream],
        length: usize,
        decodes: bool,
    ) -> Result<Self, MixerError> {
        let sizes = [spec.dims.batch, length, spec.dims.d_model];
        let conv = LongConv::new(builder, sizes, fft_size(length))?;
        let filters = taps.iter().map(|&taps| conv.filter(builder, taps, length)).collect();
        // The input is needed again by the next run, so from the second convolution on two buffers alternate.
        let count = match spec.level {
            Level::Core if decodes => 3,
            Level::Core => taps.len().min(2),
            Level::Layer => 0,
        };
        let columns = Columns::plain(spec.dims.d_model);
        let values = (0..count).map(|_| builder.stream("value", spec.dims.batch * length, columns)).collect();
        Ok(Self { order: spec.order, sizes, conv, filters, values })
    }

    fn rows(&self) -> usize {
        self.sizes[0] * self.sizes[1]
    }

    /// Gates and convolutions of the streams. `kept` takes the inputs of the convolutions; without `answers` the last
    /// convolution is left out.
    pub(super) fn core(
        &self,
        builder: &mut Builder,
        streams: &[Stream],
        kept: Option<&CacheConv>,
        answers: bool,
    ) -> Stream {
        let mut value = streams[self.order];
        for (o, filter) in self.filters.iter().enumerate() {
            let mut gate_in = (o == 0).then(|| streams[self.order - 1]);
            if let Some(kept) = kept {
                if let (Some(gate), Some(&product)) = (gate_in.take(), self.values.last()) {
                    let gate = Some((Combine::Multiply, gate));
                    let sizes = [self.rows(), self.sizes[2]];
                    map(builder, value, 1.0, Activation::None, gate, product, sizes);
                    value = product;
                }
                kept.keep_inputs(builder, o, value);
                if !answers && o + 1 == self.filters.len() {
                    break;
                }
            }
            let y = self.values[o % 2];
            let gate_out = Some(streams[self.order - 2 - o]);
            self.conv.apply(builder, filter, (value, gate_in), (y, gate_out));
            value = y;
        }
        value
    }

    /// [`Operator::core`] between its projections, of x.
    pub(super) fn layer(
        &self,
        builder: &mut Builder,
        layer: &Layer,
        x: Stream,
        kept: Option<&CacheConv>,
        answers: bool,
    ) -> Stream {
        let [mut value, mut other, gate] = layer.buffers;
        if let Some(all) = layer.stacked {
            layer.project_all(builder, x, layer.rows, all);
        }
        let projected = |builder: &mut Builder, index: usize, room: Stream| {
            let stream = layer.projected(builder, x, index, room);
            if let Some(kept) = kept {
                kept.keep_stream(builder, index, stream);
            }
            (stream, layer.short.of(index))
        };
        let (v, first) = (self.order, self.order - 1);
        let v = projected(builder, v, other);
        let first = projected(builder, first, gate);
        short_conv(builder, self.sizes, v, Activation::None, Some(first), value);
        for (o, filter) in self.filters.iter().enumerate() {
            let stream = projected(builder, self.order - 2 - o, other);
            if let Some(kept) = kept {
                kept.keep_inputs(builder, o, value);
                if !answers && o + 1 == self.filters.len() {
                    return value;
                }
            }
            short_conv(builder, self.sizes, stream, Activation::None, None, gate);
            self.conv.apply(builder, filter, (value, None), (other, Some(gate)));
            std::mem::swap(&mut value, &mut other);
        }
        layer.out_proj.apply(builder, value, layer.rows, other, 0);
        other
    }
}
