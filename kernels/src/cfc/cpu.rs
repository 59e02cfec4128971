//! The CPU kernel. What the inputs contribute to the first layer, and the projection, do not depend on the state: they
//! are matrix products over many tokens. Between them each sequence walks its tokens by matrix–vector products.

#![expect(unsafe_code, reason = "tasks write disjoint rows of shared buffers through `Disjoint`")]

use std::sync::Arc;

use mixer::{Case, CpuKernel, Floats, Memory, MixerError, Parallel, Tensors};

use super::{Activation, Affine, CellSpec, Mode, Spec};
use crate::lstm::{self, Lstm};
use crate::ltc::initial_state;
use crate::ops::activation::{gelu, map, sigmoid, silu, tanh};
use crate::ops::disjoint::Disjoint;
use crate::ops::linear::Linear;
use crate::ops::matvec::MatVec;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{F32x4, LANES};

/// Tokens whose input products are held at once, and between two looks at the cancel switch.
const CHUNK: usize = 64;

/// Heads stacked in one matrix, each padded to whole panels: f, then g and the time gate (or its two parts).
fn n_heads(spec: &Spec, cell: &CellSpec) -> usize {
    match (cell.mode, spec.timespans) {
        (Mode::Pure, _) => 1,
        (_, false) => 3,
        (_, true) => 4,
    }
}

/// Padded width of the layer that reads the concatenation of input and state.
fn entry_width(spec: &Spec, cell: &CellSpec) -> usize {
    if cell.backbone_layers == 0 { heads_width(spec, cell) } else { MatVec::padded(cell.backbone_units) }
}

fn heads_width(spec: &Spec, cell: &CellSpec) -> usize {
    n_heads(spec, cell) * MatVec::padded(cell.units)
}

fn cell_floats(spec: &Spec, cell: &CellSpec, first: bool) -> usize {
    let entry = entry_width(spec, cell);
    let input =
        if first { Linear::floats(cell.inputs, entry) } else { MatVec::floats(cell.inputs, entry) + entry };
    let (k, heads) = (cell.backbone_units, heads_width(spec, cell));
    let backbone = if cell.backbone_layers == 0 {
        0
    } else {
        (cell.backbone_layers - 1) * (MatVec::floats(k, k) + MatVec::padded(k))
            + MatVec::floats(k, heads)
            + heads
    };
    let pure = if cell.mode == Mode::Pure { 2 * MatVec::padded(cell.units) } else { 0 };
    input + MatVec::floats(cell.units, entry) + backbone + pure
}

fn scratch_floats(spec: &Spec) -> usize {
    let cell = |cell: &CellSpec| {
        entry_width(spec, cell) + heads_width(spec, cell) + 2 * MatVec::padded(cell.backbone_units)
    };
    let lstm = if spec.mixed_memory { Lstm::scratch_floats(spec.units) } else { 0 };
    spec.cells.iter().map(cell).max().unwrap_or(0) + lstm
}

/// Floats of weights, states, chunk buffers and scratch for one thread; the LSTM and the output are counted apart.
pub(super) fn floats(spec: &Spec) -> usize {
    let cells: usize =
        spec.cells.iter().enumerate().map(|(index, cell)| cell_floats(spec, cell, index == 0)).sum();
    let projection = spec.projection.map_or(0, |outputs| Linear::floats(spec.hidden(), outputs));
    let chunk = CHUNK.min(spec.dims.seq_len);
    let entry = spec.cells.first().map_or(0, |cell| entry_width(spec, cell));
    let held = spec.dims.batch * (2 * state_width(spec) + chunk * (entry + spec.hidden()));
    cells + projection + held + scratch_floats(spec)
}

/// States are padded once at the end, so that the last cell's vectors may run over.
fn state_width(spec: &Spec) -> usize {
    spec.units + MatVec::padded(1)
}

/// What a cell's input contributes.
enum Input {
    /// Taken for many tokens at once.
    Hoisted(Linear),
    /// The cell before gives it only now. With the bias.
    Direct(MatVec, Floats),
}

struct Cell {
    units: usize,
    mode: Mode,
    input: Input,
    state: MatVec,
    /// Further backbone layers, with their biases.
    inner: Vec<(MatVec, Floats)>,
    /// Heads over a backbone, with their biases.
    heads: Option<(MatVec, Floats)>,
    /// |w_τ| and A, padded.
    pure: Option<(Floats, Floats)>,
}

/// Heads stacked: weight and bias of padded output `o`.
struct Stack<'a> {
    padded: usize,
    units: usize,
    features: usize,
    heads: Vec<(Affine<'a>, Option<&'a [f32]>)>,
    /// Added to the last head: T_b where both time heads are one.
    merged: Option<Affine<'a>>,
}

impl<'a> Stack<'a> {
    fn new(spec: &Spec, cell: &CellSpec, tensors: &'a Tensors) -> Result<Self, MixerError> {
        let mask = cell.mask(tensors)?;
        let head = |name: &str, mask| cell.head(tensors, name).map(|affine| (affine, mask));
        let mut heads = vec![head("ff1", mask)?];
        let mut merged = None;
        if cell.mode != Mode::Pure {
            heads.extend([head("ff2", mask)?, head("time_a", None)?]);
            if spec.timespans {
                heads.push(head("time_b", None)?);
            } else {
                merged = Some(cell.head(tensors, "time_b")?);
            }
        }
        let padded = MatVec::padded(cell.units);
        Ok(Self { padded, units: cell.units, features: cell.features(), heads, merged })
    }

    fn width(&self) -> usize {
        self.heads.len() * self.padded
    }

    fn weight(&self, output: usize, feature: usize) -> f32 {
        let (head, unit) = (output / self.padded, output % self.padded);
        if unit >= self.units {
            return 0.0;
        }
        let at = unit * self.features + feature;
        let ((weight, _), mask) = self.heads[head];
        let merged =
            self.merged.filter(|_| head + 1 == self.heads.len()).map_or(0.0, |(weight, _)| weight[at]);
        (weight[at] + merged) * mask.map_or(1.0, |mask| mask[at])
    }

    fn bias(&self, output: usize) -> f32 {
        let (head, unit) = (output / self.padded, output % self.padded);
        if unit >= self.units {
            return 0.0;
        }
        let merged = self.merged.filter(|_| head + 1 == self.heads.len()).map_or(0.0, |(_, bias)| bias[unit]);
        self.heads[head].0.1[unit] + merged
    }
}

impl Cell {
    fn new(
        spec: &Spec,
        cell: &CellSpec,
        first: bool,
        tensors: &Tensors,
        memory: &Memory,
    ) -> Result<Self, MixerError> {
        let stack = Stack::new(spec, cell, tensors)?;
        let (inputs, units) = (cell.inputs, cell.units);
        let backbone = |layer: usize| cell.backbone(tensors, layer);
        let width = entry_width(spec, cell);
        // The layer that reads the concatenation: the first of the backbone, or the heads themselves.
        let entry = if cell.backbone_layers == 0 { None } else { Some(backbone(0)?) };
        let weight = |output: usize, from: usize| match entry {
            None => stack.weight(output, from),
            Some((weight, bias)) if output < bias.len() => weight[output * (inputs + units) + from],
            Some(_) => 0.0,
        };
        let bias = |output: usize| match entry {
            None => stack.bias(output),
            Some((_, bias)) => bias.get(output).copied().unwrap_or_default(),
        };
        let input = if first {
            let rows: Vec<f32> = (0..width)
                .flat_map(|output| (0..inputs).map(move |from| (output, from)))
                .map(|(o, i)| weight(o, i))
                .collect();
            let biases: Vec<f32> = (0..width).map(bias).collect();
            Input::Hoisted(Linear::new(memory, inputs, width, &rows, Some(&biases))?)
        } else {
            let mut biases = memory.floats(width)?;
            biases.iter_mut().enumerate().for_each(|(output, to)| *to = bias(output));
            Input::Direct(MatVec::new(memory, inputs, width, weight)?, biases)
        };
        let state = MatVec::new(memory, units, width, |output, unit| weight(output, inputs + unit))?;
        let k = cell.backbone_units;
        let mut inner = Vec::new();
        for layer in 1..cell.backbone_layers {
            let (weight, bias) = backbone(layer)?;
            let mut biases = memory.floats(MatVec::padded(k))?;
            biases[..k].copy_from_slice(bias);
            inner.push((MatVec::new(memory, k, k, |output, from| weight[output * k + from])?, biases));
        }
        let heads = if cell.backbone_layers == 0 {
            None
        } else {
            let mut biases = memory.floats(stack.width())?;
            biases.iter_mut().enumerate().for_each(|(output, to)| *to = stack.bias(output));
            Some((MatVec::new(memory, k, stack.width(), |output, from| stack.weight(output, from))?, biases))
        };
        let pure = if cell.mode == Mode::Pure {
            let (w_tau, a) = cell.pure(tensors)?;
            let mut padded = (memory.floats(MatVec::padded(units))?, memory.floats(MatVec::padded(units))?);
            padded.0.iter_mut().zip(w_tau).for_each(|(to, value)| *to = value.abs());
            padded.1[..units].copy_from_slice(a);
            Some(padded)
        } else {
            None
        };
        Ok(Self { units, mode: cell.mode, input, state, inner, heads, pure })
    }

    /// One step: `h` becomes the new state. `entry` holds what the input contributed where it is hoisted.
    fn step(
        &self,
        entry: Option<&[f32]>,
        input: &[f32],
        h: &mut [f32],
        elapsed: f32,
        activation: Activation,
        scratch: &mut [f32],
    ) {
        let width = match (&self.input, entry) {
            (Input::Hoisted(_), Some(entry)) => {
                scratch[..entry.len()].copy_from_slice(entry);
                entry.len()
            }
            (Input::Direct(weight, bias), _) => {
                scratch[..bias.len()].copy_from_slice(bias);
                weight.add(input, &mut scratch[..bias.len()]);
                bias.len()
            }
            (Input::Hoisted(_), None) => 0,
        };
        let (mut z, rest) = scratch.split_at_mut(width);
        self.state.add(&h[..self.units], z);
        if let Some((heads, bias)) = &self.heads {
            activate(activation, z);
            for (layer, bias) in &self.inner {
                // All backbone layers are equally wide, so each result goes back to where its input was.
                let next = &mut rest[..bias.len()];
                next.copy_from_slice(bias);
                layer.add(z, next);
                activate(activation, next);
                z.copy_from_slice(next);
            }
            let out = &mut rest[..bias.len()];
            out.copy_from_slice(bias);
            heads.add(z, out);
            z = out;
        }
        self.combine(z, h, elapsed);
    }

    fn combine(&self, heads: &[f32], h: &mut [f32], elapsed: f32) {
        let padded = MatVec::padded(self.units);
        let elapsed = F32x4::splat(elapsed);
        let mut unit = 0;
        while unit < self.units {
            let n = LANES.min(self.units - unit);
            let head = |index: usize| F32x4::load(&heads[index * padded + unit..]);
            let f = head(0);
            let next = if let Some((w_tau, a)) = &self.pure {
                let (w_tau, a) = (F32x4::load(&w_tau[unit..]), F32x4::load(&a[unit..]));
                let exponent = elapsed * (w_tau + f.abs()) * F32x4::splat(-std::f32::consts::LOG2_E);
                a - a * f * crate::ops::exp::exp2(exponent)
            } else {
                let (f, g) = (tanh(f), tanh(head(1)));
                let time = if heads.len() > 3 * padded { head(3).mul_add(elapsed, head(2)) } else { head(2) };
                let s = sigmoid(time);
                if self.mode == Mode::NoGate { f + s * g } else { f + s * (g - f) }
            };
            next.store(&mut h[unit..unit + n]);
            unit += n;
        }
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::LecunTanh => {
            map(values, |x| F32x4::splat(1.7159) * tanh(x * F32x4::splat(0.666)));
        }
        Activation::Silu => map(values, silu),
        Activation::Relu => map(values, |x| x.max(F32x4::zero())),
        Activation::Tanh => map(values, tanh),
        Activation::Gelu => map(values, gelu),
    }
}

/// The network made ready for one case.
pub(super) struct Kernel {
    case: Arc<Case>,
    spec: Spec,
    cells: Vec<Cell>,
    lstm: Option<Lstm>,
    projection: Option<Linear>,
    /// h then m of each sequence, `[batch, 2, state width]`.
    state: Floats,
    /// What the inputs contribute, `[batch, chunk, entry width]`.
    entries: Floats,
    /// The last cell's states, `[batch, chunk, hidden]`.
    hidden: Floats,
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
        spec.times(tensors)?;
        for name in ["h0", "c0"] {
            initial_state(tensors, name, spec.dims.batch, spec.units, 0)?;
        }
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
        let (batch, chunk) = (spec.dims.batch, CHUNK.min(spec.dims.seq_len));
        let entry = spec.cells.first().map_or(0, |cell| entry_width(&spec, cell));
        Ok(Self {
            case: Arc::clone(case),
            cells,
            lstm,
            projection,
            state: memory.floats(batch * 2 * state_width(&spec))?,
            entries: memory.floats(batch * chunk * entry)?,
            hidden: memory.floats(batch * chunk * spec.hidden())?,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
            output: memory.floats(batch * spec.dims.seq_len * spec.outputs())?,
            spec,
        })
    }

    /// Tokens `first..first + steps` of every sequence.
    fn chunk(&mut self, first: usize, steps: usize, parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = &self.spec;
        let (inputs, length, hidden) = (spec.dims.d_model, spec.dims.seq_len, spec.hidden());
        let chunk = CHUNK.min(length);
        let x = spec.input(&self.case.tensors)?;
        let times = spec.times(&self.case.tensors)?;
        let entry = self.cells.first().map_or(0, |_| self.entries.len() / (spec.dims.batch * chunk));
        if let Some(Cell { input: Input::Hoisted(linear), .. }) = self.cells.first() {
            for sequence in 0..spec.dims.batch {
                let rows = &x[(sequence * length + first) * inputs..][..steps * inputs];
                let to = &mut self.entries[sequence * chunk * entry..][..steps * entry];
                linear.apply(rows, to, parallel);
            }
        }
        let width = state_width(spec);
        let (cells, lstm, scratch, entries) = (&self.cells, &self.lstm, &self.scratch, &self.entries);
        let state = Disjoint::new(&mut self.state);
        let states = Disjoint::new(&mut self.hidden);
        parallel.run(spec.dims.batch, &|sequence, worker| {
            // SAFETY: each task is its own sequence.
            let state = unsafe { state.slice(sequence * 2 * width, 2 * width) };
            // SAFETY: as above.
            let states = unsafe { states.slice(sequence * chunk * hidden, steps * hidden) };
            let (h, m) = state.split_at_mut(width);
            let mut scratch = scratch.of(worker);
            for (step, to) in states.chunks_exact_mut(hidden).enumerate() {
                let row = sequence * length + first + step;
                if let Some(lstm) = lstm {
                    lstm.step(&x[row * inputs..][..inputs], h, m, &mut scratch);
                }
                let elapsed = times.map_or(1.0, |times| times[row]);
                let entry = &entries[(sequence * chunk + step) * entry..][..entry];
                let mut at = 0;
                for (index, cell) in cells.iter().enumerate() {
                    let (before, rest) = h.split_at_mut(at);
                    let below = cells.get(index.wrapping_sub(1)).map_or(0, |cell| cell.units);
                    let input = &before[at - below..];
                    let entry = if index == 0 { Some(entry) } else { None };
                    cell.step(entry, input, rest, elapsed, spec.activation, &mut scratch);
                    at += cell.units;
                }
                to.copy_from_slice(&h[at - hidden..at]);
            }
        });
        for sequence in 0..spec.dims.batch {
            let outputs = spec.outputs();
            let from = &self.hidden[sequence * chunk * hidden..][..steps * hidden];
            let to = &mut self.output[(sequence * length + first) * outputs..][..steps * outputs];
            match &self.projection {
                Some(projection) => projection.apply(from, to, parallel),
                None => to.copy_from_slice(from),
            }
        }
        Ok(())
    }
}

impl CpuKernel for Kernel {
    fn run(&mut self, parallel: &dyn Parallel) -> Result<(), MixerError> {
        let (width, batch, units) = (state_width(&self.spec), self.spec.dims.batch, self.spec.units);
        for sequence in 0..batch {
            let state = &mut self.state[sequence * 2 * width..][..2 * width];
            state.fill(0.0);
            for (name, to) in ["h0", "c0"].into_iter().zip(state.chunks_exact_mut(width)) {
                let values = initial_state(&self.case.tensors, name, batch, units, sequence)?;
                to.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
            }
        }
        let mut first = 0;
        while first < self.spec.dims.seq_len {
            let steps = CHUNK.min(self.spec.dims.seq_len - first);
            self.chunk(first, steps, parallel)?;
            first += steps;
        }
        Ok(())
    }

    fn output(&self) -> &[f32] {
        &self.output
    }
}
