//! Closed forms. If every step takes one unit of time, the two time heads are one, so three heads are counted.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Sizes};

use super::model::UNIT_FLOPS;
use super::{Activation, CellSpec, Mode, Spec, cpu};
use crate::lstm;

/// Number of heads multiplied per step.
fn heads(spec: &Spec, cell: &CellSpec) -> [Count; 2] {
    Count::all(match (cell.mode, spec.timespans) {
        (Mode::Pure, _) => [1, 0],
        (_, true) => [2, 2],
        (_, false) => [2, 1],
    })
}

/// Numbers of a step of one sequence, and of the parameters.
struct Step {
    flops: Count,
    /// Floats.
    params: Count,
    setup: Count,
    /// Exponentials and divisions.
    functions: Count,
}

impl Step {
    /// With the synapses of each cell's mask.
    fn new(spec: &Spec, synapses: &[usize]) -> Self {
        let [mut flops, mut params, mut setup, mut functions] = [Count::ZERO; 4];
        for (cell, &synapses) in spec.cells.iter().zip(synapses) {
            let [masked, plain] = heads(spec, cell);
            let [cell_units, inputs, features] = Count::all([cell.units, cell.inputs, cell.features()]);
            let [synapses, backbone, unit_flops] = Count::all([synapses, cell.backbone_units, UNIT_FLOPS]);
            let dense = cell_units * features;
            flops += 2 * masked * synapses + 2 * plain * dense + unit_flops * cell_units;
            params += (dense + cell_units) * if cell.mode == Mode::Pure { 1 } else { 4 };
            params += if cell.mode == Mode::Pure { 2 * cell_units } else { Count::ZERO };
            params += if cell.masked { dense } else { Count::ZERO };
            setup += if plain == Count::new(1) { dense } else { Count::ZERO };
            // Two hyperbolic tangents and a logistic function, or one exponential.
            functions += cell_units * if cell.mode == Mode::Pure { 1 } else { 6 };
            let per_activation = if spec.activation == Activation::Relu { 0 } else { 2 };
            functions += per_activation * backbone * Count::from(cell.backbone_layers);
            for layer in 0..cell.backbone_layers {
                let from = if layer == 0 { inputs + cell_units } else { backbone };
                flops += 2 * backbone * from;
                params += backbone * (from + 1);
            }
        }
        let [hidden, outputs] = Count::all([spec.hidden(), spec.outputs()]);
        if spec.projection.is_some() {
            flops += 2 * outputs * hidden;
            params += outputs * (hidden + 1);
        }
        if spec.mixed_memory {
            flops += lstm::flops(spec.dims.d_model, spec.units);
            params += lstm::param_floats(spec.dims.d_model, spec.units);
            functions += lstm::transcendentals(spec.units);
        }
        Self { flops, params, setup, functions }
    }
}

/// Cost of the forward pass, with the synapses of each cell's mask.
pub(super) fn cost(spec: &Spec, synapses: &[usize]) -> Cost {
    let (width, rows, outputs) = (spec.dims.sizes().d_model, spec.dims.sizes().rows(), spec.outputs());
    let (step, outputs, state) = (Step::new(spec, synapses), Count::from(outputs), cpu::state_floats(spec));
    let held = cpu::network_floats(spec) + 2 * state + rows * outputs;
    Cost {
        flops: (rows * step.flops).get(),
        executed_flops: (rows * step.flops).get(),
        transcendentals: (rows * step.functions).get(),
        bytes: (4 * (rows * (width + outputs) + step.params)).get(),
        peak_bytes: (4 * (rows * width + step.params + held)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: step.setup.get(),
        ..Cost::default()
    }
}

/// Cost of a step of decoding, where `spec` has the capacity's length.
pub(super) fn decode(spec: &Spec, synapses: &[usize]) -> Cost {
    let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
    let (rows, outputs) = (spec.dims.sizes().rows(), Count::from(spec.outputs()));
    let (step, state) = (Step::new(spec, synapses), cpu::state_floats(spec));
    Cost {
        flops: (batch * step.flops).get(),
        executed_flops: (batch * step.flops).get(),
        transcendentals: (batch * step.functions).get(),
        bytes: (4 * (batch * (width + outputs) + step.params + 2 * state)).get(),
        // The state, its initial value and the copy of the mark.
        peak_bytes: (4 * (rows * width + step.params + cpu::network_floats(spec) + 3 * state)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: step.setup.get(),
        ..Cost::default()
    }
}
