//! The state of a race and its shared operations: reading the clock, letting messages in, ending lanes, publishing
//! snapshots.

use fastrand::Rng;
use mixer::{Backend, Cost, Executor, Explain, LaneError, LaneSpec, MixerError};

use crate::growth::CostLaw;
use crate::progress::Rest;
use crate::record::{Dnf, LaneRecord, Outcome, Point, RaceSpec, Record, Status, Warning};
use crate::{Clock, CostFn, Watch, analysis};

/// Unexplained gap between two readings of the clock from which the machine or tab is assumed to have slept.
pub(crate) const JUMP_NS: f64 = 5e9;
/// Least time between two snapshots while samples are taken.
const PUBLISH_EVERY_NS: f64 = 1e8;
/// Part of the budget that is planned. The remainder is for work that is charged to no lane: snapshots and the
/// analysis.
const PLANNED_SHARE: f64 = 0.97;
/// Replicates of an analysis while the race runs ([`LIVE_REPLICATES`]) and at its end ([`FINAL_REPLICATES`]).
const LIVE_REPLICATES: usize = 200;
const FINAL_REPLICATES: usize = 1000;
/// Clock step from which samples must be lengthened because of it.
const COARSE_TICK_NS: f64 = 110_000.0;

/// log₂ of the longest length at which closed forms are evaluated.
const LONGEST_LAW: u32 = 24;

/// Part of a lane's samples that may be outliers without a warning: every machine has some.
const MANY_OUTLIERS: f64 = 0.1;

/// Why a race ends early.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Halt {
    Cancelled,
    ClockStopped { reads: u64 },
}

/// The closed-form work and the time of one run, from which longer lengths are predicted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    pub flops: u64,
    pub run_ns: f64,
}

/// A finished point, as used by the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub seq_len: usize,
    pub run_ns: f64,
    pub setup_ns: f64,
    pub check_ns: f64,
    pub sample_ns: f64,
}

/// State of a lane besides its record.
#[derive(Debug, Default)]
pub(crate) struct LaneState {
    /// Whether the lane runs at no further length.
    pub ended: bool,
    /// Whether the device is lost, so that the drift check cannot run either.
    pub lost: bool,
    /// Index of the first length without a final point.
    pub next: usize,
    /// Finished points, ascending.
    pub history: Vec<Measured>,
    /// The last known time: of a probe, of the last point, or of a first run that was too long.
    pub anchor: Option<Anchor>,
    /// Time spent on the current point.
    pub spent_ns: f64,
    /// Time spent on the last finished point, over all its set-ups.
    pub point_ns: f64,
    /// Checksum of the last finished point's checked output.
    pub checksum: Option<f64>,
    /// Nanoseconds of the verification.
    pub verify_ns: Option<f64>,
}

/// A moment: readings of the clock and of the disturbance counter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    at_ns: f64,
    disturbances: u64,
}

/// A race under way.
pub(crate) struct Race<'a, E: Executor, C: Clock, W: Watch> {
    pub executor: &'a mut E,
    pub costs: &'a CostFn<'a>,
    pub record: Record,
    pub lanes: Vec<LaneState>,
    pub rng: Rng,
    /// Closed-form costs, lane by length.
    pub cost_table: Vec<Vec<Result<Cost, MixerError>>>,
    /// Closed-form operation count over the length, lane by lane.
    pub laws: Vec<CostLaw>,
    /// Samples and warm-up rounds per finished point, and the number of such points.
    pub rounds: (u64, u64),
    /// Time reserved for the lengths after the current one, and for the drift check.
    pub reserve_ns: f64,
    /// Discarded samples that belong to no point of the record.
    pub discarded: u32,
    /// Heats and rounds so far, over the whole race.
    pub heat: u32,
    pub round: u32,
    /// The last estimate of the remaining time.
    pub rest: Option<Rest>,
    /// Time spent on the drift check.
    pub drift_spent_ns: f64,
    /// Largest fraction reported so far, since progress never goes back.
    pub fraction: f64,
    clock: &'a C,
    watch: &'a W,
    deadline_ns: f64,
    published_ns: f64,
}

impl<'a, E: Executor, C: Clock, W: Watch> Race<'a, E, C, W> {
    pub fn new(
        spec: RaceSpec,
        costs: &'a CostFn<'a>,
        executor: &'a mut E,
        clock: &'a C,
        watch: &'a W,
    ) -> Self {
        let started_ns = clock.now_ns();
        let cost_table = spec
            .lanes
            .iter()
            .map(|lane| spec.lengths.iter().map(|&seq_len| costs(lane, &spec.problem(seq_len))).collect());
        let laws = spec.lanes.iter().map(|lane| cost_law(lane, &spec, costs)).collect();
        Self {
            cost_table: cost_table.collect(),
            lanes: spec.lanes.iter().map(|_| LaneState::default()).collect(),
            rng: Rng::with_seed(spec.seed),
            deadline_ns: started_ns + PLANNED_SHARE * spec.budget_ns as f64,
            record: Record {
                lanes: spec.lanes.iter().map(lane_record).collect(),
                status: Status::Running,
                crossovers: Vec::new(),
                tick_ns: 0.0,
                warnings: Vec::new(),
                spec,
            },
            executor,
            costs,
            laws,
            rounds: (0, 0),
            heat: 0,
            round: 0,
            reserve_ns: 0.0,
            discarded: 0,
            rest: None,
            drift_spent_ns: 0.0,
            fraction: 0.0,
            clock,
            watch,
            published_ns: f64::NEG_INFINITY,
        }
    }

    pub fn now_ns(&self) -> f64 {
        self.clock.now_ns()
    }

    pub fn watch(&self) -> &'a W {
        self.watch
    }

    /// Remaining nanoseconds of the budget.
    pub fn remaining_ns(&self) -> f64 {
        self.deadline_ns - self.now_ns()
    }

    /// The current moment.
    pub fn mark(&self) -> Mark {
        Mark { at_ns: self.now_ns(), disturbances: self.watch.disturbances() }
    }

    /// Nanoseconds since the mark, and whether they were undisturbed. A clock that went back counts as a disturbance.
    pub fn since(&self, mark: Mark) -> (f64, bool) {
        let elapsed_ns = self.now_ns() - mark.at_ns;
        let clean = elapsed_ns >= 0.0
            && elapsed_ns.is_finite()
            && self.watch.disturbances() == mark.disturbances
            && !self.watch.disturbed();
        (if elapsed_ns.is_finite() { elapsed_ns.max(0.0) } else { 0.0 }, clean)
    }

    /// Whether the time since the mark was undisturbed. Lets messages in first: a kernel on the CPU blocks the event
    /// loop, so disturbances during a run become known only afterwards.
    pub async fn undisturbed(&mut self, mark: Mark) -> bool {
        if !self.watch.cancelled() {
            self.executor.breathe().await;
        }
        self.watch.disturbances() == mark.disturbances && !self.watch.disturbed()
    }

    /// Working time since the start. Waiting for a hidden tab does not count.
    pub fn worked_ns(&self) -> f64 {
        (PLANNED_SHARE * self.record.spec.budget_ns as f64 - self.remaining_ns()).max(0.0)
    }

    /// Returns time to the budget that was lost to a hidden tab or a sleeping machine.
    pub fn forgive(&mut self, lost_ns: f64) {
        if lost_ns.is_finite() && lost_ns > 0.0 {
            self.deadline_ns += lost_ns;
        }
    }

    /// Charges forgiven time after all: it was the lane's own.
    pub fn charge(&mut self, forgiven_ns: f64) {
        self.deadline_ns -= forgiven_ns;
    }

    /// Lets messages in, ends on a cancellation, and waits while timing is unreliable. Waiting time is not charged.
    pub async fn pause(&mut self) -> Result<(), Halt> {
        loop {
            let before_ns = self.now_ns();
            self.executor.breathe().await;
            if self.watch.cancelled() {
                return Err(Halt::Cancelled);
            }
            let gap_ns = self.now_ns() - before_ns;
            let disturbed = self.watch.disturbed();
            if disturbed || gap_ns > JUMP_NS {
                self.forgive(gap_ns);
            }
            if !disturbed {
                return Ok(());
            }
        }
    }

    pub fn lane_spec(&self, lane_idx: usize) -> Option<&LaneSpec> {
        self.record.spec.lanes.get(lane_idx)
    }

    pub fn seq_len(&self, length_idx: usize) -> usize {
        self.record.spec.lengths.get(length_idx).copied().unwrap_or(0)
    }

    pub fn backend(&self, lane_idx: usize) -> Backend {
        self.lane_spec(lane_idx).map_or(Backend::Cpu, |lane| lane.backend)
    }

    /// The closed-form cost, zero where the system refuses the problem.
    pub fn cost(&self, lane_idx: usize, length_idx: usize) -> Cost {
        let cost = self.cost_table.get(lane_idx).and_then(|costs| costs.get(length_idx));
        cost.and_then(|cost| cost.as_ref().ok()).copied().unwrap_or_default()
    }

    pub fn is_racing(&self, lane_idx: usize) -> bool {
        self.lanes.get(lane_idx).is_some_and(|lane| !lane.ended)
    }

    /// An empty point.
    pub fn blank_point(&self, lane_idx: usize, length_idx: usize, outcome: Outcome) -> Point {
        Point {
            seq_len: self.seq_len(length_idx),
            outcome,
            samples_ns: Vec::new(),
            set_ups: Vec::new(),
            heats: Vec::new(),
            rounds: Vec::new(),
            repeats: 0,
            discarded: 0,
            q1_ns: 0.0,
            median_ns: 0.0,
            q3_ns: 0.0,
            min_ns: 0.0,
            device_ns: None,
            setup_ns: 0.0,
            first_run_ns: 0.0,
            cost: self.cost(lane_idx, length_idx),
            peak_bytes: 0,
            predicted_ns: None,
            verified: None,
            interval_ns: None,
            decoding: None,
            versus: None,
        }
    }

    /// A lane's point at a length.
    pub fn point(&self, lane_idx: usize, seq_len: usize) -> Option<&Point> {
        self.record.lanes.get(lane_idx)?.points.iter().find(|point| point.seq_len == seq_len)
    }

    /// Puts a point into the record, replacing an earlier state of it.
    pub fn put(&mut self, lane_idx: usize, point: Point) {
        let Some(lane) = self.record.lanes.get_mut(lane_idx) else {
            return;
        };
        match lane.points.iter_mut().find(|known| known.seq_len == point.seq_len) {
            Some(known) => *known = point,
            None => lane.points.push(point),
        }
    }

    /// Ends a lane: every length that it has not finished gets this reason and, where possible, a prediction. The
    /// current point keeps its samples, unless its output is wrong or unknown.
    pub fn end_lane(&mut self, lane_idx: usize, reason: &Dnf) {
        let Some(state) = self.lanes.get_mut(lane_idx).filter(|lane| !lane.ended) else {
            return;
        };
        state.ended = true;
        let next = state.next;
        // A prediction needs at least one measured point: readers could not trace it to probes or to a single cold run.
        let is_measured = !state.history.is_empty();
        let may_predict =
            is_measured && !matches!(reason, Dnf::NotVerified | Dnf::Unsupported { .. } | Dnf::Failed { .. });
        let mut growth = None;
        for length_idx in next..self.record.spec.lengths.len() {
            // The current point counts as measured until it has its reason, and later lengths add no information.
            if may_predict && length_idx <= next + 1 {
                growth = self.growth(lane_idx);
            }
            let dnf = match reason {
                // Longer lengths need more memory.
                &Dnf::Memory { needed_bytes, limit_bytes } if length_idx > next => Dnf::Memory {
                    needed_bytes: needed_bytes.max(self.cost(lane_idx, length_idx).peak_bytes),
                    limit_bytes,
                },
                Dnf::TimeBudget { needed_ns } => {
                    let told_ns = needed_ns.filter(|_| length_idx == next);
                    Dnf::TimeBudget { needed_ns: told_ns.or_else(|| self.needed_ns(lane_idx, length_idx)) }
                }
                other => other.clone(),
            };
            let predicted_ns = if may_predict { self.predict_ns(lane_idx, length_idx, growth) } else { None };
            let seq_len = self.seq_len(length_idx);
            let mut point = match self.point(lane_idx, seq_len) {
                Some(point) if !matches!(reason, Dnf::NotVerified | Dnf::Failed { .. }) => point.clone(),
                _ => self.blank_point(lane_idx, length_idx, Outcome::Ok),
            };
            point.outcome = Outcome::Dnf(dnf);
            point.predicted_ns = predicted_ns;
            self.put(lane_idx, point);
        }
    }

    /// Applies an error to its lane and, where the device is lost, to all lanes of its backend.
    pub fn fail(&mut self, lane_idx: usize, error: &LaneError) -> Result<(), Halt> {
        match error {
            LaneError::Cancelled => return Err(Halt::Cancelled),
            LaneError::DeviceLost { .. } => {
                let backend = self.backend(lane_idx);
                for other_idx in 0..self.lanes.len() {
                    if self.backend(other_idx) == backend {
                        self.end_lane(other_idx, &dnf(error));
                        if let Some(lane) = self.lanes.get_mut(other_idx) {
                            lane.lost = true;
                        }
                    }
                }
            }
            _ => self.end_lane(lane_idx, &dnf(error)),
        }
        self.publish();
        Ok(())
    }

    /// Publishes a snapshot now.
    pub fn publish(&mut self) {
        self.count_discarded();
        self.published_ns = self.now_ns();
        self.watch.record(&self.record);
    }

    /// Publishes a snapshot unless the last one is too recent.
    pub fn publish_soon(&mut self) {
        if self.now_ns() - self.published_ns >= PUBLISH_EVERY_NS {
            self.publish();
        }
    }

    /// Computes fits and crossovers of the points measured so far.
    pub fn analyze(&mut self) {
        analysis::update(&mut self.record, &self.laws, LIVE_REPLICATES);
    }

    /// Stores the clock's step, with a warning where it is coarse.
    pub fn set_tick(&mut self, tick_ns: f64) {
        self.record.tick_ns = tick_ns;
        if tick_ns > COARSE_TICK_NS {
            self.record.warnings.push(Warning::CoarseClock { tick_ns });
        }
    }

    /// Completes the record.
    pub fn finish(mut self, status: Status) -> Record {
        if status == Status::Cancelled {
            self.record.warnings.push(Warning::Cancelled);
            for lane_idx in 0..self.lanes.len() {
                self.end_lane(lane_idx, &Dnf::Cancelled);
            }
        }
        self.flag_outliers();
        self.guess_needs();
        self.record.status = status;
        analysis::update(&mut self.record, &self.laws, FINAL_REPLICATES);
        self.publish();
        self.record
    }

    /// Estimates the time needed by lanes that got none: the average of their backend's lanes at the first length.
    fn guess_needs(&mut self) {
        for backend in [Backend::Cpu, Backend::WebGpu] {
            let mean = |values: Vec<f64>| {
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            };
            let lanes: Vec<&LaneState> = self
                .lanes
                .iter()
                .enumerate()
                .filter(|(lane_idx, _)| self.backend(*lane_idx) == backend)
                .map(|(_, lane)| lane)
                .collect();
            let verify_ns = mean(lanes.iter().filter_map(|lane| lane.verify_ns).collect());
            let first = lanes.iter().filter_map(|lane| lane.history.first());
            let point_ns =
                mean(first.map(|point| point.setup_ns + 4.0 * point.sample_ns + point.check_ns).collect());
            let Some(needed) = verify_ns.zip(point_ns.or(verify_ns)) else { continue };
            let needed_ns = Some(needed.0 + needed.1);
            let specs = &self.record.spec.lanes;
            for (lane, _) in
                self.record.lanes.iter_mut().zip(specs).filter(|(_, spec)| spec.backend == backend)
            {
                if let Some(Point {
                    outcome: Outcome::Dnf(Dnf::TimeBudget { needed_ns: unknown @ None }),
                    ..
                }) = lane.points.first_mut()
                {
                    *unknown = needed_ns;
                }
            }
        }
    }

    fn flag_outliers(&mut self) {
        for (lane_idx, lane) in self.record.lanes.iter().enumerate() {
            let samples: usize = lane.points.iter().map(Point::n_outliers).sum();
            let of: usize = lane.points.iter().map(|point| point.samples_ns.len()).sum();
            if samples as f64 > MANY_OUTLIERS * of as f64 {
                self.record.warnings.push(Warning::Outliers { lane: lane_idx, samples, of });
            }
        }
    }

    fn count_discarded(&mut self) {
        let points = self.record.lanes.iter().flat_map(|lane| &lane.points);
        let samples = self.discarded + points.map(|point| point.discarded).sum::<u32>();
        self.record.warnings.retain(|warning| !matches!(warning, Warning::Discarded { .. }));
        if samples > 0 {
            self.record.warnings.push(Warning::Discarded { samples });
        }
    }
}

/// The closed form at powers of two, up to the longest predicted length.
fn cost_law(lane: &LaneSpec, spec: &RaceSpec, costs: &CostFn<'_>) -> CostLaw {
    CostLaw::new((0..=LONGEST_LAW).filter_map(|log2| {
        let seq_len = 1 << log2;
        let cost = costs(lane, &spec.problem(seq_len)).ok()?;
        Some((seq_len, cost.flops))
    }))
}

/// The outcome for an error.
pub(crate) fn dnf(error: &LaneError) -> Dnf {
    match error {
        LaneError::Mixer(
            MixerError::OutOfMemory { needed_bytes, limit_bytes }
            | MixerError::NeedsBuffer { needed_bytes, limit_bytes, .. },
        ) => Dnf::Memory { needed_bytes: *needed_bytes, limit_bytes: *limit_bytes },
        LaneError::Mixer(MixerError::NeedsLimit { .. }) => Dnf::DeviceLimit { message: error.said() },
        LaneError::Mixer(MixerError::Unsupported { .. } | MixerError::NoDecode { .. }) => {
            Dnf::Unsupported { message: error.said() }
        }
        LaneError::NoBackend { reason, .. } => Dnf::NoBackend { message: reason.clone() },
        LaneError::DeviceLost { reason } => Dnf::DeviceLost { message: reason.clone().into() },
        LaneError::Cancelled => Dnf::Cancelled,
        other => Dnf::Failed { code: other.code().to_owned(), message: other.said() },
    }
}

fn lane_record(lane: &LaneSpec) -> LaneRecord {
    LaneRecord { spec: lane.clone(), verification: None, points: Vec::new(), fit: None }
}
