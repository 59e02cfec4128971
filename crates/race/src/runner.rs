//! State of one lane at one length while it is measured: passes per sample, warm-up, and when it has enough samples.

use crate::plan::{CAUTION, EXPECTED_ROUNDS, LONG_RUN_NS, MIN_TICKS};
use crate::record::Point;
use crate::stats;

/// Most passes in a sample.
const MAX_REPEATS: u32 = 1 << 24;
/// Ratio of the planned to the least length of a sample, so that a fast sample is still long enough.
const MARGIN: f64 = 1.25;
/// Largest relative difference, besides the clock's rounding, between successive warm-up rounds that agree.
const AGREEMENT: f64 = 0.05;
/// Most warm-up rounds, whether or not they agree.
const MAX_WARM_UP: u32 = 12;
/// Part of the grant after set-up that warm-up may take.
const WARM_UP_SHARE: f64 = 0.25;
/// Numbers of samples at which a set-up may be found to have enough, for ordinary and for long runs. A test after every
/// sample would stop at moments when the spread happens to look small.
const DECISIONS: [usize; 4] = [5, 10, 20, 40];
const LONG_DECISIONS: [usize; 4] = [3, 5, 10, 20];
/// Least length of a kept sample, as a part of the planned number of clock steps.
const SHORTEST: f64 = 0.9;
/// Least length of a kept sample in later set-ups. Dropping faster samples there would bias the time.
const SHORTEST_AGAIN: f64 = 0.5;
/// Samples of one set-up after which a further set-up, where there is time for one, is worth more than further samples.
const ENOUGH_OF_ONE: usize = 10;
/// Relative half-width of the median's 95% interval at which a set-up has enough samples.
const TIGHT: f64 = 0.015;
/// Time after which a set-up with the fewest samples stops although its interval is still wide.
const PATIENCE_NS: f64 = 2e9;

/// Next step of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another round.
    Again,
    /// The lane has enough samples.
    Done,
    /// Even the largest possible or affordable number of passes takes too few steps of this clock.
    Unmeasurable,
}

/// A lane being measured.
pub(crate) struct Runner<L> {
    pub lane_idx: usize,
    pub lane: L,
    /// Checksum of the first run's output. All further runs must have an equal one.
    pub checksum: f64,
    pub point: Point,
    /// The current heat and round, counted over the race.
    pub heat: u32,
    pub round: u32,
    /// Time that the point may take including further set-ups.
    pub again_grant_ns: f64,
    /// Number of samples to take, where an earlier set-up of the point has decided it.
    fixed: Option<usize>,
    /// Passes in the next sample.
    pub repeats: u32,
    /// Current estimate of one pass.
    pub run_ns: f64,
    pub grant_ns: f64,
    pub spent_ns: f64,
    /// Rounds so far.
    pub rounds: u32,
    pub warm: bool,
    /// A sample that looked like a suspension, and the time that was not charged because of it.
    pub doubted: Option<(f64, f64)>,
    /// Passes that belong together: the tokens of a run when decoding, since some of them do the work for others.
    quantum: u32,
    tick_ns: f64,
    target_ns: f64,
    previous_ns: Option<f64>,
    warm_up_ns: f64,
    warm_up_grant_ns: f64,
    sampling_ns: f64,
    device_ns: Vec<f64>,
}

impl<L> Runner<L> {
    /// Creates the state after a lane's first run, which took `point.first_run_ns` and gave this checksum.
    pub fn new(
        lane_idx: usize,
        (lane, checksum): (L, f64),
        point: Point,
        (grant_ns, spent_ns): (f64, f64),
        (tick_ns, target_ns): (f64, f64),
    ) -> Self {
        let run_ns = point.first_run_ns.max(tick_ns);
        // A sample longer than the clock requires is optional, so a small grant does not pay for it.
        let target_ns = (MIN_TICKS * tick_ns).max(target_ns.min((grant_ns - spent_ns) / 8.0));
        let mut runner = Self {
            lane_idx,
            lane,
            checksum,
            point,
            heat: 0,
            round: 0,
            again_grant_ns: grant_ns,
            fixed: None,
            repeats: 1,
            run_ns,
            grant_ns,
            spent_ns,
            rounds: 0,
            warm: false,
            doubted: None,
            quantum: 1,
            tick_ns,
            target_ns,
            previous_ns: None,
            warm_up_ns: 0.0,
            warm_up_grant_ns: WARM_UP_SHARE * (grant_ns - spent_ns),
            sampling_ns: 0.0,
            device_ns: Vec::new(),
        };
        runner.repeats = runner.passes(run_ns);
        // A lane that is too slow for a warm-up counts as warm after its first run.
        runner.warm = runner.repeats == 1 && 2.0 * run_ns > runner.warm_up_grant_ns;
        runner
    }

    /// Takes samples of whole runs of `quantum` passes, where the grant has time for enough of them.
    pub fn in_runs_of(mut self, quantum: u32) -> Self {
        self.quantum = quantum.max(1);
        self.repeats = self.whole_runs(self.repeats);
        self
    }

    fn whole_runs(&self, passes: u32) -> u32 {
        let whole = passes.next_multiple_of(self.quantum);
        let rounds_ns = EXPECTED_ROUNDS * f64::from(whole) * self.run_ns;
        if self.quantum > 1 && rounds_ns <= self.grant_ns - self.spent_ns { whole } else { passes }
    }

    /// Creates the state for a further set-up at a length: as many samples of as many passes as in the first set-up. It
    /// is warm as soon as a round agrees with the first set-up's time or with the preceding round.
    pub fn again(
        lane_idx: usize,
        lane: (L, f64),
        (point, first): (Point, &Point),
        spent: (f64, f64),
        clock: (f64, f64),
    ) -> Self {
        let n_samples = first.set_ups.first().map_or(0, |&n| n as usize);
        let mut runner = Self::new(lane_idx, lane, point, spent, clock);
        runner.fixed = Some(n_samples);
        runner.repeats = first.repeats.max(1);
        runner.run_ns = first.median_ns.max(runner.tick_ns / f64::from(runner.repeats));
        runner.previous_ns = Some(first.median_ns);
        runner.warm_up_grant_ns = runner.grant_ns - runner.spent_ns;
        runner.warm = runner.repeats == 1 && runner.run_ns > LONG_RUN_NS;
        runner
    }

    /// Expected nanoseconds of the next sample.
    pub fn expected_ns(&self) -> f64 {
        f64::from(self.repeats) * self.run_ns
    }

    /// Processes a finished, undisturbed round.
    pub fn take(&mut self, elapsed_ns: f64, device_ns: Option<f64>, remaining_ns: f64) -> Next {
        self.rounds += 1;
        if self.warm { self.sample(elapsed_ns, device_ns, remaining_ns) } else { self.warm_up(elapsed_ns) }
    }

    fn warm_up(&mut self, elapsed_ns: f64) -> Next {
        self.warm_up_ns += elapsed_ns;
        let mean_ns = elapsed_ns / f64::from(self.repeats);
        self.run_ns = mean_ns.max(self.tick_ns / f64::from(self.repeats) / 2.0);
        let worn_out = self.warm_up_ns + elapsed_ns > self.warm_up_grant_ns;
        let lengthens = self.fixed.is_none();
        if lengthens && elapsed_ns < self.target_ns && !(worn_out && elapsed_ns >= MIN_TICKS * self.tick_ns) {
            return self.lengthen(elapsed_ns);
        }
        if lengthens && self.repeats > 1 && elapsed_ns > 4.0 * self.target_ns {
            self.repeats = self.whole_runs(self.passes(mean_ns));
        }
        let slack = AGREEMENT + self.tick_ns / elapsed_ns.max(self.tick_ns);
        let agree =
            self.previous_ns.is_some_and(|previous_ns| (mean_ns - previous_ns).abs() <= slack * previous_ns);
        self.previous_ns = Some(mean_ns);
        self.warm = agree || worn_out || self.rounds >= MAX_WARM_UP;
        Next::Again
    }

    fn sample(&mut self, elapsed_ns: f64, device_ns: Option<f64>, remaining_ns: f64) -> Next {
        // Once warm, the lane got faster: these samples are too short to be kept, however often that happens. A later
        // set-up has a fixed number of passes and may be faster than the first.
        let shortest = if self.fixed.is_some() { SHORTEST_AGAIN } else { SHORTEST };
        // An incomplete later set-up would overweight its slow beginning.
        let is_cut_short = self.fixed.is_some() && self.spent_ns > self.grant_ns;
        if is_cut_short || elapsed_ns <= 0.0 || elapsed_ns < shortest * MIN_TICKS * self.tick_ns {
            if self.fixed.is_some() {
                return Next::Unmeasurable;
            }
            self.point.samples_ns.clear();
            self.point.rounds.clear();
            self.device_ns.clear();
            self.sampling_ns = 0.0;
            self.summarize();
            let next = self.lengthen(elapsed_ns);
            let least_ns = MIN_TICKS * self.tick_ns;
            let affordable = self.spent_ns <= self.grant_ns && CAUTION * least_ns <= remaining_ns;
            return if affordable { next } else { Next::Unmeasurable };
        }
        self.sampling_ns += elapsed_ns;
        self.point.repeats = self.repeats;
        self.point.samples_ns.push(elapsed_ns / f64::from(self.repeats));
        self.point.rounds.push(self.round);
        self.point.set_ups = vec![self.point.samples_ns.len() as u32];
        self.point.heats = vec![self.heat];
        // A device's timestamps may be zero, decreasing or coarse, and no pass takes longer on the device than in
        // total.
        let plausible = |ns: &f64| ns.is_finite() && *ns > 0.0 && *ns <= 1.05 * elapsed_ns + self.tick_ns;
        self.device_ns.extend(device_ns.filter(plausible).map(|ns| ns / f64::from(self.repeats)));
        self.summarize();
        if self.has_enough(remaining_ns) { Next::Done } else { Next::Again }
    }

    fn has_enough(&self, remaining_ns: f64) -> bool {
        let n_samples = self.point.samples_ns.len();
        let next_ns = self.expected_ns();
        if CAUTION * next_ns > remaining_ns {
            return true;
        }
        if let Some(fixed) = self.fixed {
            return n_samples >= fixed;
        }
        let decisions = if next_ns > LONG_RUN_NS { LONG_DECISIONS } else { DECISIONS };
        let [fewest, .., most] = decisions;
        if n_samples >= most || self.spent_ns + next_ns > self.grant_ns {
            return true;
        }
        if !decisions.contains(&n_samples) {
            return n_samples >= fewest && self.sampling_ns >= PATIENCE_NS;
        }
        if n_samples >= ENOUGH_OF_ONE && self.spent_ns + self.point.again_ns() <= self.again_grant_ns {
            return true;
        }
        let quantum_ns = self.tick_ns / f64::from(self.repeats);
        let is_tight = stats::relative_error(&self.point.samples_ns, quantum_ns)
            .is_some_and(|error| 1.96 * error <= TIGHT);
        is_tight || self.sampling_ns >= PATIENCE_NS
    }

    /// Updates the point's statistics from its samples.
    fn summarize(&mut self) {
        let point = &mut self.point;
        point.summarize();
        if point.median_ns > 0.0 {
            self.run_ns = point.median_ns;
        }
        let trusted = 2 * self.device_ns.len() >= point.samples_ns.len();
        point.device_ns = stats::median(&self.device_ns).filter(|_| trusted);
    }

    /// Raises the number of passes, so that a sample is long enough.
    fn lengthen(&mut self, elapsed_ns: f64) -> Next {
        if self.repeats >= MAX_REPEATS {
            return Next::Unmeasurable;
        }
        let wanted =
            if elapsed_ns > 0.0 { self.passes(elapsed_ns / f64::from(self.repeats)) } else { MAX_REPEATS };
        // A first estimate from a cold or rounded time may be far off, so the number grows at most sixteenfold at once.
        let wanted = wanted.clamp(self.repeats + 1, self.repeats.saturating_mul(16)).min(MAX_REPEATS);
        self.repeats = self.whole_runs(wanted);
        Next::Again
    }

    /// Number of passes in a sample.
    fn passes(&self, run_ns: f64) -> u32 {
        if run_ns >= self.target_ns {
            return 1;
        }
        let passes = (MARGIN * self.target_ns / run_ns).ceil();
        if passes < f64::from(MAX_REPEATS) { (passes as u32).max(1) } else { MAX_REPEATS }
    }
}
