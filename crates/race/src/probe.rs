//! Estimates a lane's speed where its first length may be too long to try: small problems of growing size, until the
//! prediction fits the lane's share or the next probe would take too long.

use mixer::{Executor, LaneError, Problem};

use crate::plan::scale;
use crate::record::Activity;
use crate::state::{Anchor, Halt, Race};
use crate::{Clock, Watch};

/// Approximate speed of the slowest machine that a race runs on. A first length that fits at this speed is run without
/// a probe.
const SLOWEST_NS_PER_FLOP: f64 = 1.0;
/// Length of the first probe; each further probe is [`GROWTH`] times as long.
const FIRST_PROBE: usize = 16;
const GROWTH: usize = 4;
/// Part of a lane's share below which a first length is certainly short enough.
const SHORT: f64 = 0.25;
/// Part of a lane's share that its probes may take, compilation included.
const PROBE_SHARE: f64 = 0.5;

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Times small problems of a lane whose speed is unknown, unless its first length is certainly short enough.
    pub async fn probe(&mut self, lane_idx: usize, length_idx: usize) -> Result<(), Halt> {
        let share_ns = self.own_share_ns();
        let cost = self.cost(lane_idx, length_idx);
        let known = self.lanes.get(lane_idx).is_none_or(|lane| lane.ended || lane.anchor.is_some());
        if known || cost.flops as f64 * SLOWEST_NS_PER_FLOP <= SHORT * share_ns {
            return Ok(());
        }
        let seq_len = self.seq_len(length_idx);
        let mut probe_len = FIRST_PROBE;
        let mut spent_ns = 0.0;
        while probe_len < seq_len {
            let problem = Problem { batch: 1, ..self.record.spec.problem(probe_len) };
            let Some(flops) = self.probe_flops(lane_idx, &problem) else {
                return Ok(());
            };
            self.pause().await?;
            self.report(lane_idx, length_idx, Activity::Preparing);
            let mark = self.mark();
            let run_ns = match self.probe_run(lane_idx, &problem).await {
                Ok(run_ns) => run_ns,
                Err(error @ (LaneError::Cancelled | LaneError::DeviceLost { .. })) => {
                    return self.fail(lane_idx, &error);
                }
                // The run at the full length will report the error.
                Err(_) => return Ok(()),
            };
            let (probe_ns, _) = self.since(mark);
            spent_ns += probe_ns;
            if let Some(lane) = self.lanes.get_mut(lane_idx) {
                lane.anchor = Some(Anchor { flops, run_ns });
            }
            let next = Problem { seq_len: probe_len * GROWTH, ..problem };
            let next_ns =
                self.costs_of(lane_idx, &next).map_or(f64::INFINITY, |next| 3.0 * scale(run_ns, flops, next));
            let fits = 2.0 * scale(run_ns, flops, cost) <= share_ns;
            if fits || spent_ns + next_ns > PROBE_SHARE * share_ns {
                return Ok(());
            }
            probe_len *= GROWTH;
        }
        Ok(())
    }

    /// The faster of two runs, since the first one is cold.
    async fn probe_run(&mut self, lane_idx: usize, problem: &Problem) -> Result<f64, LaneError> {
        let Some(spec) = self.lane_spec(lane_idx).cloned() else {
            return Err(LaneError::Cancelled);
        };
        let (mut lane, _) = self.executor.prepare(&spec, problem).await?;
        let mut fastest_ns = f64::INFINITY;
        for _ in 0..2 {
            let mark = self.mark();
            self.executor.run(&mut lane, 1).await?;
            fastest_ns = fastest_ns.min(self.since(mark).0);
        }
        Ok(fastest_ns.max(self.record.tick_ns))
    }

    fn probe_flops(&self, lane_idx: usize, problem: &Problem) -> Option<u64> {
        self.costs_of(lane_idx, problem).map(|cost| cost.flops)
    }

    fn costs_of(&self, lane_idx: usize, problem: &Problem) -> Option<mixer::Cost> {
        (self.costs)(self.lane_spec(lane_idx)?, problem).ok()
    }
}
