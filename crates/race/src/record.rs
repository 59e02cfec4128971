//! What a race leaves behind: the one result type of the engine. Times are nanoseconds of one forward pass.

use mixer::{Cost, LaneSpec, Level, Said, Verification};

use crate::stats;

/// Everything that a race asks for, already validated.
#[derive(Debug, Clone, PartialEq)]
pub struct RaceSpec {
    /// The lanes, at most [`RaceSpec::MAX_LANES`].
    pub lanes: Vec<LaneSpec>,
    /// Sequence lengths, ascending and distinct.
    pub lengths: Vec<usize>,
    /// Model width.
    pub d_model: usize,
    /// Heads.
    pub n_heads: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Whether causal forms run where a system has both.
    pub causal: bool,
    /// Core or layer.
    pub level: Level,
    /// What the whole race may take.
    pub budget_ns: u64,
    /// Seed of inputs, weights and schedule.
    pub seed: u64,
}

impl RaceSpec {
    /// Most lanes in a race.
    pub const MAX_LANES: usize = 28;
    /// Most lengths in a race.
    pub const MAX_LENGTHS: usize = 32;
}

/// Why a lane did not finish a length.
#[derive(Debug, Clone, PartialEq)]
pub enum Dnf {
    /// The memory wall: bytes needed, bytes available.
    Memory {
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes available.
        limit_bytes: u64,
    },
    /// The next point would take longer than this lane's share of the budget.
    TimeBudget {
        /// Nanoseconds that the point is expected to need (set-up, runs, check), where that is known.
        needed_ns: Option<f64>,
    },
    /// A limit of the device.
    DeviceLimit {
        /// What the device said.
        message: Said,
    },
    /// The GPU device was lost.
    DeviceLost {
        /// The reason given.
        message: Said,
    },
    /// The backend is not there.
    NoBackend {
        /// Why.
        message: Said,
    },
    /// The system does not do this.
    Unsupported {
        /// What, in words.
        message: Said,
    },
    /// The output was wrong; a wrong lane is never timed.
    NotVerified,
    /// Anything else, with its stable code.
    Failed {
        /// The code.
        code: String,
        /// The message.
        message: Said,
    },
    /// The race was cancelled before this point was done.
    Cancelled,
}

/// Whether a point was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Measured and verified. While the race runs, the point at work is here too, before [`Point::verified`] is known.
    Ok,
    /// Did not finish.
    Dnf(Dnf),
}

/// A lane at a length.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Sequence length.
    pub seq_len: usize,
    /// Whether it was measured.
    pub outcome: Outcome,
    /// The kept samples, each the mean time of one forward pass, in the order taken.
    pub samples_ns: Vec<f64>,
    /// Samples of each set-up of the lane at this length, in order; they add up to the number of samples.
    pub set_ups: Vec<u32>,
    /// The heat of each set-up, counted over the race: lanes of one heat were set up and sampled together.
    pub heats: Vec<u32>,
    /// The round of each sample, ascending. Lanes sampled in the same round shared the state of the machine.
    pub rounds: Vec<u32>,
    /// Forward passes in a sample.
    pub repeats: u32,
    /// Samples thrown away: the tab was hidden, or the clock jumped.
    pub discarded: u32,
    /// First quartile of all samples; zero where there is none.
    pub q1_ns: f64,
    /// The point's time: the geometric mean of the set-ups' medians. The number to quote; zero where there is none.
    pub median_ns: f64,
    /// Third quartile.
    pub q3_ns: f64,
    /// Fastest sample.
    pub min_ns: f64,
    /// Median of the device's own timestamps, where it has them.
    pub device_ns: Option<f64>,
    /// Set-up: allocation, upload, compilation, tables that inference would cache.
    pub setup_ns: f64,
    /// The first forward pass, warm-up excluded nowhere: what a cold start costs.
    pub first_run_ns: f64,
    /// Closed-form cost at this length.
    pub cost: Cost,
    /// Most bytes held at once, counted.
    pub peak_bytes: u64,
    /// Time that the fit of the shorter lengths predicts, where the point was not measured and others of its lane were.
    pub predicted_ns: Option<f64>,
    /// Rows of the timed output against the f64 reference.
    pub verified: Option<Verification>,
    /// 95% interval of the point's time over samples and set-ups; absent where nothing was measured.
    pub interval_ns: Option<(f64, f64)>,
    /// The comparison with the baseline; absent for the baseline itself, and where either was not measured.
    pub versus: Option<Versus>,
}

/// Which of two lanes is faster, as far as the measurements can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The lane is faster than the baseline.
    Ahead,
    /// The lane is slower than the baseline.
    Behind,
    /// The difference lies within the uncertainty, or is too small to matter.
    Undecided,
}

/// A lane against the baseline at one length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Versus {
    /// Index of the attention lane on the same backend.
    pub baseline: usize,
    /// The baseline's time over the lane's with its 95% interval: above 1, the lane is faster.
    pub speedup: Estimate,
    /// The decision, which every reader of the record takes as it is.
    pub verdict: Verdict,
}

impl Point {
    /// Brings quartiles, time and least sample up to the samples. The time is the geometric mean of the set-ups' medians, so
    /// that each set-up counts alike.
    pub(crate) fn summarize(&mut self) {
        (self.q1_ns, self.median_ns, self.q3_ns, self.min_ns) = (0.0, 0.0, 0.0, 0.0);
        let Some(quartiles) = stats::quartiles(&self.samples_ns) else {
            return;
        };
        let mut rest = self.samples_ns.as_slice();
        let medians: Vec<f64> = self
            .set_ups
            .iter()
            .filter_map(|&n| {
                let (own, later) = rest.split_at_checked(n as usize)?;
                rest = later;
                stats::median(own)
            })
            .collect();
        let several = medians.len() > 1 && rest.is_empty();
        self.median_ns = if several {
            stats::geometric_mean(&medians).unwrap_or(quartiles.median)
        } else {
            quartiles.median
        };
        (self.q1_ns, self.q3_ns) = (quartiles.q1.min(self.median_ns), quartiles.q3.max(self.median_ns));
        self.min_ns = self.samples_ns.iter().copied().fold(f64::INFINITY, f64::min);
    }

    /// What another set-up with as many samples as the first would take, a round to warm up included.
    pub(crate) fn again_ns(&self) -> f64 {
        let samples = f64::from(self.set_ups.first().copied().unwrap_or(0) + 1);
        self.setup_ns + self.first_run_ns + samples * f64::from(self.repeats) * self.median_ns
    }

    /// Samples far beyond Tukey's fences. They are flagged, never dropped.
    pub fn n_outliers(&self) -> usize {
        stats::n_outliers(&self.samples_ns)
    }
}

/// A number with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A power law time = 2^`log2_scale` · L^`exponent`, fitted to the tail of a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// The exponent of L.
    pub exponent: Estimate,
    /// log₂ of nanoseconds at L = 1.
    pub log2_scale: f64,
    /// First length of the tail that was fitted.
    pub from_len: usize,
    /// Number of points fitted.
    pub n_points: usize,
    /// Exponent of the leading term of the growth model (a constant, a linear term and the closed-form cost, none of
    /// them negative): how the time grows at lengths far beyond those raced. Absent where no model was fitted.
    pub leading: Option<Estimate>,
}

/// One lane's results.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneRecord {
    /// What ran.
    pub spec: LaneSpec,
    /// Comparison on a small problem, before anything was timed.
    pub verification: Option<Verification>,
    /// Points at ascending lengths. A lane that ends early has a point with the reason, and a prediction where one
    /// can be made, at every length that it did not finish.
    pub points: Vec<Point>,
    /// The tail's power law, once at least three points are measured.
    pub fit: Option<Fit>,
}

/// How a crossover was found, decided by the bootstrap replicates of the race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossoverKind {
    /// At least 95% of replicates cross between two raced lengths.
    Measured,
    /// The challenger is ahead from this raced length on; it may have been ahead before. The length is an upper bound.
    AtMost,
    /// The challenger is behind at the longest length raced, and the fitted growth models meet beyond it.
    Predicted,
    /// The measurements do not tell which lane is ahead, or whether the lanes cross.
    Undecided,
    /// The challenger is behind as far as raced, and its growth model does not get ahead within the horizon.
    None,
}

/// The length beyond which a challenger's time stays below the baseline's.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossover {
    /// Index of the challenger's lane.
    pub challenger: usize,
    /// Index of the attention lane on the same backend.
    pub baseline: usize,
    /// How it was found.
    pub kind: CrossoverKind,
    /// The length in tokens with its 95% interval; for [`CrossoverKind::AtMost`] all three numbers are the bound. Absent
    /// for [`CrossoverKind::Undecided`] and [`CrossoverKind::None`].
    pub length: Option<Estimate>,
}

/// What a reader must know to trust or doubt the numbers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The first length, measured again at the end, took this ratio of its first time, beyond the noise.
    Drift {
        /// Index of the lane.
        lane: usize,
        /// Last over first.
        ratio: f64,
    },
    /// Samples were thrown away because the tab was hidden or the clock jumped.
    Discarded {
        /// How many.
        samples: u32,
    },
    /// Many of a lane's samples lie far outside the middle half of their point's: something else was at work. They are
    /// kept.
    Outliers {
        /// Index of the lane.
        lane: usize,
        /// How many.
        samples: usize,
        /// Of how many.
        of: usize,
    },
    /// The clock's step is coarse.
    CoarseClock {
        /// Its step.
        tick_ns: f64,
    },
    /// The adapter is a software one.
    SoftwareGpu,
    /// The race was cancelled.
    Cancelled,
}

/// How far a race is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Under way.
    Running,
    /// At its end.
    Done,
    /// Stopped by the user.
    Cancelled,
}

/// A race, at any moment of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What was asked for.
    pub spec: RaceSpec,
    /// How far it is.
    pub status: Status,
    /// One entry per lane of the spec, in its order.
    pub lanes: Vec<LaneRecord>,
    /// One entry per challenger that has a baseline.
    pub crossovers: Vec<Crossover>,
    /// The clock's measured step.
    pub tick_ns: f64,
    /// What a reader must know.
    pub warnings: Vec<Warning>,
}

/// What is being done right now, and how long the rest will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Between 0 and 1, by expected time.
    pub fraction: f64,
    /// Honest estimate of what is left.
    pub remaining_ns: f64,
    /// The lane at work.
    pub lane: usize,
    /// The length at work.
    pub seq_len: usize,
    /// What is done with it.
    pub activity: Activity,
}

/// What is done with a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Comparing it with the reference.
    Verifying,
    /// Setting it up.
    Preparing,
    /// Warming it up.
    WarmingUp,
    /// Sampling.
    Sampling,
    /// Measuring the first length again.
    CheckingDrift,
}
