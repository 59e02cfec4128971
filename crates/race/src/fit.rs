//! Power laws of a lane's tail: least squares in log-log, and what the measurements say of its uncertainty.
//!
//! Two things make a point uncertain: the spread of its samples, and whatever differs from one set-up to the next
//! (placement in memory, frequency, the law not being a power law), which shows only as scatter around the line. A
//! replicate resamples the first and draws the second from what so few points support; intervals are the central 95%
//! of replicates.

use fastrand::Rng;
use mixer::exp2;

use crate::record::{Fit, Outcome, Point};
use crate::stats;

/// Fewest points of a fit.
pub const MIN_FIT_POINTS: usize = 3;
/// The tail reaches back as long as each earlier point changes the slope by no more than this beyond its noise.
const SETTLED: f64 = 0.1;
/// Scatter between set-ups that is assumed before any is seen (2%, in log₂), worth [`PRIOR_WEIGHT`] observations.
const PRIOR_SCATTER: f64 = 0.028_8;
/// Weight of that assumption. It only matters where there are hardly any points.
const PRIOR_WEIGHT: usize = 2;
/// Relative standard error assumed of a point with a single sample.
const SINGLE_SAMPLE_ERROR: f64 = 0.05;
/// From this many samples on, resampling them says how far their median may be off; below, it understates it.
const ENOUGH_TO_RESAMPLE: usize = 5;
/// Bootstrap draws of each point's median.
const DEVIATIONS: usize = 200;

/// A straight line in log-log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    /// Exponent of L.
    pub slope: f64,
    /// log₂ of nanoseconds at L = 1.
    pub intercept: f64,
}

impl Line {
    /// log₂ of nanoseconds at log₂ L = `x`.
    pub fn at(self, x: f64) -> f64 {
        self.slope.mul_add(x, self.intercept)
    }
}

/// One measured point in log-log.
#[derive(Debug, Clone)]
struct Knot {
    seq_len: usize,
    x: f64,
    y: f64,
    /// Variance of `y` by its own samples.
    variance: f64,
    samples: Vec<f64>,
    /// How far off `y` may be by its own samples: draws of the bootstrap.
    deviations: Vec<f64>,
}

/// A lane's measured points in log-log, ascending, with the tail that a line fits.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    knots: Vec<Knot>,
    /// Index of the first point of the tail.
    tail: usize,
    /// Sum of squared residuals over the tail, and its degrees of freedom.
    scatter: (f64, usize),
}

impl Curve {
    /// The curve of the measured points. Points without a positive time, which no honest clock gives, do not count.
    pub fn new(points: &[Point], tick_ns: f64) -> Self {
        let knots: Vec<Knot> = points.iter().filter_map(|point| knot(point, tick_ns)).collect();
        let mut curve = Self { tail: knots.len(), knots, scatter: (0.0, 0) };
        curve.find_tail();
        curve
    }

    /// Lengths measured, with log₂ of each.
    pub fn lengths(&self) -> impl Iterator<Item = (usize, f64)> {
        self.knots.iter().map(|knot| (knot.seq_len, knot.x))
    }

    /// log₂ of the measured times.
    pub fn heights(&self) -> Vec<f64> {
        self.knots.iter().map(|knot| knot.y).collect()
    }

    /// Draws the deviations that [`Curve::replicate`] chooses from.
    pub fn resample(&mut self, rng: &mut Rng) {
        for knot in &mut self.knots {
            let draw = |_| {
                if knot.samples.len() < ENOUGH_TO_RESAMPLE {
                    return knot.variance.sqrt() * stats::normal(rng);
                }
                let median = stats::resampled_median(&knot.samples, rng).filter(|&median| median > 0.0);
                median.map_or(0.0, |median| median.log2() - knot.y)
            };
            knot.deviations = (0..DEVIATIONS).map(draw).collect();
        }
    }

    /// The heights as another race might have found them. Needs [`Curve::resample`] first.
    pub fn replicate(&self, rng: &mut Rng) -> Vec<f64> {
        let scatter = self.draw_scatter(rng);
        self.knots
            .iter()
            .map(|knot| {
                let own = rng.choice(&knot.deviations).copied().unwrap_or(0.0);
                knot.y + own + scatter * stats::normal(rng)
            })
            .collect()
    }

    /// The line through the tail of these heights; `None` for fewer than three points.
    pub fn line(&self, heights: &[f64]) -> Option<Line> {
        let tail = self.knots.get(self.tail..)?;
        let heights = heights.get(self.tail..)?;
        if tail.len() < MIN_FIT_POINTS {
            return None;
        }
        least_squares(tail, heights)
    }

    /// The tail's power law with the interval of its exponent.
    pub fn fit(&self, n_resamples: usize, rng: &mut Rng) -> Option<Fit> {
        let line = self.line(&self.heights())?;
        let slopes: Vec<f64> = (0..n_resamples)
            .filter_map(|_| Some(self.line(&self.replicate(rng))?.slope))
            .filter(|slope| slope.is_finite())
            .collect();
        Some(Fit {
            exponent: stats::interval(line.slope, &slopes),
            log2_scale: line.intercept,
            from_len: self.knots.get(self.tail)?.seq_len,
            n_points: self.knots.len() - self.tail,
            leading: None,
        })
    }

    /// Reaches back from the last three points while the slope stays settled, then takes the scatter around the line.
    fn find_tail(&mut self) {
        let Some(mut start) = self.knots.len().checked_sub(MIN_FIT_POINTS) else {
            return;
        };
        while let Some(candidate) = start.checked_sub(1) {
            if !self.is_settled(candidate, start) {
                break;
            }
            start = candidate;
        }
        self.tail = start;
        let heights = self.heights();
        if let Some(line) = self.line(&heights) {
            let tail = self.knots.get(start..).unwrap_or_default();
            let squares = tail.iter().map(|knot| (knot.y - line.at(knot.x)).powi(2)).sum();
            self.scatter = (squares, tail.len() - 2);
        }
    }

    /// Whether the slope from the earlier point to the tail is the tail's own, up to [`SETTLED`] and noise.
    fn is_settled(&self, candidate: usize, start: usize) -> bool {
        let (Some(knot), Some(tail)) = (self.knots.get(candidate), self.knots.get(start..)) else {
            return false;
        };
        let heights: Vec<f64> = tail.iter().map(|knot| knot.y).collect();
        let (Some(line), Some(first)) = (least_squares(tail, &heights), tail.first()) else {
            return false;
        };
        let n = tail.len() as f64;
        let mean_x = tail.iter().map(|knot| knot.x).sum::<f64>() / n;
        let sxx: f64 = tail.iter().map(|knot| (knot.x - mean_x).powi(2)).sum();
        let squares: f64 = tail.iter().map(|knot| (knot.y - line.at(knot.x)).powi(2)).sum();
        let prior = PRIOR_WEIGHT as f64;
        let scatter = (squares + prior * PRIOR_SCATTER * PRIOR_SCATTER) / (n - 2.0 + prior);
        // The variance of a new point around the line carried on to it.
        let variance = knot.variance + scatter * (1.0 + 1.0 / n + (knot.x - mean_x).powi(2) / sxx);
        (knot.y - line.at(knot.x)).abs() <= SETTLED * (first.x - knot.x) + 2.0 * variance.sqrt()
    }

    /// One draw of the scatter between set-ups: what the residuals leave once the samples' own spread is taken off. A
    /// scaled inverse χ², so that replicates have the heavy tails that few points deserve.
    fn draw_scatter(&self, rng: &mut Rng) -> f64 {
        let (squares, freedom) = self.scatter;
        let chi_squared: f64 = (0..freedom + PRIOR_WEIGHT).map(|_| stats::normal(rng).powi(2)).sum();
        let drawn = (squares + PRIOR_WEIGHT as f64 * PRIOR_SCATTER * PRIOR_SCATTER)
            / chi_squared.max(f64::MIN_POSITIVE);
        let tail = self.knots.get(self.tail..).unwrap_or_default();
        let own = tail.iter().map(|knot| knot.variance).sum::<f64>() / tail.len().max(1) as f64;
        (drawn - own).max(0.0).sqrt()
    }
}

/// The tail's power law without an interval, for predictions.
pub(crate) fn tail(points: &[Point], tick_ns: f64) -> Option<Fit> {
    Curve::new(points, tick_ns).fit(0, &mut Rng::with_seed(0))
}

/// Nanoseconds that a fit gives at a length.
pub(crate) fn predict(fit: &Fit, seq_len: usize) -> f64 {
    exp2(fit.exponent.value.mul_add((seq_len as f64).log2(), fit.log2_scale))
}

fn knot(point: &Point, tick_ns: f64) -> Option<Knot> {
    if point.outcome != Outcome::Ok || point.seq_len == 0 {
        return None;
    }
    let y = point.median_ns.log2();
    if !y.is_finite() {
        return None;
    }
    let quantum = tick_ns / f64::from(point.repeats.max(1));
    let error = if point.samples_ns.len() > 1 {
        stats::relative_error(&point.samples_ns, quantum)?
    } else {
        SINGLE_SAMPLE_ERROR
    };
    let error = error * std::f64::consts::LOG2_E;
    Some(Knot {
        seq_len: point.seq_len,
        x: (point.seq_len as f64).log2(),
        y,
        variance: error * error,
        samples: point.samples_ns.clone(),
        deviations: Vec::new(),
    })
}

/// Least squares, each point weighted by what its samples and the scatter between set-ups leave uncertain.
fn least_squares(knots: &[Knot], heights: &[f64]) -> Option<Line> {
    let weight = |knot: &Knot| 1.0 / (knot.variance + PRIOR_SCATTER * PRIOR_SCATTER);
    let (mut total, mut sum_x, mut sum_y) = (0.0, 0.0, 0.0);
    for (knot, y) in knots.iter().zip(heights) {
        let w = weight(knot);
        total += w;
        sum_x += w * knot.x;
        sum_y += w * y;
    }
    let (mean_x, mean_y) = (sum_x / total, sum_y / total);
    let (mut sxx, mut sxy) = (0.0, 0.0);
    for (knot, y) in knots.iter().zip(heights) {
        let w = weight(knot);
        sxx += w * (knot.x - mean_x).powi(2);
        sxy += w * (knot.x - mean_x) * (y - mean_y);
    }
    let slope = sxy / sxx;
    slope.is_finite().then(|| Line { slope, intercept: slope.mul_add(-mean_x, mean_y) })
}
