//! The CPU kernel. The inputs' part of the first layer, and the projection, do not depend on the state: they are matrix
//! products over many tokens. Between them, each sequence steps through its tokens by matrix–vector products. With
//! fewer sequences than threads, a team of threads shares each sequence. The forward pass is [`Network::advance`] over all
//! tokens from the initial state; decoding advances by the tokens that come.

mod cell;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel, Serial};

use self::cell::{Cell, Input, Step, entry_width};
use super::Spec;
use crate::initial_state::{initial_states, state_vectors};
use crate::lstm::{self, Lstm};
use crate::ops::grain;
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

/// Widest layer of a backbone.
fn widest(spec: &Spec) -> usize {
    spec.cells.iter().map(|cell| MatVec::padded(cell.backbone_units)).max().unwrap_or(0)
}

/// The new state of the largest cell.
fn fresh(spec: &Spec) -> usize {
    spec.cells.iter().map(|cell| MatVec::padded(cell.units)).max().unwrap_or(0)
}

/// Two alternating layers, the new state, and the gates of the long short-term memory.
fn scratch_floats(spec: &Spec) -> usize {
    let lstm = if spec.mixed_memory { Lstm::scratch_floats(spec.units) } else { 0 };
    2 * widest(spec) + fresh(spec) + lstm
}

/// Floats of the states of all sequences, `[batch, vectors, units]`.
pub(super) fn state_floats(spec: &Spec) -> Count {
    Count::all([spec.dims.batch, state_vectors(spec.mixed_memory), spec.units]).into_iter().product()
}

/// Floats of the network's weights, chunk buffers and the scratch of one thread.
pub(super) fn network_floats(spec: &Spec) -> Count {
    let cells: Count =
        spec.cells.iter().enumerate().map(|(index, cell)| cell::floats(spec, cell, index == 0)).sum();
    let projection = spec.projection.map_or(Count::ZERO, |outputs| Linear::floats(spec.hidden(), outputs));
    let lstm = if spec.mixed_memory { Lstm::floats(spec.dims.d_model, spec.units) } else { Count::ZERO };
    let chunk = CHUNK.min(spec.dims.seq_len);
    let entry = spec.cells.first().map_or(0, |cell| entry_width(spec, cell));
    let [batch, chunk, row, scratch] =
        Count::all([spec.dims.batch, chunk, entry + spec.hidden(), scratch_floats(spec)]);
    cells + projection + lstm + batch * chunk * row + scratch
}

/// Tokens to step through.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Tokens of each sequence.
    pub length: usize,
    /// `[batch, length, width]`.
    pub x: &'a [f32],
    /// Elapsed times `[batch, length]`; without them every step takes one unit of time.
    pub times: Option<&'a [f32]>,
}

impl<'a> Inputs<'a> {
    fn read(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        let (x, times) = (spec.input(&case.tensors)?, spec.times(&case.tensors)?);
        Ok(Self { length: spec.dims.seq_len, x, times })
    }
}

/// The tokens `first..first + steps` of every sequence.
#[derive(Clone, Copy)]
struct Chunk {
    first: usize,
    steps: usize,
}

impl Chunk {
    /// Its rows as contiguous spans: the first among all `[batch, length]` tokens, the first among the chunk's own
    /// `[batch, steps]`, and their number. A chunk of all tokens is a single span, so that one token of every sequence
    /// takes one matrix product.
    fn spans(self, batch: usize, length: usize) -> impl Iterator<Item = [usize; 3]> {
        let Self { first, steps } = self;
        let (spans, rows) = if steps == length { (1, batch * steps) } else { (batch, steps) };
        (0..spans).map(move |span| [span * length + first, span * steps, rows])
    }
}

/// The network prepared for cases of one shape. Its state belongs to the caller.
pub(super) struct Network {
    spec: Spec,
    cells: Vec<Cell>,
    lstm: Option<Lstm>,
    projection: Option<Linear>,
    /// The inputs' part of the first cell, `[batch, steps, entry width]`.
    entries: Floats,
    entry: usize,
    /// The last cell's states, `[batch, steps, hidden]`.
    hidden: Floats,
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
        let rows = spec.dims.batch * CHUNK.min(spec.dims.seq_len);
        let entry = spec.cells.first().map_or(0, |cell| entry_width(&spec, cell));
        Ok(Self {
            cells,
            lstm,
            projection,
            entries: memory.floats(rows * entry)?,
            entry,
            hidden: memory.floats(rows * spec.hidden())?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
            spec,
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
        let step: usize = self.stage_operations().sum();
        for first in (0..inputs.length).step_by(CHUNK) {
            let chunk = Chunk { first, steps: CHUNK.min(inputs.length - first) };
            let parallel =
                grain::worth(parallel, grain::product([self.spec.dims.batch, chunk.steps, step / 2]));
            self.enter(inputs, chunk, parallel);
            self.walk(inputs, chunk, state, parallel);
            if let Some(output) = &mut output {
                self.project(inputs, chunk, output, parallel);
            }
        }
    }

    /// Operations of each stage of a step.
    fn stage_operations(&self) -> impl Iterator<Item = usize> {
        self.cells.iter().flat_map(|cell| (0..cell.stages()).map(|stage| cell.operations(stage)))
    }

    /// Computes the inputs' part of the first cell.
    fn enter(&mut self, inputs: &Inputs<'_>, chunk: Chunk, parallel: &dyn Parallel) {
        let (width, entry) = (self.spec.dims.d_model, self.entry);
        let Some(Cell { input: Input::Hoisted(linear), .. }) = self.cells.first() else { return };
        for [from, to, rows] in chunk.spans(self.spec.dims.batch, inputs.length) {
            let x = &inputs.x[from * width..][..rows * width];
            linear.apply(x, &mut self.entries[to * entry..][..rows * entry], parallel);
        }
    }

    /// Computes the states after each of the chunk's tokens.
    fn walk(&mut self, inputs: &Inputs<'_>, chunk: Chunk, state: &mut [f32], parallel: &dyn Parallel) {
        let largest = self.stage_operations().max().unwrap_or(0);
        let Chunk { first, steps } = chunk;
        let spec = &self.spec;
        let (hidden, batch, entry) = (spec.hidden(), spec.dims.batch, self.entry);
        let (widest, fresh) = (widest(spec), fresh(spec));
        let (cells, lstm, scratch, entries) = (&self.cells, self.lstm.as_ref(), &self.scratch, &self.entries);
        let hidden_states = self.hidden.chunks_exact_mut(steps * hidden);
        let states = state.chunks_exact_mut(state_vectors(spec.mixed_memory) * spec.units);
        let parts = states.zip(hidden_states).enumerate();
        let walk = |(sequence, (state, states)): (usize, (&mut [f32], &mut [f32])),
                    worker: usize,
                    parallel: &dyn Parallel| {
            let (h, m) = state.split_at_mut(spec.units);
            let mut scratch = scratch.of(worker);
            let (layers, rest) = scratch.split_at_mut(2 * widest);
            let (fresh, gates) = rest.split_at_mut(fresh);
            let (even, odd) = layers.split_at_mut(widest);
            let walk = Walk {
                cells,
                entries: &entries[sequence * steps * entry..][..steps * entry],
                entry,
                step: AtomicUsize::new(0),
                elapsed: AtomicU32::new(0),
            };
            let task = |which: u32, panels: Range<usize>, buffers: [&[f32]; BUFFERS], to: &mut [f32]| {
                walk.stage(which as usize, panels, buffers, to);
            };
            let buffers = [h, even, odd, fresh];
            team::run(parallel, team::members(largest), buffers, OUTPUTS, &task, |team| {
                for (step, to) in states.chunks_exact_mut(hidden).enumerate() {
                    let row = sequence * inputs.length + first + step;
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

    /// Computes the chunk's outputs.
    fn project(&self, inputs: &Inputs<'_>, chunk: Chunk, output: &mut [f32], parallel: &dyn Parallel) {
        let (hidden, outputs) = (self.spec.hidden(), self.spec.outputs());
        for [to, from, rows] in chunk.spans(self.spec.dims.batch, inputs.length) {
            let from = &self.hidden[from * hidden..][..rows * hidden];
            let to = &mut output[to * outputs..][..rows * outputs];
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
    /// The inputs' part of the first cell, `[steps, entry]`.
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
        let (rows, outputs) = (spec.dims.batch * spec.dims.seq_len, spec.outputs());
        let mut initial = memory.floats(state_floats(&spec))?;
        initial.copy_from_slice(&initial_states(
            &case.tensors,
            spec.dims.batch,
            spec.units,
            spec.mixed_memory,
        )?);
        let state = memory.floats(initial.len())?;
        let kernel = Self { network: Network::new(spec, case, memory, parallel)?, initial, state };
        Ok(Ready::new(case, kernel, memory.floats(rows * outputs)?))
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
