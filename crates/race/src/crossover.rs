//! From which length on a challenger stays ahead of attention.
//!
//! Between measured points, times are interpolated in log-log; beyond the last length that both have measured, the
//! two fitted lines decide. The interval comes from replicates of both lanes in which the same question is asked
//! again; a replicate in which the challenger never gets ahead counts as a crossover at the horizon.

use fastrand::Rng;
use mixer::exp2;

use crate::fit::{Curve, Line};
use crate::record::{Crossover, CrossoverKind};
use crate::stats;

/// How far beyond the longest common length the fits are believed, in log₂ of the length.
pub const PREDICTION_HORIZON: f64 = 8.0;

/// log₂ of the length at which a challenger gets ahead for good.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Crossing {
    Measured(f64),
    Predicted(f64),
    Never,
}

/// The crossover of `challenger` against `baseline`, whose curves are given.
pub(crate) fn find(
    (challenger, challenger_curve): (usize, &Curve),
    (baseline, baseline_curve): (usize, &Curve),
    n_resamples: usize,
    rng: &mut Rng,
) -> Crossover {
    let duel = Duel::new(challenger_curve, baseline_curve);
    let base = duel.crossing(&challenger_curve.heights(), &baseline_curve.heights());
    let (kind, x) = match base {
        Crossing::Measured(x) => (CrossoverKind::Measured, x),
        Crossing::Predicted(x) => (CrossoverKind::Predicted, x),
        Crossing::Never => {
            return Crossover { challenger, baseline, kind: CrossoverKind::None, length: None };
        }
    };
    let lengths: Vec<f64> = (0..n_resamples)
        .map(|_| match duel.crossing(&challenger_curve.replicate(rng), &baseline_curve.replicate(rng)) {
            Crossing::Measured(x) | Crossing::Predicted(x) => exp2(x),
            Crossing::Never => exp2(duel.horizon),
        })
        .collect();
    Crossover { challenger, baseline, kind, length: Some(stats::interval(exp2(x), &lengths)) }
}

/// Two curves and the lengths that they share.
struct Duel<'a> {
    challenger: &'a Curve,
    baseline: &'a Curve,
    /// log₂ L, index in the challenger's curve, index in the baseline's; ascending.
    common: Vec<(f64, usize, usize)>,
    /// log₂ of the longest length that a prediction may name.
    horizon: f64,
}

impl<'a> Duel<'a> {
    fn new(challenger: &'a Curve, baseline: &'a Curve) -> Self {
        let mut common = Vec::new();
        for (own_idx, (seq_len, x)) in challenger.lengths().enumerate() {
            if let Some(other_idx) = baseline.lengths().position(|(other, _)| other == seq_len) {
                common.push((x, own_idx, other_idx));
            }
        }
        let horizon = common.last().map_or(0.0, |(x, ..)| x + PREDICTION_HORIZON);
        Self { challenger, baseline, common, horizon }
    }

    fn crossing(&self, challenger: &[f64], baseline: &[f64]) -> Crossing {
        // How far the challenger is behind, in log₂ of time, at each common length.
        let behind: Vec<(f64, f64)> = self
            .common
            .iter()
            .filter_map(|&(x, own, other)| Some((x, challenger.get(own)? - baseline.get(other)?)))
            .collect();
        match behind.iter().rposition(|&(_, gap)| gap >= 0.0) {
            None => behind.first().map_or(Crossing::Never, |&(x, _)| Crossing::Measured(x)),
            Some(last) => match (behind.get(last), behind.get(last + 1)) {
                (Some(&(x, gap)), Some(&(next_x, next_gap))) => {
                    Crossing::Measured(x + (next_x - x) * gap / (gap - next_gap))
                }
                (Some(&(x, _)), None) => {
                    let lines = self.challenger.line(challenger).zip(self.baseline.line(baseline));
                    lines.map_or(Crossing::Never, |lines| self.extrapolate(lines, x))
                }
                (None, _) => Crossing::Never,
            },
        }
    }

    /// Where the lines meet, at `from` or beyond it: at `from` itself the challenger was still measured behind.
    fn extrapolate(&self, (challenger, baseline): (Line, Line), from: f64) -> Crossing {
        let gain = baseline.slope - challenger.slope;
        let x = ((challenger.intercept - baseline.intercept) / gain).max(from);
        if gain > 0.0 && x <= self.horizon { Crossing::Predicted(x) } else { Crossing::Never }
    }
}
