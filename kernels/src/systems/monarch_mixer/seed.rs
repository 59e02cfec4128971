//! New cases for races: linear layers initialised as in PyTorch, filters as in the reference.

use mixer::{Case, Count, Level, MixerError, Params, Problem, Tensors, zeros};

use super::filter::{self, Direction};
use super::{MlpSpec, SequenceSpec, Spec, TAPS, race_config};
use crate::generate::Generator;
use crate::ops::block_diagonal::BlockShape;

pub(super) fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let config = race_config(problem, params)?;
    let generator = Generator::new(problem.seed);
    let mut tensors = Tensors::new();
    let mut case = Case { level: problem.level, config, tensors: Tensors::new() };
    match Spec::read(&case)? {
        Spec::Mlp(spec) => {
            generator.unit(&mut tensors, "x", &spec.dims.shape(problem.d_model))?;
            mlp(&spec, "param", &generator, &mut tensors)?;
        }
        Spec::Sequence(spec) if problem.level == Level::Layer => {
            layer(&spec, &generator, &mut tensors)?;
            if let Some(spec) = spec.mlp {
                mlp(&spec, "param.mlp", &generator, &mut tensors)?;
            }
        }
        _ => core(problem, params, &generator, &mut tensors)?,
    }
    case.tensors = tensors;
    Ok(case)
}

/// Projected streams, and the filter values of a new layer.
fn core(
    problem: &Problem,
    params: &Params,
    generator: &Generator,
    tensors: &mut Tensors,
) -> Result<(), MixerError> {
    let layer = Spec::race(&Problem { level: Level::Layer, ..*problem }, params)?;
    let Spec::Sequence(spec) = layer else { return Ok(()) };
    let Some(filter_spec) = spec.layer.map(|layer| layer.filter) else { return Ok(()) };
    let width = problem.d_model;
    generator.unit(tensors, "x", &spec.dims.shape(3 * width))?;
    if spec.residual {
        generator.unit(tensors, "u", &spec.dims.shape(width))?;
    }
    let mut weights = Tensors::new();
    for (set, suffix) in spec.filter_sets().iter().zip(["", "2"]) {
        filter::seed(&filter_spec, set, spec.bidirectional, generator, &mut weights)?;
        let filters = filter::Filters::new(&filter_spec, &weights, set, spec.bidirectional)?;
        for (direction, name) in [(Direction::Forward, ""), (Direction::Reverse, "_rev")] {
            if direction == Direction::Reverse && !spec.bidirectional {
                continue;
            }
            let mut k: Vec<f32> = zeros(Count::from(width) * Count::from(problem.seq_len))?;
            filters.for_each(direction, 0..problem.seq_len, |n, channel, value| {
                k[channel * problem.seq_len + n] = value as f32;
            });
            tensors.insert(format!("k{suffix}{name}"), &[width, problem.seq_len], k);
        }
        tensors.insert(format!("bias{suffix}"), &[width], filters.skip.to_vec());
    }
    Ok(())
}

fn layer(spec: &SequenceSpec, generator: &Generator, tensors: &mut Tensors) -> Result<(), MixerError> {
    let width = spec.dims.d_model;
    generator.unit(tensors, "x", &spec.dims.shape(width))?;
    let bound = 1.0 / (width as f32).sqrt();
    for (name, outputs) in [("in_linear", 3 * width), ("out_linear", width)] {
        generator.uniform(tensors, &format!("param.{name}.weight"), &[outputs, width], bound)?;
        generator.uniform(tensors, &format!("param.{name}.bias"), &[outputs], bound)?;
    }
    let bound = 1.0 / (TAPS as f32).sqrt();
    generator.uniform(tensors, "param.short_filter.weight", &[3 * width, 1, TAPS], bound)?;
    generator.uniform(tensors, "param.short_filter.bias", &[3 * width], bound)?;
    if let Some(layer) = spec.layer {
        for set in spec.filter_sets() {
            filter::seed(&layer.filter, set, spec.bidirectional, generator, tensors)?;
        }
    }
    Ok(())
}

fn mlp(spec: &MlpSpec, prefix: &str, generator: &Generator, tensors: &mut Tensors) -> Result<(), MixerError> {
    let width = spec.dims.d_model;
    let matrix = |tensors: &mut Tensors, name: &str, shape: BlockShape| -> Result<f32, MixerError> {
        let bound = 1.0 / (shape.block_inputs() as f32).sqrt();
        let sizes = [shape.blocks, shape.block_outputs(), shape.block_inputs()];
        generator.uniform(tensors, &format!("{prefix}.{name}.weight"), &sizes, bound)?;
        Ok(bound)
    };
    matrix(tensors, "gated_layers", spec.up())?;
    let bound = matrix(tensors, "wo", spec.down())?;
    generator.uniform(tensors, &format!("{prefix}.wo.bias"), &[width], bound)?;
    tensors.insert(format!("{prefix}.layernorm.weight"), &[width], vec![1.0; width]);
    tensors.insert(format!("{prefix}.layernorm.bias"), &[width], vec![0.0; width]);
    Ok(())
}
