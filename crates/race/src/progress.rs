//! How far a race is, by the time that the rest is expected to take.

use mixer::Executor;

use crate::record::{Activity, Progress};
use crate::state::Race;
use crate::{Clock, Watch};

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Says what is being done.
    pub fn report(&mut self, lane_idx: usize, length_idx: usize, activity: Activity) {
        let remaining_ns = self.expected_rest_ns(activity);
        let worked_ns = self.worked_ns();
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

    /// What the open points will take, each at most its share of the budget, and never more than the budget has left.
    fn expected_rest_ns(&self, activity: Activity) -> f64 {
        let left_ns = self.remaining_ns().max(0.0);
        let mut rest_ns = self.drift_cost_ns();
        if activity != Activity::CheckingDrift {
            let racing = (0..self.lanes.len()).filter(|&lane_idx| self.is_racing(lane_idx)).count().max(1);
            let weights: Vec<f64> = self.record.spec.lengths.iter().map(|&len| (len as f64).sqrt()).collect();
            let first = self.lanes.iter().filter(|lane| !lane.ended).map(|lane| lane.next).min().unwrap_or(0);
            let total: f64 = weights.iter().skip(first).sum();
            for (length_idx, weight) in weights.iter().enumerate().skip(first) {
                let share_ns = left_ns * weight / total.max(f64::MIN_POSITIVE) / racing as f64;
                for lane_idx in 0..self.lanes.len() {
                    rest_ns += self.expected_point_ns(lane_idx, length_idx, share_ns);
                }
            }
            for lane in self.lanes.iter().filter(|lane| !lane.ended) {
                rest_ns -= lane.spent_ns;
            }
        }
        rest_ns.clamp(0.0, left_ns)
    }
}
