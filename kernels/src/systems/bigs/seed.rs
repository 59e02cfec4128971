//! New cases for races: linear layers initialised as in BERT, state-space models as S4D-Lin.

use mixer::{Case, Level, MixerError, Params, Problem, Tensor, Tensors};

use super::ssm::Direction;
use super::{Linears, Spec, race_config};
use crate::generate::Generator;

/// Standard deviation of new linear weights.
const INITIALIZER_RANGE: f32 = 0.02;

pub(super) fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let config = race_config(problem, params)?;
    let generator = Generator::new(problem.seed);
    let mut case = Case { level: problem.level, config, tensors: Tensors::new() };
    let spec = Spec::read(&case)?;
    let tensors = &mut case.tensors;
    let width = problem.d_model;
    for direction in Direction::BOTH {
        ssm(&spec, direction.prefix(), &generator, tensors)?;
    }
    match problem.level {
        Level::Core => generator.unit(tensors, "x", &spec.dims.shape(2 * width))?,
        Level::Layer => {
            generator.unit(tensors, "x", &spec.dims.shape(width))?;
            tensors.insert("param.LayerNorm.weight", &[width], vec![1.0; width]);
            tensors.insert("param.LayerNorm.bias", &[width], vec![0.0; width]);
            for linear in Linears::ALL {
                let (inputs, outputs) = linear.sizes(&spec);
                let bound = INITIALIZER_RANGE * 3.0_f32.sqrt();
                let name = linear.name();
                generator.uniform(tensors, &format!("param.{name}.weight"), &[outputs, inputs], bound)?;
                tensors.insert(format!("param.{name}.bias"), &[outputs], vec![0.0; outputs]);
            }
        }
    }
    Ok(case)
}

/// A = −½ + iπn, log Δ uniform in [ln 0.01, ln 1], C of variance ½, D_s of variance 1.
fn ssm(spec: &Spec, prefix: &str, generator: &Generator, tensors: &mut Tensors) -> Result<(), MixerError> {
    let modes = spec.modes;
    tensors.insert(format!("param.{prefix}.A_re"), &[modes], vec![-0.5; modes]);
    let frequencies = (0..modes).map(|n| (std::f64::consts::PI * n as f64) as f32).collect();
    tensors.insert(format!("param.{prefix}.A_im"), &[modes], frequencies);
    generator.uniform(tensors, &format!("param.{prefix}.C"), &[modes, 2], 1.5_f32.sqrt())?;
    generator.unit(tensors, &format!("param.{prefix}.D"), &[1])?;
    let name = format!("param.{prefix}.log_step");
    let half = 0.01_f32.ln() / 2.0;
    generator.uniform(tensors, &name, &[1], half.abs())?;
    if let Some(Tensor::F32 { data, .. }) = tensors.get(&name) {
        let shifted = data.iter().map(|value| value + half).collect();
        tensors.insert(name, &[1], shifted);
    }
    Ok(())
}
