//! Closed forms. A synapse costs twelve operations a solver step, its logistic function taken as five.

use mixer::Cost;

use super::reference::{SYNAPSE_FLOPS, UNIT_FLOPS};
use super::{Mapping, SETUP_FLOPS, Spec, cpu};
use crate::lstm::{self, Lstm};

/// Operations of all sequences.
pub(super) fn flops(spec: &Spec, recurrent: usize, sensory: usize) -> u64 {
    let mapped = |mapping: Mapping, n: usize| if mapping == Mapping::None { 0 } else { 2 * n };
    let step = SYNAPSE_FLOPS * (spec.unfolds * recurrent + sensory)
        + UNIT_FLOPS * spec.unfolds * spec.units
        + mapped(spec.input_mapping, spec.dims.d_model)
        + mapped(spec.output_mapping, spec.outputs)
        + if spec.mixed_memory { lstm::flops(spec.dims.d_model, spec.units) } else { 0 };
    (spec.dims.batch * spec.dims.seq_len) as u64 * step as u64
}

/// Cost, with the wiring's synapse counts.
pub(super) fn cost(spec: &Spec, recurrent: usize, sensory: usize) -> Cost {
    let (inputs, units, rows) = (spec.dims.d_model, spec.units, spec.dims.batch * spec.dims.seq_len);
    let mappings = if spec.input_mapping == Mapping::None { 0 } else { 2 * (inputs + spec.outputs) };
    let mixed = if spec.mixed_memory { lstm::param_floats(inputs, units) } else { 0 };
    let params = 5 * units * (units + inputs) + 3 * units + mappings + mixed;
    let lstm = if spec.mixed_memory { Lstm::floats(inputs, units) } else { 0 };
    // Where a wiring is sparse the kernel may hold less than this: whole groups of absent synapses are left out.
    let held = cpu::state_floats(spec)
        + cpu::synapse_floats(units, units, recurrent)
        + cpu::synapse_floats(inputs, units, sensory)
        + lstm
        + rows * spec.outputs;
    Cost {
        flops: flops(spec, recurrent, sensory),
        bytes: 4 * (rows * (inputs + spec.outputs) + params) as u64,
        peak_bytes: 4 * (rows * inputs + params + held) as u64,
        decode_state_bytes: 4 * (spec.dims.batch * units * if spec.mixed_memory { 2 } else { 1 }) as u64,
        setup_flops: (SETUP_FLOPS * (recurrent + sensory)) as u64,
        ..Cost::default()
    }
}
