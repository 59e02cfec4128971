//! Closed forms. Where every step takes one unit of time the two time heads are one, so three heads are counted.

use mixer::Cost;

use super::reference::UNIT_FLOPS;
use super::{CellSpec, Mode, Spec, cpu};
use crate::lstm::{self, Lstm};

/// Heads that a step multiplies by.
fn heads(spec: &Spec, cell: &CellSpec) -> (usize, usize) {
    match (cell.mode, spec.timespans) {
        (Mode::Pure, _) => (1, 0),
        (_, true) => (2, 2),
        (_, false) => (2, 1),
    }
}

/// Cost, with the synapses that each cell's mask leaves.
pub(super) fn cost(spec: &Spec, synapses: &[usize]) -> Cost {
    let (inputs, units, rows) = (spec.dims.d_model, spec.units, spec.dims.batch * spec.dims.seq_len);
    let (mut step, mut params, mut setup) = (0, 0, 0);
    for (cell, &synapses) in spec.cells.iter().zip(synapses) {
        let (masked, plain) = heads(spec, cell);
        let dense = cell.units * cell.features();
        step += 2 * masked * synapses + 2 * plain * dense + UNIT_FLOPS * cell.units;
        params += (dense + cell.units) * if cell.mode == Mode::Pure { 1 } else { 4 };
        params += if cell.mode == Mode::Pure { 2 * cell.units } else { 0 };
        params += if cell.masked { dense } else { 0 };
        setup += if plain == 1 { dense } else { 0 };
        for layer in 0..cell.backbone_layers {
            let from = if layer == 0 { cell.inputs + cell.units } else { cell.backbone_units };
            step += 2 * cell.backbone_units * from;
            params += cell.backbone_units * (from + 1);
        }
    }
    if let Some(outputs) = spec.projection {
        step += 2 * outputs * spec.hidden();
        params += outputs * (spec.hidden() + 1);
    }
    if spec.mixed_memory {
        step += lstm::flops(inputs, units);
        params += lstm::param_floats(inputs, units);
    }
    let lstm = if spec.mixed_memory { Lstm::floats(inputs, units) } else { 0 };
    let held = cpu::floats(spec) + lstm + rows * spec.outputs();
    Cost {
        flops: rows as u64 * step as u64,
        bytes: 4 * (rows * (inputs + spec.outputs()) + params) as u64,
        peak_bytes: 4 * (rows * inputs + params + held) as u64,
        decode_state_bytes: 4 * (spec.dims.batch * units * if spec.mixed_memory { 2 } else { 1 }) as u64,
        setup_flops: setup as u64,
        ..Cost::default()
    }
}
