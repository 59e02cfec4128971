//! Finds the length from which a challenger stays ahead of attention, decided by the replicates of the race.
//!
//! Between measured points, the ratio of times is interpolated in log-log. Beyond the last length that both lanes have
//! measured, their growth models decide. Each replicate gives its own answer. A kind is claimed only where at least 95%
//! of the replicates agree (97.5% for a bound, which has one side), both ends of its 95% interval are lengths, and the
//! difference at the longest common length is clear at Bonferroni's level for the number of challengers. Points at
//! which the challenger ran full attention are ignored.

use mixer::exp2;

use crate::growth::{Grid, Model};
use crate::record::{Crossover, CrossoverKind, Estimate, Verdict};
use crate::replicates::Spread;
use crate::{stats, verdict};

/// Distance beyond the longest common length up to which the models are used, in log₂ of the length.
pub const PREDICTION_HORIZON: f64 = 8.0;

/// Share of replicates that must agree, for a two-sided statement.
const AGREEMENT: f64 = 0.95;
/// Share of replicates that must agree, for one side of a two-sided 95% interval.
const ONE_SIDED: f64 = 0.975;
/// Quantile of the normal distribution for a two-sided 95% statement about one challenger.
const QUANTILE: f64 = 1.96;
/// Increase of the squared quantile per unit of the logarithm of the number of challengers: Bonferroni's correction,
/// within 1% for up to 28 challengers.
const PER_LOG_CHALLENGERS: f64 = 1.8;
/// Lengths per octave at which the search for a predicted crossover evaluates the models.
const PER_OCTAVE: usize = 8;

/// A lane's points and model.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    pub index: usize,
    pub points: &'a [Spread],
    pub model: Option<&'a Model>,
}

/// Where the challenger gets ahead for good in one replicate, as log₂ of the length.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Crossing {
    /// Ahead at every common length.
    FromTheStart,
    /// Between two common lengths.
    Between(f64),
    /// Beyond the last common length.
    Beyond(f64),
    /// Not within the prediction horizon.
    Never,
    /// No growth model exists to decide.
    Unknown,
}

/// The crossover of `challenger` against `baseline`. `n_challengers` is the number of challengers in the race: readers
/// look for the first of them that overtakes, so each difference must be clearer the more challengers there are.
pub(crate) fn find(challenger: Lane<'_>, baseline: Lane<'_>, n_challengers: usize) -> Crossover {
    let (kind, length) = Duel::new(challenger, baseline)
        .map_or((CrossoverKind::Undecided, None), |duel| duel.decide(n_challengers));
    Crossover { challenger: challenger.index, baseline: baseline.index, kind, length }
}

/// Two lanes at the lengths that both of them have measured.
struct Duel<'a> {
    /// The points of challenger and baseline at each common length, ascending.
    common: Vec<(&'a Spread, &'a Spread)>,
    /// Both growth models with their tables from the last common length to the horizon.
    models: Option<[(&'a Model, Grid); 2]>,
}

impl<'a> Duel<'a> {
    fn new(challenger: Lane<'a>, baseline: Lane<'a>) -> Option<Self> {
        let common: Vec<(&Spread, &Spread)> = challenger
            .points
            .iter()
            .filter(|own| !own.full_attention)
            .filter_map(|own| Some((own, baseline.points.iter().find(|other| other.seq_len == own.seq_len)?)))
            .collect();
        let from = common.last()?.0.x;
        let steps = PREDICTION_HORIZON as usize * PER_OCTAVE;
        let xs: Vec<f64> = (0..=steps).map(|step| from + step as f64 / PER_OCTAVE as f64).collect();
        let with_grid = |model: &'a Model| (model, Grid::new(&model.law, xs.clone()));
        let models =
            challenger.model.zip(baseline.model).map(|(own, other)| [with_grid(own), with_grid(other)]);
        Some(Self { common, models })
    }

    fn decide(&self, n_challengers: usize) -> (CrossoverKind, Option<Estimate>) {
        const UNDECIDED: (CrossoverKind, Option<Estimate>) = (CrossoverKind::Undecided, None);
        let Some((own, other)) = self.common.last() else { return UNDECIDED };
        let n = own.draws.len();
        let crossings: Vec<Crossing> = (0..n).map(|replicate| self.crossing(Some(replicate))).collect();
        let share = |is: fn(&Crossing) -> bool| {
            crossings.iter().filter(|crossing| is(crossing)).count() as f64 / n.max(1) as f64
        };
        let base = self.crossing(None);
        let quantile =
            (QUANTILE * QUANTILE + PER_LOG_CHALLENGERS * (n_challengers.max(1) as f64).ln()).sqrt();
        let is_clear = (own.y - other.y).abs() > quantile * own.deviation_from(other);
        match verdict::decide(own.speedup(other)) {
            _ if !is_clear => UNDECIDED,
            Verdict::Ahead => {
                let measured = match base {
                    Crossing::Between(x)
                        if share(|crossing| matches!(crossing, Crossing::Between(_))) >= AGREEMENT =>
                    {
                        estimate(x, &crossings).map(|length| (CrossoverKind::Measured, length))
                    }
                    _ => None,
                };
                let at_most = || self.bound().map(|bound| (CrossoverKind::AtMost, bound));
                measured.or_else(at_most).map_or(UNDECIDED, |(kind, length)| (kind, Some(length)))
            }
            Verdict::Behind => match base {
                Crossing::Beyond(x)
                    if x > own.x
                        && share(|crossing| matches!(crossing, Crossing::Beyond(_))) >= AGREEMENT =>
                {
                    estimate(x, &crossings)
                        .map_or(UNDECIDED, |length| (CrossoverKind::Predicted, Some(length)))
                }
                Crossing::Never
                    if !self.is_ahead_anywhere()
                        && share(|crossing| *crossing == Crossing::Never) >= AGREEMENT =>
                {
                    (CrossoverKind::None, None)
                }
                _ => UNDECIDED,
            },
            Verdict::Undecided => UNDECIDED,
        }
    }

    /// Whether the challenger is ahead at any common length.
    fn is_ahead_anywhere(&self) -> bool {
        self.common.iter().any(|(own, other)| verdict::decide(own.speedup(other)) == Verdict::Ahead)
    }

    /// The shortest common length from which the challenger is ahead at every further length in the required share of
    /// replicates.
    fn bound(&self) -> Option<Estimate> {
        let n = self.common.last()?.0.draws.len();
        let mut ahead = vec![true; n];
        let mut bound = None;
        for (own, other) in self.common.iter().rev() {
            for ((ahead, own), other) in ahead.iter_mut().zip(&own.draws).zip(&other.draws) {
                *ahead &= own < other;
            }
            if (ahead.iter().filter(|ahead| **ahead).count() as f64) < ONE_SIDED * n as f64 {
                break;
            }
            bound = Some(own.seq_len as f64);
        }
        bound.map(|value| Estimate { value, low: value, high: value })
    }

    /// Where the challenger gets ahead for good in a replicate, or in the measurement itself for `None`.
    fn crossing(&self, replicate: Option<usize>) -> Crossing {
        let height = |point: &Spread| {
            replicate.and_then(|replicate| point.draws.get(replicate)).copied().unwrap_or(point.y)
        };
        // The challenger's time over the baseline's, in log₂.
        let behind: Vec<(f64, f64)> =
            self.common.iter().map(|(own, other)| (own.x, height(own) - height(other))).collect();
        let Some(last) = behind.iter().rposition(|&(_, gap)| gap >= 0.0) else {
            return Crossing::FromTheStart;
        };
        match (behind.get(last), behind.get(last + 1)) {
            (Some(&(x, gap)), Some(&(next_x, next_gap))) => {
                Crossing::Between(x + (next_x - x) * gap / (gap - next_gap))
            }
            _ => self.extrapolate(replicate),
        }
    }

    /// Where the growth models meet for the last time within the horizon; the last common length where the challenger's
    /// model is ahead throughout.
    fn extrapolate(&self, replicate: Option<usize>) -> Crossing {
        let Some([(own, own_grid), (other, other_grid)]) = &self.models else {
            return Crossing::Unknown;
        };
        let growth = |model: &'a Model| {
            replicate.and_then(|replicate| model.replicates.get(replicate)).unwrap_or(&model.growth)
        };
        let mut last_behind: Option<(f64, f64)> = None;
        let mut next_ahead: Option<(f64, f64)> = None;
        let gaps = own_grid.evaluate(growth(own)).zip(other_grid.evaluate(growth(other)));
        for (x, (own, other)) in own_grid.xs.iter().zip(gaps) {
            let gap = own - other;
            if gap >= 0.0 {
                (last_behind, next_ahead) = (Some((*x, (own / other).log2())), None);
            } else if next_ahead.is_none() {
                next_ahead = Some((*x, (own / other).log2()));
            }
        }
        match (last_behind, next_ahead) {
            (_, None) => Crossing::Never,
            (None, Some((x, _))) => Crossing::Beyond(x),
            (Some((x, gap)), Some((next_x, next_gap))) => {
                Crossing::Beyond(x + (next_x - x) * gap / (gap - next_gap))
            }
        }
    }
}

/// A crossing with its 95% interval. Replicates that lead from the start count as below every length, replicates that
/// never cross as above every length. `None` where an end of the interval is such a replicate, because it then has no
/// length.
fn estimate(x: f64, crossings: &[Crossing]) -> Option<Estimate> {
    let lengths: Vec<f64> = crossings
        .iter()
        .map(|crossing| match crossing {
            Crossing::Between(x) | Crossing::Beyond(x) => exp2(*x),
            Crossing::FromTheStart => f64::NEG_INFINITY,
            Crossing::Never | Crossing::Unknown => f64::INFINITY,
        })
        .collect();
    Some(stats::interval(exp2(x), &lengths)).filter(|length| length.low > 0.0 && length.high.is_finite())
}
