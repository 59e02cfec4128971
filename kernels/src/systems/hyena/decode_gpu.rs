//! Decoding on the GPU: a step multiplies each filter by all inputs of its convolution so far, with either `decode_method`: a
//! GPU reads the history faster than it runs many small transforms.

use mixer::{Case, DecodePlan, Generate, GpuTarget, Level, MixerError};

use super::Spec;
use super::gpu::{self, Layer, Operator, taps};
use crate::ops::gpu::{Builder, CacheConv, Columns, Combine, Decoding, Input, Lengths, Next, Stream, unpack};

pub(super) fn plan(
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let spec = Spec::read(case)?;
    let (batch, width, order) = (spec.dims.batch, spec.dims.d_model, spec.order);
    let lengths = Lengths::new(batch, context, spec.out_len())?;
    let columns = Columns::plain(width);
    let mut builder = Builder::new(target);
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let (input, layer) = match spec.level {
        Level::Core => {
            let streams = Columns::heads(order + 1, width);
            let x = spec.streams(&case.tensors)?;
            (decoding.input(&mut builder, "streams", x, streams, true), None)
        }
        Level::Layer => {
            let x = decoding.input(&mut builder, "x", &gpu::input(&spec, case)?, columns, true);
            (x, Some(Layer::new(&mut builder, &spec, case, context)?))
        }
    };
    let taps = taps(&mut builder, &spec, case)?;
    let operator = Operator::new(&mut builder, &spec, &taps, context, true)?;
    let short = layer.as_ref().map(|layer| layer.short);
    let cache = CacheConv::new(&mut builder, decoding.clock, columns, (order + 1, short), taps);
    let absorb = |builder: &mut Builder, answers: bool| {
        let Input { prompt, .. } = input;
        let y = match &layer {
            None => {
                let streams: Vec<Stream> =
                    (0..=order).map(|index| prompt.right(index * columns.run())).collect();
                operator.core(builder, &streams, Some(&cache), answers)
            }
            Some(layer) => operator.layer(builder, layer, prompt, Some(&cache), answers),
        };
        cache.restore(builder);
        y
    };
    let core = builder.stream("core", batch, columns);
    let [projected, y] = [order + 1, 1].map(|count| builder.stream("token", count * batch, columns));

    decoding.fill(&mut builder, |builder| {
        absorb(builder, false);
    });
    decoding.prefill(&mut builder, |builder| {
        let y = absorb(builder, true);
        unpack(builder, y, batch * context, columns)
    });
    decoding.rewind(&mut builder, |builder| cache.restore(builder));
    decoding.step(&mut builder, &[input], |builder| {
        match &layer {
            None => cache.streams(builder, input.next, columns.run(), [order, order - 1]),
            Some(layer) => {
                layer.project_all(builder, input.next, batch, projected);
                cache.streams(builder, projected, batch * projected.stride, [order, order - 1]);
            }
        }
        for o in 0..spec.convolutions() {
            let gate = cache.value(order - 2 - o);
            let is_last = o + 1 == spec.convolutions();
            let next = if is_last { Next::Rows(core) } else { Next::History(o + 1) };
            cache.apply(builder, o, Some((Combine::Multiply, gate)), next);
        }
        let Some(layer) = &layer else { return Ok((core, columns)) };
        layer.out_proj.apply(builder, core, batch, y, 0);
        Ok((y, columns))
    })?;
    decoding.finish(builder, &cache.state())
}
