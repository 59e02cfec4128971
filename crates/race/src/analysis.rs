//! Comparing lanes: which one is the baseline, how many times slower or faster another is, and the fits and crossovers
//! of a record.

use fastrand::Rng;

use crate::fit::Curve;
use crate::record::{Outcome, Point, RaceSpec, Record};
use crate::{crossover, stats};

/// The system that challengers are measured against: the tiled one, never the naive one.
const BASELINE: &str = "attention";
/// Sets the random numbers of the analysis apart from those of the schedule.
const ANALYSIS_STREAM: u64 = 0x616e_616c_7973_6973;
/// Bootstrap resamples of a ratio.
const RATIO_RESAMPLES: usize = 500;

/// One lane's time over another's at the same length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Ratio of the medians: below 1, the first lane is faster.
    pub value: f64,
    /// 95% bootstrap interval; absent where either lane has a single sample.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Whether the interval lies on one side of 1. Otherwise the two are too close to call.
    pub fn is_clear(&self) -> bool {
        self.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0)
    }
}

/// Index of the attention lane on the same backend that `lane` is compared with; `None` where there is none, or where
/// `lane` is that lane itself. The first one counts where several differ in parameters.
pub fn baseline_of(spec: &RaceSpec, lane: usize) -> Option<usize> {
    let backend = spec.lanes.get(lane)?.backend;
    let baseline =
        spec.lanes.iter().position(|other| other.system == BASELINE && other.backend == backend)?;
    (baseline != lane).then_some(baseline)
}

/// `lane`'s time over `baseline`'s at a length that both have measured.
pub fn ratio(record: &Record, lane: usize, baseline: usize, seq_len: usize) -> Option<Ratio> {
    let mut rng = Rng::with_seed(record.spec.seed ^ seq_len as u64);
    ratio_of(measured(record, lane, seq_len)?, measured(record, baseline, seq_len)?, &mut rng)
}

/// Computes every fit and crossover of a record from its points; the same record gives the same numbers.
pub(crate) fn update(record: &mut Record, n_resamples: usize) {
    let mut rng = Rng::with_seed(record.spec.seed ^ ANALYSIS_STREAM);
    let mut curves: Vec<Curve> =
        record.lanes.iter().map(|lane| Curve::new(&lane.points, record.tick_ns)).collect();
    curves.iter_mut().for_each(|curve| curve.resample(&mut rng));
    for (lane, curve) in record.lanes.iter_mut().zip(&curves) {
        lane.fit = curve.fit(n_resamples, &mut rng);
    }
    record.crossovers = (0..curves.len())
        .filter_map(|lane| {
            let baseline = baseline_of(&record.spec, lane)?;
            let (challenger, against) = (curves.get(lane)?, curves.get(baseline)?);
            Some(crossover::find((lane, challenger), (baseline, against), n_resamples, &mut rng))
        })
        .collect();
}

/// One point's time over another's.
pub(crate) fn ratio_of(lane: &Point, baseline: &Point, rng: &mut Rng) -> Option<Ratio> {
    let value = lane.median_ns / baseline.median_ns;
    if !(value.is_finite() && value > 0.0) {
        return None;
    }
    let interval = (lane.samples_ns.len() > 1 && baseline.samples_ns.len() > 1).then(|| {
        let ratios: Vec<f64> = (0..RATIO_RESAMPLES)
            .filter_map(|_| {
                let above = stats::resampled_median(&lane.samples_ns, rng)?;
                let below = stats::resampled_median(&baseline.samples_ns, rng)?;
                Some(above / below)
            })
            .collect();
        let estimate = stats::interval(value, &ratios);
        (estimate.low, estimate.high)
    });
    Some(Ratio { value, interval })
}

fn measured(record: &Record, lane: usize, seq_len: usize) -> Option<&Point> {
    let points = &record.lanes.get(lane)?.points;
    points.iter().find(|point| point.seq_len == seq_len && point.outcome == Outcome::Ok)
}
