//! The case of a race: configuration, wiring and seeded weights.

use mixer::{Case, Level, MixerError, Params, Problem, Tensors, Value};

use super::{INFO, Mode, Spec};
use crate::generate::Generator;
use crate::lstm;
use crate::ncp::Wiring;

/// A problem with its wiring if that is sparse.
pub(super) struct Race {
    problem: Problem,
    config: Params,
    pub(super) spec: Spec,
    /// One mask for each cell of a wired network.
    masks: Vec<Vec<f32>>,
}

impl Race {
    pub(super) fn new(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let resolved = INFO.resolve(params)?;
        let width = problem.d_model;
        let sparse = resolved.choice_or("wiring", &["full", "ncp"])? == "ncp";
        let mut units = resolved.count("units", 0, 4096)?;
        if units == 0 {
            units = if sparse { 2 * width + 2 } else { width };
        }
        let mut config = problem.to_params();
        for name in ["mode", "backbone_units", "backbone_layers", "activation", "mixed_memory"] {
            if let Some(value) = resolved.get(name) {
                config.set(name, value.clone());
            }
        }
        config.set("causal", true);
        config.set("input_size", width);
        config.set("units", units);
        config.set("timespans", false);
        let (mut sizes, mut masks) = (Vec::new(), Vec::new());
        if sparse {
            let sparsity = resolved.number_or("sparsity_level", 0.5, 0.0, 1.0)?;
            let wiring =
                Wiring::auto(units, width, width, sparsity, problem.seed ^ 0x5eed_cfc0).map_err(|_| {
                    MixerError::invalid("params.units", format!("0, or at least {}", width + 3), units)
                })?;
            masks = layer_masks(&wiring, width);
            sizes = vec![wiring.inter, wiring.command, wiring.motor];
        }
        config.set("layer_sizes", Value::List(sizes.into_iter().map(Value::from).collect()));
        // The outputs of a wired network are its motor neurons; at core level there is no projection.
        let projected = problem.level == Level::Layer && !sparse;
        config.set("proj_size", if projected { Value::from(width) } else { Value::Null });
        let probe = Case { level: problem.level, config: config.clone(), tensors: Tensors::new() };
        Ok(Self { problem: *problem, spec: Spec::read(&probe)?, config, masks })
    }

    /// Number of synapses of ff1 in each cell's mask.
    pub(super) fn synapses(&self) -> Vec<usize> {
        if self.masks.is_empty() {
            return self.spec.cells.iter().map(|cell| cell.units * cell.features()).collect();
        }
        self.masks.iter().map(|mask| mask.iter().filter(|&&entry| entry != 0.0).count()).collect()
    }

    /// Weights as initialised in the package: matrices by Xavier, biases by PyTorch's default.
    pub(super) fn case(self) -> Result<Case, MixerError> {
        let generator = Generator::new(self.problem.seed);
        let mut tensors = Tensors::new();
        generator.unit(
            &mut tensors,
            "x",
            &[self.problem.batch, self.problem.seq_len, self.problem.d_model],
        )?;
        let mut dense = |name: String, outputs: usize, inputs: usize| {
            let xavier = (6.0 / (inputs + outputs) as f32).sqrt();
            generator.uniform(&mut tensors, &format!("{name}.weight"), &[outputs, inputs], xavier)?;
            let bound = 1.0 / (inputs as f32).sqrt();
            generator.uniform(&mut tensors, &format!("{name}.bias"), &[outputs], bound)
        };
        for cell in &self.spec.cells {
            let heads: &[&str] =
                if cell.mode == Mode::Pure { &["ff1"] } else { &["ff1", "ff2", "time_a", "time_b"] };
            for head in heads {
                dense(format!("{}{head}", cell.prefix), cell.units, cell.features())?;
            }
            for layer in 0..cell.backbone_layers {
                let inputs = if layer == 0 { cell.inputs + cell.units } else { cell.backbone_units };
                dense(format!("{}backbone.{layer}", cell.prefix), cell.backbone_units, inputs)?;
            }
        }
        if let Some(outputs) = self.spec.projection {
            dense("param.fc".to_owned(), outputs, self.spec.hidden())?;
        }
        for (cell, mask) in self.spec.cells.iter().zip(self.masks) {
            let shape = [cell.units, cell.inputs + cell.units];
            tensors.insert(format!("{}sparsity_mask", cell.prefix), &shape, mask);
        }
        for cell in self.spec.cells.iter().filter(|cell| cell.mode == Mode::Pure) {
            let xavier = (6.0 / (1 + cell.units) as f32).sqrt();
            for name in ["w_tau", "A"] {
                generator.uniform(
                    &mut tensors,
                    &format!("{}{name}", cell.prefix),
                    &[1, cell.units],
                    xavier,
                )?;
            }
        }
        if self.spec.mixed_memory {
            lstm::seed(&generator, &mut tensors, self.problem.d_model, self.spec.units)?;
        }
        Ok(Case { level: self.problem.level, config: self.config, tensors })
    }
}

/// Masks of the inter, command and motor cells, `[units of the layer, inputs + units of the layer]`: the wiring's
/// synapses from the previous layer, and all synapses within the layer.
fn layer_masks(wiring: &Wiring, inputs: usize) -> Vec<Vec<f32>> {
    let units = wiring.motor + wiring.command + wiring.inter;
    let motor = 0..wiring.motor;
    let command = wiring.motor..wiring.motor + wiring.command;
    let inter = wiring.motor + wiring.command..units;
    let layer = |from: std::ops::Range<usize>, to: std::ops::Range<usize>, synapses: &[i8]| {
        let mut mask = Vec::with_capacity(to.len() * (from.len() + to.len()));
        for target in to.clone() {
            mask.extend(from.clone().map(|source| f32::from(synapses[source * units + target].abs())));
            mask.extend(std::iter::repeat_n(1.0, to.len()));
        }
        mask
    };
    vec![
        layer(0..inputs, inter.clone(), &wiring.sensory),
        layer(inter, command.clone(), &wiring.recurrent),
        layer(command, motor, &wiring.recurrent),
    ]
}
