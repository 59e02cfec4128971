//! Replicates of every point's time: values that the race might have measured instead. All intervals come from them.
//!
//! A time has two sources of uncertainty. Samples of one set-up differ from round to round: the Bayesian bootstrap
//! (Rubin 1981) weights whole rounds, with equal weights for every lane, because lanes sampled in one round shared the
//! state of the machine. And set-ups differ from each other (placement in memory, clock frequency): this scatter is
//! measured from lanes that were set up more than once at a length, pooled over the lengths of a lane and shrunk
//! towards its backend's. Where no lane was set up twice, a prior is used.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use crate::record::{Estimate, Outcome, Point, Record};
use crate::scatter::{self, Scatter};
use crate::stats;

/// Assumed relative standard error of a set-up with a single sample.
const SINGLE_SAMPLE_ERROR: f64 = 0.05;
/// Degrees of freedom that each sample beyond the first contributes to the spread of a median.
const MEDIAN_FREEDOM: f64 = 1.0;
/// Part of the noise that is subtracted from the scatter of set-ups. Subtracting less than all of it leaves the
/// remainder in the scatter, which is then less often estimated as zero.
const NOISE_BESIDE_SCATTER: f64 = 0.85;
/// Median absolute deviations from the median at which a sample is clipped: four standard deviations.
const CLIP: f64 = 5.9;
/// Most weights drawn for one analysis, which bounds its time for races of many lanes and lengths.
const MOST_WEIGHTS: usize = 20_000_000;
/// Fewest replicates of an analysis.
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
    /// Closed-form operations.
    pub flops: u64,
    /// Whether the system ran full attention here, so that the point does not show the system's own growth.
    pub full_attention: bool,
    /// Whether there is more than one sample.
    pub is_repeated: bool,
    /// Replicates of `y`. Equal indices belong to one replicate of the race in every lane.
    pub draws: Vec<f64>,
}

impl Spread {
    /// Variance of `y` over the replicates.
    pub fn variance(&self) -> f64 {
        stats::deviation(&self.draws).powi(2)
    }

    /// Standard deviation over the replicates of the difference to another point, in log₂.
    pub fn deviation_from(&self, other: &Spread) -> f64 {
        let gaps: Vec<f64> = self.draws.iter().zip(&other.draws).map(|(own, other)| own - other).collect();
        stats::deviation(&gaps)
    }

    /// 95% interval of the point's time, in nanoseconds.
    pub fn interval_ns(&self) -> (f64, f64) {
        let Estimate { low, high, .. } = stats::interval(self.y, &self.draws);
        (mixer::exp2(low), mixer::exp2(high))
    }

    /// `other`'s time over this point's time with its 95% interval: above 1, this point is faster.
    pub fn speedup(&self, other: &Spread) -> Estimate {
        let draws: Vec<f64> = self.draws.iter().zip(&other.draws).map(|(own, other)| other - own).collect();
        let Estimate { value, low, high } = stats::interval(other.y - self.y, &draws);
        Estimate { value: mixer::exp2(value), low: mixer::exp2(low), high: mixer::exp2(high) }
    }
}

/// The samples of one set-up, ascending, with the round of each.
struct SetUp {
    /// log₂ of nanoseconds, round.
    samples: Vec<(f64, u32)>,
    median: f64,
    /// The heat of the set-up.
    heat: u32,
}

/// A measured point before its replicates are drawn.
struct Draft {
    spread: Spread,
    set_ups: Vec<SetUp>,
    /// Deviations of the mean of the set-ups' medians, one per replicate.
    noise: Vec<f64>,
    /// Variance of one set-up's median, estimated from its own samples.
    noise_variance: f64,
    /// Degrees of freedom of the noise.
    noise_freedom: f64,
    /// The lane's scatter as seen in this point's set-ups.
    scatter: Option<Scatter>,
}

impl Draft {
    /// Whether the set-ups of both points were made in the same heats, in order.
    fn is_beside(&self, other: &Draft) -> bool {
        self.set_ups.iter().map(|set_up| set_up.heat).eq(other.set_ups.iter().map(|set_up| set_up.heat))
    }

    fn medians(&self) -> Vec<f64> {
        self.set_ups.iter().map(|set_up| set_up.median).collect()
    }
}

impl Replicates {
    /// Draws up to `n` replicates of every measured point; deterministic for a given record and generator.
    pub fn new(record: &Record, n: usize, rng: &mut Rng) -> Self {
        let n_samples: usize =
            record.lanes.iter().flat_map(|lane| &lane.points).map(|point| point.samples_ns.len()).sum();
        let n = n.min((MOST_WEIGHTS / n_samples.max(1)).max(FEWEST));
        let mut drafts: Vec<Vec<Draft>> = record.lanes.iter().map(|_| Vec::new()).collect();
        let mut moments = Vec::new();
        for &seq_len in &record.spec.lengths {
            let mut weights = Weights::new(n);
            let mut at_length: Vec<(usize, Draft)> = Vec::new();
            for (lane_idx, lane) in record.lanes.iter().enumerate() {
                let point = lane.points.iter().find(|point| point.seq_len == seq_len);
                let draft = point.and_then(|point| draft(point, record.tick_ns, &mut weights, rng));
                at_length.extend(draft.map(|draft| (lane_idx, draft)));
            }
            moments.extend(see_scatter(&mut at_length));
            for (lane_idx, draft) in at_length {
                if let Some(drafts) = drafts.get_mut(lane_idx) {
                    drafts.push(draft);
                }
            }
        }
        let scatters = scatters(record, &drafts);
        let moments = Scatter::pool(&moments);
        let shared: Vec<f64> = (0..n).map(|_| moments.draw(rng)).collect();
        let heats: BTreeSet<u32> =
            drafts.iter().flatten().flat_map(|draft| &draft.set_ups).map(|set_up| set_up.heat).collect();
        let shared: BTreeMap<u32, Vec<f64>> = heats
            .into_iter()
            .map(|heat| (heat, shared.iter().map(|deviation| deviation * stats::normal(rng)).collect()))
            .collect();
        let lanes = drafts
            .into_iter()
            .zip(&scatters)
            .map(|(drafts, scatter)| {
                let scatter: Vec<f64> = (0..n).map(|_| scatter.draw(rng)).collect();
                drafts.into_iter().map(|draft| draft.finish(&scatter, &shared, rng)).collect()
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

    /// The scatter of a lane between set-ups: a standard deviation in log₂.
    pub fn scatter(&self, lane_idx: usize) -> f64 {
        self.scatters.get(lane_idx).copied().unwrap_or(Scatter::PRIOR).deviation()
    }
}

impl Draft {
    fn finish(mut self, scatter: &[f64], shared: &BTreeMap<u32, Vec<f64>>, rng: &mut Rng) -> Spread {
        let n_set_ups = self.set_ups.len().max(1) as f64;
        let mut moments = vec![0.0; self.noise.len()];
        for draws in self.set_ups.iter().filter_map(|set_up| shared.get(&set_up.heat)) {
            moments.iter_mut().zip(draws).for_each(|(moment, draw)| *moment += draw / n_set_ups);
        }
        self.spread.draws = self
            .noise
            .iter()
            .zip(scatter)
            .zip(moments)
            .map(|((noise, scatter), moment)| {
                // The spread of few samples is itself uncertain, hence Student's factor. With several set-ups, the
                // uncertainty of their scatter already contains it.
                let heavier = if self.set_ups.len() > 1 {
                    1.0
                } else {
                    (self.noise_freedom / stats::chi_squared(self.noise_freedom, rng)).sqrt()
                };
                self.spread.y + noise * heavier + moment + scatter * stats::normal(rng) / n_set_ups.sqrt()
            })
            .collect();
        self.spread
    }
}

/// Stores the scatter shown by each point at a length, and returns the scatter of the moments that lanes share.
fn see_scatter(at_length: &mut [(usize, Draft)]) -> Vec<Scatter> {
    let mut left: Vec<usize> = (0..at_length.len()).collect();
    let mut moments = Vec::new();
    while let Some(&first) = left.first() {
        let (together, apart): (Vec<usize>, Vec<usize>) =
            left.iter().partition(|&&index| at_length[index].1.is_beside(&at_length[first].1));
        let medians: Vec<(Vec<f64>, f64)> = together
            .iter()
            .map(|&index| (at_length[index].1.medians(), at_length[index].1.noise_variance))
            .collect();
        if let Some((scatters, moment)) = scatter::analyze(&medians) {
            for (&index, scatter) in together.iter().zip(scatters) {
                at_length[index].1.scatter = Some(scatter);
            }
            moments.push(moment);
        }
        left = if together.is_empty() { Vec::new() } else { apart };
    }
    moments
}

/// Scatter of every lane: its own, shrunk towards that of other lanes of its backend.
fn scatters(record: &Record, drafts: &[Vec<Draft>]) -> Vec<Scatter> {
    let seen = |lane: usize| drafts.get(lane).into_iter().flatten().filter_map(|draft| draft.scatter);
    let specs = &record.spec.lanes;
    (0..drafts.len())
        .map(|lane| {
            let backend = specs.get(lane).map(|spec| spec.backend);
            let others: Vec<Scatter> = (0..drafts.len())
                .filter(|&other| other != lane && specs.get(other).map(|spec| spec.backend) == backend)
                .flat_map(seen)
                .collect();
            Scatter::pool(&seen(lane).collect::<Vec<_>>()).shrunk(Scatter::pool(&others))
        })
        .collect()
}

/// The exponential weights of the rounds of one length for each replicate: drawn once and shared by all lanes.
struct Weights {
    n: usize,
    rounds: BTreeMap<u32, Vec<f64>>,
}

impl Weights {
    fn new(n: usize) -> Self {
        Self { n, rounds: BTreeMap::new() }
    }

    /// Draws the weights of new rounds.
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

/// A point's samples by set-up with the deviations explained by noise; `None` without a positive time.
fn draft(point: &Point, tick_ns: f64, weights: &mut Weights, rng: &mut Rng) -> Option<Draft> {
    if point.outcome != Outcome::Ok || point.seq_len == 0 || point.samples_ns.is_empty() {
        return None;
    }
    let y = point.median_ns.log2();
    if !y.is_finite() {
        return None;
    }
    let mut set_ups = set_ups(point);
    clip(&mut set_ups);
    let n_set_ups = set_ups.len() as f64;
    // A time rounded to a step of the clock is off by a uniform error of variance step² / 12.
    let step = tick_ns / f64::from(point.repeats.max(1)) / point.median_ns * std::f64::consts::LOG2_E;
    let n = weights.n;
    let mut noise = vec![0.0; n];
    let (mut variance, mut freedom) = (0.0, 0.0);
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
        flops: point.cost.flops,
        full_attention: point.cost.full_attention,
        is_repeated: point.samples_ns.len() > 1,
        draws: Vec::new(),
    };
    Some(Draft {
        spread,
        set_ups,
        noise,
        noise_variance: variance,
        noise_freedom: freedom.max(2.0),
        scatter: None,
    })
}

/// The samples by set-up; a single set-up where the record does not list them.
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
        .enumerate()
        .filter_map(|(index, count)| {
            let (own, later) = rest.split_at(count);
            rest = later;
            let mut samples = own.to_vec();
            samples.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let values: Vec<f64> = samples.iter().map(|sample| sample.0).collect();
            let heat = point.heats.get(index).copied().unwrap_or(u32::MAX);
            Some(SetUp { median: stats::quantile(&values, 0.5)?, samples, heat })
        })
        .collect()
}

/// Moves samples far from their set-up's median to [`CLIP`] median absolute deviations from it. They still count in
/// every median, but their distance says nothing about the precision of the median.
fn clip(set_ups: &mut [SetUp]) {
    let residuals: Vec<f64> = set_ups
        .iter()
        .flat_map(|set_up| set_up.samples.iter().map(|(value, _)| value - set_up.median))
        .collect();
    let Some(reach) = stats::mad(&residuals).map(|mad| CLIP * mad).filter(|reach| *reach > 0.0) else {
        return;
    };
    for set_up in set_ups {
        let (low, high) = (set_up.median - reach, set_up.median + reach);
        set_up.samples.iter_mut().for_each(|(value, _)| *value = value.clamp(low, high));
    }
}

impl SetUp {
    /// Deviations of this set-up's median under random weights of the rounds, one per replicate.
    fn deviations(&self, step: f64, is_alone: bool, weights: &mut Weights, rng: &mut Rng) -> Vec<f64> {
        let count = self.samples.len();
        let rounding = step / 12.0_f64.sqrt() / (count.max(1) as f64).sqrt();
        if count < 2 {
            return (0..weights.n)
                .map(|_| SINGLE_SAMPLE_ERROR.hypot(rounding) * std::f64::consts::LOG2_E * stats::normal(rng))
                .collect();
        }
        let inflation =
            if is_alone { inflation(count) } else { NOISE_BESIDE_SCATTER * inflation(count).min(1.0) };
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

/// Correction of the Bayesian bootstrap's spread of a median, which is too small for few samples and too large for many
/// (from a simulation with normal samples).
fn inflation(n_samples: usize) -> f64 {
    match n_samples {
        0..=2 => 2.0,
        3 => 1.45,
        4 => 1.26,
        5 => 1.14,
        6 => 1.08,
        7 => 1.04,
        _ => 0.94,
    }
}

/// The weighted median of ascending values, interpolated between the centres of their weights.
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
