//! Progress of a race, measured by the expected remaining time.

use mixer::Executor;

use crate::plan::divide;
use crate::record::{Activity, Progress};
use crate::state::Race;
use crate::{Clock, Watch};

/// Interval at which the estimate is computed again; in between it counts down with the clock.
const RENEW_EVERY_NS: f64 = 5e7;

/// The last estimate and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    worked_ns: f64,
    rest_ns: f64,
}

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Reports the activity under way.
    pub fn report(&mut self, lane_idx: usize, length_idx: usize, activity: Activity) {
        let worked_ns = self.worked_ns();
        let rest = match self.rest {
            Some(rest) if (0.0..RENEW_EVERY_NS).contains(&(worked_ns - rest.worked_ns)) => rest,
            _ => Rest { worked_ns, rest_ns: self.rest_ns(activity == Activity::CheckingDrift) },
        };
        self.rest = Some(rest);
        let remaining_ns = (rest.rest_ns - (worked_ns - rest.worked_ns)).max(0.0);
        let fraction = worked_ns / (worked_ns + remaining_ns).max(f64::MIN_POSITIVE);
        self.fraction = self.fraction.max(fraction.clamp(0.0, 1.0));
        self.watch().progress(&Progress {
            fraction: self.fraction,
            remaining_ns,
            lane: lane_idx,
            seq_len: self.seq_len(length_idx),
            activity,
        });
    }

    /// Estimates the remaining time by simulating the plan: at each length the lanes divide the remaining budget, lanes
    /// that cannot afford the length drop out, and all others take their expected time.
    fn rest_ns(&self, only_drift: bool) -> f64 {
        let left_ns = self.remaining_ns().max(0.0);
        let drift_ns = self.drift_cost_ns();
        if only_drift {
            return (drift_ns - self.drift_spent_ns).clamp(0.0, left_ns);
        }
        let mut budget_ns = (left_ns - drift_ns).max(0.0);
        let mut racing: Vec<bool> = self.lanes.iter().map(|lane| !lane.ended).collect();
        let weights: Vec<f64> = self.record.spec.lengths.iter().map(|&len| (len as f64).sqrt()).collect();
        let mut rest_ns = drift_ns;
        for (length_idx, weight) in weights.iter().enumerate() {
            let field: Vec<usize> = (0..self.lanes.len())
                .filter(|&lane_idx| {
                    racing.get(lane_idx) == Some(&true)
                        && self.lanes.get(lane_idx).is_some_and(|lane| lane.next <= length_idx)
                })
                .collect();
            let later: f64 = weights.iter().skip(length_idx).sum();
            let demands: Vec<_> =
                field.iter().map(|&lane_idx| self.expectation(lane_idx, length_idx)).collect();
            let own_ns = budget_ns / racing.iter().filter(|racing| **racing).count().max(1) as f64;
            let grants = divide(budget_ns * weight / later.max(f64::MIN_POSITIVE), &demands);
            for ((lane_idx, demand), grant_ns) in field.into_iter().zip(demands).zip(grants) {
                let least_ns = (demand.least_ns <= own_ns).then_some(demand.least_ns);
                let Some(grant_ns) = grant_ns.or(least_ns) else {
                    if let Some(racing) = racing.get_mut(lane_idx) {
                        *racing = false;
                    }
                    continue;
                };
                let spent_ns = self
                    .lanes
                    .get(lane_idx)
                    .filter(|lane| lane.next == length_idx)
                    .map_or(0.0, |lane| lane.spent_ns);
                let point_ns = (demand.wanted_ns.min(grant_ns) - spent_ns).max(0.0);
                rest_ns += point_ns;
                budget_ns -= point_ns;
            }
        }
        rest_ns.min(left_ns)
    }
}
