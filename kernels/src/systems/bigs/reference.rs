//! BiGS in f64: state-space models as direct convolutions with their kernels, everything else straight from the
//! equations.

use mixer::{Case, Level, MixerError, OpCount};

use super::ssm::Direction;
use super::{Gelu, Linears, Spec};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

/// `[batch, length, width]`, at core level s_f | s_b.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = widen(spec.input(&case.tensors)?);
    let mut kernels = Vec::new();
    for direction in Direction::BOTH {
        let ssm = spec.ssm(&case.tensors, direction)?;
        let mut kernel = ssm.kernel(length, count);
        kernel[0] += ssm.skip;
        kernels.push(kernel);
    }
    if spec.level == Level::Core {
        let mut y = vec![0.0; x.len()];
        for (direction, kernel) in Direction::BOTH.into_iter().zip(&kernels) {
            let offset = if direction == Direction::Forward { 0 } else { width };
            convolve(&spec, direction, kernel, &x, 2 * width, offset, &mut y, count);
        }
        return Ok(y);
    }
    let apply = |which: Linears, x: &[f64], count: &mut OpCount| -> Result<Vec<f64>, MixerError> {
        let (weight, bias) = spec.linear(&case.tensors, which)?;
        Ok(linear(x, weight, Some(bias), which.sizes(&spec).0, count))
    };
    let norm = spec.norm(&case.tensors)?;
    let normalized =
        if spec.pre_norm { exact::layer_norm(&x, norm.0, norm.1, spec.eps, count) } else { x.clone() };
    let mut merged = vec![1.0; x.len()];
    for (direction, kernel) in Direction::BOTH.into_iter().zip(&kernels) {
        let (project, merge) = match direction {
            Direction::Forward => (Linears::Forward, Linears::MergeForward),
            Direction::Backward => (Linears::Backward, Linears::MergeBackward),
        };
        let u = activate(&spec, apply(project, &normalized, count)?, count);
        let mut s = vec![0.0; u.len()];
        convolve(&spec, direction, kernel, &u, width, 0, &mut s, count);
        let m = apply(merge, &s, count)?;
        merged.iter_mut().zip(&m).for_each(|(merged, m)| *merged *= m);
    }
    count.add(merged.len());
    let v = activate(&spec, apply(Linears::Value, &normalized, count)?, count);
    let mut gated = activate(&spec, apply(Linears::Widen, &merged, count)?, count);
    gated.iter_mut().zip(&v).for_each(|(gated, v)| *gated *= v);
    count.add(gated.len());
    let mut y = apply(Linears::Out, &gated, count)?;
    y.iter_mut().zip(&x).for_each(|(y, x)| *y += x);
    count.add(y.len());
    Ok(if spec.pre_norm { y } else { exact::layer_norm(&y, norm.0, norm.1, spec.eps, count) })
}

/// The configured GELU in f64.
pub(super) fn gelu(spec: &Spec, x: f64) -> f64 {
    match spec.gelu {
        Gelu::Erf => exact::gelu(x),
        Gelu::Tanh => exact::gelu_tanh(x),
    }
}

fn activate(spec: &Spec, values: Vec<f64>, count: &mut OpCount) -> Vec<f64> {
    count.add(values.len());
    values.into_iter().map(|value| gelu(spec, value)).collect()
}

/// s[t] = Σ_l K[l] u[t ∓ l] over rows of `stride` channels, `width` of them from `offset` on; the skip is in K[0] but
/// counted apart, as the equation has it.
fn convolve(
    spec: &Spec,
    direction: Direction,
    kernel: &[f64],
    u: &[f64],
    stride: usize,
    offset: usize,
    s: &mut [f64],
    count: &mut OpCount,
) {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    for sequence in 0..spec.dims.batch {
        let at = |t: usize| (sequence * length + t) * stride + offset;
        for t in 0..length {
            let reach = match direction {
                Direction::Forward => t + 1,
                Direction::Backward => length - t,
            };
            for (l, k) in kernel[..reach].iter().enumerate() {
                let from = at(if direction == Direction::Forward { t - l } else { t + l });
                for channel in 0..width {
                    s[at(t) + channel] += k * u[from + channel];
                }
            }
            count.add((2 * reach + 2) * width);
        }
    }
}
