//! The GPU plan: for each chunk of steps the sums over the inputs' synapses, the inputs' part of the mixed memory, and
//! the solver. Steps have the names and the order of those in `cpu.rs`.

use mixer::{Access, Case, GpuTarget, MixerError, Plan, Shader};

use super::model::{SYNAPSE_FLOPS, UNIT_FLOPS};
use super::{Spec, Synapses};
use crate::lstm;
use crate::ops::gpu::{Batches, Builder, Columns, Gemm, Linear, Operand, unpack, word};
use crate::recurrence::{Chunk, Chunks, Step, check_memory, layer_turns, width_and_parts};

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
    let padded = padded(&spec);
    check_memory(padded, target)?;
    let mut builder = Builder::new(target);
    let tensors = &case.tensors;
    let Spec { dims, units, unfolds, .. } = spec;
    let (length, inputs) = (dims.seq_len, dims.d_model);
    let [gleak, vleak, cm] = spec.neurons(tensors)?;
    let scale_and_shift = |map: super::Map<'_>, index: usize| {
        map.map_or((1.0, 0.0), |(scale, shift)| {
            (f64::from(scale[index]), shift.map_or(0.0, |shift| f64::from(shift[index])))
        })
    };
    let (input_map, output_map) = (spec.input_map(tensors)?, spec.output_map(tensors)?);
    let recurrent = Packed::new(
        &spec,
        &spec.recurrent(tensors)?,
        |unit| {
            let (scale, shift) =
                if unit < spec.outputs { scale_and_shift(output_map, unit) } else { (0.0, 0.0) };
            [spec.positive(cm[unit]) * unfolds as f64, scale, shift, 0.0]
        },
        |_| (1.0, 0.0),
    );
    let sensory = Packed::new(
        &spec,
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
    let row_floats = padded * if spec.mixed_memory { 6 } else { 2 };
    let memory_turns = if spec.mixed_memory { layer_turns(units, units.div_ceil(4)) } else { 0 };
    let outputs_turns = spec.outputs.div_ceil(256) as u64 + 1;
    let turns = unfolds as u64 * (layer_turns(units, recurrent.longest) + 1) + memory_turns + outputs_turns;
    let flops = solve_flops.max(sense_flops) as u64;
    let chunks = Chunks::new(target, dims, Step { flops, turns, row_floats })?;

    let x = builder.upload("x", spec.input(tensors)?, Columns::plain(inputs));
    let sensory_params = builder.upload_padded("sensory synapses", sensory.params, 4).buffer;
    let sensory_sources = builder.upload_words("sensory sources", sensory.sources);
    let params = builder.upload_padded("synapses", recurrent.params, 4).buffer;
    let sources = builder.upload_words("sources", recurrent.sources);
    let sums = builder.scratch("sensory sums", 2 * dims.batch * chunks.steps * padded);
    let gates = Columns::plain(4 * padded);
    let memory = if spec.mixed_memory {
        let weights = lstm::Weights::read(tensors, inputs, units)?;
        let (weight, bias) = weights.entries(|unit| unit, padded);
        let input_map = Linear::upload(&mut builder, &weight, Some(&bias), Columns::plain(inputs), gates);
        let recurrent_map = weights.packed([units, units], Some);
        let recurrent_map = builder.upload_padded("recurrent map", recurrent_map, 4).buffer;
        Some((input_map, recurrent_map, builder.stream("gates", dims.batch * chunks.steps, gates)))
    } else {
        None
    };
    let times = match spec.times(tensors)? {
        Some(times) => builder.upload_padded("timespans", times.to_vec(), 4).buffer,
        None => params,
    };
    let mut initial = vec![0.0; 4 * dims.batch * padded];
    for (sequence, to) in initial[..2 * dims.batch * padded].chunks_exact_mut(2 * padded).enumerate() {
        let (v, m) = spec.initial(tensors, sequence)?;
        for (to, values) in to.chunks_exact_mut(padded).zip([v, m]) {
            to.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
        }
    }
    let state = builder.upload_padded("state", initial, 4).buffer;
    let columns = Columns::plain(spec.outputs);
    let y = builder.stream("y", dims.batch * length, columns);

    let flag = |set: bool| f64::from(u8::from(set));
    for chunk in chunks.iter() {
        let Chunk { first_sequence, sequences, first_step, steps } = chunk;
        let at = [first_sequence, first_step, steps, length, chunks.steps].map(word);
        let mut uniforms = [units, padded, inputs].map(word).to_vec();
        uniforms.extend(at);
        uniforms.push(word(x.stride));
        builder.dispatch(
            SENSE,
            &[("DENSE", flag(sensory.is_dense))],
            &uniforms,
            &[sensory_params, sensory_sources, x.buffer, sums],
            [units.div_ceil(SENSE_UNITS), steps.div_ceil(SENSE_STEPS), sequences],
            (sequences * steps) as u64 * sense_flops as u64,
        );
        if let Some((input_map, _, entries)) = memory {
            let from = Operand {
                stream: x.down(first_sequence * length + first_step),
                outer: length * x.stride,
                inner: 0,
            };
            let to = Operand {
                stream: entries.down(first_sequence * chunks.steps),
                outer: chunks.steps * entries.stride,
                inner: 0,
            };
            let product = input_map.gemm(x, steps, entries, 0);
            let batches = Batches { outer: sequences, inner: 1 };
            Gemm { a: from, y: to, batches, ..product }.record(&mut builder);
        }
        let mut uniforms = [units, padded, spec.outputs, unfolds, dims.batch].map(word).to_vec();
        uniforms.extend(at);
        uniforms.push(word(y.stride));
        uniforms.extend(width_and_parts(units, recurrent.longest).map(word));
        // Without a mixed memory, its bindings need placeholders: buffers that are bound anyway.
        let (map, entries) = memory.map_or((params, params), |(_, map, entries)| (map, entries.buffer));
        builder.dispatch(
            SOLVE,
            &[
                ("DENSE", flag(recurrent.is_dense)),
                ("MIXED", flag(spec.mixed_memory)),
                ("TIMES", flag(spec.timespans)),
            ],
            &uniforms,
            &[params, sources, sums, map, entries, times, state, y.buffer],
            [sequences, 1, 1],
            (sequences * steps) as u64 * solve_flops as u64,
        );
    }
    let output = unpack(&mut builder, y, dims.batch * length, columns);
    builder.finish(output)
}
