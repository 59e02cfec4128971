//! Functions of the references in f64, accurate to rounding. The larger ones are never inlined: references call them
//! from many places, and the size of the download matters more than the cost of a call.

use mixer::OpCount;

/// ½x(1 + erf(x/√2)).
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
#[inline(never)]
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

/// Converts to f64.
#[inline(never)]
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// y = x Wᵀ + b over rows of `inputs` values. The bias counts no operation, as in the closed form.
#[inline(never)]
pub fn linear(
    x: &[f64],
    weight: &[f32],
    bias: Option<&[f32]>,
    inputs: usize,
    count: &mut OpCount,
) -> Vec<f64> {
    let outputs = weight.len() / inputs;
    let weight = widen(weight);
    let mut y = Vec::with_capacity(x.len() / inputs * outputs);
    for row in x.chunks_exact(inputs) {
        for (output, weight) in weight.chunks_exact(inputs).enumerate() {
            y.push(dot(row, weight) + bias.map_or(0.0, |bias| f64::from(bias[output])));
        }
        count.add(2 * inputs * outputs);
    }
    y
}

/// exp(s) / Σ exp(s), shifted by the largest score.
#[inline(never)]
pub fn softmax(scores: &[f64]) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    weights
}

/// Layer normalisation of rows as wide as `weight`, with biased variance. Counts as eight operations per element.
#[inline(never)]
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

/// A channel c of `candidates`, and the z for which z·(y − b) is channel c of x where y = W x + b, that is, zᵀ W = e_c.
/// An error in any channel of y changes this product, so it checks all of y by one channel of x. The chosen candidate
/// has the shortest z, because the rounding of y is multiplied by |z|, which is large where W hardly distinguishes c
/// from other channels. `None` where W, `[n, n]`, is singular.
pub fn best_row(weight: &[f32], candidates: &[usize]) -> Option<(usize, Vec<f64>)> {
    let square = |z: &[f64]| dot(z, z);
    let solutions = solve_transposed(weight, candidates)?;
    let best = candidates.iter().copied().zip(solutions);
    best.min_by(|(_, a), (_, b)| square(a).total_cmp(&square(b)))
}

/// For each of `rows` the z with zᵀ W = e_row, where W is `[n, n]`: elimination with pivoting, about n³ operations.
/// `None` where W is singular.
pub fn solve_transposed(weight: &[f32], rows: &[usize]) -> Option<Vec<Vec<f64>>> {
    let n = weight.len().isqrt();
    let width = n + rows.len();
    // Wᵀ augmented by the right-hand sides.
    let mut matrix: Vec<Vec<f64>> = (0..n)
        .map(|j| {
            let left = (0..n).map(|i| f64::from(weight[i * n + j]));
            left.chain(rows.iter().map(|&row| f64::from(u8::from(row == j)))).collect()
        })
        .collect();
    for column in 0..n {
        let magnitude = |row: &Vec<f64>| row[column].abs();
        let pivot = (column..n).max_by(|&i, &j| magnitude(&matrix[i]).total_cmp(&magnitude(&matrix[j])))?;
        matrix.swap(column, pivot);
        let (above, below) = matrix.split_at_mut(column + 1);
        let head = above.last()?;
        if head[column] == 0.0 || !head[column].is_finite() {
            return None;
        }
        for row in below {
            let factor = row[column] / head[column];
            row[column..width].iter_mut().zip(&head[column..]).for_each(|(to, from)| *to -= factor * from);
        }
    }
    let solve = |side: usize| {
        let mut z = vec![0.0; n];
        for (row, values) in matrix.iter().enumerate().rev() {
            let known = dot(&values[row + 1..n], &z[row + 1..]);
            z[row] = (values[n + side] - known) / values[row];
        }
        z
    };
    Some((0..rows.len()).map(solve).collect())
}

/// Rows that [`linear_rows`] multiplies together.
pub const ROWS: usize = 18;

/// x Wᵀ + b for at most [`ROWS`] rows at once, several times as fast as row by row. `weight` is `[outputs, inputs]`.
#[inline(never)]
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

    #[test]
    fn solutions_solve_and_a_singular_matrix_has_none() {
        let n = 23;
        let weight: Vec<f32> = (0..n * n).map(|i| ((i * 7919 + i / n) % 101) as f32 / 50.0 - 1.0).collect();
        for (row, z) in [3, 22].into_iter().zip(solve_transposed(&weight, &[3, 22]).unwrap()) {
            for j in 0..n {
                let got: f64 = (0..n).map(|i| z[i] * f64::from(weight[i * n + j])).sum();
                assert!((got - f64::from(u8::from(j == row))).abs() < 1e-9, "{row} {j}: {got}");
            }
        }
        assert_eq!(solve_transposed(&[1.0, 2.0, 2.0, 4.0], &[0]), None);
        assert_eq!(solve_transposed(&[-2.0], &[0]), Some(vec![vec![-0.5]]));
    }
}
