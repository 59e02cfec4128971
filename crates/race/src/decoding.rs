//! Measurements of a point of decoding besides its samples: the prefill, and the times of single tokens.

use mixer::{Executor, LaneError, Task};

use crate::record::{Activity, Decoding, Point, Steps};
use crate::state::Race;
use crate::{Clock, Watch, stats};

/// Most prefills of a point.
const PREFILLS: usize = 3;
/// Part of a lane's remaining time that its prefills may take at a length.
const PREFILL_SHARE: f64 = 0.2;
/// Least length of a token in steps of the clock, below which single tokens cannot be told apart.
const TOKEN_TICKS: f64 = 4.0;
/// Assumed nanoseconds per operation of a prefill before any was measured: those of a slow processor.
const PREFILL_NS_PER_FLOP: f64 = 0.2;
/// Part of a lane's remaining time that the run of single tokens may take.
const STEPS_SHARE: f64 = 0.1;

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Measures a lane whose samples are complete and checked.
    pub async fn measure_decoding(
        &mut self,
        lane_idx: usize,
        length_idx: usize,
        lane: &mut E::Lane,
        point: &Point,
        state_bytes: u64,
    ) -> Result<Decoding, LaneError> {
        let steps = self.time_steps(lane_idx, length_idx, lane, point).await?;
        let problem = self.record.spec.problem(point.seq_len).forward();
        let prefill_cost = self.lane_spec(lane_idx).and_then(|spec| (self.costs)(spec, &problem).ok());
        let prefill_ns = match &prefill_cost {
            Some(cost) => self.time_prefills(lane_idx, length_idx, lane, cost.flops).await?,
            None => None,
        };
        Ok(Decoding { state_bytes, prefill_ns, prefill_cost: prefill_cost.unwrap_or_default(), steps })
    }

    /// Generates one run of tokens, each finished before the next one starts.
    async fn time_steps(
        &mut self,
        lane_idx: usize,
        length_idx: usize,
        lane: &mut E::Lane,
        point: &Point,
    ) -> Result<Option<Steps>, LaneError> {
        let Task::Decode { tokens } = self.record.spec.task else { return Ok(None) };
        let run_ns = tokens as f64 * point.median_ns;
        if point.median_ns < TOKEN_TICKS * self.record.tick_ns || run_ns > STEPS_SHARE * self.own_share_ns() {
            return Ok(None);
        }
        self.report(lane_idx, length_idx, Activity::Prefilling);
        let start = self.mark();
        let most_ns = STEPS_SHARE * self.own_share_ns();
        let mut times_ns = Vec::with_capacity(tokens);
        for _ in 0..tokens {
            // A token that is read back may take far longer than one of a run.
            if self.since(start).0 > most_ns {
                return Ok(None);
            }
            let (mark, _) = self.run_spoiled(lane, 1).await?;
            times_ns.push(self.since(mark).0);
        }
        let clean = self.since(start).1 && self.undisturbed(start).await;
        times_ns.sort_unstable_by(f64::total_cmp);
        let least_ns = TOKEN_TICKS * self.record.tick_ns;
        let is_fine = clean && stats::quantile(&times_ns, 0.5).is_some_and(|median_ns| median_ns >= least_ns);
        let quantile = |p| stats::quantile(&times_ns, p).filter(|_| is_fine);
        Ok(quantile(0.5).zip(quantile(0.99)).zip(quantile(1.0)).map(|((median_ns, p99_ns), worst_ns)| {
            Steps { tokens: times_ns.len() as u32, median_ns, p99_ns, worst_ns }
        }))
    }

    /// Fills the state anew, up to [`PREFILLS`] times. The first time is expected from the prefill at the last length.
    async fn time_prefills(
        &mut self,
        lane_idx: usize,
        length_idx: usize,
        lane: &mut E::Lane,
        flops: u64,
    ) -> Result<Option<f64>, LaneError> {
        let mut times_ns: Vec<f64> = Vec::new();
        let mut expected_ns = self.prefill_ns_per_flop(lane_idx) * flops as f64;
        let mut left_ns = PREFILL_SHARE * self.own_share_ns();
        while times_ns.len() < PREFILLS && expected_ns <= left_ns {
            self.report(lane_idx, length_idx, Activity::Prefilling);
            let mark = self.mark();
            self.executor.prefill(lane).await?;
            let (elapsed_ns, clean) = self.since(mark);
            left_ns -= elapsed_ns;
            expected_ns = elapsed_ns;
            if clean && self.undisturbed(mark).await {
                times_ns.push(elapsed_ns);
            }
            // The state after the prefill answers as the kept one did.
            self.run_spoiled(lane, 1).await?;
        }
        let least_ns = TOKEN_TICKS * self.record.tick_ns;
        Ok(stats::median(&times_ns).filter(|&median_ns| median_ns >= least_ns))
    }

    /// Nanoseconds per operation of the lane's last measured prefill, or an assumed speed where none was measured.
    fn prefill_ns_per_flop(&self, lane_idx: usize) -> f64 {
        let points = self.record.lanes.get(lane_idx).map(|lane| lane.points.as_slice()).unwrap_or_default();
        let known = points.iter().rev().find_map(|point| {
            let decoding = point.decoding.as_ref()?;
            Some((decoding.prefill_ns?, decoding.prefill_cost.flops))
        });
        known.map_or(PREFILL_NS_PER_FLOP, |(ns, flops)| ns / flops.max(1) as f64)
    }
}
