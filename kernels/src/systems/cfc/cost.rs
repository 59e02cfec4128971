//! Closed forms. If every step takes one unit of time, the two time heads are one, so three heads are counted.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count};

use super::model::UNIT_FLOPS;
use super::{Activation, CellSpec, Mode, Spec, cpu};
use crate::lstm::{self, Lstm};

/// Number of heads multiplied per step.
fn heads(spec: &Spec, cell: &CellSpec) -> [Count; 2] {
    Count::all(match (cell.mode, spec.timespans) {
        (Mode::Pure, _) => [1, 0],
        (_, true) => [2, 2],
        (_, false) => [2, 1],
    })
}

/// Cost with the synapses of each cell's mask.
pub(super) fn cost(spec: &Spec, synapses: &[usize]) -> Cost {
    let (sizes, units, rows) = (spec.dims.sizes(), Count::from(spec.units), spec.dims.sizes().rows());
    let [mut step, mut params, mut setup, mut functions] = [Count::ZERO; 4];
    for (cell, &synapses) in spec.cells.iter().zip(synapses) {
        let [masked, plain] = heads(spec, cell);
        let [cell_units, inputs, features] = Count::all([cell.units, cell.inputs, cell.features()]);
        let [synapses, backbone, unit_flops] = Count::all([synapses, cell.backbone_units, UNIT_FLOPS]);
        let dense = cell_units * features;
        step += 2 * masked * synapses + 2 * plain * dense + unit_flops * cell_units;
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
            step += 2 * backbone * from;
            params += backbone * (from + 1);
        }
    }
    let [hidden, outputs] = Count::all([spec.hidden(), spec.outputs()]);
    if spec.projection.is_some() {
        step += 2 * outputs * hidden;
        params += outputs * (hidden + 1);
    }
    let mut lstm = Count::ZERO;
    if spec.mixed_memory {
        step += lstm::flops(spec.dims.d_model, spec.units);
        params += lstm::param_floats(spec.dims.d_model, spec.units);
        functions += lstm::transcendentals(spec.units);
        lstm = Lstm::floats(spec.dims.d_model, spec.units);
    }
    let held = cpu::floats(spec) + lstm + rows * outputs;
    let vectors = Count::new(if spec.mixed_memory { 2 } else { 1 });
    Cost {
        flops: (rows * step).get(),
        executed_flops: (rows * step).get(),
        transcendentals: (rows * functions).get(),
        bytes: (4 * (rows * (sizes.d_model + outputs) + params)).get(),
        peak_bytes: (4 * (rows * sizes.d_model + params + held)).get(),
        decode_state_bytes: (4 * vectors * sizes.batch * units).get(),
        setup_flops: setup.get(),
        ..Cost::default()
    }
}
