//! A heat: measures the lanes that are in memory together at one length. Set-up first, then rounds in random order, so
//! that disturbances of the machine affect all lanes alike.

use mixer::{Executor, Finished, LaneError, Task};

use crate::record::{Activity, Dnf, Outcome, Point};
use crate::runner::{Next, Runner};
use crate::state::{Anchor, Halt, JUMP_NS, Mark, Measured, Race};
use crate::{Clock, Watch, plan};

/// Attempts at a set-up that is disturbed.
const SET_UP_ATTEMPTS: u32 = 3;
/// Part of a lane's remaining time that may always be spent on samples beyond its grant.
const CHEAP_SHARE: f64 = 0.05;
/// Ratio of a further set-up's time to its expected time above which the set-up is abandoned.
const AGAIN_MARGIN: f64 = 4.0;
/// Part of a lane's remaining time that may always be spent on a further set-up beyond its grant.
const AGAIN_SHARE: f64 = 0.01;
/// Part of a lane's remaining time that a further set-up of long runs may take.
const LONG_SHARE: f64 = 0.1;
/// Relative difference up to which two suspiciously long runs are taken as the lane's real time.
const SAME: f64 = 0.3;

/// Purpose of a heat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first set-ups of points of the record.
    Points,
    /// Further set-ups of points that are already in the record.
    Again,
    /// Measuring the first length again.
    Drift,
}

/// Result of a heat: lanes to retry alone, and repeated measurements.
#[derive(Debug, Default)]
pub(crate) struct HeatOutcome {
    /// Lanes that did not fit into memory beside the other lanes of the heat.
    pub crowded: Vec<usize>,
    /// Points of the drift check, by lane.
    pub repeated: Vec<(usize, Point)>,
}

enum Start<L> {
    Ready(Box<Runner<L>>),
    Crowded,
    Over,
}

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Measures these lanes, each within its grant.
    pub async fn heat(
        &mut self,
        purpose: Purpose,
        length_idx: usize,
        entries: &[(usize, f64)],
    ) -> Result<HeatOutcome, Halt> {
        self.heat = self.heat.saturating_add(1);
        let mut left = HeatOutcome::default();
        let mut runners = Vec::with_capacity(entries.len());
        let mut order = entries.to_vec();
        // The time of a set-up is unknown before the first length, so a check here would starve the first lanes of the
        // race.
        if length_idx > 0 {
            self.rng.shuffle(&mut order);
        }
        for (lane_idx, grant_ns) in order {
            let alone = entries.len() == 1;
            if purpose == Purpose::Points && !self.leaves_time(lane_idx, &runners) {
                self.end_lane(lane_idx, &Dnf::TimeBudget { needed_ns: None });
                self.publish();
                continue;
            }
            match self.set_up(purpose, lane_idx, length_idx, grant_ns, alone).await? {
                Start::Ready(runner) => runners.push(*runner),
                Start::Crowded => left.crowded.push(lane_idx),
                Start::Over => {}
            }
        }
        while !runners.is_empty() {
            self.rng.shuffle(&mut runners);
            self.round = self.round.saturating_add(1);
            for mut runner in std::mem::take(&mut runners) {
                if !self.may_run(purpose, runner.lane_idx) {
                    continue;
                }
                self.pause().await?;
                self.report(runner.lane_idx, length_idx, activity(purpose, &runner));
                (runner.heat, runner.round) = (self.heat, self.round);
                match self.round(purpose, &mut runner).await {
                    Ok(Next::Again) => runners.push(runner),
                    Ok(Next::Done) if purpose == Purpose::Drift => {
                        self.drift_spent_ns += self.drift_lane_cost_ns(runner.lane_idx).unwrap_or(0.0);
                        left.repeated.push((runner.lane_idx, runner.point));
                    }
                    Ok(Next::Done) if purpose == Purpose::Again => self.extend(runner).await?,
                    Ok(Next::Done) => self.complete(runner, length_idx).await?,
                    Ok(Next::Unmeasurable) => self.give_up_on_clock(purpose, runner.lane_idx),
                    Err(error) => self.trouble(purpose, runner.lane_idx, &error)?,
                }
            }
        }
        Ok(left)
    }

    fn may_run(&self, purpose: Purpose, lane_idx: usize) -> bool {
        let lane = self.lanes.get(lane_idx);
        lane.is_some_and(|lane| !lane.lost && (purpose == Purpose::Drift || !lane.ended))
    }

    /// Whether there is time to set up an unknown lane beside the samples that the prepared lanes still need. Its
    /// set-up is assumed to take as long as the longest of theirs.
    fn leaves_time(&self, lane_idx: usize, runners: &[Runner<E::Lane>]) -> bool {
        if runners.is_empty() || self.lanes.get(lane_idx).is_none_or(|lane| !lane.history.is_empty()) {
            return true;
        }
        let sampling_ns: f64 = runners
            .iter()
            .map(|runner| plan::LEAST_ROUNDS * runner.run_ns.max(self.sample_target_ns()))
            .sum();
        let setup_ns = runners.iter().map(|runner| runner.spent_ns).fold(0.0, f64::max);
        sampling_ns + setup_ns <= self.remaining_ns()
    }

    /// Sets the lanes of a heat up again while their grants, or a small part of the remaining time, pay for it, and
    /// adds the samples to their points: the scatter between set-ups is part of a time's uncertainty.
    pub async fn set_up_again(&mut self, length_idx: usize, entries: &[(usize, f64)]) -> Result<(), Halt> {
        let mut entries = entries.to_vec();
        for set_ups in 1..plan::SET_UPS {
            let mut again = Vec::new();
            for &(lane_idx, grant_ns) in &entries {
                again.extend(self.price_again(lane_idx, length_idx, grant_ns).map(|ns| (lane_idx, ns)));
            }
            if again.is_empty() {
                break;
            }
            self.heat(Purpose::Again, length_idx, &again).await?;
            // A failed set-up is not repeated.
            entries.retain(|&(lane_idx, _)| {
                let point = self.point(lane_idx, self.seq_len(length_idx));
                point.is_some_and(|point| point.set_ups.len() > set_ups as usize)
            });
        }
        Ok(())
    }

    /// Nanoseconds that a further set-up of a lane's point may take; `None` where there is no time for one.
    fn price_again(&self, lane_idx: usize, length_idx: usize, grant_ns: f64) -> Option<f64> {
        let lane = self.lanes.get(lane_idx)?;
        let point = self.point(lane_idx, self.seq_len(length_idx))?;
        let most = if point.median_ns > plan::LONG_RUN_NS { plan::LONG_SET_UPS } else { plan::SET_UPS };
        if lane.ended || lane.lost || point.outcome != Outcome::Ok || point.set_ups.len() >= most as usize {
            return None;
        }
        let next_ns = point.again_ns();
        let own_ns = self.own_share_ns();
        let is_granted = lane.point_ns + next_ns <= self.grant_for_set_ups(lane_idx, length_idx, grant_ns);
        let is_cheap = if point.median_ns > plan::LONG_RUN_NS {
            next_ns <= LONG_SHARE * own_ns
        } else {
            next_ns <= AGAIN_SHARE * own_ns
        };
        let affordable = (is_granted || is_cheap) && plan::CAUTION * next_ns <= self.remaining_ns();
        affordable.then_some(AGAIN_MARGIN * next_ns)
    }

    /// The part of a grant that further set-ups may use. Unless this is the last length, time beyond the wanted amount
    /// is kept for longer lengths.
    fn grant_for_set_ups(&self, lane_idx: usize, length_idx: usize, grant_ns: f64) -> f64 {
        let is_last = length_idx + 1 == self.record.spec.lengths.len();
        if is_last { grant_ns } else { grant_ns.min(self.demand(lane_idx, length_idx).wanted_ns) }
    }

    /// Handles an error. A lane that fails while it is measured again keeps its points.
    fn trouble(&mut self, purpose: Purpose, lane_idx: usize, error: &LaneError) -> Result<(), Halt> {
        let harmless = !matches!(error, LaneError::Cancelled | LaneError::DeviceLost { .. });
        if purpose != Purpose::Points && harmless { Ok(()) } else { self.fail(lane_idx, error) }
    }

    /// Sets a lane up and runs it once, cold. A disturbed attempt is repeated with a new set-up, since a lane has only
    /// one cold run.
    async fn set_up(
        &mut self,
        purpose: Purpose,
        lane_idx: usize,
        length_idx: usize,
        grant_ns: f64,
        alone: bool,
    ) -> Result<Start<E::Lane>, Halt> {
        let Some(spec) = self.lane_spec(lane_idx).cloned() else {
            return Ok(Start::Over);
        };
        let problem = self.record.spec.problem(self.seq_len(length_idx));
        let mut point = self.blank_point(lane_idx, length_idx, Outcome::Ok);
        let mut forgiven_ns = 0.0;
        for attempt in 1..=SET_UP_ATTEMPTS {
            if !self.may_run(purpose, lane_idx) {
                return Ok(Start::Over);
            }
            self.pause().await?;
            self.report(lane_idx, length_idx, preparing(purpose));
            let mark = self.mark();
            let (mut lane, prepared) = match self.executor.prepare(&spec, &problem).await {
                Ok(prepared) => prepared,
                Err(LaneError::Mixer(mixer::MixerError::OutOfMemory { .. })) if !alone => {
                    return Ok(Start::Crowded);
                }
                Err(error) => return self.trouble(purpose, lane_idx, &error).map(|()| Start::Over),
            };
            let (setup_ns, setup_clean) = self.since(mark);
            self.pause().await?;
            let (mark, Finished { checksum, .. }) = match self.run_spoiled(&mut lane, 1).await {
                Ok(run) => run,
                Err(error) => return self.trouble(purpose, lane_idx, &error).map(|()| Start::Over),
            };
            let (first_run_ns, run_clean) = self.since(mark);
            let clean = setup_clean && run_clean;
            let last = attempt == SET_UP_ATTEMPTS;
            if !last && !clean {
                self.discard_set_up(purpose, lane_idx, &mut point);
                if setup_ns + first_run_ns > JUMP_NS {
                    self.forgive(setup_ns + first_run_ns);
                }
                continue;
            }
            let expected_ns = self.expected_run_ns(lane_idx, length_idx);
            let lost_ns = expected_ns.map_or(0.0, |expected_ns| suspended_ns(first_run_ns, expected_ns));
            if !last && lost_ns > 0.0 && forgiven_ns == 0.0 {
                self.discard_set_up(purpose, lane_idx, &mut point);
                self.forgive(lost_ns);
                forgiven_ns = lost_ns;
                continue;
            }
            if lost_ns > 0.0 {
                // Two attempts took equally long: the time is the lane's own, not a suspension of the machine.
                self.charge(forgiven_ns);
            }
            point.setup_ns = setup_ns;
            point.first_run_ns = first_run_ns;
            point.peak_bytes = prepared.peak_bytes;
            let spent_ns = setup_ns + first_run_ns;
            let clock = (self.record.tick_ns, self.sample_target_ns());
            if purpose == Purpose::Again {
                let first = self.point(lane_idx, point.seq_len).cloned().unwrap_or_else(|| point.clone());
                let spent = (grant_ns, spent_ns);
                let runner = Runner::again(lane_idx, (lane, checksum), (point, &first), spent, clock);
                return Ok(Start::Ready(Box::new(runner)));
            }
            let Some(grant_ns) = self.affordable(lane_idx, grant_ns, spent_ns, first_run_ns) else {
                self.too_long(purpose, lane_idx, point);
                return Ok(Start::Over);
            };
            let quantum = match problem.task {
                Task::Forward => 1,
                Task::Decode { tokens } => u32::try_from(tokens).unwrap_or(u32::MAX),
            };
            let runner = Runner::new(lane_idx, (lane, checksum), point, (grant_ns, spent_ns), clock);
            let mut runner = runner.in_runs_of(quantum);
            runner.again_grant_ns = self.grant_for_set_ups(lane_idx, length_idx, grant_ns);
            return Ok(Start::Ready(Box::new(runner)));
        }
        Ok(Start::Over)
    }

    /// The grant, raised where that buys the samples that a point needs; `None` where there is no time for a single
    /// sample. Only future costs are weighed against the lane's share of the remaining time, since past costs cannot be
    /// recovered.
    fn affordable(&self, lane_idx: usize, grant_ns: f64, spent_ns: f64, run_ns: f64) -> Option<f64> {
        if plan::CAUTION * run_ns > self.remaining_ns() {
            return None;
        }
        let check_ns =
            self.lanes.get(lane_idx).and_then(|lane| lane.history.last()).map_or(0.0, |last| last.check_ns);
        let own_ns = self.own_share_ns() - check_ns;
        let comfort_ns = plan::EXPECTED_ROUNDS * run_ns.max(self.sample_target_ns());
        // An expensive set-up is no reason to save on cheap samples.
        let cheap_ns = comfort_ns.min(CHEAP_SHARE * own_ns);
        if spent_ns + run_ns.max(cheap_ns) <= grant_ns {
            return Some(grant_ns);
        }
        (run_ns <= own_ns || spent_ns + run_ns <= grant_ns)
            .then_some(grant_ns.max(spent_ns + run_ns.max(cheap_ns)))
    }

    /// Ends a lane whose first run shows that there is no time for a sample. The run stays in the record, and the
    /// prediction is based on it.
    fn too_long(&mut self, purpose: Purpose, lane_idx: usize, point: Point) {
        if purpose != Purpose::Points {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(lane_idx) {
            lane.anchor = Some(Anchor { flops: point.cost.flops, run_ns: point.first_run_ns });
        }
        self.put(lane_idx, point);
        self.end_lane(lane_idx, &Dnf::TimeBudget { needed_ns: None });
        self.publish();
    }

    /// Fills the output with NaN and runs the lane. The mark is the moment at which the run began.
    pub(crate) async fn run_spoiled(
        &mut self,
        lane: &mut E::Lane,
        repeats: u32,
    ) -> Result<(Mark, Finished), LaneError> {
        self.executor.spoil(lane).await?;
        if self.watch().cancelled() {
            return Err(LaneError::Cancelled);
        }
        let mark = self.mark();
        Ok((mark, self.executor.run(lane, repeats).await?))
    }

    /// Runs one round of one lane.
    async fn round(&mut self, purpose: Purpose, runner: &mut Runner<E::Lane>) -> Result<Next, LaneError> {
        let (mark, finished) = self.run_spoiled(&mut runner.lane, runner.repeats).await?;
        let (elapsed_ns, clean) = self.since(mark);
        let Finished { checksum, device_ns } = finished;
        if checksum.to_bits() != runner.checksum.to_bits() {
            return Err(LaneError::NotRepeatable { first: runner.checksum, now: checksum });
        }
        let clean = self.undisturbed(mark).await && clean;
        let lost_ns = suspended_ns(elapsed_ns, runner.expected_ns());
        let seen_before = runner
            .doubted
            .take()
            .filter(|(doubted_ns, _)| lost_ns > 0.0 && (elapsed_ns - doubted_ns).abs() <= SAME * doubted_ns);
        let expected_ns = runner.expected_ns();
        let next = if !clean {
            self.discard(purpose, runner);
            self.forgive(elapsed_ns - expected_ns);
            runner.spent_ns += elapsed_ns.min(expected_ns);
            Next::Again
        } else if lost_ns > 0.0 && seen_before.is_none() {
            self.discard(purpose, runner);
            self.forgive(lost_ns);
            runner.doubted = Some((elapsed_ns, lost_ns));
            runner.spent_ns += elapsed_ns - lost_ns;
            Next::Again
        } else {
            // Two samples took equally long: the time is the lane's own, not a suspension of the machine.
            if let Some((_, forgiven_ns)) = seen_before {
                self.charge(forgiven_ns);
                runner.spent_ns += forgiven_ns;
            }
            runner.spent_ns += elapsed_ns;
            runner.take(elapsed_ns, device_ns, self.remaining_ns())
        };
        if purpose == Purpose::Points {
            if let Some(lane) = self.lanes.get_mut(runner.lane_idx) {
                lane.spent_ns = runner.spent_ns;
            }
            if !runner.point.samples_ns.is_empty() {
                self.put(runner.lane_idx, runner.point.clone());
                self.publish_soon();
            }
        }
        Ok(next)
    }

    fn discard(&mut self, purpose: Purpose, runner: &mut Runner<E::Lane>) {
        self.discard_set_up(purpose, runner.lane_idx, &mut runner.point);
    }

    /// Counts a discarded sample or set-up: at the point being measured, at the recorded point to which a further
    /// set-up belongs, or for the race as a whole.
    fn discard_set_up(&mut self, purpose: Purpose, lane_idx: usize, point: &mut Point) {
        let points = self.record.lanes.get_mut(lane_idx).map(|lane| lane.points.as_mut_slice());
        let known = points.into_iter().flatten().find(|known| known.seq_len == point.seq_len);
        match (purpose, known) {
            (Purpose::Points, _) => point.discarded += 1,
            (Purpose::Again, Some(known)) => known.discarded += 1,
            (Purpose::Again | Purpose::Drift, _) => self.discarded += 1,
        }
    }

    /// Compares the timed output with the reference and completes the point.
    async fn complete(&mut self, runner: Runner<E::Lane>, length_idx: usize) -> Result<(), Halt> {
        let Runner { lane_idx, mut lane, checksum, mut point, rounds, repeats, spent_ns, .. } = runner;
        self.pause().await?;
        self.report(lane_idx, length_idx, Activity::Verifying);
        let mark = self.mark();
        let verification = match self.executor.check(&mut lane).await {
            Ok(verification) => verification,
            Err(error) => return self.fail(lane_idx, &error),
        };
        let (check_ns, _) = self.since(mark);
        if !verification.deviation.pass {
            self.end_lane(lane_idx, &Dnf::NotVerified);
            if let Some(mut point) = self.point(lane_idx, point.seq_len).cloned() {
                point.verified = Some(verification);
                self.put(lane_idx, point);
            }
            self.publish();
            return Ok(());
        }
        point.verified = Some(verification);
        if let Some(state_bytes) = self.executor.state_bytes(&lane) {
            match self.measure_decoding(lane_idx, length_idx, &mut lane, &point, state_bytes).await {
                Ok(decoding) => point.decoding = Some(decoding),
                Err(error) => return self.fail(lane_idx, &error),
            }
        }
        point.peak_bytes = point.peak_bytes.max(self.executor.peak_bytes(&lane));
        drop(lane);
        let measured = Measured {
            seq_len: point.seq_len,
            run_ns: point.median_ns,
            setup_ns: point.setup_ns,
            check_ns,
            sample_ns: point.median_ns * f64::from(repeats),
        };
        let anchor = Anchor { flops: point.cost.flops, run_ns: point.median_ns };
        self.put(lane_idx, point);
        if let Some(lane) = self.lanes.get_mut(lane_idx) {
            lane.history.push(measured);
            lane.anchor = Some(anchor);
            lane.next = length_idx + 1;
            lane.spent_ns = 0.0;
            lane.point_ns = spent_ns + check_ns;
            lane.checksum = Some(checksum);
        }
        self.rounds = (self.rounds.0 + u64::from(rounds), self.rounds.1 + 1);
        self.publish();
        Ok(())
    }

    /// Adds the samples of another set-up to its point. Its output must equal the first set-up's bit by bit; otherwise
    /// it is checked against the reference.
    async fn extend(&mut self, runner: Runner<E::Lane>) -> Result<(), Halt> {
        let Runner { lane_idx, mut lane, checksum, point: mut again, spent_ns, .. } = runner;
        self.pause().await?;
        let known = self.lanes.get(lane_idx).and_then(|lane| lane.checksum);
        if known.is_none_or(|known| known.to_bits() != checksum.to_bits()) {
            match self.executor.check(&mut lane).await {
                Ok(verification) if verification.deviation.pass => {}
                Ok(verification) => {
                    let outcome = Outcome::Dnf(Dnf::NotVerified);
                    let length_idx = self.record.spec.lengths.iter().position(|&len| len == again.seq_len);
                    let mut point = self.blank_point(lane_idx, length_idx.unwrap_or_default(), outcome);
                    point.verified = Some(verification);
                    self.put(lane_idx, point);
                    self.end_lane(lane_idx, &Dnf::NotVerified);
                    self.publish();
                    return Ok(());
                }
                Err(error) => return self.trouble(Purpose::Again, lane_idx, &error),
            }
        }
        let peak_bytes = self.executor.peak_bytes(&lane);
        drop(lane);
        if let Some(state) = self.lanes.get_mut(lane_idx) {
            state.point_ns += spent_ns;
        }
        if let Some(mut point) = self.point(lane_idx, again.seq_len).cloned() {
            point.samples_ns.append(&mut again.samples_ns);
            point.rounds.append(&mut again.rounds);
            point.set_ups.append(&mut again.set_ups);
            point.heats.append(&mut again.heats);
            point.peak_bytes = point.peak_bytes.max(again.peak_bytes).max(peak_bytes);
            point.summarize();
            self.put(lane_idx, point);
        }
        self.publish_soon();
        Ok(())
    }

    fn give_up_on_clock(&mut self, purpose: Purpose, lane_idx: usize) {
        if purpose == Purpose::Points {
            let message =
                "a sample is too few steps of this clock, however many passes there is time for".to_owned();
            self.end_lane(
                lane_idx,
                &Dnf::Failed { code: "clock-too-coarse".to_owned(), message: message.into() },
            );
            self.publish();
        }
    }
}

/// The part of a run's time that only a suspended machine or tab can explain.
fn suspended_ns(elapsed_ns: f64, expected_ns: f64) -> f64 {
    let unexplained_ns = elapsed_ns - expected_ns;
    if unexplained_ns > JUMP_NS && elapsed_ns > 3.0 * expected_ns { unexplained_ns } else { 0.0 }
}

fn preparing(purpose: Purpose) -> Activity {
    if purpose == Purpose::Drift { Activity::CheckingDrift } else { Activity::Preparing }
}

fn activity<L>(purpose: Purpose, runner: &Runner<L>) -> Activity {
    match purpose {
        Purpose::Drift => Activity::CheckingDrift,
        Purpose::Points | Purpose::Again if runner.warm => Activity::Sampling,
        Purpose::Points | Purpose::Again => Activity::WarmingUp,
    }
}
