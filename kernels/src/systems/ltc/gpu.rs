//! The GPU plan: for each chunk of steps the sums over the inputs' synapses, the inputs' part of the mixed memory, and
//! the solver. Steps have the names and the order of those in `cpu.rs`.

use mixer::{Access, BufferId, Case, GpuTarget, MixerError, Plan, Shader};

use super::model::{SYNAPSE_FLOPS, UNIT_FLOPS};
use super::{Spec, Synapses};
use crate::dims::Dims;
use crate::initial_state::state_vectors;
use crate::lstm;
use crate::ops::gpu::{Builder, Columns, Linear, Stream, word};
use crate::recurrence::{Chunk, Chunks, Rows, Step, check_memory, layer_turns, width_and_parts};
use crate::recurrent_plan::{self, DeviceNetwork, Inputs, Start};

const SENSE: Shader = Shader {
    label: "sense",
    source: wgsl!("systems/ltc/sense.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

const SOLVE: Shader = Shader {
    label: "solve",
    source: wgsl!("recurrence.wgsl", "systems/ltc/solve.wgsl"),
    entry: "main",
    bindings: &[
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::Read,
        Access::ReadWrite,
        Access::ReadWrite,
    ],
};

/// Neurons and steps per workgroup of the sums over the inputs' synapses.
const SENSE_UNITS: usize = 64;
const SENSE_STEPS: usize = 4;

/// Synapses in the layout of the shaders.
struct Packed {
    /// Four floats per neuron; then for each index in the neurons' lists and each neuron −σ log₂e, σ μ log₂e, the
    /// weight, and weight · reversal.
    params: Vec<f32>,
    /// Lengths of the neurons' lists, then the sources, in the order of the synapses; a placeholder if all synapses
    /// exist.
    sources: Vec<u32>,
    is_dense: bool,
    count: usize,
    /// Largest number of synapses of a neuron.
    longest: usize,
}

impl Packed {
    /// Includes `scale` and `shift` of a source in its synapses: σ(s (a u + b − μ)) = σ(s a (u − (μ − b) / a)).
    fn new(
        spec: &Spec,
        synapses: &Synapses<'_>,
        neuron: impl Fn(usize) -> [f64; 4],
        map: impl Fn(usize) -> (f64, f64),
    ) -> Self {
        let (units, padded) = (spec.units, padded(spec));
        let from = synapses.w.len() / units;
        let lists: Vec<Vec<usize>> = (0..units)
            .map(|unit| (0..from).filter(|source| synapses.mask[source * units + unit] != 0.0).collect())
            .collect();
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
        let count = lists.iter().map(Vec::len).sum();
        let is_dense = count == from * units;
        let mut params = vec![0.0; 4 * padded * (1 + longest)];
        let mut sources = vec![0; if is_dense { 1 } else { padded * (1 + longest) }];
        for (unit, list) in lists.iter().enumerate() {
            let to = params[4 * unit..].iter_mut();
            to.zip(neuron(unit)).for_each(|(to, value)| *to = value as f32);
            if !is_dense {
                sources[unit] = word(list.len());
            }
            for (index, &source) in list.iter().enumerate() {
                let at = source * units + unit;
                let (scale, shift) = map(source);
                let slope = f64::from(synapses.sigma[at]) * std::f64::consts::LOG2_E;
                let weight = spec.positive(synapses.w[at]) * f64::from(synapses.mask[at]);
                let values = [
                    -slope * scale,
                    slope * (f64::from(synapses.mu[at]) - shift),
                    weight,
                    weight * f64::from(synapses.erev[at]),
                ];
                let place = (1 + index) * padded + unit;
                let to = params[4 * place..].iter_mut();
                to.zip(values).for_each(|(to, value)| *to = value as f32);
                if !is_dense {
                    sources[place] = word(source);
                }
            }
        }
        Self { params, sources, is_dense, count, longest }
    }
}

fn padded(spec: &Spec) -> usize {
    spec.units.next_multiple_of(4)
}

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let network = Device::upload(&mut builder, &spec, case)?;
    let x = builder.upload("x", spec.input(&case.tensors)?, Columns::plain(spec.dims.d_model));
    let times = spec.times(&case.tensors)?;
    let times = times.map(|times| builder.upload("timespans", times, Columns::plain(1)));
    recurrent_plan::forward(builder, &network, spec.dims, Inputs { x, times })
}

/// Synapses on the device.
struct Uploaded {
    params: BufferId,
    sources: BufferId,
    is_dense: bool,
    /// Operations per step.
    flops: usize,
}

/// The mixed memory on the device.
struct MixedMemory {
    input_map: Linear,
    recurrent_map: BufferId,
}

/// The network on the device.
pub(super) struct Device {
    spec: Spec,
    sensory: Uploaded,
    recurrent: Uploaded,
    /// Offset of the initial states, in vectors of four, after the recurrent synapses.
    initial_at: usize,
    /// Neurons processed at once, and threads per neuron.
    width_and_parts: [usize; 2],
    memory: Option<MixedMemory>,
    step: Step,
}

/// The initial states of all sequences, `[batch, vectors, padded]`.
fn initial(spec: &Spec, case: &Case) -> Result<Vec<f32>, MixerError> {
    let (padded, vectors) = (padded(spec), state_vectors(spec.mixed_memory));
    let mut states = vec![0.0; spec.dims.batch * vectors * padded];
    for (sequence, to) in states.chunks_exact_mut(vectors * padded).enumerate() {
        let (v, m) = spec.initial(&case.tensors, sequence)?;
        for (to, values) in to.chunks_exact_mut(padded).zip([v, m]) {
            to.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
        }
    }
    Ok(states)
}

impl Device {
    pub(super) fn upload(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Self, MixerError> {
        let padded = padded(spec);
        check_memory(padded, builder.target())?;
        let tensors = &case.tensors;
        let Spec { dims, units, unfolds, .. } = *spec;
        let [gleak, vleak, cm] = spec.neurons(tensors)?;
        let scale_and_shift = |map: super::Map<'_>, index: usize| {
            map.map_or((1.0, 0.0), |(scale, shift)| {
                (f64::from(scale[index]), shift.map_or(0.0, |shift| f64::from(shift[index])))
            })
        };
        let (input_map, output_map) = (spec.input_map(tensors)?, spec.output_map(tensors)?);
        let mut recurrent = Packed::new(
            spec,
            &spec.recurrent(tensors)?,
            |unit| {
                let (scale, shift) =
                    if unit < spec.outputs { scale_and_shift(output_map, unit) } else { (0.0, 0.0) };
                [spec.positive(cm[unit]) * unfolds as f64, scale, shift, 0.0]
            },
            |_| (1.0, 0.0),
        );
        let sensory = Packed::new(
            spec,
            &spec.sensory(tensors)?,
            |unit| {
                let leak = spec.positive(gleak[unit]);
                [leak * f64::from(vleak[unit]), leak + spec.epsilon, 0.0, 0.0]
            },
            |input| scale_and_shift(input_map, input),
        );

        let memory_flops = if spec.mixed_memory { 8 * units * units } else { 0 };
        let solve_flops = unfolds * (SYNAPSE_FLOPS * recurrent.count + UNIT_FLOPS * units) + memory_flops;
        let sense_flops = SYNAPSE_FLOPS * sensory.count;
        let memory_turns = if spec.mixed_memory { layer_turns(units, units.div_ceil(4)) } else { 0 };
        let outputs_turns = spec.outputs.div_ceil(256) as u64 + 1;
        let step = Step {
            flops: solve_flops.max(sense_flops) as u64,
            turns: unfolds as u64 * (layer_turns(units, recurrent.longest) + 1)
                + memory_turns
                + outputs_turns,
            row_floats: padded * if spec.mixed_memory { 6 } else { 2 },
        };
        let width_and_parts = width_and_parts(units, recurrent.longest);
        let initial_at = recurrent.params.len() / 4;
        recurrent.params.extend(initial(spec, case)?);
        let memory = if spec.mixed_memory {
            let weights = lstm::Weights::read(tensors, dims.d_model, units)?;
            let (weight, bias) = weights.entries(|unit| unit, padded);
            let (inputs, gates) = (Columns::plain(dims.d_model), Columns::plain(4 * padded));
            let input_map = Linear::upload(builder, &weight, Some(&bias), inputs, gates);
            let recurrent_map = weights.packed([units, units], Some);
            let recurrent_map = builder.upload_padded("recurrent map", recurrent_map, 4).buffer;
            Some(MixedMemory { input_map, recurrent_map })
        } else {
            None
        };
        let mut upload = |[params, sources]: [&'static str; 2], packed: Packed, flops| Uploaded {
            params: builder.upload_padded(params, packed.params, 4).buffer,
            sources: builder.upload_words(sources, packed.sources),
            is_dense: packed.is_dense,
            flops,
        };
        Ok(Self {
            spec: *spec,
            sensory: upload(["sensory synapses", "sensory sources"], sensory, sense_flops),
            recurrent: upload(["synapses", "sources"], recurrent, solve_flops),
            initial_at,
            width_and_parts,
            memory,
            step,
        })
    }

    /// Records the sums over the inputs' synapses of a chunk.
    fn sense(&self, builder: &mut Builder, steps: &Steps, chunk: Chunk) {
        let (spec, x) = (&self.spec, steps.inputs.x);
        let Chunk { first_sequence, sequences, first_step, steps: count } = chunk;
        builder.dispatch(
            SENSE,
            &[("DENSE", flag(self.sensory.is_dense))],
            &[
                spec.units,
                padded(spec),
                spec.dims.d_model,
                first_sequence,
                first_step,
                count,
                steps.length,
                steps.chunks.steps,
                x.stride,
            ]
            .map(word),
            &[self.sensory.params, self.sensory.sources, x.buffer, steps.sums],
            [spec.units.div_ceil(SENSE_UNITS), count.div_ceil(SENSE_STEPS), sequences],
            (sequences * count) as u64 * self.sensory.flops as u64,
        );
    }

    /// Records the solver of a chunk.
    fn solve(&self, builder: &mut Builder, steps: &Steps, chunk: Chunk, (state, start): (BufferId, Start)) {
        let spec = &self.spec;
        let Chunk { first_sequence, sequences, first_step, steps: count } = chunk;
        let [width, parts] = self.width_and_parts;
        let times = steps.inputs.times;
        let starts = start == Start::Initial && first_step == 0;
        // Absent inputs need placeholders: a buffer that is bound anyway.
        let params = self.recurrent.params;
        let map = self.memory.as_ref().map_or(params, |memory| memory.recurrent_map);
        builder.dispatch(
            SOLVE,
            &[
                ("DENSE", flag(self.recurrent.is_dense)),
                ("MIXED", flag(spec.mixed_memory)),
                ("TIMES", flag(spec.timespans)),
            ],
            &[
                spec.units,
                padded(spec),
                spec.outputs,
                spec.unfolds,
                first_sequence,
                first_step,
                count,
                steps.length,
                steps.chunks.steps,
                times.map_or(0, |times| times.stride),
                steps.y.stride,
                width,
                parts,
                usize::from(starts),
                self.initial_at,
            ]
            .map(word),
            &[
                params,
                self.recurrent.sources,
                steps.sums,
                map,
                steps.gates.map_or(params, |gates| gates.buffer),
                times.map_or(params, |times| times.buffer),
                state,
                steps.y.buffer,
            ],
            [sequences, 1, 1],
            (sequences * count) as u64 * self.recurrent.flops as u64,
        );
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// Steps of every sequence.
pub(super) struct Steps {
    length: usize,
    chunks: Chunks,
    inputs: Inputs,
    /// Sums over the inputs' synapses, and the mixed memory's gates, of a chunk.
    sums: BufferId,
    gates: Option<Stream>,
    y: Stream,
}

impl DeviceNetwork for Device {
    type Steps = Steps;

    fn columns(&self) -> Columns {
        Columns::plain(self.spec.outputs)
    }

    fn state_floats(&self) -> usize {
        self.spec.dims.batch * state_vectors(self.spec.mixed_memory) * padded(&self.spec)
    }

    fn steps(&self, builder: &mut Builder, inputs: Inputs, length: usize) -> Result<Steps, MixerError> {
        let (batch, padded) = (self.spec.dims.batch, padded(&self.spec));
        let dims = Dims { seq_len: length, ..self.spec.dims };
        let chunks = Chunks::new(builder.target(), dims, self.step)?;
        let sums = builder.scratch("sensory sums", 2 * batch * chunks.steps * padded);
        let gates = Columns::plain(4 * padded);
        let gates = self.memory.as_ref().map(|_| builder.stream("gates", batch * chunks.steps, gates));
        let y = builder.stream("y", batch * length, self.columns());
        Ok(Steps { length, chunks, inputs, sums, gates, y })
    }

    fn record(
        &self,
        builder: &mut Builder,
        steps: &Steps,
        state: BufferId,
        start: Start,
        _answers: bool,
    ) -> Stream {
        for chunk in steps.chunks.iter() {
            self.sense(builder, steps, chunk);
            if let (Some(memory), Some(gates)) = (&self.memory, steps.gates) {
                let x = Rows { stream: steps.inputs.x, room: steps.length, first: chunk.first_step };
                let gates = Rows { stream: gates, room: steps.chunks.steps, first: 0 };
                chunk.linear(builder, &memory.input_map, x, gates);
            }
            self.solve(builder, steps, chunk, (state, start));
        }
        steps.y
    }
}
