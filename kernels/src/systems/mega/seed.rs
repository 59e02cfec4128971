//! New cases for races, initialised as in the authors' package.

use mixer::{Case, MixerError, Params, Problem, Tensor, Tensors};

use super::spec::{AttentionSpec, BiasKind, EmaSpec, NormKind, Spec, race_config};
use crate::generate::Generator;

/// Uniform bound of standard deviation 0.02.
const SMALL: f32 = 0.02 * 1.732_050_8;

pub(super) fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let config = race_config(problem, params)?;
    let generator = Generator::new(problem.seed);
    let mut case = Case { level: problem.level, config, tensors: Tensors::new() };
    let spec = Spec::read(&case)?;
    let tensors = &mut case.tensors;
    match spec {
        Spec::Ema(spec) => {
            generator.unit(tensors, "x", &spec.dims.shape(spec.dims.d_model))?;
            ema(&spec, &generator, tensors)?;
        }
        Spec::Attention(spec) => {
            for (name, width) in [("q", spec.z), ("k", spec.z), ("v", spec.h)] {
                generator.unit(tensors, name, &[spec.batch, spec.seq_len, width])?;
            }
            bias(&spec, &generator, tensors)?;
        }
        Spec::Layer(spec) => {
            let (width, z, h) = (spec.width(), spec.attention.z, spec.attention.h);
            generator.unit(tensors, "x", &spec.ema.dims.shape(width))?;
            for (name, outputs, inputs) in
                [("v_proj", h, width), ("mx_proj", spec.joint(), width), ("h_proj", width, h)]
            {
                generator.uniform(tensors, &format!("param.{name}.weight"), &[outputs, inputs], SMALL)?;
                tensors.insert(format!("param.{name}.bias"), &[outputs], vec![0.0; outputs]);
            }
            generator.uniform(tensors, "param.qk_weight", &[2, z], SMALL)?;
            tensors.insert("param.qk_bias", &[2, z], vec![0.0; 2 * z]);
            match spec.norm {
                NormKind::Scale => tensors.insert("param.norm.norm.scalar", &[1], vec![1.0]),
                NormKind::Layer => {
                    tensors.insert("param.norm.norm.weight", &[width], vec![1.0; width]);
                    tensors.insert("param.norm.norm.bias", &[width], vec![0.0; width]);
                }
            }
            ema(&spec.ema, &generator, tensors)?;
            bias(&spec.attention, &generator, tensors)?;
        }
    }
    Ok(case)
}

fn bias(spec: &AttentionSpec, generator: &Generator, tensors: &mut Tensors) -> Result<(), MixerError> {
    match spec.bias {
        BiasKind::Simple(positions) => {
            generator.uniform(tensors, "param.rel_pos_bias.rel_pos_bias", &[2 * positions - 1], SMALL)?;
        }
        BiasKind::Rotary => {
            for name in ["alpha", "b_param"] {
                generator.uniform(tensors, &format!("param.rel_pos_bias.{name}"), &[1, spec.z], SMALL)?;
            }
        }
    }
    Ok(())
}

/// Damping and decay of deviation 0.2; expansion alternating ±1 plus a small deviation; projection and ω of deviation
/// 1.
fn ema(spec: &EmaSpec, generator: &Generator, tensors: &mut Tensors) -> Result<(), MixerError> {
    let channels = spec.directions() * spec.dims.d_model;
    for name in ["damping_factor", "decay_factor"] {
        generator.uniform(
            tensors,
            &format!("param.ema_gate.{name}"),
            &[channels, spec.n, 1],
            10.0 * SMALL,
        )?;
    }
    let name = "param.ema_gate.ema_expansion_matrix";
    generator.uniform(tensors, name, &[channels, spec.n, 1], SMALL)?;
    if let Some(Tensor::F32 { data, .. }) = tensors.get(name) {
        let alternating = data
            .iter()
            .enumerate()
            .map(|(index, value)| value + if (index % spec.n).is_multiple_of(2) { 1.0 } else { -1.0 });
        let alternating = alternating.collect();
        tensors.insert(name, &[channels, spec.n, 1], alternating);
    }
    generator.unit(tensors, "param.ema_gate.kernel_projection_matrix", &[channels, spec.n])?;
    generator.unit(tensors, "param.ema_gate.residual_weight", &[spec.dims.d_model])
}
