//! The result of a race: the only result type of the engine. Times are nanoseconds of one run: a forward pass, or a
//! generated token.

use mixer::{Cost, LaneSpec, Level, Said, Task, Verification};

use crate::stats;

/// The specification of a race.
#[derive(Debug, Clone, PartialEq)]
pub struct RaceSpec {
    /// The lanes, at most [`RaceSpec::MAX_LANES`].
    pub lanes: Vec<LaneSpec>,
    /// The timed work at each length.
    pub task: Task,
    /// Sequence lengths, or when decoding the lengths of contexts, ascending and distinct.
    pub lengths: Vec<usize>,
    /// Model width.
    pub d_model: usize,
    /// Heads.
    pub n_heads: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Whether systems that have both forms run the causal one.
    pub causal: bool,
    /// Core or layer.
    pub level: Level,
    /// Time limit of the whole race, in nanoseconds.
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
    /// The memory limit.
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
        /// The device's message.
        message: Said,
    },
    /// The GPU device was lost.
    DeviceLost {
        /// The reason given by the browser or driver.
        message: Said,
    },
    /// The backend is not available.
    NoBackend {
        /// Why.
        message: Said,
    },
    /// The system does not support the problem.
    Unsupported {
        /// The unsupported property.
        message: Said,
    },
    /// The output was wrong. A lane with a wrong output is never timed.
    NotVerified,
    /// Any other error, with its stable code.
    Failed {
        /// The code.
        code: String,
        /// The message.
        message: Said,
    },
    /// The race was cancelled before this point was measured.
    Cancelled,
}

/// Whether a point was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Measured and verified. While the race runs, the point being measured is included, before [`Point::verified`] is
    /// known.
    Ok,
    /// Did not finish.
    Dnf(Dnf),
}

/// The measurement of a lane at one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Sequence length.
    pub seq_len: usize,
    /// Whether it was measured.
    pub outcome: Outcome,
    /// The kept samples in the order taken; each is the mean nanoseconds of one forward pass or one generated token.
    pub samples_ns: Vec<f64>,
    /// Number of samples of each set-up of the lane at this length, in order. Their sum is the number of samples.
    pub set_ups: Vec<u32>,
    /// The heat of each set-up, numbered over the race: lanes of one heat are set up and sampled together.
    pub heats: Vec<u32>,
    /// The round of each sample, ascending. Lanes sampled in one round shared the state of the machine.
    pub rounds: Vec<u32>,
    /// Forward passes or generated tokens in a sample.
    pub repeats: u32,
    /// Discarded samples: the tab was hidden, or the clock jumped.
    pub discarded: u32,
    /// First quartile of all samples; zero where there is none.
    pub q1_ns: f64,
    /// The point's time, the number to quote: geometric mean of the set-ups' medians. Zero where there are no samples.
    pub median_ns: f64,
    /// Third quartile.
    pub q3_ns: f64,
    /// Fastest sample.
    pub min_ns: f64,
    /// Median of the device's own timestamps, where it has them.
    pub device_ns: Option<f64>,
    /// Set-up: allocation, upload, compilation, tables that inference would cache; when decoding also filling the state
    /// with the context.
    pub setup_ns: f64,
    /// The first forward pass, without warm-up: the time of a cold start.
    pub first_run_ns: f64,
    /// Closed-form cost at this length.
    pub cost: Cost,
    /// Peak of the bytes held, counted.
    pub peak_bytes: u64,
    /// Time predicted by the lane's growth model, where the point was not measured but other points of its lane were.
    pub predicted_ns: Option<f64>,
    /// Comparison of parts of the timed output with the f64 reference.
    pub verified: Option<Verification>,
    /// 95% interval of the point's time over samples and set-ups; absent where nothing was measured.
    pub interval_ns: Option<(f64, f64)>,
    /// Further measurements of decoding; absent for a forward pass, and until the point's samples are complete.
    pub decoding: Option<Decoding>,
    /// The comparison with the baseline. Absent for the baseline itself, and where either lane was not measured.
    pub versus: Option<Versus>,
}

/// Measurements of decoding besides the time of a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoding {
    /// Bytes of the state, with room for the context and the generated tokens, as its ledger counts them.
    pub state_bytes: u64,
    /// Median time of filling the empty state with the context, with all outputs: the time to the first token. Absent
    /// where there was no time to measure it.
    pub prefill_ns: Option<f64>,
    /// Closed-form cost of the forward pass over the context.
    pub prefill_cost: Cost,
    /// Times of single tokens. Absent where the clock is too coarse for them.
    pub steps: Option<Steps>,
}

/// Times of single tokens, each read before the next one starts, over one run of consecutive tokens. Some systems work in
/// bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// Number of tokens.
    pub tokens: u32,
    /// Median.
    pub median_ns: f64,
    /// 99th percentile.
    pub p99_ns: f64,
    /// Slowest token.
    pub worst_ns: f64,
}

/// Which of two lanes is faster, as far as the measurements can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The lane is faster than the baseline.
    Ahead,
    /// The lane is slower than the baseline.
    Behind,
    /// The difference lies within the uncertainty, or is below [`NEGLIGIBLE`](crate::NEGLIGIBLE).
    Undecided,
}

/// Comparison of a lane with the baseline at one length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Versus {
    /// Index of the attention lane on the same backend.
    pub baseline: usize,
    /// The baseline's time over the lane's with its 95% interval: above 1, the lane is faster.
    pub speedup: Estimate,
    /// The decision. Pages, tables and exports use it unchanged.
    pub verdict: Verdict,
}

impl Point {
    /// Updates the quartiles, the time and the fastest sample from the samples. The time is the geometric mean of the
    /// set-ups' medians, so that each set-up has equal weight.
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

    /// Expected nanoseconds of another set-up with as many samples as the first and one warm-up round.
    pub(crate) fn again_ns(&self) -> f64 {
        let samples = f64::from(self.set_ups.first().copied().unwrap_or(0) + 1);
        self.setup_ns + self.first_run_ns + samples * f64::from(self.repeats) * self.median_ns
    }

    /// Number of samples beyond Tukey's outer fences. They are flagged, never dropped.
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
    /// them negative): the growth of the time at lengths far beyond the raced ones. Absent where no model was fitted.
    pub leading: Option<Estimate>,
}

/// One lane's results.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneRecord {
    /// The system, backend and parameters.
    pub spec: LaneSpec,
    /// Comparison on a small problem, before any timing.
    pub verification: Option<Verification>,
    /// Points at ascending lengths. A lane that ends early has a point with the reason, and a prediction where
    /// possible, at every length that it did not finish.
    pub points: Vec<Point>,
    /// The tail's power law, once at least three points are measured.
    pub fit: Option<Fit>,
}

/// How a crossover was found. The bootstrap replicates of the race decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossoverKind {
    /// At least 95% of replicates cross between two raced lengths.
    Measured,
    /// The challenger is ahead from this raced length on. It may be ahead at shorter lengths too: the length is an
    /// upper bound.
    AtMost,
    /// The challenger is behind at the longest length raced, and the fitted growth models meet beyond it.
    Predicted,
    /// The measurements do not show which lane is ahead, or whether the lanes cross.
    Undecided,
    /// The challenger is behind at all raced lengths, and its growth model does not get ahead within the horizon.
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

/// Circumstances that a reader needs to judge the numbers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The first length, measured again at the end, took `ratio` times its first time, beyond the noise.
    Drift {
        /// Index of the lane.
        lane: usize,
        /// Time at the end over time at the beginning.
        ratio: f64,
    },
    /// Samples were discarded because the tab was hidden or the clock jumped.
    Discarded {
        /// Number of discarded samples.
        samples: u32,
    },
    /// Many of a lane's samples lie far outside the middle half of their point's samples, so something else disturbed
    /// them. They are kept.
    Outliers {
        /// Index of the lane.
        lane: usize,
        /// Number of outliers.
        samples: usize,
        /// Number of samples.
        of: usize,
    },
    /// The clock's step is coarse.
    CoarseClock {
        /// The clock's step in nanoseconds.
        tick_ns: f64,
    },
    /// The GPU adapter is a software adapter.
    SoftwareGpu,
    /// The race was cancelled.
    Cancelled,
}

/// Status of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Under way.
    Running,
    /// At its end.
    Done,
    /// Stopped by the user.
    Cancelled,
}

/// A race, finished or under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The specification.
    pub spec: RaceSpec,
    /// How far it is.
    pub status: Status,
    /// One entry per lane of the spec, in its order.
    pub lanes: Vec<LaneRecord>,
    /// One entry per challenger that has a baseline.
    pub crossovers: Vec<Crossover>,
    /// The clock's measured step.
    pub tick_ns: f64,
    /// Warnings to the reader.
    pub warnings: Vec<Warning>,
}

/// Current activity and expected remaining time.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Done fraction of the expected time, between 0 and 1.
    pub fraction: f64,
    /// Expected remaining nanoseconds.
    pub remaining_ns: f64,
    /// The lane at work.
    pub lane: usize,
    /// The length at work.
    pub seq_len: usize,
    /// The activity.
    pub activity: Activity,
}

/// Activity of the engine on a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Comparing a small problem with the reference.
    Verifying,
    /// Setting the lane up.
    Preparing,
    /// Measuring the prefill and single tokens.
    Prefilling,
    /// Warming the lane up.
    WarmingUp,
    /// Taking samples.
    Sampling,
    /// Measuring the first length again.
    CheckingDrift,
}
