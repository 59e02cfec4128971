//! What the race might have measured instead: replicates of every point's time, from which all intervals come.
//!
//! Two things make a time uncertain. Samples of one set-up differ from round to round: the Bayesian bootstrap (Rubin 1981)
//! weights whole rounds, with the same weights for every lane, because lanes sampled in one round share what the machine
//! did meanwhile. And set-ups differ from each other (placement in memory, frequency): this scatter is measured from
//! lanes that were set up more than once at a length, pooled over the lengths of a lane and shrunk towards its backend's;
//! where nothing was set up twice, a prior stands in.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::record::{Estimate, Outcome, Point, Record};
use crate::stats;

/// Scatter between set-ups that is assumed where none could be measured: 2%, in log₂.
const PRIOR_SCATTER: f64 = 0.028_8;
/// Degrees of freedom of that assumption. They give way to measured ones.
const PRIOR_FREEDOM: f64 = 4.0;
/// Most degrees of freedom that a lane takes over from its backend's other lanes.
const SHARED_FREEDOM: f64 = 6.0;
/// Relative standard error assumed of a set-up with a single sample.
const SINGLE_SAMPLE_ERROR: f64 = 0.05;
/// Degrees of freedom per sample beyond the first in the spread of a median.
const MEDIAN_FREEDOM: f64 = 1.0;
/// Most weights drawn for one analysis, so that a race of many lanes and lengths is not held up by it.
const MOST_WEIGHTS: usize = 20_000_000;
/// Fewest replicates.
const FEWEST: usize = 200;

/// Replicates of all measured points, lane by lane in the order of the record.
#[derive(Debug, Clone)]
pub(crate) struct Replicates {
    lanes: Vec<Vec<Spread>>,
    scatters: Vec<Scatter>,
}

/// One measured point and its replicates, as log₂ of nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    /// Sequence length.
    pub seq_len: usize,
    /// log₂ of the length.
    pub x: f64,
    /// log₂ of the point's time.
    pub y: f64,
    /// Whether the system ran full attention here, so that the point says nothing of its own growth.
    pub full_attention: bool,
    /// Whether there is more than one sample.
    pub is_repeated: bool,
    /// Replicates of `y`; the same index is the same replicate of the race in every lane.
    pub draws: Vec<f64>,
}

impl Spread {
    /// Variance of `y` over the replicates.
    pub fn variance(&self) -> f64 {
        let squares: f64 = self.draws.iter().map(|draw| (draw - self.y).powi(2)).sum();
        squares / self.draws.len().max(1) as f64
    }

    /// 95% interval of the point's time, in nanoseconds.
    pub fn interval_ns(&self) -> (f64, f64) {
        let Estimate { low, high, .. } = stats::interval(self.y, &self.draws);
        (mixer::exp2(low), mixer::exp2(high))
    }

    /// `other`'s time over this one's with its 95% interval: above 1, this one is faster.
    pub fn speedup(&self, other: &Spread) -> Estimate {
        let draws: Vec<f64> = self.draws.iter().zip(&other.draws).map(|(own, other)| other - own).collect();
        let Estimate { value, low, high } = stats::interval(other.y - self.y, &draws);
        Estimate { value: mixer::exp2(value), low: mixer::exp2(low), high: mixer::exp2(high) }
    }
}

/// Scatter between set-ups of a lane, in log₂: its mean square and what the samples' noise contributes to it.
#[derive(Debug, Clone, Copy)]
struct Scatter {
    /// Mean square between set-ups, noise included.
    total: f64,
    /// The part of it that noise explains.
    noise: f64,
    /// Degrees of freedom.
    freedom: f64,
}

impl Scatter {
    const PRIOR: Self = Self { total: PRIOR_SCATTER * PRIOR_SCATTER, noise: 0.0, freedom: PRIOR_FREEDOM };

    /// Standard deviation between set-ups.
    fn deviation(self) -> f64 {
        (self.total - self.noise).max(0.0).sqrt()
    }

    /// A standard deviation that is as compatible with so few set-ups.
    fn draw(self, rng: &mut Rng) -> f64 {
        let total = self.total * self.freedom / stats::chi_squared(self.freedom, rng);
        (total - self.noise).max(0.0).sqrt()
    }

    /// Both together, weighted by their degrees of freedom; of `other` at most `most` count.
    fn with(self, other: Self, most: f64) -> Self {
        let borrowed = other.freedom.min(most);
        let freedom = self.freedom + borrowed;
        if freedom <= 0.0 {
            return self;
        }
        let mean = |own: f64, other: f64| (own * self.freedom + other * borrowed) / freedom;
        Self { total: mean(self.total, other.total), noise: mean(self.noise, other.noise), freedom }
    }
}

/// The samples of one set-up, ascending, with the round of each.
struct SetUp {
    /// log₂ of nanoseconds, round.
    samples: Vec<(f64, u32)>,
    median: f64,
}

/// A measured point on its way to replicates.
struct Draft {
    spread: Spread,
    set_ups: Vec<SetUp>,
    /// Deviations of the mean of the set-ups' medians.
    noise: Vec<f64>,
    /// Variance of one set-up's median by its own samples.
    noise_variance: f64,
    /// Degrees of freedom of the noise.
    noise_freedom: f64,
}

impl Draft {
    /// Variance between the set-ups' medians, and its degrees of freedom.
    fn between(&self) -> Option<(f64, f64)> {
        let n = self.set_ups.len();
        if n < 2 {
            return None;
        }
        let mean = self.set_ups.iter().map(|set_up| set_up.median).sum::<f64>() / n as f64;
        let squares: f64 = self.set_ups.iter().map(|set_up| (set_up.median - mean).powi(2)).sum();
        Some((squares / (n - 1) as f64, (n - 1) as f64))
    }
}

impl Replicates {
    /// Draws up to `n` replicates of every measured point; the same record and generator give the same numbers.
    pub fn new(record: &Record, n: usize, rng: &mut Rng) -> Self {
        let n_samples: usize =
            record.lanes.iter().flat_map(|lane| &lane.points).map(|point| point.samples_ns.len()).sum();
        let n = n.min((MOST_WEIGHTS / n_samples.max(1)).max(FEWEST));
        let mut drafts: Vec<Vec<Draft>> = record.lanes.iter().map(|_| Vec::new()).collect();
        for &seq_len in &record.spec.lengths {
            let mut weights = Weights::new(n);
            for (lane, drafts) in record.lanes.iter().zip(&mut drafts) {
                let point = lane.points.iter().find(|point| point.seq_len == seq_len);
                drafts.extend(point.and_then(|point| draft(point, record.tick_ns, &mut weights, rng)));
            }
        }
        let scatters = scatters(record, &drafts);
        let lanes = drafts
            .into_iter()
            .zip(&scatters)
            .map(|(drafts, scatter)| {
                let scatter: Vec<f64> = (0..n).map(|_| scatter.draw(rng)).collect();
                drafts.into_iter().map(|draft| draft.finish(&scatter, rng)).collect()
            })
            .collect();
        Self { lanes, scatters }
    }

    /// The measured points of a lane, ascending.
    pub fn lane(&self, lane_idx: usize) -> &[Spread] {
        self.lanes.get(lane_idx).map(Vec::as_slice).unwrap_or_default()
    }

    /// A measured point.
    pub fn point(&self, lane_idx: usize, seq_len: usize) -> Option<&Spread> {
        self.lane(lane_idx).iter().find(|point| point.seq_len == seq_len)
    }

    /// Standard deviation between set-ups of a lane, in log₂.
    pub fn scatter(&self, lane_idx: usize) -> f64 {
        self.scatters.get(lane_idx).copied().unwrap_or(Scatter::PRIOR).deviation()
    }
}

impl Draft {
    fn finish(mut self, scatter: &[f64], rng: &mut Rng) -> Spread {
        let n_set_ups = (self.set_ups.len().max(1) as f64).sqrt();
        self.spread.draws = self
            .noise
            .iter()
            .zip(scatter)
            .map(|(noise, scatter)| {
                // The spread of so few samples is itself uncertain: Student's factor. Where there are several set-ups, the
                // uncertainty of their scatter contains it.
                let heavier = if self.set_ups.len() > 1 {
                    1.0
                } else {
                    (self.noise_freedom / stats::chi_squared(self.noise_freedom, rng)).sqrt()
                };
                self.spread.y + noise * heavier + scatter / n_set_ups * stats::normal(rng)
            })
            .collect();
        self.spread
    }
}

/// Scatter of every lane: its own, shrunk towards that of its backend.
fn scatters(record: &Record, drafts: &[Vec<Draft>]) -> Vec<Scatter> {
    let own: Vec<Scatter> = drafts.iter().map(|drafts| pool(drafts.iter())).collect();
    record
        .spec
        .lanes
        .iter()
        .zip(own)
        .map(|(lane, own)| {
            let neighbours = record
                .spec
                .lanes
                .iter()
                .zip(drafts)
                .filter(|(other, _)| other.backend == lane.backend)
                .flat_map(|(_, drafts)| drafts);
            let scatter = own.with(pool(neighbours), SHARED_FREEDOM);
            scatter.with(Scatter::PRIOR, (PRIOR_FREEDOM - scatter.freedom).max(0.0))
        })
        .collect()
}

/// Scatter over several points, each weighted by how well its noise lets it be seen.
fn pool<'a>(drafts: impl Iterator<Item = &'a Draft>) -> Scatter {
    let seen: Vec<(f64, f64, f64)> = drafts
        .filter_map(|draft| {
            let (square, freedom) = draft.between()?;
            Some((square, draft.noise_variance, freedom))
        })
        .collect();
    let mut scatter = 0.0;
    let mut pooled = Scatter { total: 0.0, noise: 0.0, freedom: 0.0 };
    for _ in 0..3 {
        let weight = |noise: f64| (noise + scatter + 1e-12).powi(-2);
        let total: f64 = seen.iter().map(|(_, noise, freedom)| weight(*noise) * freedom).sum();
        if total <= 0.0 {
            return pooled;
        }
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            seen.iter()
                .map(|(square, noise, freedom)| weight(*noise) * freedom * of(*square, *noise))
                .sum::<f64>()
                / total
        };
        let (square, noise) = (mean(&|square, _| square), mean(&|_, noise| noise));
        // Satterthwaite: the terms are χ² with the expectations noise + scatter.
        let expected = |noise: f64| noise + scatter + 1e-12;
        let sum: f64 =
            seen.iter().map(|(_, noise, freedom)| weight(*noise) * freedom * expected(*noise)).sum();
        let squares: f64 = seen
            .iter()
            .map(|(_, noise, freedom)| (weight(*noise) * expected(*noise)).powi(2) * freedom)
            .sum();
        pooled = Scatter { total: square, noise, freedom: sum * sum / squares };
        scatter = (square - noise).max(0.0);
    }
    pooled
}

/// The exponential weights of the rounds of one length, replicate by replicate: drawn once, for every lane.
struct Weights {
    n: usize,
    rounds: BTreeMap<u32, Vec<f64>>,
}

impl Weights {
    fn new(n: usize) -> Self {
        Self { n, rounds: BTreeMap::new() }
    }

    /// Draws the weights of the rounds that have none yet.
    fn draw(&mut self, samples: &[(f64, u32)], rng: &mut Rng) {
        for (_, round) in samples {
            let draw = |_| -(1.0 - rng.f64()).ln();
            self.rounds.entry(*round).or_insert_with(|| (0..self.n).map(draw).collect());
        }
    }

    /// The weights of each sample's round.
    fn of<'a>(&'a self, samples: &[(f64, u32)]) -> Vec<&'a [f64]> {
        samples
            .iter()
            .map(|(_, round)| self.rounds.get(round).map(Vec::as_slice).unwrap_or_default())
            .collect()
    }
}

/// A point's samples by set-up with the deviations that its noise explains; `None` where there is no positive time.
fn draft(point: &Point, tick_ns: f64, weights: &mut Weights, rng: &mut Rng) -> Option<Draft> {
    if point.outcome != Outcome::Ok || point.seq_len == 0 || point.samples_ns.is_empty() {
        return None;
    }
    let y = point.median_ns.log2();
    if !y.is_finite() {
        return None;
    }
    let set_ups = set_ups(point);
    let n_set_ups = set_ups.len() as f64;
    // A time rounded to a step of the clock is off by a uniform error of variance step² / 12.
    let step = tick_ns / f64::from(point.repeats.max(1)) / point.median_ns * std::f64::consts::LOG2_E;
    let n = weights.n;
    let mut noise = vec![0.0; n];
    let (mut variance, mut freedom) = (0.0, 0.0);
    // With several set-ups, their scatter is measured beside this noise, and makes up for its bias.
    let is_alone = set_ups.len() < 2;
    for set_up in &set_ups {
        let draws = set_up.deviations(step, is_alone, weights, rng);
        variance += draws.iter().map(|draw| draw * draw).sum::<f64>() / n.max(1) as f64 / n_set_ups;
        freedom += MEDIAN_FREEDOM * (set_up.samples.len() as f64 - 1.0);
        for (sum, draw) in noise.iter_mut().zip(draws) {
            *sum += draw / n_set_ups;
        }
    }
    let spread = Spread {
        seq_len: point.seq_len,
        x: (point.seq_len as f64).log2(),
        y,
        full_attention: point.cost.full_attention,
        is_repeated: point.samples_ns.len() > 1,
        draws: Vec::new(),
    };
    Some(Draft { spread, set_ups, noise, noise_variance: variance, noise_freedom: freedom.max(2.0) })
}

/// The samples by set-up; all in one where the record does not tell.
fn set_ups(point: &Point) -> Vec<SetUp> {
    let samples: Vec<(f64, u32)> = point
        .samples_ns
        .iter()
        .enumerate()
        .filter(|(_, ns)| **ns > 0.0)
        .map(|(index, ns)| (ns.log2(), point.rounds.get(index).copied().unwrap_or(index as u32)))
        .collect();
    let known = point.set_ups.iter().map(|&n| n as usize).sum::<usize>() == samples.len();
    let counts: Vec<usize> =
        if known { point.set_ups.iter().map(|&n| n as usize).collect() } else { vec![samples.len()] };
    let mut rest = samples.as_slice();
    counts
        .into_iter()
        .filter_map(|count| {
            let (own, later) = rest.split_at(count);
            rest = later;
            let mut samples = own.to_vec();
            samples.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let values: Vec<f64> = samples.iter().map(|sample| sample.0).collect();
            Some(SetUp { median: stats::quantile(&values, 0.5)?, samples })
        })
        .collect()
}

impl SetUp {
    /// How far off this set-up's median may be: its deviation under random weights of the rounds.
    fn deviations(&self, step: f64, is_alone: bool, weights: &mut Weights, rng: &mut Rng) -> Vec<f64> {
        let count = self.samples.len();
        let rounding = step / 12.0_f64.sqrt() / (count.max(1) as f64).sqrt();
        if count < 2 {
            return (0..weights.n)
                .map(|_| SINGLE_SAMPLE_ERROR.hypot(rounding) * std::f64::consts::LOG2_E * stats::normal(rng))
                .collect();
        }
        let inflation = if is_alone { inflation(count) } else { 1.0 };
        weights.draw(&self.samples, rng);
        let by_sample = weights.of(&self.samples);
        let mut drawn = vec![0.0; count];
        (0..weights.n)
            .map(|replicate| {
                for (weight, of_round) in drawn.iter_mut().zip(&by_sample) {
                    *weight = of_round.get(replicate).copied().unwrap_or(1.0);
                }
                let median = weighted_median(&self.samples, &drawn);
                inflation * (median - self.median) + rounding * stats::normal(rng)
            })
            .collect()
    }
}

/// The Bayesian bootstrap's spread of a median is too small for a few samples by this factor (normal samples, simulated).
fn inflation(n_samples: usize) -> f64 {
    match n_samples {
        0..=2 => 2.0,
        3 => 1.45,
        4 => 1.26,
        5 => 1.14,
        6 => 1.08,
        7 => 1.04,
        _ => 1.0,
    }
}

/// The median of ascending values with weights, interpolated between the middles of their shares.
fn weighted_median(ascending: &[(f64, u32)], weights: &[f64]) -> f64 {
    let half = weights.iter().sum::<f64>() / 2.0;
    let mut before: Option<(f64, f64)> = None;
    let mut sum = 0.0;
    for (&(value, _), weight) in ascending.iter().zip(weights) {
        let middle = sum + weight / 2.0;
        if middle >= half {
            let Some((last_middle, last)) = before else {
                return value;
            };
            let part = (half - last_middle) / (middle - last_middle).max(f64::MIN_POSITIVE);
            return last + (value - last) * part;
        }
        before = Some((middle, value));
        sum += weight;
    }
    before.map_or(0.0, |(_, value)| value)
}
