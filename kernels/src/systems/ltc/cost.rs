//! Closed forms. A synapse counts twelve operations per solver step, five of them for its logistic function.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Sizes};

use super::model::{SETUP_FLOPS, SYNAPSE_FLOPS, UNIT_FLOPS};
use super::{Mapping, Spec, cpu};
use crate::lstm::{self, Lstm};

/// Numbers of the synapses of a wiring.
#[derive(Clone, Copy)]
pub(super) struct Synapses {
    pub recurrent: usize,
    pub sensory: usize,
}

/// Operations of one token.
pub(super) fn step_flops(spec: &Spec, synapses: Synapses) -> Count {
    let mapped =
        |mapping: Mapping, n: usize| if mapping == Mapping::None { Count::ZERO } else { 2 * Count::from(n) };
    let [recurrent, sensory, unfolds, units] =
        Count::all([synapses.recurrent, synapses.sensory, spec.unfolds, spec.units]);
    let [synapse_flops, unit_flops] = Count::all([SYNAPSE_FLOPS, UNIT_FLOPS]);
    synapse_flops * (unfolds * recurrent + sensory)
        + unit_flops * unfolds * units
        + mapped(spec.input_mapping, spec.dims.d_model)
        + mapped(spec.output_mapping, spec.outputs)
        + if spec.mixed_memory { lstm::flops(spec.dims.d_model, spec.units) } else { Count::ZERO }
}

/// Functions of one token: a logistic function per synapse and a division per unit in each solver step.
fn step_functions(spec: &Spec, synapses: Synapses) -> Count {
    let [recurrent, sensory, unfolds, units] =
        Count::all([synapses.recurrent, synapses.sensory, spec.unfolds, spec.units]);
    let memory = if spec.mixed_memory { lstm::transcendentals(spec.units) } else { Count::ZERO };
    2 * (unfolds * recurrent + sensory) + unfolds * units + memory
}

/// Floats of the case without its inputs.
fn params(spec: &Spec) -> Count {
    let [inputs, units, outputs] = Count::all([spec.dims.d_model, spec.units, spec.outputs]);
    let mappings = if spec.input_mapping == Mapping::None { Count::ZERO } else { 2 * (inputs + outputs) };
    let lstm =
        if spec.mixed_memory { lstm::param_floats(spec.dims.d_model, spec.units) } else { Count::ZERO };
    5 * units * (units + inputs) + 3 * units + mappings + lstm
}

/// Floats of the network on one thread. An upper bound for sparse wirings: the kernel omits groups without a synapse.
fn network(spec: &Spec, synapses: Synapses) -> Count {
    let (inputs, units) = (spec.dims.d_model, spec.units);
    let lstm = if spec.mixed_memory { Lstm::floats(inputs, units) } else { Count::ZERO };
    cpu::buffer_floats(spec)
        + cpu::synapse_floats(units, units, synapses.recurrent)
        + cpu::synapse_floats(inputs, units, synapses.sensory)
        + lstm
}

/// Operations of the set-up.
fn setup_flops(synapses: Synapses) -> Count {
    let [setup_flops, recurrent, sensory] = Count::all([SETUP_FLOPS, synapses.recurrent, synapses.sensory]);
    setup_flops * (recurrent + sensory)
}

/// Cost of the forward pass with the synapses of the wiring.
pub(super) fn cost(spec: &Spec, synapses: Synapses) -> Cost {
    let (width, rows) = (spec.dims.sizes().d_model, spec.dims.sizes().rows());
    let (outputs, state) = (Count::from(spec.outputs), cpu::state_floats(spec));
    let held = network(spec, synapses) + 2 * state + rows * outputs;
    let flops = rows * step_flops(spec, synapses);
    Cost {
        flops: flops.get(),
        executed_flops: flops.get(),
        transcendentals: (rows * step_functions(spec, synapses)).get(),
        bytes: (4 * (rows * (width + outputs) + params(spec))).get(),
        peak_bytes: (4 * (rows * width + params(spec) + held)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: setup_flops(synapses).get(),
        ..Cost::default()
    }
}

/// Cost of a step of decoding, where `spec` has the capacity's length.
pub(super) fn decode(spec: &Spec, synapses: Synapses) -> Cost {
    let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
    let (outputs, state) = (Count::from(spec.outputs), cpu::state_floats(spec));
    let case = spec.dims.sizes().rows() * width + params(spec);
    let flops = batch * step_flops(spec, synapses);
    Cost {
        flops: flops.get(),
        executed_flops: flops.get(),
        transcendentals: (batch * step_functions(spec, synapses)).get(),
        bytes: (4 * (batch * (width + outputs) + params(spec) + 2 * state)).get(),
        // The state, its initial value and the copy of the mark.
        peak_bytes: (4 * (case + network(spec, synapses) + 3 * state)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: setup_flops(synapses).get(),
        ..Cost::default()
    }
}
