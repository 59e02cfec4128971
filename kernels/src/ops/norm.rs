//! Normalisation of one row.

use super::simd::{Lanes, Work, run_widest};

/// (x − mean) / √(variance + ε) · weight + bias in place, with biased variance, in two passes.
pub fn layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], eps: f32) {
    run_widest(LayerNorm { row, weight, bias, eps });
}

struct LayerNorm<'a> {
    row: &'a mut [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Work for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { row, weight, bias, eps } = self;
        let scale = 1.0 / row.len() as f32;
        let mean = V::splat(sum::<V>(row, |x| x) * scale);
        let variance = sum::<V>(row, |x| (x - mean) * (x - mean)) * scale;
        let factor = V::splat(1.0 / (variance + eps).sqrt());
        for ((x, weight), bias) in
            row.chunks_mut(V::LANES).zip(weight.chunks(V::LANES)).zip(bias.chunks(V::LANES))
        {
            V::load(bias).mul_add((V::load(x) - mean) * factor, V::load(weight)).store(x);
        }
    }
}

/// x · g / √(mean(x²) + ε) in place with a scalar g (Nguyen and Salazar, arXiv 1910.05895, as used by Mega).
pub fn scale_norm(row: &mut [f32], g: f32, eps: f32) {
    run_widest(ScaleNorm { row, g, eps });
}

struct ScaleNorm<'a> {
    row: &'a mut [f32],
    g: f32,
    eps: f32,
}

impl Work for ScaleNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let mean_square = sum::<V>(self.row, |x| x * x) / self.row.len() as f32;
        let factor = self.g / (mean_square + self.eps).sqrt();
        self.row.iter_mut().for_each(|x| *x *= factor);
    }
}

/// Sum of `f` over a row.
#[inline(always)]
fn sum<V: Lanes>(row: &[f32], f: impl Fn(V) -> V) -> f32 {
    let chunks = row.chunks_exact(V::LANES);
    let rest: f32 = chunks.remainder().iter().map(|&value| f(V::splat(value)).first()).sum();
    chunks.fold(V::splat(0.0), |sum, chunk| sum + f(V::load(chunk))).fold_sum().sum() + rest
}

#[cfg(test)]
mod tests {
    use mixer::OpCount;

    use super::*;
    use crate::ops::exact;

    #[test]
    fn layer_norm_agrees_with_f64_at_any_width() {
        for width in [1, 3, 4, 7, 32, 65] {
            let row: Vec<f32> = (0..width).map(|i| ((i * 29) % 17) as f32 / 4.0 - 1.0).collect();
            let weight: Vec<f32> = (0..width).map(|i| 0.5 + i as f32 / 50.0).collect();
            let bias: Vec<f32> = (0..width).map(|i| i as f32 / 30.0 - 0.3).collect();
            let wide: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let want = exact::layer_norm(&wide, &weight, &bias, 1e-5, &mut OpCount::default());
            let mut got = row;
            layer_norm(&mut got, &weight, &bias, 1e-5);
            assert!(got.iter().zip(&want).all(|(got, want)| (f64::from(*got) - want).abs() < 2e-5));
        }
    }

    #[test]
    fn scale_norm_makes_the_mean_square_g_squared() {
        let mut row: Vec<f32> = (0..37).map(|i| i as f32 - 11.0).collect();
        scale_norm(&mut row, 3.0, 0.0);
        let mean_square = row.iter().map(|x| x * x).sum::<f32>() / 37.0;
        assert!((mean_square - 9.0).abs() < 1e-4, "{mean_square}");
    }
}
