//! The CPU kernel. Sensory sums do not depend on the state, so they are computed for many tokens at once on all
//! threads. The solver then steps through the tokens of each sequence, [`WIDE`] neurons per vector. With at least as
//! many sequences as threads, sequences run side by side; otherwise a team of threads shares the neurons of each step.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel, Serial};

use super::{Map, Spec, Synapses};
use crate::lstm::{self, Lstm};
use crate::ops::activation::sigmoid_exp2_by;
use crate::ops::exp::Exp2;
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

/// Floats of states, constants, sensory sums and scratch.
pub(super) fn state_floats(spec: &Spec) -> Count {
    let chunk = CHUNK.min(spec.dims.seq_len);
    let [batch, padded] = Count::all([spec.dims.batch, padded(spec.units)]);
    let [vectors, scratch] = Count::all([STATE + INITIAL + 2 * chunk, scratch_floats(spec)]);
    (batch * vectors + 3) * padded + scratch
}

fn scratch_floats(spec: &Spec) -> usize {
    spec.dims.d_model + if spec.mixed_memory { Lstm::scratch_floats(spec.units) } else { 0 }
}

/// Vectors of a sequence's state, two alternating ones for v, then m; and vectors of the initial state, v and m.
const STATE: usize = 3;
const INITIAL: usize = 2;

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

/// Inputs of a run.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// `[batch, length, width]`.
    x: &'a [f32],
    input_map: Map<'a>,
    output_map: Map<'a>,
    times: Option<&'a [f32]>,
}

impl<'a> Inputs<'a> {
    fn read(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        let tensors = &case.tensors;
        Ok(Self {
            x: spec.input(tensors)?,
            input_map: spec.input_map(tensors)?,
            output_map: spec.output_map(tensors)?,
            times: spec.times(tensors)?,
        })
    }
}

/// The network prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    recurrent: Packed,
    sensory: Packed,
    lstm: Option<Lstm>,
    /// c, g and g · vleak, `[padded]` each.
    constants: Floats,
    /// `[batch, INITIAL, padded]`.
    initial: Floats,
    /// `[batch, STATE, padded]`.
    state: Floats,
    /// Sensory numerators and denominators, `[batch, CHUNK, 2, padded]`.
    sums: Floats,
    scratch: Scratch,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        let tensors = &case.tensors;
        Inputs::read(&spec, case)?;
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
        let mut initial = memory.floats(dims.batch * INITIAL * padded)?;
        for (sequence, to) in initial.chunks_exact_mut(INITIAL * padded).enumerate() {
            let (v, m) = spec.initial(tensors, sequence)?;
            let (to_v, to_m) = to.split_at_mut(padded);
            to_v.iter_mut().zip(v).for_each(|(to, value)| *to = value as f32);
            to_m.iter_mut().zip(m).for_each(|(to, value)| *to = value as f32);
        }
        let kernel = Self {
            spec,
            recurrent: Packed::new(&spec, &spec.recurrent(tensors)?, memory)?,
            sensory: Packed::new(&spec, &spec.sensory(tensors)?, memory)?,
            lstm,
            constants,
            initial,
            state: memory.floats(dims.batch * STATE * padded)?,
            sums: memory.floats(dims.batch * 2 * CHUNK.min(dims.seq_len) * padded)?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(dims.batch * dims.seq_len * kernel.spec.outputs)?;
        Ok(Ready::new(case, kernel, output))
    }

    /// Sensory sums of tokens `first..first + steps` of every sequence.
    fn sense(&mut self, inputs: &Inputs<'_>, first: usize, steps: usize, parallel: &dyn Parallel) {
        let (spec, padded) = (&self.spec, padded(self.spec.units));
        let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
        let (sensory, scratch) = (&self.sensory, &self.scratch);
        let chunk = CHUNK.min(length);
        let blocks = steps.div_ceil(BLOCK);
        let token = 2 * padded;
        let sequences = self.sums.chunks_exact_mut(chunk * token);
        let parts = sequences.flat_map(|sums| sums[..steps * token].chunks_mut(BLOCK * token)).enumerate();
        for_each(parallel, spec.dims.batch * blocks, parts, |(index, sums), worker| {
            let (sequence, block) = (index / blocks, index % blocks);
            let mut scratch = scratch.of(worker);
            let u = &mut scratch[..width];
            for (step, to) in (block * BLOCK..).zip(sums.chunks_exact_mut(token)) {
                u.copy_from_slice(&inputs.x[(sequence * length + first + step) * width..][..width]);
                if let Some((scale, shift)) = inputs.input_map {
                    for (i, u) in u.iter_mut().enumerate() {
                        *u = *u * scale[i] + shift.map_or(0.0, |shift| shift[i]);
                    }
                }
                run_wide(Sense { sensory, u, to });
            }
        });
    }

    /// Runs the solver over tokens `first..first + steps` of every sequence.
    fn solve(
        &mut self,
        inputs: &Inputs<'_>,
        output: &mut [f32],
        (first, steps): (usize, usize),
        parallel: &dyn Parallel,
    ) {
        let (spec, padded) = (&self.spec, padded(self.spec.units));
        let (length, batch) = (spec.dims.seq_len, spec.dims.batch);
        let chunk = CHUNK.min(length);
        let (recurrent, lstm, scratch) = (&self.recurrent, self.lstm.as_ref(), &self.scratch);
        let (constants, sums) = (&self.constants, &self.sums);
        let outputs = output.chunks_exact_mut(length * spec.outputs);
        let parts = self.state.chunks_exact_mut(STATE * padded).zip(outputs).enumerate();
        let operations = recurrent.from.len() * ENTRY_OPERATIONS;
        let solve = |(sequence, (state, y)): (usize, (&mut [f32], &mut [f32])),
                     worker: usize,
                     parallel: &dyn Parallel| {
            let y = &mut y[first * spec.outputs..][..steps * spec.outputs];
            let (v, m) = state.split_at_mut(2 * padded);
            let (v, next) = v.split_at_mut(padded);
            let solver = Solver {
                recurrent,
                constants,
                sums: &sums[sequence * chunk * 2 * padded..],
                epsilon: spec.epsilon as f32,
                step: AtomicUsize::new(0),
                unfolds_per_time: AtomicU32::new(0),
            };
            // One unfold of some groups of neurons, from v in buffer `turn` to the other buffer.
            let unfold = |turn: u32, groups: Range<usize>, v: [&[f32]; 2], next: &mut [f32]| {
                run_wide(Unfold { solver: &solver, groups, v: v[turn as usize], next });
            };
            team::run(parallel, team::members(operations), [v, next], WIDE, &unfold, |team| {
                let mut scratch = scratch.of(worker);
                let mut turn = 0;
                for (step, y) in y.chunks_exact_mut(spec.outputs).enumerate() {
                    let row = sequence * length + first + step;
                    if let Some(lstm) = lstm {
                        let x = &inputs.x[row * spec.dims.d_model..][..spec.dims.d_model];
                        lstm.step(x, team.buffer(turn), m, &mut scratch);
                    }
                    let elapsed = inputs.times.map_or(1.0, |times| times[row]);
                    solver.step.store(step, Ordering::Relaxed);
                    let unfolds_per_time = spec.unfolds as f32 / elapsed;
                    solver.unfolds_per_time.store(unfolds_per_time.to_bits(), Ordering::Relaxed);
                    for _ in 0..spec.unfolds {
                        team.each(turn as u32, 1 - turn, padded / WIDE, operations);
                        turn = 1 - turn;
                    }
                    let v = team.buffer(turn);
                    match inputs.output_map {
                        None => y.copy_from_slice(&v[..spec.outputs]),
                        Some((scale, shift)) => {
                            for (j, y) in y.iter_mut().enumerate() {
                                *y = v[j] * scale[j] + shift.map_or(0.0, |shift| shift[j]);
                            }
                        }
                    }
                }
                if turn == 1 {
                    let [v, next] = team.buffers();
                    v.copy_from_slice(next);
                }
            });
        };
        if batch < parallel.threads() {
            parts.for_each(|part| solve(part, 0, parallel));
        } else {
            for_each(parallel, batch, parts, |part, worker| solve(part, worker, &Serial));
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

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let padded = padded(self.spec.units);
        let inputs = Inputs::read(&self.spec, case)?;
        let states = self.state.chunks_exact_mut(STATE * padded);
        for (state, initial) in states.zip(self.initial.chunks_exact(INITIAL * padded)) {
            state[..padded].copy_from_slice(&initial[..padded]);
            state[2 * padded..].copy_from_slice(&initial[padded..]);
        }
        let mut first = 0;
        while first < self.spec.dims.seq_len {
            let steps = CHUNK.min(self.spec.dims.seq_len - first);
            self.sense(&inputs, first, steps, parallel);
            self.solve(&inputs, output, (first, steps), parallel);
            first += steps;
        }
        Ok(())
    }
}
