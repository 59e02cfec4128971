//! Decoding on the GPU: a step multiplies each filter by all inputs of its convolution so far, with either `decode_method`: a
//! GPU reads the history faster than it runs many small transforms.

use mixer::{Case, DecodePlan, Generate, GpuTarget, MixerError, NoDecode};

use super::sequence_gpu::{GATE, Layer, Operator, PRODUCT, STREAMS, taps};
use super::{SequenceSpec, Spec};
use crate::ops::gpu::{Builder, CacheConv, Columns, Combine, Decoding, Input, Lengths, Next, Stream, unpack};

pub(super) fn plan(case: &Case, generate: Generate, target: &GpuTarget) -> Result<DecodePlan, MixerError> {
    match Spec::read(case)? {
        Spec::Sequence(spec) => sequence(&spec, case, generate, target),
        // The MLP has no state: each of its tokens is a forward pass.
        Spec::Mlp(_) | Spec::BlockDiagonal(_) | Spec::Monarch(_) => {
            Err(MixerError::NoDecode { system: super::INFO.id.to_owned(), why: NoDecode::CpuOnly })
        }
    }
}

fn sequence(
    spec: &SequenceSpec,
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let (batch, width, tensors) = (spec.dims.batch, spec.dims.d_model, &case.tensors);
    let lengths = Lengths::new(batch, context, spec.dims.seq_len)?;
    let columns = Columns::plain(width);
    let mut builder = Builder::new(target);
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let (inputs, layer): (Vec<Input>, _) = if spec.layer.is_some() {
        let x = decoding.input(&mut builder, "x", spec.input(tensors)?, columns, true);
        (vec![x], Some(Layer::new(&mut builder, spec, case)?))
    } else {
        let streams = Columns::heads(STREAMS, width);
        let x = decoding.input(&mut builder, "streams", spec.streams(tensors)?, streams, true);
        let u = spec.core_input(tensors)?;
        let u = u.map(|u| decoding.input(&mut builder, "u", u, columns, true));
        ([x].into_iter().chain(u).collect(), None)
    };
    let Some(&x) = inputs.first() else { return Err(MixerError::invalid("inputs", "at least one", 0)) };
    let u = inputs.get(1);
    let taps = (0..spec.convolutions()).map(|convolution| taps(&mut builder, spec, case, convolution));
    let taps = taps.collect::<Result<Vec<_>, _>>()?;
    let operator = Operator::new(&mut builder, spec, &taps, context)?;
    let short = layer.as_ref().map(|layer| layer.short);
    let cache = CacheConv::new(&mut builder, decoding.clock, columns, (STREAMS, short), taps);
    let absorb = |builder: &mut Builder, answers: bool| {
        let y = match &layer {
            None => operator.core(builder, x.prompt, u.map(|u| u.prompt), Some(&cache), answers),
            Some(layer) => operator.layer(builder, layer, x.prompt, Some(&cache), answers),
        };
        cache.restore(builder);
        y
    };
    let [gated, sum] = ["gated", "core"].map(|label| builder.stream(label, batch, columns));
    let projected = builder.stream("projected", STREAMS * batch, columns);

    decoding.fill(&mut builder, |builder| {
        absorb(builder, false);
    });
    decoding.prefill(&mut builder, |builder| {
        let y = absorb(builder, true);
        unpack(builder, y, batch * context, columns)
    });
    decoding.rewind(&mut builder, |builder| cache.restore(builder));
    decoding.step(&mut builder, &inputs, |builder| {
        let residual: Option<Stream> = match &layer {
            None => {
                cache.streams(builder, x.next, columns.run(), PRODUCT);
                u.map(|u| u.next)
            }
            Some(layer) => {
                let u = layer.normalize(builder, x.next, batch);
                layer.project_all(builder, u, batch, projected);
                cache.streams(builder, projected, batch * projected.stride, PRODUCT);
                spec.residual.then_some(u)
            }
        };
        let mut core = gated;
        cache.apply(builder, 0, Some((Combine::Multiply, cache.value(GATE))), Next::Rows(core));
        if let Some(u) = residual {
            cache.append(builder, 1, u);
            cache.apply(builder, 1, Some((Combine::Add, core)), Next::Rows(sum));
            core = sum;
        }
        let Some(layer) = &layer else { return Ok((core, columns)) };
        Ok((layer.finish(builder, core, batch), columns))
    })?;
    decoding.finish(builder, &cache.state())
}
