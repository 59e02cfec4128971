//! The CPU kernel. Sensory sums do not depend on the state: they are taken for many tokens at once, on all threads. The
//! solver then walks the tokens of each sequence, four neurons to a vector; sequences run side by side.

#![expect(unsafe_code, reason = "tasks write disjoint rows of shared buffers through `Disjoint`")]

use std::sync::Arc;

use mixer::{Case, CpuKernel, Floats, Memory, MixerError, Parallel};

use super::{Spec, Synapses};
use crate::lstm::{self, Lstm};
use crate::ops::activation::sigmoid_exp2;
use crate::ops::disjoint::Disjoint;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{F32x4, LANES};

/// Tokens between two looks at the cancel switch, and of sensory sums held at once.
const CHUNK: usize = 64;

/// Tokens in a task of sensory sums.
const BLOCK: usize = 8;

/// Floats of one entry: factor, offset, weight, weight · reversal, four neurons each.
const ENTRY: usize = 4 * LANES;

fn padded(units: usize) -> usize {
    units.next_multiple_of(LANES)
}

/// Most floats that [`Packed::new`] takes for `count` synapses of `from` × `units` possible ones.
pub(super) fn synapse_floats(from: usize, units: usize, count: usize) -> usize {
    (from * padded(units) / LANES).min(count) * ENTRY
}

/// Floats of states, constants, sensory sums and scratch.
pub(super) fn state_floats(spec: &Spec) -> usize {
    let padded = padded(spec.units);
    let chunk = CHUNK.min(spec.dims.seq_len);
    spec.dims.batch * (2 + 2 * chunk) * padded + 3 * padded + scratch_floats(spec)
}

fn scratch_floats(spec: &Spec) -> usize {
    spec.dims.d_model
        + padded(spec.units)
        + if spec.mixed_memory { Lstm::scratch_floats(spec.units) } else { 0 }
}

/// Synapses by groups of four target neurons; groups of synapses that do not exist are left out.
struct Packed {
    /// First entry of each group, and the end.
    starts: Vec<u32>,
    /// Source neuron of each entry.
    from: Vec<u32>,
    entries: Floats,
}

impl Packed {
    fn new(spec: &Spec, synapses: &Synapses<'_>, memory: &Memory) -> Result<Self, MixerError> {
        let units = spec.units;
        let n_from = synapses.w.len() / units;
        let exists = |from: usize, to: usize| to < units && synapses.mask[from * units + to] != 0.0;
        let (mut starts, mut sources) = (vec![0], Vec::new());
        for group in 0..padded(units) / LANES {
            let wired = |from: &usize| (0..LANES).any(|lane| exists(*from, group * LANES + lane));
            sources.extend((0..n_from).filter(wired).map(|from| from as u32));
            starts.push(sources.len() as u32);
        }
        let mut entries = memory.floats(sources.len() * ENTRY)?;
        for group in 0..starts.len() - 1 {
            for entry in starts[group] as usize..starts[group + 1] as usize {
                let from = sources[entry] as usize;
                for lane in 0..LANES {
                    let to = group * LANES + lane;
                    if exists(from, to) {
                        let at = from * units + to;
                        let slope = f64::from(synapses.sigma[at]) * std::f64::consts::LOG2_E;
                        let weight = spec.positive(synapses.w[at]) * f64::from(synapses.mask[at]);
                        let values = &mut entries[entry * ENTRY + lane..];
                        values[0] = -slope as f32;
                        values[LANES] = (slope * f64::from(synapses.mu[at])) as f32;
                        values[2 * LANES] = weight as f32;
                        values[3 * LANES] = (weight * f64::from(synapses.erev[at])) as f32;
                    }
                }
            }
        }
        Ok(Self { starts, from: sources, entries })
    }

    /// Σ a E and Σ a of one group of neurons.
    #[inline(always)]
    fn sums(&self, group: usize, v: &[f32]) -> (F32x4, F32x4) {
        let range = self.starts[group] as usize..self.starts[group + 1] as usize;
        let (entries, _) = self.entries[range.start * ENTRY..range.end * ENTRY].as_chunks::<ENTRY>();
        let (mut numerator, mut denominator) = (F32x4::zero(), F32x4::zero());
        for (entry, &from) in entries.iter().zip(&self.from[range]) {
            let part = |index: usize| F32x4::load(&entry[index * LANES..]);
            let gate = sigmoid_exp2(part(1).mul_add(part(0), F32x4::splat(v[from as usize])));
            numerator = numerator.mul_add(part(3), gate);
            denominator = denominator.mul_add(part(2), gate);
        }
        (numerator, denominator)
    }
}

/// The network made ready for one case.
pub(super) struct Kernel {
    case: Arc<Case>,
    spec: Spec,
    recurrent: Packed,
    sensory: Packed,
    lstm: Option<Lstm>,
    /// c, g and g · vleak, `[padded]` each.
    constants: Floats,
    /// v then m of each sequence, `[batch, 2, padded]`.
    state: Floats,
    /// Sensory numerators and denominators, `[batch, CHUNK, 2, padded]`.
    sums: Floats,
    scratch: Scratch,
    output: Floats,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Self, MixerError> {
        let spec = Spec::read(case)?;
        let tensors = &case.tensors;
        spec.input(tensors)?;
        spec.input_map(tensors)?;
        spec.output_map(tensors)?;
        spec.times(tensors)?;
        spec.initial(tensors, 0)?;
        let [gleak, vleak, cm] = spec.neurons(tensors)?;
        let padded = padded(spec.units);
        let mut constants = memory.floats(3 * padded)?;
        for unit in 0..spec.units {
            let leak = spec.positive(gleak[unit]);
            constants[unit] = spec.positive(cm[unit]) as f32;
            constants[padded + unit] = leak as f32;
            constants[2 * padded + unit] = (leak * f64::from(vleak[unit])) as f32;
        }
        let lstm = if spec.mixed_memory {
            Some(Lstm::new(memory, &lstm::Weights::read(tensors, spec.dims.d_model, spec.units)?)?)
        } else {
            None
        };
        let Spec { dims, .. } = spec;
        Ok(Self {
            case: Arc::clone(case),
            spec,
            recurrent: Packed::new(&spec, &spec.recurrent(tensors)?, memory)?,
            sensory: Packed::new(&spec, &spec.sensory(tensors)?, memory)?,
            lstm,
            constants,
            state: memory.floats(dims.batch * 2 * padded)?,
            sums: memory.floats(dims.batch * 2 * CHUNK.min(dims.seq_len) * padded)?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
            output: memory.floats(dims.batch * dims.seq_len * spec.outputs)?,
        })
    }

    /// Sensory sums of tokens `first..first + steps` of every sequence.
    fn sense(&mut self, first: usize, steps: usize, parallel: &dyn Parallel) -> Result<(), MixerError> {
        let (spec, padded) = (&self.spec, padded(self.spec.units));
        let (inputs, length) = (spec.dims.d_model, spec.dims.seq_len);
        let x = spec.input(&self.case.tensors)?;
        let map = spec.input_map(&self.case.tensors)?;
        let (sensory, scratch) = (&self.sensory, &self.scratch);
        let chunk = CHUNK.min(length);
        let blocks = steps.div_ceil(BLOCK);
        let sums = Disjoint::new(&mut self.sums);
        parallel.run(spec.dims.batch * blocks, &|task, worker| {
            let (sequence, block) = (task / blocks, task % blocks);
            let mut scratch = scratch.of(worker);
            let u = &mut scratch[..inputs];
            for step in block * BLOCK..steps.min((block + 1) * BLOCK) {
                u.copy_from_slice(&x[(sequence * length + first + step) * inputs..][..inputs]);
                if let Some((scale, shift)) = map {
                    for (i, u) in u.iter_mut().enumerate() {
                        *u = *u * scale[i] + shift.map_or(0.0, |shift| shift[i]);
                    }
                }
                // SAFETY: each token is its own range.
                let to = unsafe { sums.slice((sequence * chunk + step) * 2 * padded, 2 * padded) };
                let (above, below) = to.split_at_mut(padded);
                for group in 0..padded / LANES {
                    let (numerator, denominator) = sensory.sums(group, u);
                    numerator.store(&mut above[group * LANES..]);
                    denominator.store(&mut below[group * LANES..]);
                }
            }
        });
        Ok(())
    }

    /// The solver over tokens `first..first + steps` of every sequence.
    fn solve(&mut self, first: usize, steps: usize, parallel: &dyn Parallel) -> Result<(), MixerError> {
        let (spec, padded) = (&self.spec, padded(self.spec.units));
        let (inputs, length) = (spec.dims.d_model, spec.dims.seq_len);
        let tensors = &self.case.tensors;
        let x = spec.input(tensors)?;
        let map = spec.output_map(tensors)?;
        let times = spec.times(tensors)?;
        let chunk = CHUNK.min(length);
        let (recurrent, lstm, scratch) = (&self.recurrent, &self.lstm, &self.scratch);
        let (constants, sums) = (&self.constants, &self.sums);
        let state = Disjoint::new(&mut self.state);
        let output = Disjoint::new(&mut self.output);
        parallel.run(spec.dims.batch, &|sequence, worker| {
            // SAFETY: each task is its own sequence.
            let state = unsafe { state.slice(sequence * 2 * padded, 2 * padded) };
            // SAFETY: as above.
            let y = unsafe { output.slice((sequence * length + first) * spec.outputs, steps * spec.outputs) };
            let (v, m) = state.split_at_mut(padded);
            let mut scratch = scratch.of(worker);
            let (next, gates) = scratch[inputs..].split_at_mut(padded);
            for (step, y) in y.chunks_exact_mut(spec.outputs).enumerate() {
                let row = sequence * length + first + step;
                if let Some(lstm) = lstm {
                    lstm.step(&x[row * inputs..][..inputs], v, m, gates);
                }
                let sensed = &sums[(sequence * chunk + step) * 2 * padded..][..2 * padded];
                let elapsed = times.map_or(1.0, |times| times[row]);
                let per_time = F32x4::splat(spec.unfolds as f32 / elapsed);
                for _ in 0..spec.unfolds {
                    for group in 0..padded / LANES {
                        let at = |buffer: &[f32], part: usize| {
                            F32x4::load(&buffer[part * padded + group * LANES..])
                        };
                        let (numerator, denominator) = recurrent.sums(group, v);
                        let capacity = at(constants, 0) * per_time;
                        let above =
                            (numerator + at(sensed, 0) + at(constants, 2)).mul_add(capacity, at(v, 0));
                        let below = denominator
                            + at(sensed, 1)
                            + at(constants, 1)
                            + capacity
                            + F32x4::splat(spec.epsilon as f32);
                        (above / below).store(&mut next[group * LANES..]);
                    }
                    v.copy_from_slice(next);
                }
                match map {
                    None => y.copy_from_slice(&v[..spec.outputs]),
                    Some((scale, shift)) => {
                        for (j, y) in y.iter_mut().enumerate() {
                            *y = v[j] * scale[j] + shift.map_or(0.0, |shift| shift[j]);
                        }
                    }
                }
            }
        });
        Ok(())
    }
}

impl CpuKernel for Kernel {
    fn run(&mut self, parallel: &dyn Parallel) -> Result<(), MixerError> {
        let padded = padded(self.spec.units);
        for sequence in 0..self.spec.dims.batch {
            let (v, m) = self.spec.initial(&self.case.tensors, sequence)?;
            let state = &mut self.state[sequence * 2 * padded..][..2 * padded];
            state.fill(0.0);
            let (to_v, to_m) = state.split_at_mut(padded);
            to_v.iter_mut().zip(v).for_each(|(to, value)| *to = value as f32);
            to_m.iter_mut().zip(m).for_each(|(to, value)| *to = value as f32);
        }
        let mut first = 0;
        while first < self.spec.dims.seq_len {
            let steps = CHUNK.min(self.spec.dims.seq_len - first);
            self.sense(first, steps, parallel)?;
            self.solve(first, steps, parallel)?;
            first += steps;
        }
        Ok(())
    }

    fn output(&self) -> &[f32] {
        &self.output
    }
}
