//! Decoding: the state consists of the inputs of each long convolution and the last inputs of the short convolution.

use std::sync::Arc;

use mixer::{
    Case, Cost, Count, DecodeMemory, Level, MixerError, Parallel, PreparedDecoder, Problem, TokenInput,
    Tokens,
};

use super::Spec;
use super::cost;
use super::filter::Filter;
use crate::conv_streams::{ConvStreams, Gated, StreamSizes, StreamWeights, gate};
use crate::decoding::{Decoder, Decoding};
use crate::ops::linear::Linear;
use crate::ops::online_conv::{Channels, Shape, Span, Taps};

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    let spec = Spec::read(case)?;
    let width = match spec.level {
        Level::Core => (spec.order + 1) * spec.dims.d_model,
        Level::Layer => spec.dims.d_model,
    };
    Ok(vec![TokenInput { name: "x", width, fed: true }])
}

/// Sizes of a decoder whose capacity is the output's length.
pub(super) fn sizes(spec: &Spec) -> StreamSizes {
    StreamSizes {
        long: Shape {
            batch: spec.dims.batch,
            capacity: spec.out_len(),
            width: spec.dims.d_model,
            sets: spec.convolutions(),
        },
        method: spec.method,
        streams: spec.order + 1,
        has_input: false,
        taps: if spec.level == Level::Layer { spec.taps } else { 0 },
        scratch: 0,
    }
}

/// Cost of a step. `spec` is that of all positions of the problem.
pub(super) fn cost(spec: &Spec, problem: &Problem) -> Cost {
    let sizes = sizes(spec);
    let mixer::Task::Decode { tokens } = problem.task else { return Cost::default() };
    let step = sizes.long.step(sizes.method, problem.seq_len, tokens);
    let mut token = *spec;
    token.dims.seq_len = 1;
    let [batch, width, order, sets] =
        Count::all([spec.dims.batch, spec.dims.d_model, spec.order, spec.convolutions()]);
    let (held, moved) = match spec.level {
        Level::Core => (Count::ZERO, (order + 2) * batch * width),
        Level::Layer => {
            let [taps, output] =
                [Count::from(spec.taps), Linear::floats(spec.dims.d_model, spec.dims.d_model)];
            let before = (order + 1) * batch * width * (taps - 1);
            (output, cost::layer_params(spec) + 2 * before + 2 * batch * width)
        }
    };
    Cost {
        flops: (step.flops + cost::other_flops(&token) + 2 * sets * batch * width).get(),
        executed_flops: (step.executed_flops + cost::other_flops(&token)).get(),
        bytes: (step.bytes + 4 * moved).get(),
        peak_bytes: (4 * (cost::case_floats(spec) + sizes.floats() + held)).get(),
        decode_state_bytes: (4 * sizes.state_floats()).get(),
        setup_flops: spec.filter.map_or(0, |filter| filter.flops(spec.out_len()).get()),
        ..Cost::default()
    }
}

struct Hyena {
    spec: Spec,
    streams: ConvStreams,
    out_proj: Option<Linear>,
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read(case)?;
    let (width, length, convolutions) = (spec.dims.d_model, spec.out_len(), spec.convolutions());
    let tensors = &case.tensors;
    let mut skips = vec![0.0; convolutions * width];
    for o in 0..convolutions {
        for channel in 0..width {
            skips[o * width + channel] = spec.skip(tensors, o, channel)?;
        }
    }
    let sizes = sizes(&spec);
    let filters = |tap: &dyn Fn(usize, usize, usize) -> f32| {
        Taps::new(&memory.work, sizes.long, |o, channel, lag| {
            tap(o, channel, lag) + if lag == 0 { skips[o * width + channel] } else { 0.0 }
        })
    };
    let (filters, weights, out_proj) = match &spec.filter {
        None => {
            let (k, _) = spec.core_filter(tensors)?;
            (filters(&|o, channel, lag| k[(o * width + channel) * length + lag])?, None, None)
        }
        Some(filter) => {
            let mut h = memory.work.floats(length * filter.channels)?;
            Filter::new(filter, tensors)?.evaluate(&mut h, parallel);
            let filters = filters(&|o, channel, lag| h[lag * filter.channels + channel * convolutions + o])?;
            let weights = StreamWeights {
                input: spec.projection(tensors, "in_proj")?,
                short: spec.short_filter(tensors)?,
            };
            (filters, Some(weights), Some(spec.projection(tensors, "out_proj")?))
        }
    };
    let streams = ConvStreams::new(memory, sizes, filters, weights, parallel.threads())?;
    let out_proj = match out_proj {
        Some((weight, bias)) => Some(Linear::new(&memory.work, width, width, weight, Some(bias))?),
        None => None,
    };
    Ok(Box::new(Decoding::new(length, Hyena { spec, streams, out_proj })))
}

impl Hyena {
    /// The operator of one group of channels, in the last stream.
    fn mix(order: usize, channels: &mut Channels<'_>, gated: Gated<'_>) {
        let Gated { streams, rows, is_answered, .. } = gated;
        let (gates, v) = streams.split_at_mut(order * rows);
        let gate_of = |index: usize| &gates[index * rows..][..rows];
        gate(v, gate_of(order - 1));
        for o in 0..order - 1 {
            let is_last = o + 2 == order;
            channels.convolve(o, v, is_answered || !is_last);
            if is_answered || !is_last {
                gate(v, gate_of(order - 2 - o));
            }
        }
    }
}

impl Decoder for Hyena {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (order, width) = (self.spec.order, self.spec.dims.d_model);
        let span = Span { position, count: tokens.count };
        let mix = |channels: &mut Channels<'_>, gated: Gated<'_>| Self::mix(order, channels, gated);
        self.streams.advance(span, tokens.inputs[0], None, output.is_some(), mix, parallel);
        match (output, &self.out_proj) {
            (Some(output), Some(out_proj)) => {
                let finish = |core: &[f32], y: &mut [f32], _: &mut [f32]| out_proj.apply_rows(core, y);
                self.streams.answer(output, width * width, finish, parallel);
            }
            (Some(output), None) => {
                self.streams.answer(output, width, |core, y, _| y.copy_from_slice(core), parallel);
            }
            (None, _) => {}
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.streams.mark();
    }

    fn rewind(&mut self, position: usize) {
        self.streams.rewind(position);
    }

    fn clear(&mut self) {
        self.streams.clear();
    }

    fn piece(&self) -> usize {
        sizes(&self.spec).long.piece()
    }
}
