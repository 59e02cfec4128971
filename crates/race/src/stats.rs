//! Robust statistics of a handful of samples. Everything here is finite for finite input; nothing drops a sample.

use fastrand::Rng;

use crate::Estimate;

/// Makes the median absolute deviation of normal samples estimate their standard deviation.
const MAD_TO_SIGMA: f64 = 1.482_6;
/// The standard error of a median is this much larger than that of a mean (normal samples): √(π/2).
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

/// How far a sample lies outside the middle half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlier {
    /// Within Tukey's inner fences.
    No,
    /// More than 1.5 interquartile ranges beyond the quartiles.
    Mild,
    /// More than 3.
    Severe,
}

/// The `p`-quantile of ascending values, interpolated linearly between order statistics; `None` where there are none.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get((position.ceil() as usize).min(last))?;
    Some(below + (above - below) * position.fract())
}

/// Quartiles of values in any order; `None` where there are none.
pub fn quartiles(values: &[f64]) -> Option<Quartiles> {
    let sorted = ascending(values);
    Some(Quartiles {
        q1: quantile(&sorted, 0.25)?,
        median: quantile(&sorted, 0.5)?,
        q3: quantile(&sorted, 0.75)?,
    })
}

/// Median of values in any order; `None` where there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(&ascending(values), 0.5)
}

/// Median absolute deviation from the median: zero where all are equal, `None` where there are none.
pub fn mad(values: &[f64]) -> Option<f64> {
    let center = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    median(&deviations)
}

/// Tukey's flag for each value. They are flags only: outliers stay in every statistic.
pub fn outliers(values: &[f64]) -> Vec<Outlier> {
    let Some(Quartiles { q1, q3, .. }) = quartiles(values) else {
        return Vec::new();
    };
    let range = q3 - q1;
    let beyond = |value: f64, fences: f64| value < q1 - fences * range || value > q3 + fences * range;
    values
        .iter()
        .map(|&value| match value {
            value if beyond(value, 3.0) => Outlier::Severe,
            value if beyond(value, 1.5) => Outlier::Mild,
            _ => Outlier::No,
        })
        .collect()
}

/// 95% percentile-bootstrap interval of the median; `None` for fewer than two values, which say nothing of spread.
pub fn median_interval(values: &[f64], n_resamples: usize, rng: &mut Rng) -> Option<Estimate> {
    if values.len() < 2 {
        return None;
    }
    let value = median(values)?;
    let medians: Vec<f64> = (0..n_resamples).filter_map(|_| resampled_median(values, rng)).collect();
    Some(interval(value, &medians))
}

/// Relative standard error of the median, from the median absolute deviation and from the clock's step, which hides
/// whatever happens within it: `quantum` is that step per forward pass. `None` where there is no positive median.
pub fn relative_error(values: &[f64], quantum: f64) -> Option<f64> {
    let center = median(values).filter(|&center| center > 0.0)?;
    let sigma = MAD_TO_SIGMA * mad(values)?;
    // A value rounded to a step is off by a uniform error of variance step² / 12.
    let variance = sigma * sigma + quantum * quantum / 12.0;
    Some(MEDIAN_PENALTY * (variance / values.len() as f64).sqrt() / center)
}

/// The median of as many values drawn with replacement.
pub(crate) fn resampled_median(values: &[f64], rng: &mut Rng) -> Option<f64> {
    let mut drawn: Vec<f64> = (0..values.len()).filter_map(|_| rng.choice(values).copied()).collect();
    drawn.sort_unstable_by(f64::total_cmp);
    quantile(&drawn, 0.5)
}

/// A value with the central 95% of its replicates, widened where needed to hold the value itself.
pub(crate) fn interval(value: f64, replicates: &[f64]) -> Estimate {
    let sorted = ascending(replicates);
    let low = quantile(&sorted, 0.025).unwrap_or(value);
    let high = quantile(&sorted, 0.975).unwrap_or(value);
    Estimate { value, low: low.min(value), high: high.max(value) }
}

/// A standard normal number (Marsaglia's polar method).
pub fn normal(rng: &mut Rng) -> f64 {
    loop {
        let (a, b) = (2.0 * rng.f64() - 1.0, 2.0 * rng.f64() - 1.0);
        let s = a * a + b * b;
        if s > 0.0 && s < 1.0 {
            return a * (-2.0 * s.ln() / s).sqrt();
        }
    }
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}
