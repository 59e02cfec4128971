//! Robust statistics of a handful of samples. All results are finite for finite input, and no sample is dropped.

use fastrand::Rng;

use crate::Estimate;

/// Ratio of the standard deviation to the median absolute deviation of normal samples.
const MAD_TO_SIGMA: f64 = 1.482_6;
/// Correction of [`MAD_TO_SIGMA`] for 2 to 9 samples, whose median absolute deviation is biased low (Croux and
/// Rousseeuw 1992).
const MAD_OF_FEW: [f64; 8] = [1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107];
/// Ratio of the standard error of a median to that of a mean for normal samples: √(π/2).
const MEDIAN_PENALTY: f64 = 1.253_3;

/// First quartile, median, third quartile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quartiles {
    /// First quartile.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
}

/// The `p`-quantile of ascending values, interpolated linearly between order statistics; `None` for no values.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get((position.ceil() as usize).min(last))?;
    // This case avoids ∞ − ∞ where both are infinite.
    if below == above {
        return Some(*below);
    }
    Some(below + (above - below) * position.fract())
}

/// Quartiles of values in any order; `None` for no values.
pub fn quartiles(values: &[f64]) -> Option<Quartiles> {
    let sorted = ascending(values);
    Some(Quartiles {
        q1: quantile(&sorted, 0.25)?,
        median: quantile(&sorted, 0.5)?,
        q3: quantile(&sorted, 0.75)?,
    })
}

/// Median of values in any order; `None` for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&ascending(values), 0.5)
}

/// Geometric mean of positive values; `None` for no values.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let first = values.first()?;
    let sum: f64 = values.iter().map(|value| (value / first).ln()).sum();
    Some(first * (sum / values.len() as f64).exp()).filter(|mean| mean.is_finite() && *mean > 0.0)
}

/// Median absolute deviation from the median: zero where all values are equal, `None` for no values.
pub fn mad(values: &[f64]) -> Option<f64> {
    let center = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    median(&deviations)
}

/// Number of values beyond Tukey's outer fences, three interquartile ranges from the quartiles.
pub fn n_outliers(values: &[f64]) -> usize {
    let Some(Quartiles { q1, q3, .. }) = quartiles(values) else {
        return 0;
    };
    let reach = 3.0 * (q3 - q1);
    values.iter().filter(|&&value| value < q1 - reach || value > q3 + reach).count()
}

/// Relative standard error of the median, from the median absolute deviation and from the clock's step, which hides any
/// variation below it. `quantum` is that step per forward pass. `None` without a positive median.
pub fn relative_error(values: &[f64], quantum: f64) -> Option<f64> {
    let center = median(values).filter(|&center| center > 0.0)?;
    let sigma = MAD_TO_SIGMA * small_sample_factor(values.len()) * mad(values)?;
    // A value rounded to a step is off by a uniform error of variance step² / 12.
    let variance = sigma * sigma + quantum * quantum / 12.0;
    Some(MEDIAN_PENALTY * (variance / values.len() as f64).sqrt() / center)
}

/// Croux and Rousseeuw's factor for the median absolute deviation of `n` samples.
fn small_sample_factor(n: usize) -> f64 {
    let of_few = n.checked_sub(2).and_then(|index| MAD_OF_FEW.get(index)).copied();
    of_few.unwrap_or(n as f64 / (n as f64 - 0.8).max(0.2))
}

/// A value with the central 95% of its replicates, widened where needed to contain the value.
pub(crate) fn interval(value: f64, replicates: &[f64]) -> Estimate {
    let sorted = ascending(replicates);
    let low = quantile(&sorted, 0.025).unwrap_or(value);
    let high = quantile(&sorted, 0.975).unwrap_or(value);
    Estimate { value, low: low.min(value), high: high.max(value) }
}

/// Draws a standard normal number (Marsaglia's polar method).
pub fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (a, b) = (2.0 * rng.f64() - 1.0, 2.0 * rng.f64() - 1.0);
        let s = a * a + b * b;
        if s > 0.0 && s < 1.0 {
            return a * (-2.0 * s.ln() / s).sqrt();
        }
    }
}

/// Draws a χ² number of max(`freedom`, 1) degrees: twice a gamma number (Marsaglia and Tsang 2000).
pub(crate) fn chi_squared(freedom: f64, rng: &mut Rng) -> f64 {
    let shape = freedom.max(1.0) / 2.0;
    // Shapes below 1 are reduced to the shape plus 1.
    let (shape, power) =
        if shape < 1.0 { (shape + 1.0, (1.0 - rng.f64()).powf(1.0 / shape)) } else { (shape, 1.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.f64()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (2.0 * d * v * power).max(f64::MIN_POSITIVE);
        }
    }
}

/// Birge's ratio: the factor by which errors must grow to explain the scatter of points around a model. 1 unless χ²
/// exceeds its expectation by two standard deviations, since for few degrees of freedom it is often a little larger.
pub(crate) fn birge(chi_squared: f64, freedom: f64) -> f64 {
    let reduced = chi_squared / freedom;
    if reduced > 1.0 + 2.0 * (2.0 / freedom).sqrt() { reduced.sqrt() } else { 1.0 }
}

/// Standard deviation of replicates, estimated from the width of their central 95%, so that a few extreme replicates
/// have no influence.
pub(crate) fn deviation(replicates: &[f64]) -> f64 {
    let sorted = ascending(replicates);
    let ends = quantile(&sorted, 0.025).zip(quantile(&sorted, 0.975));
    ends.map_or(0.0, |(low, high)| (high - low) / 3.92)
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn quartiles_interpolate_between_order_statistics() {
        // R's default (type 7): quantile(1:4) is 1.75, 2.5, 3.25.
        let quartiles = quartiles(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(quartiles, Quartiles { q1: 1.75, median: 2.5, q3: 3.25 });
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[]), None);
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some(1.0));
    }

    #[test]
    fn outliers_are_beyond_tukeys_fences() {
        // Quartiles 4 and 10: the outer fences are at −14 and 28.
        let values: Vec<f64> = (1..=11).map(f64::from).chain([20.0, 60.0]).collect();
        assert_eq!(n_outliers(&values), 1);
        assert_eq!(n_outliers(&[5.0; 8]), 0);
        assert_eq!(n_outliers(&[]), 0);
    }

    #[test]
    fn one_sample_or_equal_samples_give_finite_statistics() {
        assert_eq!(mad(&[3.0; 5]), Some(0.0));
        assert_eq!(relative_error(&[3.0; 5], 0.0), Some(0.0));
        assert!(relative_error(&[3.0; 5], 0.3).unwrap() > 0.01);
        assert_eq!(relative_error(&[0.0; 5], 0.3), None);
        assert_eq!(relative_error(&[], 0.3), None);
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let mut rng = Rng::with_seed(9);
        let values: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        assert!((MAD_TO_SIGMA * mad(&values).unwrap() - 1.0).abs() < 0.05);
    }

    #[test]
    fn chi_squared_numbers_have_their_moments() {
        let mut rng = Rng::with_seed(3);
        for freedom in [1.0, 2.0, 5.0, 20.0] {
            let values: Vec<f64> = (0..20_000).map(|_| chi_squared(freedom, &mut rng)).collect();
            let mean = values.iter().sum::<f64>() / 20_000.0;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 20_000.0;
            assert!((mean / freedom - 1.0).abs() < 0.03, "{mean} of {freedom}");
            assert!((variance / (2.0 * freedom) - 1.0).abs() < 0.12, "{variance} of {freedom}");
        }
    }

    #[test]
    fn the_spread_of_five_samples_is_not_underestimated() {
        let mut rng = Rng::with_seed(6);
        let mean = |n: usize, rng: &mut Rng| {
            let races = 4000;
            let sum: f64 = (0..races)
                .map(|_| {
                    let values: Vec<f64> = (0..n).map(|_| 100.0 + normal(rng)).collect();
                    MAD_TO_SIGMA * small_sample_factor(n) * mad(&values).unwrap()
                })
                .sum();
            sum / f64::from(races)
        };
        for n in [3, 5, 10, 20, 40] {
            assert!((mean(n, &mut rng) - 1.0).abs() < 0.04, "{n}");
        }
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_everything_is_in_range(
            values in vec(1e-3..1e12_f64, 1..60),
            seed: u64,
        ) {
            let found = quartiles(&values).unwrap();
            let mut shuffled = values.clone();
            Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(Some(found), quartiles(&shuffled));
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(0.0, f64::max);
            prop_assert!(least <= found.q1 && found.q1 <= found.median);
            prop_assert!(found.median <= found.q3 && found.q3 <= most);
            prop_assert!(mad(&values).unwrap() <= most - least);
        }

        #[test]
        fn scaling_the_samples_scales_the_statistics(values in vec(1.0..1e6_f64, 2..40), log2 in -20..20_i32) {
            // Powers of two scale exactly.
            let factor = f64::from(log2).exp2();
            let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
            prop_assert_eq!(median(&scaled), median(&values).map(|median| median * factor));
            prop_assert_eq!(mad(&scaled), mad(&values).map(|mad| mad * factor));
            prop_assert_eq!(n_outliers(&scaled), n_outliers(&values));
            prop_assert_eq!(relative_error(&scaled, factor), relative_error(&values, 1.0));
        }
    }
}
