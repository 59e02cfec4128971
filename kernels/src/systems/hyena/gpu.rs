//! The GPU plan: one product for all streams, short convolutions fused with the first gate, long convolutions fused
//! with the other gates, then the output projection. Steps have the names and the order of those in `cpu.rs`.

use mixer::{Case, Count, GpuTarget, Level, MixerError, Plan, Serial, gather, zeros};

use super::Spec;
use super::filter;
use crate::ops::gpu::{
    Activation, Builder, Columns, Filter, Linear, LongConv, ShortFilter, Stream, short_conv, unpack,
};
use crate::ops::long_conv::fft_size;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let (batch, length, width) = (spec.dims.batch, spec.out_len(), spec.dims.d_model);
    let conv = LongConv::new(&mut builder, [batch, length, width], fft_size(length))?;
    let filters = filters(&mut builder, &spec, case, &conv)?;
    let output = match spec.level {
        Level::Core => core(&mut builder, &spec, case, &conv, &filters)?,
        Level::Layer => layer(&mut builder, &spec, case, &conv, &filters)?,
    };
    let output = unpack(&mut builder, output, batch * length, Columns::plain(width));
    builder.finish(output)
}

/// Spectra of all filters. The skip is added to the first tap.
fn filters(
    builder: &mut Builder,
    spec: &Spec,
    case: &Case,
    conv: &LongConv,
) -> Result<Vec<Filter>, MixerError> {
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
    let mut filters = Vec::with_capacity(convolutions);
    for (o, mut taps) in taps.into_iter().enumerate() {
        for channel in 0..width {
            taps[channel] += spec.skip(&case.tensors, o, channel)?;
        }
        let taps = builder.upload_padded("filter", taps, columns.stride());
        filters.push(conv.filter(builder, taps, length));
    }
    Ok(filters)
}

/// Gates and convolutions of the streams.
fn core(
    builder: &mut Builder,
    spec: &Spec,
    case: &Case,
    conv: &LongConv,
    filters: &[Filter],
) -> Result<Stream, MixerError> {
    let x = spec.streams(&case.tensors)?;
    let (width, rows) = (spec.dims.d_model, spec.dims.batch * spec.out_len());
    let columns = Columns::plain(width);
    let streams: Vec<Stream> = (0..=spec.order)
        .map(|stream| {
            let rows = x.chunks_exact((spec.order + 1) * width);
            let values = rows.flat_map(|row| &row[stream * width..][..width]).copied();
            let part = gather(spec.dims.sizes().stream(), values)?;
            Ok(builder.upload("stream", &part, columns))
        })
        .collect::<Result<_, MixerError>>()?;
    let mut value = streams[spec.order];
    let mut other = builder.stream("value", rows, columns);
    let mut spare = None;
    for (o, filter) in filters.iter().enumerate() {
        let gate_in = (o == 0).then(|| streams[spec.order - 1]);
        conv.apply(builder, filter, (value, gate_in), (other, Some(streams[spec.order - 2 - o])));
        // The input is needed again by the next run, so from the second convolution on two buffers alternate.
        let next = if o == 0 {
            if filters.len() > 1 {
                spare = Some(builder.stream("value", rows, columns));
            }
            spare.unwrap_or(other)
        } else {
            value
        };
        value = other;
        other = next;
    }
    Ok(value)
}

/// Weights and buffers that only a layer has.
struct Layer {
    x: Stream,
    /// One projection for all streams, if there is memory for all of them at once; else one per stream.
    stacked: Option<Stream>,
    in_proj: Vec<Linear>,
    short: Vec<ShortFilter>,
    sizes: [usize; 3],
}

impl Layer {
    fn new(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Self, MixerError> {
        let (batch, width, length) = (spec.dims.batch, spec.dims.d_model, spec.out_len());
        let columns = Columns::plain(width);
        let x = spec.input(&case.tensors)?;
        // Cut to the length that the filter is built for.
        let rows: Vec<f32> = x
            .chunks_exact(spec.dims.seq_len * width)
            .flat_map(|sequence| &sequence[..length * width])
            .copied()
            .collect();
        let x = builder.upload("x", &rows, columns);
        let (weight, bias) = spec.projection(&case.tensors, "in_proj")?;
        let layers: Vec<_> = weight
            .chunks_exact(width * width)
            .zip(bias.chunks_exact(width))
            .map(|(weight, bias)| (weight, Some(bias)))
            .collect();
        let words = layers.len() * batch * length * columns.stride();
        let (stacked, in_proj) = if builder.fits(words) {
            let all = builder.stream("projected", layers.len() * batch * length, columns);
            (Some(all), vec![Linear::upload_stacked(builder, &layers, columns, columns)])
        } else {
            let each = layers
                .iter()
                .map(|&(weight, bias)| Linear::upload(builder, weight, bias, columns, columns))
                .collect();
            (None, each)
        };
        let (taps, tap_bias) = spec.short_filter(&case.tensors)?;
        let short = taps
            .chunks_exact(width * spec.taps)
            .zip(tap_bias.chunks_exact(width))
            .map(|(taps, bias)| ShortFilter::upload(builder, taps, Some(bias), spec.taps, columns))
            .collect();
        Ok(Self { x, stacked, in_proj, short, sizes: [batch, length, width] })
    }

    fn rows(&self) -> usize {
        self.sizes[0] * self.sizes[1]
    }

    /// Stream `index` before its short convolution: a part of the joint product, or projected into `room`.
    fn projected(&self, builder: &mut Builder, index: usize, room: Stream) -> Stream {
        if let Some(all) = self.stacked {
            return all.down(index * self.rows());
        }
        self.in_proj[index].apply(builder, self.x, self.rows(), room, 0);
        room
    }
}

fn layer(
    builder: &mut Builder,
    spec: &Spec,
    case: &Case,
    conv: &LongConv,
    filters: &[Filter],
) -> Result<Stream, MixerError> {
    let columns = Columns::plain(spec.dims.d_model);
    let layer = Layer::new(builder, spec, case)?;
    let (weight, bias) = spec.projection(&case.tensors, "out_proj")?;
    let out_proj = Linear::upload(builder, weight, Some(bias), columns, columns);
    // Three stream buffers rotate; the last free one takes the output.
    let [mut value, mut other, gate] =
        ["value", "value", "gate"].map(|label| builder.stream(label, layer.rows(), columns));
    if let Some(all) = layer.stacked {
        let plane = layer.rows() * columns.stride();
        layer.in_proj[0].apply(builder, layer.x, layer.rows(), all, plane);
    }
    let (v, first) = (spec.order, spec.order - 1);
    let v_stream = layer.projected(builder, v, other);
    let first_stream = layer.projected(builder, first, gate);
    let first_gate = Some((first_stream, layer.short[first]));
    short_conv(builder, layer.sizes, (v_stream, layer.short[v]), Activation::None, first_gate, value);
    for (o, filter) in filters.iter().enumerate() {
        let index = spec.order - 2 - o;
        let stream = layer.projected(builder, index, other);
        short_conv(builder, layer.sizes, (stream, layer.short[index]), Activation::None, None, gate);
        conv.apply(builder, filter, (value, None), (other, Some(gate)));
        std::mem::swap(&mut value, &mut other);
    }
    out_proj.apply(builder, value, layer.rows(), other, 0);
    Ok(other)
}
