//! The relative position bias as 2c − 1 numbers, one per distance inside a chunk, computed at set-up.

use mixer::{Count, MixerError, Tensors};

use super::spec::{AttentionSpec, BiasKind};

/// b[c − 1 + (j − i)] for −c < j − i < c.
///
/// # Errors
/// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
pub(super) fn table(spec: &AttentionSpec, tensors: &Tensors) -> Result<Vec<f64>, MixerError> {
    let c = spec.chunk;
    match spec.bias {
        BiasKind::Simple(positions) => {
            let bias = tensors.floats("param.rel_pos_bias.rel_pos_bias", &[2 * positions - 1])?;
            Ok(bias[positions - c..][..2 * c - 1].iter().map(|&value| f64::from(value)).collect())
        }
        BiasKind::Rotary => {
            let alpha = tensors.floats("param.rel_pos_bias.alpha", &[1, spec.z])?;
            let beta = tensors.floats("param.rel_pos_bias.b_param", &[1, spec.z])?;
            let half = spec.z / 2;
            // For each frequency: θ, the coefficient of the cosine and that of the sine.
            let waves: Vec<[f64; 3]> = (0..half)
                .map(|m| {
                    let theta = (-(m as f64) / half as f64 * 10_000_f64.ln()).exp();
                    let [a1, a2, b1, b2] =
                        [alpha[m], alpha[half + m], beta[m], beta[half + m]].map(f64::from);
                    [theta, a1 * b1 + a2 * b2, a2 * b1 - a1 * b2]
                })
                .collect();
            Ok((0..2 * c - 1)
                .map(|index| {
                    let ahead = (c - 1) as f64 - index as f64;
                    waves
                        .iter()
                        .map(|[theta, cos, sin]| {
                            let angle = ahead * theta;
                            cos * angle.cos() - sin * angle.sin()
                        })
                        .sum()
                })
                .collect())
        }
    }
}

/// Operations of the table, without cosines and sines.
pub(super) fn flops(spec: &AttentionSpec) -> Count {
    match spec.bias {
        BiasKind::Simple(_) => Count::ZERO,
        BiasKind::Rotary => 4 * Count::from(spec.z / 2) * (2 * Count::from(spec.chunk) - 1),
    }
}

/// Floats of the bias's parameters.
pub(super) fn param_floats(spec: &AttentionSpec) -> Count {
    match spec.bias {
        BiasKind::Simple(positions) => 2 * Count::from(positions) - 1,
        BiasKind::Rotary => 2 * Count::from(spec.z),
    }
}
