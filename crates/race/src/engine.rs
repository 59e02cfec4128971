//! Runs a race from its specification to its record: verification, each length in turn, then the first length again.

use std::collections::VecDeque;

use mixer::{Backend, Executor, Problem, Task};

use crate::heat::Purpose;
use crate::plan;
use crate::record::{Activity, Dnf, Outcome, RaceSpec, Record, Status, Warning};
use crate::state::{Halt, Race, dnf};
use crate::{Clock, CostFn, RaceError, Watch, analysis};

/// Longest problem on which a lane is verified in full, and shortest one where wide layers make the reference slow.
const VERIFY_LENGTH: usize = 160;
const MIN_VERIFY_LENGTH: usize = 16;
/// Shortest verification problem where even [`MIN_VERIFY_LENGTH`] would take more than the lane's part of the budget. A
/// single position would mix nothing.
const LEAST_VERIFY_LENGTH: usize = 2;
/// Most sequences in a verification problem: the first one and one that is not the first.
const VERIFY_BATCH: usize = 2;
/// Most generated tokens in a verification problem.
const VERIFY_TOKENS: usize = 48;
/// Operations that the reference may spend on verification whatever the budget: some tenths of a second.
const VERIFY_FLOPS: u64 = 1 << 28;
/// Part of the budget that verification should take at most.
const VERIFY_SHARE: f64 = 0.2;
/// Part of the planned time after which no further lane is verified, since the verified lanes must still be timed.
const VERIFY_UNTIL: f64 = 0.5;
/// Approximate nanoseconds per operation of the plain-loop reference.
const REFERENCE_NS_PER_FLOP: f64 = 2.0;
/// Ratio between the first length's times at the end and at the beginning, or its inverse, that counts as drift.
const DRIFT: f64 = 1.1;
/// Time granted for measuring a first length again, over its expected time.
const DRIFT_GRANT: f64 = 1.5;

/// Runs a race until it is done, its budget is spent or it is cancelled. The record holds everything measured until
/// then.
///
/// `spec` is normalized and validated first. `costs` gives the closed-form cost of a lane at a problem. Only the
/// executor itself blocks for long: between any two of its steps the engine calls [`Executor::breathe`] and checks
/// `watch`. While the watch is disturbed the engine only calls `breathe`, so an executor should then return from it
/// slowly. Waiting time is not charged to the budget.
///
/// # Errors
/// [`RaceError`] where no race can run at all. A lane that cannot run is a value in the record.
pub async fn run<E: Executor, C: Clock, W: Watch>(
    spec: RaceSpec,
    costs: &CostFn<'_>,
    executor: &mut E,
    clock: &C,
    watch: &W,
) -> Result<Record, RaceError> {
    let mut race = Race::new(spec.normalized()?, costs, executor, clock, watch);
    match race.drive().await {
        Ok(()) => Ok(race.finish(Status::Done)),
        Err(Halt::Cancelled) => Ok(race.finish(Status::Cancelled)),
        Err(Halt::ClockStopped { reads }) => Err(RaceError::ClockStopped { reads }),
    }
}

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    async fn drive(&mut self) -> Result<(), Halt> {
        self.pause().await?;
        let tick_ns = self.measure_tick().await?;
        self.set_tick(tick_ns);
        self.publish();
        for lane_idx in 0..self.lanes.len() {
            if self.leaves_time_to_verify() {
                self.verify(lane_idx).await?;
            } else if self.is_racing(lane_idx) {
                self.end_lane(lane_idx, &Dnf::TimeBudget { needed_ns: None });
                self.publish();
            }
        }
        for length_idx in 0..self.record.spec.lengths.len() {
            self.race_length(length_idx).await?;
        }
        self.check_drift().await?;
        self.pause().await
    }

    /// Whether another lane may be verified: yes until one lane has passed; after that only in the first half of the planned
    /// time, since verified lanes must still be timed.
    fn leaves_time_to_verify(&self) -> bool {
        let verified = self.record.lanes.iter().zip(&self.lanes);
        let is_any = verified.into_iter().any(|(record, lane)| record.verification.is_some() && !lane.ended);
        let worked_ns = self.worked_ns();
        !is_any || worked_ns <= VERIFY_UNTIL * (worked_ns + self.remaining_ns().max(0.0))
    }

    /// Compares a lane's output on a small problem with the reference: a lane that is wrong is never timed.
    async fn verify(&mut self, lane_idx: usize) -> Result<(), Halt> {
        self.pause().await?;
        self.report(lane_idx, 0, Activity::Verifying);
        let Some(spec) = self.lane_spec(lane_idx).cloned().filter(|_| self.is_racing(lane_idx)) else {
            return Ok(());
        };
        let problem = self.verification_problem(lane_idx);
        let reference_ns = self.reference_ns(lane_idx, &problem);
        if reference_ns.is_some_and(|reference_ns| reference_ns > self.own_share_ns()) {
            self.end_lane(lane_idx, &Dnf::TimeBudget { needed_ns: reference_ns });
            self.publish();
            return Ok(());
        }
        let mark = self.mark();
        let verified = self.executor.verify(&spec, &problem).await;
        let (verify_ns, _) = self.since(mark);
        if let Some(lane) = self.lanes.get_mut(lane_idx) {
            lane.verify_ns = Some(verify_ns);
        }
        match verified {
            Ok(verification) => {
                if let Some(lane) = self.record.lanes.get_mut(lane_idx) {
                    lane.verification = Some(verification);
                }
                if !verification.deviation.pass {
                    self.end_lane(lane_idx, &Dnf::NotVerified);
                }
                self.publish();
                Ok(())
            }
            Err(error) => self.fail(lane_idx, &error),
        }
    }

    /// The verification problem, as long as the reference can afford. No other function shortens a problem for
    /// verification.
    fn verification_problem(&self, lane_idx: usize) -> Problem {
        let share_ns = VERIFY_SHARE * self.record.spec.budget_ns as f64 / self.lanes.len().max(1) as f64;
        // The shortest length that the system accepts. Refused lengths are reported where they would have been raced.
        let allowed = self.cost_table.get(lane_idx).and_then(|costs| costs.iter().position(Result::is_ok));
        let seq_len = self.seq_len(allowed.unwrap_or(0));
        let mut problem = self.record.spec.problem(seq_len.min(VERIFY_LENGTH));
        problem.batch = problem.batch.min(VERIFY_BATCH);
        if let Task::Decode { tokens } = &mut problem.task {
            *tokens = (*tokens).min(VERIFY_TOKENS);
        }
        let longest_ns = share_ns.min(VERIFY_FLOPS as f64 * REFERENCE_NS_PER_FLOP);
        for (least, affordable_ns) in [(MIN_VERIFY_LENGTH, longest_ns), (LEAST_VERIFY_LENGTH, share_ns)] {
            while self.reference_ns(lane_idx, &problem).is_some_and(|ns| ns > affordable_ns) {
                let shorter = Problem { seq_len: problem.seq_len / 2, ..problem };
                // Some systems refuse the shortest lengths.
                if shorter.seq_len < least || self.reference_ns(lane_idx, &shorter).is_none() {
                    break;
                }
                problem = shorter;
            }
        }
        problem
    }

    /// Approximate nanoseconds of the reference for a problem; `None` where the system refuses it.
    fn reference_ns(&self, lane_idx: usize, problem: &Problem) -> Option<f64> {
        // The reference of decoding is the forward pass over all tokens.
        let cost = (self.costs)(self.lane_spec(lane_idx)?, &problem.whole()).ok()?;
        Some(cost.flops as f64 * REFERENCE_NS_PER_FLOP)
    }

    /// Races all remaining lanes at one length.
    async fn race_length(&mut self, length_idx: usize) -> Result<(), Halt> {
        self.reserve_ns = self.reserve_after(length_idx);
        self.refuse_unsupported(length_idx);
        let field: Vec<usize> = (0..self.lanes.len())
            .filter(|&lane_idx| {
                self.lanes.get(lane_idx).is_some_and(|lane| !lane.ended && lane.next == length_idx)
            })
            .collect();
        for &lane_idx in &field {
            self.probe(lane_idx, length_idx).await?;
        }
        let mut waiting: VecDeque<Vec<usize>> = self.groups(&field, length_idx).into();
        while let Some(group) = waiting.pop_front() {
            let entries = self.admit(&group, &waiting, length_idx);
            let left = self.heat(Purpose::Points, length_idx, &entries).await?;
            // The lane did not fit beside others. Only a lane that does not fit alone has met the memory limit.
            waiting.extend(left.crowded.into_iter().map(|lane_idx| vec![lane_idx]));
            self.set_up_again(length_idx, &entries).await?;
            self.analyze();
            self.publish();
        }
        Ok(())
    }

    /// Records the reason of lanes whose system refuses this length. They stay in the race: a longer length may be accepted.
    fn refuse_unsupported(&mut self, length_idx: usize) {
        for lane_idx in 0..self.lanes.len() {
            let refused = self.cost_table.get(lane_idx).and_then(|costs| costs.get(length_idx));
            let Some(Err(error)) = refused.filter(|_| self.is_racing(lane_idx)) else {
                continue;
            };
            let outcome = Outcome::Dnf(dnf(&error.clone().into()));
            let point = self.blank_point(lane_idx, length_idx, outcome);
            self.put(lane_idx, point);
            if let Some(lane) = self.lanes.get_mut(lane_idx) {
                lane.next = length_idx + 1;
            }
        }
    }

    /// Divides lanes into groups that fit into memory together.
    fn groups(&self, field: &[usize], length_idx: usize) -> Vec<Vec<usize>> {
        let limits = [Backend::Cpu, Backend::WebGpu].map(|backend| self.executor.memory_limit_bytes(backend));
        let lanes: Vec<(usize, usize, u64)> = field
            .iter()
            .map(|&lane_idx| {
                let backend = usize::from(self.backend(lane_idx) == Backend::WebGpu);
                (lane_idx, backend, self.cost(lane_idx, length_idx).peak_bytes)
            })
            .collect();
        plan::group(&lanes, &limits)
    }

    /// Grants time to the lanes of a group, keeping time for later groups. Lanes that do not fit end here.
    fn admit(
        &mut self,
        group: &[usize],
        waiting: &VecDeque<Vec<usize>>,
        length_idx: usize,
    ) -> Vec<(usize, f64)> {
        let lanes: Vec<usize> = group
            .iter()
            .chain(waiting.iter().flatten())
            .copied()
            .filter(|&lane_idx| self.is_racing(lane_idx))
            .collect();
        let demands: Vec<plan::Demand> =
            lanes.iter().map(|&lane_idx| self.demand(lane_idx, length_idx)).collect();
        let grants = plan::divide(self.remaining_ns() - self.reserve_ns, &demands);
        let own_ns = self.own_share_ns();
        let mut entries = Vec::with_capacity(group.len());
        for ((lane_idx, demand), grant_ns) in lanes.into_iter().zip(demands).zip(grants) {
            if !group.contains(&lane_idx) {
                continue;
            }
            // A lane that stops here does not need the time reserved for its longer lengths.
            let least_ns = (demand.least_ns <= own_ns).then_some(demand.least_ns);
            if let Some(grant_ns) = grant_ns.or(least_ns) {
                entries.push((lane_idx, grant_ns));
            } else {
                let reason = self.wall(lane_idx, length_idx);
                self.end_lane(lane_idx, &reason);
            }
        }
        entries
    }

    /// The reason for stopping a lane that gets no time. Where its closed form also needs more memory than the CPU has,
    /// more time would not help, so the reason is the memory. Only CPU lanes are judged in this way: the memory of a
    /// GPU lane is known from its plan.
    fn wall(&self, lane_idx: usize, length_idx: usize) -> Dnf {
        let backend = self.backend(lane_idx);
        let needed_bytes = self.cost(lane_idx, length_idx).peak_bytes;
        let limit_bytes = self.executor.memory_limit_bytes(backend);
        if backend == Backend::Cpu && needed_bytes > limit_bytes {
            Dnf::Memory { needed_bytes, limit_bytes }
        } else {
            Dnf::TimeBudget { needed_ns: None }
        }
    }

    /// Measures the first length again, as far as the budget allows, and compares the times.
    async fn check_drift(&mut self) -> Result<(), Halt> {
        let mut left_ns = self.remaining_ns();
        let mut grants = vec![0.0; self.lanes.len()];
        let mut field = Vec::new();
        for lane_idx in 0..self.lanes.len() {
            let cost_ns = self.drift_lane_cost_ns(lane_idx).filter(|_| self.is_ranked(lane_idx));
            let Some(grant_ns) = cost_ns.map(|cost_ns| DRIFT_GRANT * cost_ns).filter(|&ns| ns <= left_ns)
            else {
                continue;
            };
            left_ns -= grant_ns;
            field.push(lane_idx);
            if let Some(grant) = grants.get_mut(lane_idx) {
                *grant = grant_ns;
            }
        }
        let replicates = analysis::quick(&self.record);
        for group in self.groups(&field, 0) {
            let entries: Vec<(usize, f64)> =
                group.iter().filter_map(|&lane_idx| Some((lane_idx, *grants.get(lane_idx)?))).collect();
            let left = self.heat(Purpose::Drift, 0, &entries).await?;
            for (lane_idx, again) in left.repeated {
                let Some(first) = self.point(lane_idx, again.seq_len).cloned() else {
                    continue;
                };
                let scatter = replicates.scatter(lane_idx);
                let drifted = analysis::drift(scatter, self.record.tick_ns, &first, &again);
                if let Some(ratio) = drifted.filter(|ratio| !(1.0 / DRIFT..=DRIFT).contains(ratio)) {
                    self.record.warnings.push(Warning::Drift { lane: lane_idx, ratio });
                }
            }
        }
        Ok(())
    }

    /// Whether all of a lane's outputs were right, so that its times count.
    fn is_ranked(&self, lane_idx: usize) -> bool {
        let points = self.record.lanes.get(lane_idx).map(|lane| lane.points.as_slice()).unwrap_or_default();
        points.iter().all(|point| point.outcome != Outcome::Dnf(Dnf::NotVerified))
    }
}
