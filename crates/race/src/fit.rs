//! The local slope of a lane's tail: least squares in log-log over the longest lengths, extended backwards while the
//! slope is settled.
//!
//! The slope describes the raced lengths only. Predictions beyond them come from the growth model.

use crate::growth::Model;
use crate::record::Fit;
use crate::replicates::Spread;
use crate::stats;

/// Fewest points of a fit.
pub const MIN_FIT_POINTS: usize = 3;
/// Most by which an earlier point may change the slope, beyond its noise, and still belong to the tail.
const SETTLED: f64 = 0.1;
/// Deviation from a straight line that is allowed to every point on top of its own error: 2%, in log₂.
const ROUGHNESS: f64 = 0.028_8;
/// Weight of [`ROUGHNESS`] against the points' own deviations, in observations.
const ROUGHNESS_WEIGHT: f64 = 2.0;

/// A straight line in log-log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    /// Exponent of L.
    slope: f64,
    /// log₂ of nanoseconds at L = 1.
    intercept: f64,
}

impl Line {
    /// log₂ of nanoseconds at log₂ L = `x`.
    fn at(self, x: f64) -> f64 {
        self.slope.mul_add(x, self.intercept)
    }
}

/// A point of the regression.
#[derive(Debug, Clone, Copy)]
struct Knot {
    x: f64,
    y: f64,
    variance: f64,
}

/// The tail's power law with the interval of its exponent, and the model's exponent far beyond the tail where there is
/// a growth model.
pub(crate) fn fit(points: &[Spread], model: Option<(&Model, f64)>) -> Option<Fit> {
    let own: Vec<&Spread> = points.iter().filter(|point| !point.full_attention).collect();
    let knots: Vec<Knot> =
        own.iter().map(|point| Knot { x: point.x, y: point.y, variance: point.variance() }).collect();
    let start = tail(&knots)?;
    let (knots, own) = (knots.get(start..)?, own.get(start..)?);
    let line = least_squares(knots.iter().copied())?;
    // Points that deviate more from the line than their errors explain make the slope less certain (Birge's ratio).
    let chi_squared: f64 =
        knots.iter().map(|knot| (knot.y - line.at(knot.x)).powi(2) / knot.variance.max(1e-12)).sum();
    let birge = stats::birge(chi_squared, (knots.len() as f64 - 2.0).max(1.0));
    let n = own.first().map_or(0, |point| point.draws.len());
    let slopes: Vec<f64> = (0..n)
        .filter_map(|replicate| {
            let drawn = knots.iter().zip(own).map(|(knot, point)| {
                let draw = point.draws.get(replicate).copied().unwrap_or(knot.y);
                Knot { y: knot.y + birge * (draw - knot.y), ..*knot }
            });
            Some(least_squares(drawn)?.slope)
        })
        .collect();
    Some(Fit {
        exponent: stats::interval(line.slope, &slopes),
        log2_scale: line.intercept,
        from_len: own.first()?.seq_len,
        n_points: own.len(),
        leading: model.map(|(model, x)| model.slope(x)),
    })
}

/// Index of the tail's first point, found by going back from the last three points while the slope is settled.
fn tail(knots: &[Knot]) -> Option<usize> {
    let mut start = knots.len().checked_sub(MIN_FIT_POINTS)?;
    while let Some(candidate) = start.checked_sub(1) {
        if !is_settled(*knots.get(candidate)?, knots.get(start..)?) {
            break;
        }
        start = candidate;
    }
    Some(start)
}

/// Whether the slope from the earlier point to the tail equals the tail's slope up to [`SETTLED`] and noise.
fn is_settled(candidate: Knot, tail: &[Knot]) -> bool {
    let (Some(line), Some(first)) = (least_squares(tail.iter().copied()), tail.first()) else {
        return false;
    };
    let n = tail.len() as f64;
    let mean_x = tail.iter().map(|knot| knot.x).sum::<f64>() / n;
    let sxx: f64 = tail.iter().map(|knot| (knot.x - mean_x).powi(2)).sum();
    let squares: f64 = tail.iter().map(|knot| (knot.y - line.at(knot.x)).powi(2)).sum();
    let scatter = (squares + ROUGHNESS_WEIGHT * ROUGHNESS * ROUGHNESS) / (n - 2.0 + ROUGHNESS_WEIGHT);
    // Variance of a new point around the extrapolated line.
    let variance = candidate.variance + scatter * (1.0 + 1.0 / n + (candidate.x - mean_x).powi(2) / sxx);
    (candidate.y - line.at(candidate.x)).abs() <= SETTLED * (first.x - candidate.x) + 2.0 * variance.sqrt()
}

/// Weighted least squares. A point's variance is its own plus the roughness allowed to every point.
fn least_squares(knots: impl Iterator<Item = Knot> + Clone) -> Option<Line> {
    let weight = |knot: &Knot| 1.0 / (knot.variance + ROUGHNESS * ROUGHNESS);
    let (mut total, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
    for knot in knots.clone() {
        let w = weight(&knot);
        total += w;
        sum_x += w * knot.x;
        sum_y += w * knot.y;
    }
    let (mean_x, mean_y) = (sum_x / total, sum_y / total);
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for knot in knots {
        let w = weight(&knot);
        sxx += w * (knot.x - mean_x).powi(2);
        sxy += w * (knot.x - mean_x) * (knot.y - mean_y);
    }
    let slope = sxy / sxx;
    slope.is_finite().then(|| Line { slope, intercept: slope.mul_add(-mean_x, mean_y) })
}
