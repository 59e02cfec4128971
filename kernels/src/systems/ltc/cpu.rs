//! The CPU kernel. Sensory sums do not depend on the state, so they are computed for many tokens at once on all
//! threads. The solver then steps through the tokens of each sequence, [`WIDE`] neurons per vector. With at least as
//! many sequences as threads, sequences run side by side; otherwise a team of threads shares the neurons of each step.
//! The forward pass is [`Network::advance`] over all tokens from the initial state; decoding advances by the tokens that
//! come.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel, Serial};

use super::{Map, Spec, Synapses};
use crate::initial_state::{initial_states, state_vectors};
use crate::lstm::{self, Lstm};
use crate::ops::activation::sigmoid_exp2_by;
use crate::ops::exp::Exp2;
use crate::ops::grain;
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Lanes, WIDE, Work, run_wide};
use crate::ops::team;
use crate::ready::{self, Ready};

/// Tokens between two checks for cancellation, and of the sensory sums in memory.
const CHUNK: usize = 64;

/// Tokens per task of sensory sums.
const BLOCK: usize = 8;

/// Floats of one entry: factor, offset, weight and weight · reversal, one vector of neurons each.
const ENTRY: usize = 4 * WIDE;

/// Operations of one entry, most of them for a logistic function.
const ENTRY_OPERATIONS: usize = 20 * WIDE;

/// The widest vector of any build. States are padded to it in all builds, so that wasm and native costs are equal.
const WIDEST: usize = 8;
const _: () = assert!(WIDEST.is_multiple_of(WIDE));

fn padded(units: usize) -> usize {
    units.next_multiple_of(WIDEST)
}

/// Largest number of floats of [`Packed::new`] for `count` synapses of `from` × `units` possible ones. Narrower vectors
/// omit more groups without a synapse.
pub(super) fn synapse_floats(from: usize, units: usize, count: usize) -> Count {
    let [entries, entry] = Count::all([(from * padded(units) / WIDEST).min(count), 4 * WIDEST]);
    entries * entry
}

/// Floats of the states of all sequences, `[batch, vectors, units]`.
pub(super) fn state_floats(spec: &Spec) -> Count {
    Count::all([spec.dims.batch, state_vectors(spec.mixed_memory), spec.units]).into_iter().product()
}

/// Floats of the network's constants, sensory sums and scratch of one thread, without its synapses and its long
/// short-term memory.
pub(super) fn buffer_floats(spec: &Spec) -> Count {
    let chunk = CHUNK.min(spec.dims.seq_len);
    let [batch, padded, scratch] = Count::all([spec.dims.batch, padded(spec.units), scratch_floats(spec)]);
    (batch * 2 * Count::from(chunk) + 3) * padded + scratch
}

/// Two alternating vectors of neurons, a mapped input or the gates of the long short-term memory.
fn scratch_floats(spec: &Spec) -> usize {
    let gates = if spec.mixed_memory { Lstm::scratch_floats(spec.units) } else { 0 };
    2 * padded(spec.units) + spec.dims.d_model.max(gates)
}

/// Synapses by groups of target neurons, one vector per group and source. Groups without a synapse are omitted.
struct Packed {
    /// Index of the first entry of each group, and the number of entries.
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
        for group in 0..padded(units) / WIDE {
            let wired = |from: &usize| (0..WIDE).any(|lane| exists(*from, group * WIDE + lane));
            sources.extend((0..n_from).filter(wired).map(|from| from as u32));
            starts.push(sources.len() as u32);
        }
        let mut entries = memory.floats(sources.len() * ENTRY)?;
        for group in 0..starts.len() - 1 {
            for entry in starts[group] as usize..starts[group + 1] as usize {
                let from = sources[entry] as usize;
                for lane in 0..WIDE {
                    let to = group * WIDE + lane;
                    if exists(from, to) {
                        let at = from * units + to;
                        let slope = f64::from(synapses.sigma[at]) * std::f64::consts::LOG2_E;
                        let weight = spec.positive(synapses.w[at]) * f64::from(synapses.mask[at]);
                        let values = &mut entries[entry * ENTRY + lane..];
                        values[0] = -slope as f32;
                        values[WIDE] = (slope * f64::from(synapses.mu[at])) as f32;
                        values[2 * WIDE] = weight as f32;
                        values[3 * WIDE] = (weight * f64::from(synapses.erev[at])) as f32;
                    }
                }
            }
        }
        Ok(Self { starts, from: sources, entries })
    }

    /// Σ a E and Σ a of a group of neurons.
    #[inline(always)]
    fn sums<V: Lanes>(&self, group: usize, v: &[f32], exp2: &Exp2<V>) -> (V, V) {
        let range = self.starts[group] as usize..self.starts[group + 1] as usize;
        let (entries, _) = self.entries[range.start * ENTRY..range.end * ENTRY].as_chunks::<ENTRY>();
        let (mut numerator, mut denominator) = (V::splat(0.0), V::splat(0.0));
        for (entry, &from) in entries.iter().zip(&self.from[range]) {
            let part = |index: usize| V::load(&entry[index * WIDE..]);
            let gate = sigmoid_exp2_by(exp2, part(1).mul_add(part(0), V::splat(v[from as usize])));
            numerator = numerator.mul_add(part(3), gate);
            denominator = denominator.mul_add(part(2), gate);
        }
        (numerator, denominator)
    }
}

/// Maps of a case's inputs and outputs, which the network reads where they are.
#[derive(Clone, Copy)]
pub(super) struct Maps<'a> {
    input: Map<'a>,
    output: Map<'a>,
}

impl<'a> Maps<'a> {
    pub(super) fn read(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        Ok(Self { input: spec.input_map(&case.tensors)?, output: spec.output_map(&case.tensors)? })
    }
}

/// Tokens to step through.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Tokens of each sequence.
    pub length: usize,
    /// `[batch, length, width]`.
    pub x: &'a [f32],
    /// Elapsed times `[batch, length]`; without them every token takes one unit of time.
    pub times: Option<&'a [f32]>,
    pub maps: Maps<'a>,
}

impl<'a> Inputs<'a> {
    fn read(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        let (x, times) = (spec.input(&case.tensors)?, spec.times(&case.tensors)?);
        Ok(Self { length: spec.dims.seq_len, x, times, maps: Maps::read(spec, case)? })
    }
}

/// The tokens `first..first + steps` of every sequence.
#[derive(Clone, Copy)]
struct Chunk {
    first: usize,
    steps: usize,
}

/// The network prepared for cases of one shape. Its state belongs to the caller.
pub(super) struct Network {
    pub spec: Spec,
    recurrent: Packed,
    sensory: Packed,
    lstm: Option<Lstm>,
    /// c, g and g · vleak, `[padded]` each.
    constants: Floats,
    /// Sensory numerators and denominators, `[batch, steps, 2, padded]`.
    sums: Floats,
    scratch: Scratch,
}

impl Network {
    pub(super) fn new(
        spec: Spec,
        case: &Case,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Self, MixerError> {
        let tensors = &case.tensors;
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
        Ok(Self {
            spec,
            recurrent: Packed::new(&spec, &spec.recurrent(tensors)?, memory)?,
            sensory: Packed::new(&spec, &spec.sensory(tensors)?, memory)?,
            lstm,
            constants,
            sums: memory.floats(spec.dims.batch * 2 * CHUNK.min(spec.dims.seq_len) * padded)?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        })
    }

    /// Steps through all tokens from `state`, `[batch, vectors, units]`, to the state after them, and answers each in
    /// `output`, `[batch, length, outputs]`.
    pub(super) fn advance(
        &mut self,
        inputs: &Inputs<'_>,
        state: &mut [f32],
        mut output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) {
        let entries = self.sensory.from.len() + self.spec.unfolds * self.recurrent.from.len();
        for first in (0..inputs.length).step_by(CHUNK) {
            let chunk = Chunk { first, steps: CHUNK.min(inputs.length - first) };
            let tokens = self.spec.dims.batch * chunk.steps;
            let parallel = grain::worth(parallel, grain::product([tokens, entries, ENTRY_OPERATIONS / 2]));
            self.sense(inputs, chunk, parallel);
            self.solve(inputs, chunk, state, output.as_deref_mut(), parallel);
        }
    }

    /// Sensory sums of the chunk's tokens.
    fn sense(&mut self, inputs: &Inputs<'_>, chunk: Chunk, parallel: &dyn Parallel) {
        let (spec, padded) = (&self.spec, padded(self.spec.units));
        let Chunk { first, steps } = chunk;
        let width = spec.dims.d_model;
        let (sensory, scratch) = (&self.sensory, &self.scratch);
        let blocks = steps.div_ceil(BLOCK);
        let token = 2 * padded;
        let sequences = self.sums.chunks_exact_mut(steps * token).take(spec.dims.batch);
        let parts = sequences.flat_map(|sums| sums.chunks_mut(BLOCK * token)).enumerate();
        for_each(parallel, spec.dims.batch * blocks, parts, |(index, sums), worker| {
            let (sequence, block) = (index / blocks, index % blocks);
            let mut scratch = scratch.of(worker);
            let u = &mut scratch[2 * padded..][..width];
            for (step, to) in (block * BLOCK..).zip(sums.chunks_exact_mut(token)) {
                u.copy_from_slice(&inputs.x[(sequence * inputs.length + first + step) * width..][..width]);
                if let Some((scale, shift)) = inputs.maps.input {
                    for (i, u) in u.iter_mut().enumerate() {
                        *u = *u * scale[i] + shift.map_or(0.0, |shift| shift[i]);
                    }
                }
                run_wide(Sense { sensory, u, to });
            }
        });
    }

    /// Runs the solver over the chunk's tokens.
    fn solve(
        &self,
        inputs: &Inputs<'_>,
        Chunk { first, steps }: Chunk,
        state: &mut [f32],
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) {
        let (spec, padded) = (&self.spec, padded(self.spec.units));
        let (units, batch) = (spec.units, spec.dims.batch);
        let (recurrent, lstm, scratch) = (&self.recurrent, self.lstm.as_ref(), &self.scratch);
        let (constants, sums) = (&self.constants, &self.sums);
        let mut outputs = output.map(|output| output.chunks_exact_mut(inputs.length * spec.outputs));
        let states = state.chunks_exact_mut(state_vectors(spec.mixed_memory) * units);
        let parts = states
            .enumerate()
            .map(move |(sequence, state)| (sequence, state, outputs.as_mut().and_then(Iterator::next)));
        let operations = recurrent.from.len() * ENTRY_OPERATIONS;
        let solve = |(sequence, state, mut y): (usize, &mut [f32], Option<&mut [f32]>),
                     worker: usize,
                     parallel: &dyn Parallel| {
            let (h, m) = state.split_at_mut(units);
            let mut scratch = scratch.of(worker);
            let (v, gates) = scratch.split_at_mut(2 * padded);
            let (v, next) = v.split_at_mut(padded);
            v[..units].copy_from_slice(h);
            v[units..].fill(0.0);
            let solver = Solver {
                recurrent,
                constants,
                sums: &sums[sequence * steps * 2 * padded..],
                epsilon: spec.epsilon as f32,
                step: AtomicUsize::new(0),
                unfolds_per_time: AtomicU32::new(0),
            };
            // One unfold of some groups of neurons, from v in buffer `turn` to the other buffer.
            let unfold = |turn: u32, groups: Range<usize>, v: [&[f32]; 2], next: &mut [f32]| {
                run_wide(Unfold { solver: &solver, groups, v: v[turn as usize], next });
            };
            team::run(parallel, team::members(operations), [v, next], WIDE, &unfold, |team| {
                let mut turn = 0;
                for step in 0..steps {
                    let row = sequence * inputs.length + first + step;
                    if let Some(lstm) = lstm {
                        let x = &inputs.x[row * spec.dims.d_model..][..spec.dims.d_model];
                        lstm.step(x, team.buffer(turn), m, gates);
                    }
                    let elapsed = inputs.times.map_or(1.0, |times| times[row]);
                    solver.step.store(step, Ordering::Relaxed);
                    let unfolds_per_time = spec.unfolds as f32 / elapsed;
                    solver.unfolds_per_time.store(unfolds_per_time.to_bits(), Ordering::Relaxed);
                    for _ in 0..spec.unfolds {
                        team.each(turn as u32, 1 - turn, padded / WIDE, operations);
                        turn = 1 - turn;
                    }
                    if let Some(y) = &mut y {
                        let y = &mut y[(first + step) * spec.outputs..][..spec.outputs];
                        emit(inputs.maps.output, team.buffer(turn), y);
                    }
                }
                h.copy_from_slice(&team.buffer(turn)[..units]);
            });
        };
        if batch < parallel.threads() {
            parts.for_each(|part| solve(part, 0, parallel));
        } else {
            for_each(parallel, batch, parts, |part, worker| solve(part, worker, &Serial));
        }
    }
}

/// The outputs of one token: the first neurons, mapped.
fn emit(map: Map<'_>, v: &[f32], y: &mut [f32]) {
    y.copy_from_slice(&v[..y.len()]);
    if let Some((scale, shift)) = map {
        for (j, y) in y.iter_mut().enumerate() {
            *y = *y * scale[j] + shift.map_or(0.0, |shift| shift[j]);
        }
    }
}

/// The solver of one sequence, shared by its threads.
struct Solver<'a> {
    recurrent: &'a Packed,
    constants: &'a [f32],
    /// Sensory sums of the current tokens, `[steps, 2, padded]`.
    sums: &'a [f32],
    epsilon: f32,
    /// Index of the current token.
    step: AtomicUsize,
    /// Unfolds per unit of time, as the bits of an f32.
    unfolds_per_time: AtomicU32,
}

/// One unfold of some groups of neurons, from `v` to `next`.
struct Unfold<'a> {
    solver: &'a Solver<'a>,
    groups: Range<usize>,
    v: &'a [f32],
    next: &'a mut [f32],
}

impl Work for Unfold<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { solver, groups, v, next } = self;
        let padded = v.len();
        let sensed = &solver.sums[solver.step.load(Ordering::Relaxed) * 2 * padded..][..2 * padded];
        let per_time = V::splat(f32::from_bits(solver.unfolds_per_time.load(Ordering::Relaxed)));
        let (epsilon, exp2) = (V::splat(solver.epsilon), Exp2::<V>::opaque());
        for (group, next) in groups.zip(next.chunks_exact_mut(WIDE)) {
            let at = |buffer: &[f32], part: usize| V::load(&buffer[part * padded + group * WIDE..]);
            let (numerator, denominator) = solver.recurrent.sums(group, v, &exp2);
            let capacity = at(solver.constants, 0) * per_time;
            let above = (numerator + at(sensed, 0) + at(solver.constants, 2)).mul_add(capacity, at(v, 0));
            let below = denominator + at(sensed, 1) + at(solver.constants, 1) + capacity + epsilon;
            (above / below).store(next);
        }
    }
}

/// Sensory sums of one token: numerators, then denominators.
struct Sense<'a> {
    sensory: &'a Packed,
    u: &'a [f32],
    to: &'a mut [f32],
}

impl Work for Sense<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let exp2 = Exp2::<V>::opaque();
        let (above, below) = self.to.split_at_mut(self.to.len() / 2);
        let sums = above.chunks_exact_mut(WIDE).zip(below.chunks_exact_mut(WIDE));
        for (group, (above, below)) in sums.enumerate() {
            let (numerator, denominator) = self.sensory.sums(group, self.u, &exp2);
            numerator.store(above);
            denominator.store(below);
        }
    }
}

/// The forward pass of one case.
pub(super) struct Kernel {
    network: Network,
    /// `[batch, vectors, units]` each.
    initial: Floats,
    state: Floats,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        Inputs::read(&spec, case)?;
        let Spec { dims, units, outputs, mixed_memory, .. } = spec;
        let mut initial = memory.floats(state_floats(&spec))?;
        initial.copy_from_slice(&initial_states(&case.tensors, dims.batch, units, mixed_memory)?);
        let state = memory.floats(initial.len())?;
        let kernel = Self { network: Network::new(spec, case, memory, parallel)?, initial, state };
        Ok(Ready::new(case, kernel, memory.floats(dims.batch * dims.seq_len * outputs)?))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let inputs = Inputs::read(&self.network.spec, case)?;
        self.state.copy_from_slice(&self.initial);
        self.network.advance(&inputs, &mut self.state, Some(output), parallel);
        Ok(())
    }
}
