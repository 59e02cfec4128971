//! Decoding of the causal form: the state consists of the inputs of the long convolutions and the last inputs of the
//! short convolution. The MLP, alone or in a block, processes each token independently.

use std::sync::Arc;

use mixer::{
    Case, Cost, Count, DecodeMemory, Floats, MixerError, NoDecode, Parallel, PreparedDecoder, Problem, Task,
    TokenInput, Tokens,
};

use super::filter::{Direction, Filters};
use super::mlp::{self, Mlp};
use super::spec::Affine;
use super::{MlpSpec, NORM_EPS, SequenceSpec, Spec, TAPS, cost};
use crate::conv_streams::{ConvStreams, Gated, StreamSizes, StreamWeights, gate};
use crate::decoding::{Decoder, Decoding};
use crate::ops::fft::Row;
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::norm::layer_norm;
use crate::ops::online_conv::{Channels, Shape, Span, Taps};
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    let layer = |width| vec![TokenInput { name: "x", width, fed: true }];
    match Spec::read(case)? {
        Spec::Sequence(spec) if spec.bidirectional => {
            Err(MixerError::NoDecode { system: super::INFO.id.to_owned(), why: NoDecode::NotCausal })
        }
        Spec::Sequence(spec) if spec.layer.is_none() => {
            let width = spec.dims.d_model;
            let streams = TokenInput { name: "x", width: 3 * width, fed: true };
            let input = TokenInput { name: "u", width, fed: true };
            Ok([streams, input].into_iter().take(spec.convolutions()).collect())
        }
        Spec::Sequence(spec) => Ok(layer(spec.dims.d_model)),
        Spec::Mlp(spec) => Ok(layer(spec.dims.d_model)),
        Spec::BlockDiagonal(_) | Spec::Monarch(_) => Err(of_a_matrix()),
    }
}

fn of_a_matrix() -> MixerError {
    MixerError::Unsupported {
        system: super::INFO.id.to_owned(),
        what: "decoding of a single matrix".to_owned(),
    }
}

/// Sizes of a decoder whose capacity is the sequence's length.
pub(super) fn sizes(spec: &SequenceSpec) -> StreamSizes {
    StreamSizes {
        long: Shape {
            batch: spec.dims.batch,
            capacity: spec.dims.seq_len,
            width: spec.dims.d_model,
            sets: spec.convolutions(),
        },
        method: spec.method,
        streams: 3,
        has_input: spec.residual,
        taps: if spec.layer.is_some() { TAPS } else { 0 },
        scratch: spec.mlp.map_or(0, |mlp| (mlp_scratch(&mlp)).index()),
    }
}

/// Scratch of a worker for the MLP of a block of rows: its input and its own scratch.
fn mlp_scratch(spec: &MlpSpec) -> Count {
    Count::from(BLOCK) * Count::from(spec.dims.d_model) + mlp::scratch_floats(spec)
}

/// Cost of a step. `spec` is that of all positions of the problem.
pub(super) fn cost(spec: &Spec, problem: &Problem) -> Cost {
    match spec {
        Spec::Sequence(spec) => sequence_cost(spec, problem),
        Spec::Mlp(spec) => mlp_cost(spec),
        Spec::BlockDiagonal(_) | Spec::Monarch(_) => Cost::default(),
    }
}

fn sequence_cost(spec: &SequenceSpec, problem: &Problem) -> Cost {
    let sizes = sizes(spec);
    let Task::Decode { tokens } = problem.task else { return Cost::default() };
    let step = sizes.long.step(sizes.method, problem.seq_len, tokens);
    let mut token = *spec;
    token.dims.seq_len = 1;
    token.mlp.iter_mut().for_each(|mlp| mlp.dims.seq_len = 1);
    let [batch, width, sets] = Count::all([spec.dims.batch, spec.dims.d_model, spec.convolutions()]);
    let (mut held, mut moved, mut functions) = (Count::ZERO, (3 + sets) * batch * width, Count::ZERO);
    if let Some(layer) = spec.layer {
        let before = 3 * batch * width * Count::from(TAPS - 1);
        moved = cost::layer_params(spec) + 2 * before + 2 * batch * width;
        held += Linear::floats(spec.dims.d_model, spec.dims.d_model);
        if layer.norm {
            held += (2 + batch * Count::from(sizes.long.piece())) * width;
            functions += 2 * batch;
        }
        if let Some(mlp) = token.mlp {
            held += mlp::floats(&mlp) + 2 * width;
            functions += cost::mlp_transcendentals(&mlp);
        }
    }
    Cost {
        flops: (step.flops + cost::other_flops(&token) + 2 * sets * batch * width).get(),
        executed_flops: (step.executed_flops + cost::other_flops(&token)).get(),
        transcendentals: functions.get(),
        bytes: (step.bytes + 4 * moved).get(),
        peak_bytes: (4 * (cost::case_floats(spec) + sizes.floats() + held)).get(),
        decode_state_bytes: (4 * sizes.state_floats()).get(),
        setup_flops: cost::filter_flops(spec).get(),
        ..Cost::default()
    }
}

fn mlp_cost(spec: &MlpSpec) -> Cost {
    let (stream, params) = (spec.dims.sizes().stream(), cost::mlp_params(spec));
    let mut token = *spec;
    token.dims.seq_len = 1;
    let held = mlp::floats(spec) + mlp::scratch_floats(spec) + 2 * spec.dims.sizes().d_model;
    Cost {
        flops: cost::mlp_flops(&token).get(),
        executed_flops: cost::mlp_flops(&token).get(),
        transcendentals: cost::mlp_transcendentals(&token).get(),
        bytes: (4 * (2 * token.dims.sizes().stream() + params)).get(),
        peak_bytes: (4 * (stream + params + held)).get(),
        ..Cost::default()
    }
}

/// Weight and bias of a normalisation.
struct Norm {
    weight: Floats,
    bias: Floats,
}

impl Norm {
    fn new(memory: &DecodeMemory, (weight, bias): Affine<'_>) -> Result<Self, MixerError> {
        let copy = |values: &[f32]| -> Result<Floats, MixerError> {
            let mut copy = memory.work.floats(values.len())?;
            copy.copy_from_slice(values);
            Ok(copy)
        };
        Ok(Self { weight: copy(weight)?, bias: copy(bias)? })
    }

    fn affine(&self) -> Affine<'_> {
        (&self.weight, &self.bias)
    }
}

/// The MLP with its normalisation.
struct Mixing {
    mlp: Mlp,
    norm: Norm,
}

impl Mixing {
    fn new(spec: MlpSpec, case: &Case, prefix: &str, memory: &DecodeMemory) -> Result<Self, MixerError> {
        let params = spec.params(&case.tensors, prefix)?;
        Ok(Self { mlp: Mlp::new(spec, &params, &memory.work)?, norm: Norm::new(memory, params.norm)? })
    }
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    match Spec::read(case)? {
        Spec::Sequence(spec) => {
            Ok(Box::new(Decoding::new(spec.dims.seq_len, Sequence::new(spec, case, memory, parallel)?)))
        }
        Spec::Mlp(spec) => {
            let mixing = Mixing::new(spec, case, "param", memory)?;
            let scratch = Scratch::new(&memory.work, parallel.threads(), mlp::scratch_floats(&spec))?;
            Ok(Box::new(Decoding::new(spec.dims.seq_len, MlpAlone { spec, mixing, scratch })))
        }
        Spec::BlockDiagonal(_) | Spec::Monarch(_) => Err(of_a_matrix()),
    }
}

/// The MLP alone, which has no state.
struct MlpAlone {
    spec: MlpSpec,
    mixing: Mixing,
    scratch: Scratch,
}

impl Decoder for MlpAlone {
    fn advance(
        &mut self,
        _position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (width, Mixing { mlp, norm }) = (self.spec.dims.d_model, &self.mixing);
        let output = output.unwrap_or_default();
        let blocks = tokens.inputs[0].chunks(BLOCK * width).zip(output.chunks_mut(BLOCK * width));
        for_each(parallel, blocks.len(), blocks, |(x, y), worker| {
            mlp.apply_rows(norm.affine(), x, y, &mut self.scratch.of(worker));
        });
        Ok(())
    }
}

struct Sequence {
    spec: SequenceSpec,
    streams: ConvStreams,
    norm: Option<Norm>,
    /// The normalised input of a piece, `[batch, count, width]`.
    normalized: Floats,
    out_linear: Option<Linear>,
    mlp: Option<Mixing>,
}

impl Sequence {
    fn new(
        spec: SequenceSpec,
        case: &Case,
        memory: &DecodeMemory,
        parallel: &dyn Parallel,
    ) -> Result<Self, MixerError> {
        let (sizes, tensors, width) = (sizes(&spec), &case.tensors, spec.dims.d_model);
        let filters = filters(&spec, sizes.long, case, memory, parallel)?;
        let weights = match spec.layer {
            None => None,
            Some(_) => Some(StreamWeights {
                input: spec.projection(tensors, "in_linear")?,
                short: spec.short_filter(tensors)?,
            }),
        };
        let streams = ConvStreams::new(memory, sizes, filters, weights, parallel.threads())?;
        let norm = spec.norm(tensors)?.map(|norm| Norm::new(memory, norm)).transpose()?;
        let normalized = if norm.is_some() { spec.dims.batch * sizes.long.piece() * width } else { 0 };
        let out_linear = if spec.layer.is_some() {
            let (weight, bias) = spec.projection(tensors, "out_linear")?;
            Some(Linear::new(&memory.work, width, width, weight, Some(bias))?)
        } else {
            None
        };
        let mlp = spec.mlp.map(|mlp| Mixing::new(mlp, case, "param.mlp", memory)).transpose()?;
        Ok(Self { spec, streams, norm, normalized: memory.work.floats(normalized)?, out_linear, mlp })
    }

    /// The core of one group of channels, in the last stream.
    fn mix(channels: &mut Channels<'_>, gated: Gated<'_>) {
        let Gated { streams, input, rows, is_answered } = gated;
        let (gates, v) = streams.split_at_mut(2 * rows);
        let (x1, x2) = gates.split_at(rows);
        gate(v, x1);
        channels.convolve(0, v, is_answered);
        if is_answered {
            gate(v, x2);
        }
        if !input.is_empty() {
            channels.convolve(1, input, is_answered);
            add(v, input);
        }
    }
}

/// `rows += more`, elementwise.
fn add(rows: &mut [Row], more: &[Row]) {
    rows.as_flattened_mut().iter_mut().zip(more.as_flattened()).for_each(|(value, more)| *value += more);
}

/// The filters of all convolutions, with the skips added to the first taps.
fn filters(
    spec: &SequenceSpec,
    shape: Shape,
    case: &Case,
    memory: &DecodeMemory,
    parallel: &dyn Parallel,
) -> Result<Taps, MixerError> {
    let (width, length, tensors) = (spec.dims.d_model, spec.dims.seq_len, &case.tensors);
    let skip = |skip: &[f32], channel: usize, lag: usize| if lag == 0 { skip[channel] } else { 0.0 };
    let Some(layer) = &spec.layer else {
        let sets = (0..spec.convolutions()).map(|set| spec.core_filters(tensors, set));
        let sets = sets.collect::<Result<Vec<_>, _>>()?;
        return Taps::new(&memory.work, shape, |set, channel, lag| {
            sets[set].forward[channel * length + lag] + skip(sets[set].skip, channel, lag)
        });
    };
    let mut sets = Vec::new();
    for name in spec.filter_sets() {
        let filters = Filters::new(&layer.filter, tensors, name, false)?;
        let mut values = memory.work.floats(length * width)?;
        filters.evaluate(Direction::Forward, &mut values, parallel);
        sets.push((values, filters.skip));
    }
    Taps::new(&memory.work, shape, |set, channel, lag| {
        sets[set].0[lag * width + channel] + skip(sets[set].1, channel, lag)
    })
}

impl Decoder for Sequence {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let width = self.spec.dims.d_model;
        let span = Span { position, count: tokens.count };
        let mut x = tokens.inputs[0];
        if let Some(norm) = &self.norm {
            let rows = &mut self.normalized[..x.len()];
            rows.copy_from_slice(x);
            for row in rows.chunks_exact_mut(width) {
                layer_norm(row, &norm.weight, &norm.bias, NORM_EPS as f32);
            }
            x = rows;
        }
        let input = self.spec.residual.then(|| if self.spec.layer.is_some() { x } else { tokens.inputs[1] });
        self.streams.advance(span, x, input, output.is_some(), Self::mix, parallel);
        let Some(output) = output else { return Ok(()) };
        let Some(out_linear) = &self.out_linear else {
            self.streams.answer(output, width, |core, y, _| y.copy_from_slice(core), parallel);
            return Ok(());
        };
        let finish = |core: &[f32], y: &mut [f32], scratch: &mut [f32]| {
            let Some(Mixing { mlp, norm }) = &self.mlp else {
                return out_linear.apply_rows(core, y);
            };
            let (mixed, scratch) = scratch.split_at_mut(core.len());
            out_linear.apply_rows(core, mixed);
            mlp.apply_rows(norm.affine(), mixed, y, scratch);
        };
        let mlp = self.spec.mlp.map_or(0, |mlp| mlp.intermediate * width / mlp.blocks.max(1) * 3);
        self.streams.answer(output, width * width + mlp, finish, parallel);
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
