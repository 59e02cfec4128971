//! Computes the conclusions of a record from its points: intervals, verdicts against the baseline, fits and crossovers.

use fastrand::Rng;

use crate::growth::{CostLaw, Model};
use crate::record::{Outcome, Point, RaceSpec, Record, Versus};
use crate::replicates::Replicates;
use crate::{crossover, fit, stats, verdict};

/// The system that challengers are measured against: tiled attention. Naive attention would flatter them.
const BASELINE: &str = "attention";
/// Seed offset that keeps the random numbers of the analysis independent of those of the schedule.
const ANALYSIS_STREAM: u64 = 0x616e_616c_7973_6973;
/// Number of replicates where only the errors of points are needed.
const QUICK_REPLICATES: usize = 100;
/// Quantile of Student's t distribution for a drift: the scatter is estimated from a handful of set-ups.
const DRIFT_QUANTILE: f64 = 2.3;

/// Index of the attention lane on the same backend as `lane`: the first one where several differ in parameters. `None`
/// where there is no such lane, or where it is `lane` itself.
pub fn baseline_of(spec: &RaceSpec, lane: usize) -> Option<usize> {
    let backend = spec.lanes.get(lane)?.backend;
    let baseline =
        spec.lanes.iter().position(|other| other.system == BASELINE && other.backend == backend)?;
    (baseline != lane).then_some(baseline)
}

/// Computes every interval, verdict, fit and crossover of a record from its points. The result is deterministic. `laws`
/// are the lanes' closed-form operation counts, in the record's order.
pub(crate) fn update(record: &mut Record, laws: &[CostLaw], n_replicates: usize) {
    let mut rng = Rng::with_seed(record.spec.seed ^ ANALYSIS_STREAM);
    let replicates = Replicates::new(record, n_replicates, &mut rng);
    let baselines: Vec<Option<usize>> =
        (0..record.lanes.len()).map(|lane_idx| baseline_of(&record.spec, lane_idx)).collect();
    let horizon =
        record.spec.lengths.last().map_or(0.0, |&len| (len as f64).log2()) + crossover::PREDICTION_HORIZON;
    let no_law = CostLaw::default();
    let models: Vec<Option<Model>> = (0..record.lanes.len())
        .map(|lane_idx| Model::new(replicates.lane(lane_idx), laws.get(lane_idx).unwrap_or(&no_law)))
        .collect();
    for (lane_idx, lane) in record.lanes.iter_mut().enumerate() {
        let baseline = baselines.get(lane_idx).copied().flatten();
        for point in &mut lane.points {
            let spread = replicates.point(lane_idx, point.seq_len);
            point.interval_ns = spread.filter(|spread| spread.is_repeated).map(|spread| {
                let (low, high) = spread.interval_ns();
                (low.min(point.median_ns), high.max(point.median_ns))
            });
            point.versus = spread.zip(baseline).and_then(|(spread, baseline)| {
                let speedup = spread.speedup(replicates.point(baseline, point.seq_len)?);
                Some(Versus { baseline, speedup, verdict: verdict::decide(speedup) })
            });
        }
        let model = models.get(lane_idx).and_then(Option::as_ref).map(|model| (model, horizon));
        lane.fit = fit::fit(replicates.lane(lane_idx), model);
    }
    let lane = |index: usize| crossover::Lane {
        index,
        points: replicates.lane(index),
        model: models.get(index).and_then(Option::as_ref),
    };
    let n_challengers = baselines.iter().flatten().count();
    record.crossovers = baselines
        .iter()
        .enumerate()
        .filter_map(|(lane_idx, baseline)| {
            Some(crossover::find(lane(lane_idx), lane((*baseline)?), n_challengers))
        })
        .collect();
}

/// Enough replicates for the errors of points and the scatter of lanes.
pub(crate) fn quick(record: &Record) -> Replicates {
    Replicates::new(record, QUICK_REPLICATES, &mut Rng::with_seed(0))
}

/// Ratio of the first length's time at the end of the race to its time at the beginning, where it exceeds the
/// uncertainty of both measurements, which come from different set-ups. `scatter` is the lane's scatter between
/// set-ups, in log₂.
pub(crate) fn drift(scatter: f64, tick_ns: f64, first: &Point, again: &Point) -> Option<f64> {
    let scatter = scatter * std::f64::consts::LN_2;
    let error = |point: &Point| {
        let quantum = tick_ns / f64::from(point.repeats.max(1));
        let own = stats::relative_error(&point.samples_ns, quantum).filter(|_| point.samples_ns.len() > 1)?;
        Some(own.hypot(scatter / (point.set_ups.len().max(1) as f64).sqrt()))
    };
    let ratio = again.median_ns / first.median_ns;
    let deviation = error(first)?.hypot(error(again)?);
    let is_measured = first.outcome == Outcome::Ok && ratio.is_finite() && ratio > 0.0;
    (is_measured && ratio.ln().abs() > DRIFT_QUANTILE * deviation).then_some(ratio)
}
