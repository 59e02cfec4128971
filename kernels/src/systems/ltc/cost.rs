//! Closed forms. A synapse counts twelve operations per solver step, five of them for its logistic function.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count};

use super::model::{SETUP_FLOPS, SYNAPSE_FLOPS, UNIT_FLOPS};
use super::{Mapping, Spec, cpu};
use crate::lstm::{self, Lstm};

/// Operations of all sequences.
pub(super) fn flops(spec: &Spec, recurrent: usize, sensory: usize) -> Count {
    let mapped =
        |mapping: Mapping, n: usize| if mapping == Mapping::None { Count::ZERO } else { 2 * Count::from(n) };
    let [recurrent, sensory, unfolds, units] = Count::all([recurrent, sensory, spec.unfolds, spec.units]);
    let [synapse_flops, unit_flops] = Count::all([SYNAPSE_FLOPS, UNIT_FLOPS]);
    let step = synapse_flops * (unfolds * recurrent + sensory)
        + unit_flops * unfolds * units
        + mapped(spec.input_mapping, spec.dims.d_model)
        + mapped(spec.output_mapping, spec.outputs)
        + if spec.mixed_memory { lstm::flops(spec.dims.d_model, spec.units) } else { Count::ZERO };
    spec.dims.sizes().rows() * step
}

/// Functions: a logistic function per synapse and a division per unit in each solver step.
fn transcendentals(spec: &Spec, recurrent: usize, sensory: usize) -> Count {
    let [recurrent, sensory, unfolds, units] = Count::all([recurrent, sensory, spec.unfolds, spec.units]);
    let memory = if spec.mixed_memory { lstm::transcendentals(spec.units) } else { Count::ZERO };
    spec.dims.sizes().rows() * (2 * (unfolds * recurrent + sensory) + unfolds * units + memory)
}

/// Cost with the synapse counts of the wiring.
pub(super) fn cost(spec: &Spec, recurrent: usize, sensory: usize) -> Cost {
    let (sizes, rows) = (spec.dims.sizes(), spec.dims.sizes().rows());
    let [units, outputs] = Count::all([spec.units, spec.outputs]);
    let inputs = sizes.d_model;
    let mappings = if spec.input_mapping == Mapping::None { Count::ZERO } else { 2 * (inputs + outputs) };
    let (mixed, lstm) = if spec.mixed_memory {
        let (inputs, units) = (spec.dims.d_model, spec.units);
        (lstm::param_floats(inputs, units), Lstm::floats(inputs, units))
    } else {
        (Count::ZERO, Count::ZERO)
    };
    let params = 5 * units * (units + inputs) + 3 * units + mappings + mixed;
    // An upper bound for sparse wirings: the kernel omits groups without a synapse.
    let held = cpu::state_floats(spec)
        + cpu::synapse_floats(spec.units, spec.units, recurrent)
        + cpu::synapse_floats(spec.dims.d_model, spec.units, sensory)
        + lstm
        + rows * outputs;
    let vectors = Count::new(if spec.mixed_memory { 2 } else { 1 });
    let [setup_flops, recurrent_synapses, sensory_synapses] = Count::all([SETUP_FLOPS, recurrent, sensory]);
    Cost {
        flops: flops(spec, recurrent, sensory).get(),
        executed_flops: flops(spec, recurrent, sensory).get(),
        transcendentals: transcendentals(spec, recurrent, sensory).get(),
        bytes: (4 * (rows * (inputs + outputs) + params)).get(),
        peak_bytes: (4 * (rows * inputs + params + held)).get(),
        decode_state_bytes: (4 * vectors * sizes.batch * units).get(),
        setup_flops: (setup_flops * (recurrent_synapses + sensory_synapses)).get(),
        ..Cost::default()
    }
}
