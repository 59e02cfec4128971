//! The CPU kernel. The inputs' part of the first layer, and the projection, do not depend on the state: they are matrix
//! products over many tokens. Between them, each sequence steps through its tokens by matrix–vector products. With
//! fewer sequences than threads, a team of threads shares each sequence.

mod cell;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel, Serial};

use self::cell::{Cell, Input, Step, entry_width};
use super::Spec;
use crate::initial_state::initial_state;
use crate::lstm::{self, Lstm};
use crate::ops::linear::Linear;
use crate::ops::matvec::{MatVec, OUTPUTS};
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;
use crate::ops::team::{self, Leader};
use crate::ready::{self, Ready};

/// Tokens of the input products in memory, and between two checks for cancellation.
const CHUNK: usize = 4 * crate::ops::linear::BLOCK;

/// Largest number of stages of a cell's step.
const STAGES: usize = 16;

/// The team's buffers: the states of all cells, two alternating outputs of a backbone's layers, and a cell's new state.
const BUFFERS: usize = 4;
const STATES: usize = 0;
const FRESH: usize = 3;

/// The buffer written by stage `stage`: not the buffer that the previous stage wrote.
fn layer(stage: usize) -> usize {
    1 + stage % 2
}

/// Vectors of a sequence's state, and of its initial state: h and m.
const STATE: usize = 2;

/// Widest layer of a backbone.
fn widest(spec: &Spec) -> usize {
    spec.cells.iter().map(|cell| MatVec::padded(cell.backbone_units)).max().unwrap_or(0)
}

/// Two alternating layers, the new state, and the gates of the long short-term memory.
fn scratch_floats(spec: &Spec) -> usize {
    let lstm = if spec.mixed_memory { Lstm::scratch_floats(spec.units) } else { 0 };
    2 * widest(spec) + state_width(spec) + lstm
}

/// Floats of weights, states, chunk buffers and the scratch of one thread, without the LSTM and the output.
pub(super) fn floats(spec: &Spec) -> Count {
    let cells: Count =
        spec.cells.iter().enumerate().map(|(index, cell)| cell::floats(spec, cell, index == 0)).sum();
    let projection = spec.projection.map_or(Count::ZERO, |outputs| Linear::floats(spec.hidden(), outputs));
    let chunk = CHUNK.min(spec.dims.seq_len);
    let entry = spec.cells.first().map_or(0, |cell| entry_width(spec, cell));
    let [batch, states] = Count::all([spec.dims.batch, 2 * STATE * state_width(spec)]);
    let [chunk, row, scratch] = Count::all([chunk, entry + spec.hidden(), scratch_floats(spec)]);
    cells + projection + batch * (states + chunk * row) + scratch
}

/// States are padded once at the end, so that vectors of the last cell stay in bounds.
fn state_width(spec: &Spec) -> usize {
    spec.units + MatVec::padded(1)
}

/// Inputs of a run.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// `[batch, length, width]`.
    x: &'a [f32],
    times: Option<&'a [f32]>,
}

impl<'a> Inputs<'a> {
    fn read(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        Ok(Self { x: spec.input(&case.tensors)?, times: spec.times(&case.tensors)? })
    }
}

/// The network prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    cells: Vec<Cell>,
    lstm: Option<Lstm>,
    projection: Option<Linear>,
    /// Initial states, `[batch, STATE, state width]`.
    initial: Floats,
    /// Current states, `[batch, STATE, state width]`.
    state: Floats,
    /// The inputs' part of the first cell, `[batch, chunk, entry width]`.
    entries: Floats,
    /// The last cell's states, `[batch, chunk, hidden]`.
    hidden: Floats,
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
        let cells = spec
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| Cell::new(&spec, cell, index == 0, tensors, memory))
            .collect::<Result<_, _>>()?;
        let lstm = if spec.mixed_memory {
            Some(Lstm::new(memory, &lstm::Weights::read(tensors, spec.dims.d_model, spec.units)?)?)
        } else {
            None
        };
        let projection = match spec.fc(tensors)? {
            Some((weight, bias)) => Some(Linear::new(memory, spec.hidden(), bias.len(), weight, Some(bias))?),
            None => None,
        };
        let (batch, chunk, width) = (spec.dims.batch, CHUNK.min(spec.dims.seq_len), state_width(&spec));
        let entry = spec.cells.first().map_or(0, |cell| entry_width(&spec, cell));
        let mut initial = memory.floats(batch * STATE * width)?;
        for (sequence, state) in initial.chunks_exact_mut(STATE * width).enumerate() {
            for (name, to) in ["h0", "c0"].into_iter().zip(state.chunks_exact_mut(width)) {
                let values = initial_state(tensors, name, batch, spec.units, sequence)?;
                to.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
            }
        }
        let kernel = Self {
            cells,
            lstm,
            projection,
            initial,
            state: memory.floats(batch * STATE * width)?,
            entries: memory.floats(batch * chunk * entry)?,
            hidden: memory.floats(batch * chunk * spec.hidden())?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
            spec,
        };
        let output = memory.floats(batch * kernel.spec.dims.seq_len * kernel.spec.outputs())?;
        Ok(Ready::new(case, kernel, output))
    }

    /// Computes the inputs' part of the first cell for tokens `first..first + steps` of every sequence.
    fn enter(&mut self, inputs: &Inputs<'_>, first: usize, steps: usize, parallel: &dyn Parallel) {
        let (width, length) = (self.spec.dims.d_model, self.spec.dims.seq_len);
        let Some(Cell { input: Input::Hoisted(linear), .. }) = self.cells.first() else { return };
        let chunk = self.entries.len() / self.spec.dims.batch;
        for (sequence, entries) in self.entries.chunks_exact_mut(chunk).enumerate() {
            let rows = &inputs.x[(sequence * length + first) * width..][..steps * width];
            let entry = chunk / CHUNK.min(length);
            linear.apply(rows, &mut entries[..steps * entry], parallel);
        }
    }

    /// Computes the states after each of the tokens `first..first + steps` of every sequence.
    fn walk(&mut self, inputs: &Inputs<'_>, first: usize, steps: usize, parallel: &dyn Parallel) {
        let spec = &self.spec;
        let (length, hidden, batch) = (spec.dims.seq_len, spec.hidden(), spec.dims.batch);
        let (width, widest, chunk) = (state_width(spec), widest(spec), CHUNK.min(length));
        let entry = self.entries.len() / (batch * chunk);
        let (cells, lstm, scratch, entries) = (&self.cells, self.lstm.as_ref(), &self.scratch, &self.entries);
        let hidden_states = self.hidden.chunks_exact_mut(chunk * hidden);
        let parts = self.state.chunks_exact_mut(STATE * width).zip(hidden_states).enumerate();
        let largest = cells
            .iter()
            .flat_map(|cell| (0..cell.stages()).map(|stage| cell.operations(stage)))
            .max()
            .unwrap_or(0);
        let walk = |(sequence, (state, states)): (usize, (&mut [f32], &mut [f32])),
                    worker: usize,
                    parallel: &dyn Parallel| {
            let (h, m) = state.split_at_mut(width);
            let mut scratch = scratch.of(worker);
            let (layers, rest) = scratch.split_at_mut(2 * widest);
            let (fresh, gates) = rest.split_at_mut(width);
            let (even, odd) = layers.split_at_mut(widest);
            let walk = Walk {
                cells,
                entries: &entries[sequence * chunk * entry..][..chunk * entry],
                entry,
                step: AtomicUsize::new(0),
                elapsed: AtomicU32::new(0),
            };
            let task = |which: u32, panels: Range<usize>, buffers: [&[f32]; BUFFERS], to: &mut [f32]| {
                walk.stage(which as usize, panels, buffers, to);
            };
            let buffers = [h, even, odd, fresh];
            team::run(parallel, team::members(largest), buffers, OUTPUTS, &task, |team| {
                for (step, to) in states.chunks_exact_mut(hidden).take(steps).enumerate() {
                    let row = sequence * length + first + step;
                    if let Some(lstm) = lstm {
                        let x = &inputs.x[row * spec.dims.d_model..][..spec.dims.d_model];
                        lstm.step(x, team.buffer(STATES), m, gates);
                    }
                    let elapsed = inputs.times.map_or(1.0, |times| times[row]);
                    walk.step.store(step, Ordering::Relaxed);
                    walk.elapsed.store(elapsed.to_bits(), Ordering::Relaxed);
                    to.copy_from_slice(walk.advance(team, hidden));
                }
            });
        };
        if batch < parallel.threads() {
            parts.for_each(|part| walk(part, 0, parallel));
        } else {
            for_each(parallel, batch, parts, |part, worker| walk(part, worker, &Serial));
        }
    }

    /// Computes the outputs of tokens `first..first + steps` of every sequence.
    fn project(&mut self, output: &mut [f32], first: usize, steps: usize, parallel: &dyn Parallel) {
        let (length, hidden, outputs) = (self.spec.dims.seq_len, self.spec.hidden(), self.spec.outputs());
        for (sequence, hidden_states) in self.hidden.chunks_exact(CHUNK.min(length) * hidden).enumerate() {
            let from = &hidden_states[..steps * hidden];
            let to = &mut output[(sequence * length + first) * outputs..][..steps * outputs];
            match &self.projection {
                Some(projection) => projection.apply(from, to, parallel),
                None => to.copy_from_slice(from),
            }
        }
    }
}

/// The steps of one sequence, shared by its threads.
struct Walk<'a> {
    cells: &'a [Cell],
    /// The inputs' part of the first cell, `[chunk, entry]`.
    entries: &'a [f32],
    entry: usize,
    /// Index of the current token in the chunk.
    step: AtomicUsize,
    /// Bits of the time since the previous token.
    elapsed: AtomicU32,
}

impl Walk<'_> {
    /// Steps all cells once: writes the last `hidden` units of the last cell's new state.
    fn advance<'t>(&self, team: &'t mut Leader<'_, '_, BUFFERS>, hidden: usize) -> &'t [f32] {
        let mut at = 0;
        for (index, cell) in self.cells.iter().enumerate() {
            for stage in 0..cell.stages() {
                let which = (index * STAGES + stage) as u32;
                let target = if stage + 1 == cell.stages() { FRESH } else { layer(stage) };
                team.each(which, target, cell.panels(stage), cell.operations(stage));
            }
            let [h, _, _, fresh] = team.buffers();
            h[at..at + cell.units].copy_from_slice(&fresh[..cell.units]);
            at += cell.units;
        }
        &team.buffer(STATES)[at - hidden..at]
    }

    /// Computes some panels of a stage of a cell.
    fn stage(&self, which: usize, panels: Range<usize>, buffers: [&[f32]; BUFFERS], to: &mut [f32]) {
        let (index, stage) = (which / STAGES, which % STAGES);
        let cell = &self.cells[index];
        let at: usize = self.cells[..index].iter().map(|cell| cell.units).sum();
        let below = self.cells.get(index.wrapping_sub(1)).map_or(0, |cell| cell.units);
        let step = Step {
            entry: &self.entries[self.step.load(Ordering::Relaxed) * self.entry..][..self.entry],
            input: &buffers[STATES][at - below..at],
            h: &buffers[STATES][at..at + cell.units],
            before: stage.checked_sub(1).map_or(&[], |before| buffers[layer(before)]),
            elapsed: f32::from_bits(self.elapsed.load(Ordering::Relaxed)),
        };
        cell.stage(stage, panels, &step, to);
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let inputs = Inputs::read(&self.spec, case)?;
        self.state.copy_from_slice(&self.initial);
        let mut first = 0;
        while first < self.spec.dims.seq_len {
            let steps = CHUNK.min(self.spec.dims.seq_len - first);
            self.enter(&inputs, first, steps, parallel);
            self.walk(&inputs, first, steps, parallel);
            self.project(output, first, steps, parallel);
            first += steps;
        }
        Ok(())
    }
}
