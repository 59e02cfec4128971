//! The network as weights and a program that `steps.wgsl` runs.

use mixer::{MixerError, Tensors};

use super::super::model::UNIT_FLOPS;
use super::super::{CellSpec, Mode, Spec};
use crate::initial_state::{initial_state, state_vectors};
use crate::lstm;
use crate::ops::gpu::word;
use crate::recurrence::{layer_turns, pack, width_and_parts};

/// Words of a layer in the program, in the order that `run` of `steps.wgsl` reads them.
pub const LAYER_WORDS: usize = 12;

/// Heads of a cell as matrices over `[input, state]` or over the last layer of the backbone.
struct Heads<'a> {
    inputs: usize,
    weights: Vec<(&'a [f32], Option<&'a [f32]>)>,
    biases: Vec<&'a [f32]>,
    /// T_b, added to the last head if every step takes one unit of time.
    merged: Option<(&'a [f32], &'a [f32])>,
}

impl<'a> Heads<'a> {
    fn new(spec: &Spec, cell: &CellSpec, tensors: &'a Tensors) -> Result<Self, MixerError> {
        let mask = cell.mask(tensors)?;
        let (weight, bias) = cell.head(tensors, "ff1")?;
        let (mut weights, mut biases, mut merged) = (vec![(weight, mask)], vec![bias], None);
        if cell.mode != Mode::Pure {
            for (name, mask) in [("ff2", mask), ("time_a", None), ("time_b", None)] {
                let (weight, bias) = cell.head(tensors, name)?;
                if name == "time_b" && !spec.timespans {
                    merged = Some((weight, bias));
                } else {
                    weights.push((weight, mask));
                    biases.push(bias);
                }
            }
        }
        Ok(Self { inputs: cell.features(), weights, biases, merged })
    }

    fn len(&self) -> usize {
        self.weights.len()
    }

    fn merged(&self, head: usize) -> Option<(&'a [f32], &'a [f32])> {
        if head + 1 == self.len() { self.merged } else { None }
    }

    fn weight(&self, unit: usize, head: usize, input: usize) -> f32 {
        let at = unit * self.inputs + input;
        let (weight, mask) = self.weights[head];
        weight[at] * mask.map_or(1.0, |mask| mask[at])
            + self.merged(head).map_or(0.0, |(weight, _)| weight[at])
    }

    fn bias(&self, unit: usize, head: usize) -> f32 {
        self.biases[head][unit] + self.merged(head).map_or(0.0, |(_, bias)| bias[unit])
    }
}

/// Contents of `weights` and `program`, and the product of the inputs before them.
pub struct Network<'a> {
    spec: &'a Spec,
    /// Offset of each cell's state.
    pub cell_slots: Vec<usize>,
    /// Floats of a state vector. Cells are padded to vectors of four.
    pub slots: usize,
    pub weights: Vec<f32>,
    /// Offset of the initial states in the weights, in vectors of four.
    pub initial_at: usize,
    pub program: Vec<u32>,
    /// `[entry columns, inputs]` and `[entry columns]`.
    pub entry_weight: Vec<f32>,
    pub entry_bias: Vec<f32>,
    /// Operations per step.
    pub flops: usize,
    /// Loop iterations of an invocation per step.
    pub turns: u64,
}

/// Treatment of a layer's sums; numbers as in `steps.wgsl`.
#[derive(Clone, Copy)]
enum Kind {
    Hidden = 0,
    Heads = 1,
    Memory = 2,
}

/// Initial value of a layer's sums.
enum Start {
    /// Columns of the entries.
    Entry(usize),
    /// A bias per unit and head.
    Bias(Vec<f32>),
}

/// One layer of the program without its weights.
struct Layer {
    kind: Kind,
    units: usize,
    heads: usize,
    /// Number of floats that the layer reads, and their offset.
    input: usize,
    inputs: usize,
    start: Start,
    /// Offset of the result.
    to: usize,
    /// |w_τ| and A of the pure form.
    pure: Vec<f32>,
}

impl<'a> Network<'a> {
    pub fn new(spec: &'a Spec, tensors: &Tensors) -> Result<Self, MixerError> {
        let mut slots = 0;
        let cell_slots = spec
            .cells
            .iter()
            .map(|cell| {
                let at = slots;
                slots += cell.units.next_multiple_of(4);
                at
            })
            .collect();
        let mut network = Self {
            spec,
            cell_slots,
            slots,
            weights: Vec::new(),
            initial_at: 0,
            program: Vec::new(),
            entry_weight: Vec::new(),
            entry_bias: Vec::new(),
            flops: 0,
            turns: spec.hidden().div_ceil(256) as u64 + 1,
        };
        if spec.mixed_memory {
            network.memory(tensors)?;
        }
        for (index, cell) in spec.cells.iter().enumerate() {
            network.cell(index, cell, tensors)?;
        }
        let initial = network.initial(tensors)?;
        network.initial_at = network.weights.len() / 4;
        network.weights.extend(initial);
        Ok(network)
    }

    /// Floats of workgroup memory: the state, and one or two layers of the backbone.
    pub fn memory_floats(&self) -> usize {
        let room = |cell: &CellSpec| cell.backbone_layers.min(2) * cell.backbone_units.next_multiple_of(4);
        self.slots + self.spec.cells.iter().map(room).max().unwrap_or(0)
    }

    /// Slot of unit `unit`, counted over all cells.
    fn slot_of(&self, unit: usize) -> usize {
        let mut first = 0;
        for (cell, slot) in self.spec.cells.iter().zip(&self.cell_slots) {
            if unit < first + cell.units {
                return slot + unit - first;
            }
            first += cell.units;
        }
        self.slots
    }

    fn memory(&mut self, tensors: &Tensors) -> Result<(), MixerError> {
        let (inputs, units) = (self.spec.dims.d_model, self.spec.units);
        let weights = lstm::Weights::read(tensors, inputs, units)?;
        let mut unit_of = vec![None; self.slots];
        (0..units).for_each(|unit| unit_of[self.slot_of(unit)] = Some(unit));
        let (weight, bias) = weights.entries(|unit| self.slot_of(unit), self.slots);
        let start = self.enter(&weight, &bias);
        let packed = weights.packed([self.slots, self.slots], |slot| unit_of[slot]);
        let layer = Layer {
            kind: Kind::Memory,
            units: self.slots,
            heads: 4,
            input: 0,
            inputs: self.slots,
            start,
            to: 0,
            pure: Vec::new(),
        };
        self.push(layer, packed);
        Ok(())
    }

    fn cell(&mut self, index: usize, cell: &CellSpec, tensors: &Tensors) -> Result<(), MixerError> {
        let own = self.cell_slots[index];
        // Inputs of the first layer in memory: the cell's own state, after the states of the previous cell if there is
        // one.
        let below = index.checked_sub(1).map(|below| (self.cell_slots[below], self.spec.cells[below].units));
        let (read, gap) = below.map_or((own, 0), |(slot, units)| (slot, units.next_multiple_of(4)));
        let column = |input: usize| {
            // Column of the weights for input `input` in memory: the previous cell's states, a gap, the own state.
            match below {
                None => Some(cell.inputs + input),
                Some((_, units)) if input < units => Some(input),
                Some(_) => input.checked_sub(gap).map(|own| cell.inputs + own),
            }
        };
        let first_inputs = gap + cell.units;
        let (za, zb) = (self.slots, self.slots + cell.backbone_units.next_multiple_of(4));
        let (mut input, mut inputs) = (read, first_inputs);
        for layer in 0..cell.backbone_layers {
            let (weight, bias) = cell.backbone(tensors, layer)?;
            let width = weight.len() / cell.backbone_units;
            let is_first = layer == 0;
            let start = if is_first && below.is_none() {
                let rows = weight
                    .chunks_exact(width)
                    .flat_map(|row| &row[..cell.inputs])
                    .copied()
                    .collect::<Vec<_>>();
                self.enter(&rows, bias)
            } else {
                Start::Bias(bias.iter().flat_map(|&bias| [bias, 0.0, 0.0, 0.0]).collect())
            };
            let packed = pack([cell.backbone_units, 1, inputs], |unit, _, input| {
                let column = if is_first { column(input) } else { Some(input) };
                column.map_or(0.0, |column| weight[unit * width + column])
            });
            let to = if layer % 2 == 0 { za } else { zb };
            let layer = Layer {
                kind: Kind::Hidden,
                units: cell.backbone_units,
                heads: 1,
                input,
                inputs,
                start,
                to,
                pure: Vec::new(),
            };
            self.push(layer, packed);
            (input, inputs) = (to, cell.backbone_units);
        }
        let heads = Heads::new(self.spec, cell, tensors)?;
        let direct = cell.backbone_layers == 0;
        let start = if direct && below.is_none() {
            self.enter_heads(cell, &heads)
        } else {
            let bias = |unit, head| if head < heads.len() { heads.bias(unit, head) } else { 0.0 };
            Start::Bias((0..cell.units).flat_map(|unit| [0, 1, 2, 3].map(|head| bias(unit, head))).collect())
        };
        let packed = pack([cell.units, heads.len(), inputs], |unit, head, input| {
            let column = if direct { column(input) } else { Some(input) };
            column.map_or(0.0, |column| heads.weight(unit, head, column))
        });
        let mut pure = Vec::new();
        if cell.mode == Mode::Pure {
            let (w_tau, a) = cell.pure(tensors)?;
            pure = w_tau.iter().zip(a).flat_map(|(w_tau, &a)| [w_tau.abs(), a, 0.0, 0.0]).collect();
        }
        let layer = Layer {
            kind: Kind::Heads,
            units: cell.units,
            heads: heads.len(),
            input,
            inputs,
            start,
            to: own,
            pure,
        };
        self.push(layer, packed);
        Ok(())
    }

    /// Adds columns to the entries.
    fn enter(&mut self, weight: &[f32], bias: &[f32]) -> Start {
        let column = self.entry_bias.len();
        self.entry_weight.extend(weight);
        self.entry_bias.extend(bias);
        // Every block begins at a vector of four.
        let padding = self.entry_bias.len().next_multiple_of(4) - self.entry_bias.len();
        self.entry_weight.extend(std::iter::repeat_n(0.0, padding * self.spec.dims.d_model));
        self.entry_bias.extend(std::iter::repeat_n(0.0, padding));
        Start::Entry(column)
    }

    /// The heads of a unit are contiguous; if there is more than one head, they take four columns.
    fn enter_heads(&mut self, cell: &CellSpec, heads: &Heads<'_>) -> Start {
        let columns = if heads.len() == 1 { 1 } else { 4 };
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for unit in 0..cell.units {
            for head in 0..columns {
                let exists = head < heads.len();
                bias.push(if exists { heads.bias(unit, head) } else { 0.0 });
                weight.extend(
                    (0..cell.inputs).map(|input| if exists { heads.weight(unit, head, input) } else { 0.0 }),
                );
            }
        }
        self.enter(&weight, &bias)
    }

    /// Adds vectors of four to the weights and returns their offset.
    fn store(&mut self, vectors: Vec<f32>) -> u32 {
        let at = word(self.weights.len() / 4);
        self.weights.extend(vectors);
        at
    }

    fn push(&mut self, layer: Layer, packed: Vec<f32>) {
        let Layer { kind, units, heads, input, inputs, start, to, pure } = layer;
        self.flops += 2 * units * heads * inputs + UNIT_FLOPS * units;
        self.turns += layer_turns(units, inputs.div_ceil(4)) + 1;
        let [width, parts] = width_and_parts(units, inputs.div_ceil(4)).map(word);
        let weights = self.store(packed);
        let (start, is_entry) = match start {
            Start::Entry(column) => (word(column), 1),
            Start::Bias(bias) => (self.store(bias), 0),
        };
        let pure = self.store(pure);
        let [units, heads, input, quads, to] = [units, heads, input, inputs.div_ceil(4), to].map(word);
        self.program.extend::<[u32; LAYER_WORDS]>([
            kind as u32,
            width,
            parts,
            units,
            heads,
            input,
            quads,
            weights,
            start,
            is_entry,
            to,
            pure,
        ]);
    }

    /// Vectors of a sequence's state: h, and with mixed memory m.
    pub fn vectors(&self) -> usize {
        state_vectors(self.spec.mixed_memory)
    }

    /// The states before the first step, `[batch, vectors, slots]`.
    fn initial(&self, tensors: &Tensors) -> Result<Vec<f32>, MixerError> {
        let (batch, units, vectors) = (self.spec.dims.batch, self.spec.units, self.vectors());
        let mut states = vec![0.0; batch * vectors * self.slots];
        for (index, to) in states.chunks_exact_mut(self.slots).enumerate() {
            let name = if index % vectors == 0 { "h0" } else { "c0" };
            let values = initial_state(tensors, name, batch, units, index / vectors)?;
            values.iter().enumerate().for_each(|(unit, &value)| to[self.slot_of(unit)] = value as f32);
        }
        Ok(states)
    }
}
