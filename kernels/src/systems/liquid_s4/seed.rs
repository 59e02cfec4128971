//! New cases for races: S4D-Lin, and the liquid parameters as in the authors' code.

use mixer::{Case, Level, MixerError, Params, Problem, Tensor, Tensors};

use super::spec::{Spec, race_config};
use crate::generate::Generator;

/// A = −½ + iπn, B = 1, C of variance 1, log Δ uniform in [ln 0.001, ln 0.1], e of variance 1. The liquid B, step and A
/// equal the trained ones; the liquid C is the conjugate.
pub(super) fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let config = race_config(problem, params)?;
    let generator = Generator::new(problem.seed);
    let mut case = Case { level: problem.level, config, tensors: Tensors::new() };
    let spec = Spec::read(&case)?;
    let tensors = &mut case.tensors;
    let (width, modes, directions) = (problem.d_model, spec.modes, spec.directions());
    generator.unit(tensors, "x", &spec.dims.shape(width))?;
    let (low, high) = (0.001_f32.ln(), 0.1_f32.ln());
    generator.uniform(tensors, "param.log_dt", &[width], (high - low) / 2.0)?;
    let steps: Vec<f32> =
        floats(tensors, "param.log_dt").iter().map(|v| v + f32::midpoint(high, low)).collect();
    tensors.insert("param.log_dt", &[width], steps.clone());
    let real = 0.5_f32.ln();
    let frequency = |m: usize| (std::f64::consts::PI * m as f64) as f32;
    tensors.insert("param.inv_A_real", &[width, modes], vec![real; width * modes]);
    tensors.insert(
        "param.A_imag",
        &[width, modes],
        (0..width * modes).map(|i| frequency(i % modes)).collect(),
    );
    let b: Vec<f32> = (0..width * modes * 2).map(|i| if i % 2 == 0 { 1.0 } else { 0.0 }).collect();
    tensors.insert("param.B", &[width, modes, 2], b.clone());
    let shape = [directions, width, modes, 2];
    generator.uniform(tensors, "param.C", &shape, 1.5_f32.sqrt())?;
    generator.unit(tensors, "param.D", &[1, width])?;
    if spec.degree > 1 {
        let conjugate = floats(tensors, "param.C")
            .iter()
            .enumerate()
            .map(|(i, value)| if i % 2 == 0 { *value } else { -value })
            .collect();
        tensors.insert("param.liquid_C", &shape, conjugate);
        tensors.insert("param.liquid_B", &[width, modes, 2], b);
        let poles = (0..width * modes).flat_map(|i| [-real.exp(), frequency(i % modes)]).collect();
        tensors.insert("param.liquid_w", &[width, modes, 2], poles);
        tensors.insert("param.liquid_log_dt", &[width], steps);
    }
    if problem.level == Level::Layer {
        let bound = 1.0 / (width as f32).sqrt();
        generator.uniform(tensors, "param.output_linear.weight", &[2 * width, width], bound)?;
        generator.uniform(tensors, "param.output_linear.bias", &[2 * width], bound)?;
    }
    Ok(case)
}

fn floats(tensors: &Tensors, name: &str) -> Vec<f32> {
    match tensors.get(name) {
        Some(Tensor::F32 { data, .. }) => data.clone(),
        _ => Vec::new(),
    }
}
