//! One cell's packed weights and its step in stages: the layer over the concatenation of input and state, further
//! layers of the backbone, and the heads with the new state. A stage depends on the whole previous stage. Its panels of
//! sixteen outputs are independent of each other.

use std::ops::Range;

use mixer::{Count, Floats, Memory, MixerError, Tensors};

use super::super::{Activation, Affine, CellSpec, Mode, Spec};
use crate::ops::activation::{Gelu, LecunTanh, Relu, Silu, Tanh, map, sigmoid, tanh};
use crate::ops::exp::exp2;
use crate::ops::linear::Linear;
use crate::ops::matvec::{MatVec, OUTPUTS};
use crate::ops::simd::{Lanes, Work, run_widest};

/// Operations of a unit's gates.
const UNIT_OPERATIONS: usize = 80;

/// Heads stacked in one matrix, each padded to whole panels: f, then g and the time gate (or the gate's two parts).
fn n_heads(spec: &Spec, cell: &CellSpec) -> usize {
    match (cell.mode, spec.timespans) {
        (Mode::Pure, _) => 1,
        (_, false) => 3,
        (_, true) => 4,
    }
}

/// Padded width of the layer over the concatenation of input and state.
pub(super) fn entry_width(spec: &Spec, cell: &CellSpec) -> usize {
    if cell.backbone_layers == 0 { heads_width(spec, cell) } else { MatVec::padded(cell.backbone_units) }
}

fn heads_width(spec: &Spec, cell: &CellSpec) -> usize {
    n_heads(spec, cell) * MatVec::padded(cell.units)
}

pub(super) fn floats(spec: &Spec, cell: &CellSpec, first: bool) -> Count {
    let entry = entry_width(spec, cell);
    let input = if first {
        Linear::floats(cell.inputs, entry)
    } else {
        MatVec::floats(cell.inputs, entry) + Count::from(entry)
    };
    let (k, heads) = (cell.backbone_units, heads_width(spec, cell));
    let backbone = if cell.backbone_layers == 0 {
        Count::ZERO
    } else {
        (Count::from(cell.backbone_layers) - 1) * (MatVec::floats(k, k) + Count::from(MatVec::padded(k)))
            + MatVec::floats(k, heads)
            + Count::from(heads)
    };
    let pure = Count::from(if cell.mode == Mode::Pure { 2 * MatVec::padded(cell.units) } else { 0 });
    input + MatVec::floats(cell.units, entry) + backbone + pure
}

/// Input part of a cell's first stage.
pub(super) enum Input {
    /// Computed for many tokens at once, outside the step.
    Hoisted(Linear),
    /// Computed in the step with the bias, since the previous cell provides the input.
    Direct(MatVec, Floats),
}

/// A cell with packed weights.
pub(super) struct Cell {
    pub units: usize,
    mode: Mode,
    pub input: Input,
    state: MatVec,
    /// Further backbone layers, with their biases.
    inner: Vec<(MatVec, Floats)>,
    /// Heads over a backbone, with their biases.
    heads: Option<(MatVec, Floats)>,
    /// |w_τ| and A, padded.
    pure: Option<(Floats, Floats)>,
    activation: Activation,
    /// Number of heads over the previous stage's output.
    n_heads: usize,
}

/// Inputs of a stage.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    /// The input's part of the first stage, if it is computed outside the step.
    pub entry: &'a [f32],
    /// The input, if its part is computed in the step.
    pub input: &'a [f32],
    /// The state before the step.
    pub h: &'a [f32],
    /// Output of the previous stage.
    pub before: &'a [f32],
    pub elapsed: f32,
}

/// The stacked heads: weight and bias of padded output `o`.
struct Stack<'a> {
    padded: usize,
    units: usize,
    features: usize,
    heads: Vec<(Affine<'a>, Option<&'a [f32]>)>,
    /// Added to the last head: T_b if both time heads are one.
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
    pub(super) fn new(
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
        // The layer over the concatenation: the first layer of the backbone, or the heads.
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
        Ok(Self {
            units,
            mode: cell.mode,
            input,
            state,
            inner,
            heads,
            pure,
            activation: spec.activation,
            n_heads: n_heads(spec, cell),
        })
    }

    /// Number of stages in a step.
    pub(super) fn stages(&self) -> usize {
        if self.heads.is_some() { 2 + self.inner.len() } else { 1 }
    }

    /// Number of panels in a stage's output.
    pub(super) fn panels(&self, stage: usize) -> usize {
        let units = if stage + 1 == self.stages() { self.units } else { self.state.outputs() };
        units.div_ceil(OUTPUTS)
    }

    /// Approximate number of operations of a stage.
    pub(super) fn operations(&self, stage: usize) -> usize {
        let gates = if stage + 1 == self.stages() { UNIT_OPERATIONS * self.units } else { 0 };
        let weights = match (stage, &self.input) {
            (0, Input::Hoisted(_)) => self.state.weights(),
            (0, Input::Direct(input, _)) => self.state.weights() + input.weights(),
            _ => self.layer(stage).map_or(0, |(layer, _)| layer.weights()),
        };
        2 * weights + gates
    }

    /// Weights of a stage after the first.
    fn layer(&self, stage: usize) -> Option<&(MatVec, Floats)> {
        self.inner.get(stage - 1).or(self.heads.as_ref())
    }

    /// Writes some panels of a stage to `to`; the last stage writes the new state.
    pub(super) fn stage(&self, stage: usize, panels: Range<usize>, step: &Step<'_>, to: &mut [f32]) {
        let last = stage + 1 == self.stages();
        for (panel, to) in panels.zip(to.as_chunks_mut::<OUTPUTS>().0) {
            if last {
                let stride = self.units.div_ceil(OUTPUTS);
                let mut heads = [[0.0; OUTPUTS]; 4];
                for (index, head) in heads.iter_mut().enumerate().take(self.n_heads) {
                    self.panel(stage, index * stride + panel, step, head);
                }
                self.combine(panel, &heads, step, to);
            } else {
                self.panel(stage, panel, step, to);
                activate(self.activation, to);
            }
        }
    }

    /// One panel of a stage's matrix product.
    fn panel(&self, stage: usize, panel: usize, step: &Step<'_>, to: &mut [f32; OUTPUTS]) {
        let start = |values: &[f32], to: &mut [f32; OUTPUTS]| {
            to.copy_from_slice(&values[panel * OUTPUTS..][..OUTPUTS]);
        };
        if stage == 0 {
            match &self.input {
                Input::Hoisted(_) => start(step.entry, to),
                Input::Direct(weight, bias) => {
                    start(bias, to);
                    weight.add_panel(panel, step.input, to);
                }
            }
            self.state.add_panel(panel, step.h, to);
        } else if let Some((weight, bias)) = self.layer(stage) {
            start(bias, to);
            weight.add_panel(panel, step.before, to);
        }
    }

    /// The new state of a panel of units.
    fn combine(&self, panel: usize, heads: &[[f32; OUTPUTS]; 4], step: &Step<'_>, to: &mut [f32; OUTPUTS]) {
        run_widest(Combine { cell: self, panel, heads, elapsed: step.elapsed, to });
    }
}

/// Implements [`Cell::combine`].
struct Combine<'a> {
    cell: &'a Cell,
    panel: usize,
    heads: &'a [[f32; OUTPUTS]; 4],
    elapsed: f32,
    to: &'a mut [f32; OUTPUTS],
}

impl Work for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { cell, panel, heads, elapsed, to } = self;
        let elapsed = V::splat(elapsed);
        for (index, to) in to.chunks_exact_mut(V::LANES).enumerate() {
            let head = |head: usize| V::load(&heads[head][index * V::LANES..]);
            let f = head(0);
            let next = if let Some((w_tau, a)) = &cell.pure {
                let at = |values: &[f32]| V::load(&values[panel * OUTPUTS + index * V::LANES..]);
                let (w_tau, a) = (at(w_tau), at(a));
                let exponent = elapsed * (w_tau + f.abs()) * V::splat(-std::f32::consts::LOG2_E);
                a - a * f * exp2(exponent)
            } else {
                let (f, g) = (tanh(f), tanh(head(1)));
                let time = if cell.n_heads > 3 { head(3).mul_add(elapsed, head(2)) } else { head(2) };
                let s = sigmoid(time);
                if cell.mode == Mode::NoGate { f + s * g } else { f + s * (g - f) }
            };
            next.store(to);
        }
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::LecunTanh => map(values, LecunTanh),
        Activation::Silu => map(values, Silu),
        Activation::Relu => map(values, Relu),
        Activation::Tanh => map(values, Tanh),
        Activation::Gelu => map(values, Gelu),
    }
}
