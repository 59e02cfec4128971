//! Functions of the references in f64, accurate to rounding.

use mixer::OpCount;

/// erf(x) by its series erf(x) = 2/√π · e^(−x²) Σ 2ᵏ x^(2k+1) / (1·3·…·(2k+1)), whose terms never cancel.
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-18 * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// ½x(1 + erf(x/√2)).
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
pub fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh())
}

/// 1 / (1 + e^−x).
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// x·σ(x).
pub fn silu(x: f64) -> f64 {
    x * sigmoid(x)
}

/// a·b.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// exp(s) / Σ exp(s), shifted by the largest score.
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

/// Layer normalisation of rows as wide as `weight`, biased variance: counted as eight operations for each element.
pub fn layer_norm(x: &[f64], weight: &[f32], bias: &[f32], eps: f64, count: &mut OpCount) -> Vec<f64> {
    count.add(8 * x.len());
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (variance + eps).sqrt();
        y.extend(
            row.iter()
                .zip(weight.iter().zip(bias))
                .map(|(x, (weight, bias))| (x - mean) * scale * f64::from(*weight) + f64::from(*bias)),
        );
    }
    y
}

/// Rows that [`linear_rows`] multiplies together.
pub const ROWS: usize = 18;

/// x Wᵀ + b for at most [`ROWS`] rows, summed for all of them at once: several times as fast as row by row.
/// `weight` is `[outputs, inputs]`.
pub fn linear_rows(x: &[f64], weight: &[f64], bias: &[f32], inputs: usize) -> Vec<f64> {
    let (rows, outputs) = (x.len() / inputs, bias.len());
    let mut columns = vec![[0.0; ROWS]; inputs];
    for (lane, row) in x.chunks_exact(inputs).enumerate() {
        columns.iter_mut().zip(row).for_each(|(to, from)| to[lane] = *from);
    }
    let mut y = vec![0.0; rows * outputs];
    for (output, (row, bias)) in weight.chunks_exact(inputs).zip(bias).enumerate() {
        let mut sum = [f64::from(*bias); ROWS];
        for (w, column) in row.iter().zip(&columns) {
            for lane in 0..ROWS {
                sum[lane] += w * column[lane];
            }
        }
        y.iter_mut().skip(output).step_by(outputs).zip(sum).for_each(|(to, sum)| *to = sum);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Abramowitz and Stegun, table 7.1.
    #[test]
    fn erf_agrees_with_the_tables() {
        for (x, want) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_0),
            (0.5, 0.520_499_877_8),
            (1.0, 0.842_700_792_9),
            (2.0, 0.995_322_265_0),
            (-1.5, -0.966_105_146_5),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - want).abs() < 1e-10, "erf({x}) = {}", erf(x));
        }
    }
}
