//! The GPU plan: for each chunk of steps one product for the inputs' part of the first layer, then the steps, then the
//! projection. Steps have the names and the order of those in `cpu.rs`.

use mixer::{Access, Case, GpuTarget, MixerError, Plan, Shader, Tensors};

use super::model::UNIT_FLOPS;
use super::{CellSpec, Mode, Spec};
use crate::initial_state::initial_state;
use crate::lstm;
use crate::ops::gpu::{Batches, Builder, Columns, Gemm, Linear, Operand, Stream, unpack, word};
use crate::recurrence::{Chunk, Chunks, Step, check_memory, layer_turns, pack, width_and_parts};

const STEPS: Shader = Shader {
    label: "steps",
    source: wgsl!("recurrence.wgsl", "ops/gpu/erf.wgsl", "systems/cfc/steps.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
};

/// Words of a layer in the program, in the order that `run` of `steps.wgsl` reads them.
const LAYER_WORDS: usize = 12;

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
struct Network<'a> {
    spec: &'a Spec,
    /// Offset of each cell's state.
    cell_slots: Vec<usize>,
    /// Floats of a state. Cells are padded to vectors of four.
    slots: usize,
    weights: Vec<f32>,
    program: Vec<u32>,
    /// `[entry columns, inputs]` and `[entry columns]`.
    entry_weight: Vec<f32>,
    entry_bias: Vec<f32>,
    /// Operations per step.
    flops: usize,
    /// Loop iterations of an invocation per step.
    turns: u64,
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
    fn new(spec: &'a Spec, tensors: &Tensors) -> Result<Self, MixerError> {
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
        Ok(network)
    }

    /// Floats of workgroup memory: the state, and one or two layers of the backbone.
    fn memory_floats(&self) -> usize {
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

    /// h and m of all sequences before the first step, and room for the current ones: `[2, batch, 2, slots]`.
    fn state(&self, tensors: &Tensors) -> Result<Vec<f32>, MixerError> {
        let (batch, units) = (self.spec.dims.batch, self.spec.units);
        let mut state = vec![0.0; 4 * batch * self.slots];
        for sequence in 0..batch {
            for (index, name) in ["h0", "c0"].into_iter().enumerate() {
                let values = initial_state(tensors, name, batch, units, sequence)?;
                let to = &mut state[(2 * sequence + index) * self.slots..][..self.slots];
                values.iter().enumerate().for_each(|(unit, &value)| to[self.slot_of(unit)] = value as f32);
            }
        }
        Ok(state)
    }
}

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let network = Network::new(&spec, tensors)?;
    check_memory(network.memory_floats(), target)?;
    let mut builder = Builder::new(target);
    let dims = spec.dims;
    let length = dims.seq_len;
    let entry_columns = Columns::plain(network.entry_bias.len());
    let hidden_columns = Columns::plain(spec.hidden());
    let row_floats = entry_columns.stride() + hidden_columns.stride();
    let step = Step { flops: network.flops as u64, turns: network.turns, row_floats };
    let chunks = Chunks::new(target, dims, step)?;

    let x = builder.upload("x", spec.input(tensors)?, Columns::plain(dims.d_model));
    let entry = Linear::upload(
        &mut builder,
        &network.entry_weight,
        Some(&network.entry_bias),
        Columns::plain(dims.d_model),
        entry_columns,
    );
    let weights = builder.upload_padded("weights", network.weights.clone(), 4).buffer;
    let program = builder.upload_words("program", network.program.clone());
    let entries = builder.stream("entries", dims.batch * chunks.steps, entry_columns);
    let times = match spec.times(tensors)? {
        Some(times) => builder.upload_padded("timespans", times.to_vec(), 4).buffer,
        None => weights,
    };
    let state = builder.upload_padded("state", network.state(tensors)?, 4).buffer;
    let projection = match spec.fc(tensors)? {
        Some((weight, bias)) => {
            let columns = Columns::plain(bias.len());
            let linear = Linear::upload(&mut builder, weight, Some(bias), hidden_columns, columns);
            Some((linear, builder.stream("y", dims.batch * length, columns)))
        }
        None => None,
    };
    // Without a projection, the states are the output, and the states of all steps are kept.
    let room = if projection.is_some() { chunks.steps } else { length };
    let hidden = builder.stream("hidden", dims.batch * room, hidden_columns);
    let hidden_slot = network.cell_slots.last().copied().unwrap_or_default();
    let mode = match spec.cells.first().map(|cell| cell.mode) {
        Some(Mode::NoGate) => 1.0,
        Some(Mode::Pure) => 2.0,
        _ => 0.0,
    };
    for Chunk { first_sequence, sequences, first_step, steps } in chunks.iter() {
        let rows = |stream: Stream, first: usize, room: usize| Operand {
            stream: stream.down(first_sequence * room + first),
            outer: room * stream.stride,
            inner: 0,
        };
        let batches = Batches { outer: sequences, inner: 1 };
        let product = entry.gemm(x, steps, entries, 0);
        let (a, y) = (rows(x, first_step, length), rows(entries, 0, chunks.steps));
        Gemm { a, y, batches, ..product }.record(&mut builder);
        let hidden_row = if projection.is_some() { 0 } else { first_step };
        builder.dispatch(
            STEPS,
            &[
                ("MODE", mode),
                ("ACTIVATION", f64::from(spec.activation as u8)),
                ("TIMES", f64::from(u8::from(spec.timespans))),
            ],
            &[
                network.slots,
                network.program.len() / LAYER_WORDS,
                dims.batch,
                first_sequence,
                first_step,
                steps,
                length,
                chunks.steps,
                entries.stride,
                spec.hidden(),
                hidden_slot,
                hidden.stride,
                hidden_row,
                room,
            ]
            .map(word),
            &[weights, program, entries.buffer, times, state, hidden.buffer],
            [sequences, 1, 1],
            (sequences * steps) as u64 * network.flops as u64,
        );
        if let Some((linear, y)) = projection {
            let product = linear.gemm(hidden, steps, y, 0);
            let (a, y) = (rows(hidden, 0, chunks.steps), rows(y, first_step, length));
            Gemm { a, y, batches, ..product }.record(&mut builder);
        }
    }
    let (result, columns) =
        projection.map_or((hidden, hidden_columns), |(_, y)| (y, Columns::plain(spec.outputs())));
    let output = unpack(&mut builder, result, dims.batch * length, columns);
    builder.finish(output)
}
