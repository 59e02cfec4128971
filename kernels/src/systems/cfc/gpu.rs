//! The GPU plan: for each chunk of steps one product for the inputs' part of the first layer, then the steps, then the
//! projection. Steps have the names and the order of those in `cpu.rs`.

mod network;

use mixer::{Access, BufferId, Case, GpuTarget, MixerError, Plan, Shader};

use self::network::{LAYER_WORDS, Network};
use super::{Mode, Spec};
use crate::dims::Dims;
use crate::ops::gpu::{Builder, Columns, Linear, Stream, word};
use crate::recurrence::{Chunk, Chunks, Rows, Step, check_memory};
use crate::recurrent_plan::{self, DeviceNetwork, Inputs, Start};

const STEPS: Shader = Shader {
    label: "steps",
    source: wgsl!("recurrence.wgsl", "ops/gpu/erf.wgsl", "systems/cfc/steps.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
};

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let network = Device::upload(&mut builder, &spec, case)?;
    let x = builder.upload("x", spec.input(&case.tensors)?, Columns::plain(spec.dims.d_model));
    let times = spec.times(&case.tensors)?;
    let times = times.map(|times| builder.upload("timespans", times, Columns::plain(1)));
    recurrent_plan::forward(builder, &network, spec.dims, Inputs { x, times })
}

/// The network on the device.
pub(super) struct Device {
    dims: Dims,
    /// Floats of a state vector, and vectors of a sequence's state.
    slots: usize,
    vectors: usize,
    /// Columns of the last cell, and their place in a state vector.
    hidden: Columns,
    hidden_slot: usize,
    /// Layers of the program.
    layers: usize,
    step: Step,
    entry: Linear,
    entries: Columns,
    weights: BufferId,
    initial_at: usize,
    program: BufferId,
    projection: Option<(Linear, Columns)>,
    constants: [(&'static str, f64); 3],
}

impl Device {
    pub(super) fn upload(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Self, MixerError> {
        let network = Network::new(spec, &case.tensors)?;
        check_memory(network.memory_floats(), builder.target())?;
        let (dims, inputs) = (spec.dims, Columns::plain(spec.dims.d_model));
        let [entries, hidden] = [network.entry_bias.len(), spec.hidden()].map(Columns::plain);
        let (slots, vectors) = (network.slots, network.vectors());
        let entry =
            Linear::upload(builder, &network.entry_weight, Some(&network.entry_bias), inputs, entries);
        let projection = spec.fc(&case.tensors)?.map(|(weight, bias)| {
            let columns = Columns::plain(bias.len());
            (Linear::upload(builder, weight, Some(bias), hidden, columns), columns)
        });
        let mode = match spec.cells.first().map(|cell| cell.mode) {
            Some(Mode::NoGate) => 1.0,
            Some(Mode::Pure) => 2.0,
            _ => 0.0,
        };
        Ok(Self {
            dims,
            slots,
            vectors,
            hidden,
            hidden_slot: network.cell_slots.last().copied().unwrap_or_default(),
            layers: network.program.len() / LAYER_WORDS,
            step: Step {
                flops: network.flops as u64,
                turns: network.turns,
                row_floats: entries.stride() + hidden.stride(),
            },
            entry,
            entries,
            weights: builder.upload_padded("weights", network.weights, 4).buffer,
            initial_at: network.initial_at,
            program: builder.upload_words("program", network.program),
            projection,
            constants: [
                ("MODE", mode),
                ("ACTIVATION", f64::from(spec.activation as u8)),
                ("TIMES", f64::from(u8::from(spec.timespans))),
            ],
        })
    }
}

/// Steps of every sequence.
pub(super) struct Steps {
    length: usize,
    chunks: Chunks,
    inputs: Inputs,
    entries: Stream,
    hidden: Stream,
    /// Rows of a sequence in `hidden`.
    room: usize,
    y: Option<Stream>,
}

impl DeviceNetwork for Device {
    type Steps = Steps;

    fn columns(&self) -> Columns {
        self.projection.map_or(self.hidden, |(_, columns)| columns)
    }

    fn state_floats(&self) -> usize {
        self.dims.batch * self.vectors * self.slots
    }

    fn steps(&self, builder: &mut Builder, inputs: Inputs, length: usize) -> Result<Steps, MixerError> {
        let batch = self.dims.batch;
        let dims = Dims { seq_len: length, ..self.dims };
        let chunks = Chunks::new(builder.target(), dims, self.step)?;
        let entries = builder.stream("entries", batch * chunks.steps, self.entries);
        let y = self.projection.map(|(_, columns)| builder.stream("y", batch * length, columns));
        // Without a projection, the states are the output, and the states of all steps are kept.
        let room = if y.is_some() { chunks.steps } else { length };
        let hidden = builder.stream("hidden", batch * room, self.hidden);
        Ok(Steps { length, chunks, inputs, entries, hidden, room, y })
    }

    fn record(
        &self,
        builder: &mut Builder,
        steps: &Steps,
        state: BufferId,
        start: Start,
        answers: bool,
    ) -> Stream {
        let Steps { length, chunks, inputs, entries, hidden, room, y } = *steps;
        let times = inputs.times;
        for chunk in chunks.iter() {
            let Chunk { first_sequence, sequences, first_step, steps } = chunk;
            let entered = Rows { stream: entries, room: chunks.steps, first: 0 };
            chunk.linear(
                builder,
                &self.entry,
                Rows { stream: inputs.x, room: length, first: first_step },
                entered,
            );
            let starts = start == Start::Initial && first_step == 0;
            let uniforms = [
                self.slots,
                self.vectors,
                self.layers,
                first_sequence,
                first_step,
                steps,
                length,
                chunks.steps,
                entries.stride,
                times.map_or(0, |times| times.stride),
                self.hidden.len(),
                self.hidden_slot,
                hidden.stride,
                if y.is_some() { 0 } else { first_step },
                room,
                usize::from(starts),
                self.initial_at,
            ];
            builder.dispatch(
                STEPS,
                &self.constants,
                &uniforms.map(word),
                &[
                    self.weights,
                    self.program,
                    entries.buffer,
                    times.map_or(self.weights, |times| times.buffer),
                    state,
                    hidden.buffer,
                ],
                [sequences, 1, 1],
                (sequences * steps) as u64 * self.step.flops,
            );
            if let (Some((linear, _)), Some(y), true) = (&self.projection, y, answers) {
                let hidden = Rows { stream: hidden, room, first: 0 };
                chunk.linear(builder, linear, hidden, Rows { stream: y, room: length, first: first_step });
            }
        }
        y.unwrap_or(hidden)
    }
}
