//! The report as a wire type for JSON, links and messages. Camel case, milliseconds. Domain types have no
//! serialisation.

use mixer::Task;
use serde::{Deserialize, Serialize};

use crate::{Config, Environment, ParamValue, Reason, ReasonArgs};

const MS_PER_S: f64 = 1000.0;

/// Newest version of this format, raised with every change that readers must know. Version 2 adds crossovers that are
/// bounds or undecided, and verdicts with their intervals. Reports of version 1 are read and lack these. Version 3 adds
/// decode races; all other reports are still written in version 2, so that older readers read them.
pub const SCHEMA_VERSION: u32 = 3;
/// The version of reports of forward passes.
const FORWARD_VERSION: u32 = 2;

/// The report of one race.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the format: [`Config::schema`] of the configuration; in older files 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = SCHEMA_VERSION)))]
    pub schema: u32,
    /// The configuration, defaults filled in.
    pub config: Config,
    /// The machine.
    pub environment: Environment,
    /// Start in milliseconds since 1970, where a calendar is available.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 253_402_300_800_000.0)))]
    pub started_at_ms: Option<f64>,
    /// `running`, `done` or `cancelled`.
    pub status: Status,
    /// One entry per lane, in the configuration's order.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 28)))]
    pub lanes: Vec<Lane>,
    /// One entry per challenger that has an attention lane on its backend.
    #[cfg_attr(feature = "schema", schemars(length(max = 28)))]
    pub crossovers: Vec<Crossover>,
    /// Circumstances that a reader needs to judge the numbers.
    #[cfg_attr(feature = "schema", schemars(length(max = 200)))]
    pub warnings: Vec<Warning>,
}

/// Status of the race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Under way.
    Running,
    /// At its end.
    Done,
    /// Stopped by the user.
    Cancelled,
}

impl Config {
    /// Version of the format of this race's reports, the oldest one that has all that they hold.
    pub fn schema(&self) -> u32 {
        match self.mode {
            Task::Forward => FORWARD_VERSION,
            Task::Decode { .. } => SCHEMA_VERSION,
        }
    }
}

impl Report {
    /// Computes every point's share of the roofline, and that of its prefill.
    #[must_use]
    pub(crate) fn with_shares(mut self) -> Self {
        for lane in &mut self.lanes {
            let peaks = self.environment.roofline.as_ref().and_then(|roofline| roofline.of(&lane.backend));
            let share = |flops: f64, functions: f64, bytes: f64, ms: Option<f64>| {
                let share = peaks?.least_ms(flops, functions, bytes) / ms?;
                share.is_finite().then_some(share)
            };
            for point in &mut lane.points {
                // Older reports lack executed operations, so the field's count is used.
                let flops = point.executed_flops.unwrap_or(point.flops);
                let functions = point.transcendentals.unwrap_or(0.0);
                point.roofline_share = share(flops, functions, point.bytes, point.median_ms);
                if let Some(decode) = &mut point.decode {
                    let (flops, functions) = (decode.prefill_executed_flops, decode.prefill_transcendentals);
                    decode.prefill_roofline_share =
                        share(flops, functions, decode.prefill_bytes, decode.prefill_ms);
                }
            }
        }
        self
    }

    /// Tokens generated per second at a point of a decode race, those of the whole batch. Absent in other races and
    /// where nothing was measured.
    pub fn tokens_per_s(&self, point: &Point) -> Option<f64> {
        match self.config.mode {
            Task::Decode { .. } => Some(f64::from(self.config.batch) * MS_PER_S / point.median_ms?),
            Task::Forward => None,
        }
    }
}

impl Lane {
    /// The predicted time of a point, if a point of the lane was measured. Without any measurement, a report's
    /// prediction is ignored.
    pub fn predicted_ms(&self, point: &Point) -> Option<f64> {
        let is_measured = self.points.iter().any(|point| point.outcome == "ok");
        point.predicted_ms.filter(|_| is_measured)
    }
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// The system's stable name.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9-]{1,40}$")))]
    pub system: String,
    /// The system's display name.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub title: String,
    /// `cpu` or `webgpu`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["cpu", "webgpu"])))]
    pub backend: String,
    /// Parameters, defaults included.
    pub params: std::collections::BTreeMap<String, ParamValue>,
    /// Whether it ran causally: some systems exist in one form only, whatever the configuration.
    pub causal: bool,
    /// Comparison on a small problem, before any timing.
    pub verification: Option<Verified>,
    /// One entry per length reached, ascending.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub points: Vec<Point>,
    /// Exponent of the time's growth over the tail of the lengths.
    pub exponent: Option<Exponent>,
}

/// The measurement of a lane at one length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Sequence length; when decoding, the length of the context.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub length: u32,
    /// `ok`, or why the lane did not finish: `memory`, `time-budget`, `device-limit`, `device-lost`, `no-backend`,
    /// `unsupported`, `not-verified`, `failed`, `cancelled`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = crate::validate::OUTCOMES)))]
    pub outcome: String,
    /// The reason as an English message, where there is one.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub message: Option<String>,
    /// The reason as a code with arguments. Links do not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Time of one forward pass, or when decoding of one generated token, which is a step of the whole batch: geometric
    /// mean of the set-ups' medians. Excludes set-up and, when decoding, the prefill and any other filling of the state.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub median_ms: Option<f64>,
    /// First quartile.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub q1_ms: Option<f64>,
    /// Third quartile.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub q3_ms: Option<f64>,
    /// Fastest sample.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub min_ms: Option<f64>,
    /// Samples kept.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub samples: u32,
    /// Forward passes or generated tokens per sample.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub repeats: u32,
    /// Number of discarded samples.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub discarded: u32,
    /// Median by the device's own timestamps.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub device_ms: Option<f64>,
    /// Set-up: allocation, upload, compilation, cached tables; when decoding also filling the state with the context.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub setup_ms: Option<f64>,
    /// First forward pass or generated token, without warm-up.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub first_run_ms: Option<f64>,
    /// Time predicted by the lane's growth model, where nothing was measured.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub predicted_ms: Option<f64>,
    /// Floating-point operations of one forward pass, or of one generated token of the whole batch on average over the
    /// generated tokens, in closed form by the field's conventions, for comparing algorithms.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub flops: f64,
    /// Floating-point operations that the CPU kernel executes, in closed form, for the roofline. Absent in older
    /// reports.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed_flops: Option<f64>,
    /// Exponentials, divisions and square roots, in closed form. Absent in older reports.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcendentals: Option<f64>,
    /// Bytes moved, in closed form; when decoding by one step, on average over the generated tokens.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub bytes: f64,
    /// Peak of the bytes held, counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub peak_bytes: f64,
    /// Bytes of state for decoding one token at this length, in closed form; in a decode race with room for the generated
    /// tokens.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub decode_state_bytes: f64,
    /// Comparison of parts of the timed output with the f64 reference.
    pub verified: Option<Verified>,
    /// Least time that the measured roofline allows for the executed operations, the functions and the bytes, over the
    /// median: 1 is the machine's peak. A value above 1 means that the data was in a cache, which has more bandwidth
    /// than memory, or that the probe was disturbed. Readers compute it from the other fields.
    #[serde(default)]
    pub roofline_share: Option<f64>,
    /// Lower end of the 95% interval of [`Point::median_ms`] over samples and set-ups.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub low_ms: Option<f64>,
    /// Upper end.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub high_ms: Option<f64>,
    /// Number of set-ups of the lane at this length; 0 where unknown.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub set_ups: u32,
    /// Comparison with the attention lane of the same backend, where both were measured.
    #[serde(default)]
    pub versus: Option<Versus>,
    /// Whether the system's sparse pattern covers every pair of positions at this length, so that it ran full
    /// attention.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full_attention: bool,
    /// Time that this point would have needed (set-up, runs, check), where the outcome is `time-budget` and the time is
    /// known.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub needed_ms: Option<f64>,
    /// Measurements of decoding other than the time of a token. Absent in races of forward passes, and where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decode: Option<Decoding>,
}

/// The state, the prefill and the single tokens of a point of a decode race.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Decoding {
    /// Bytes of the state of the whole batch, with room for the context and the generated tokens, as counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub state_bytes: f64,
    /// Time of the prefill: filling the empty state with the context by the parallel form, with the output of every
    /// token. Excludes set-up, and is no part of the time of a token. Absent where there was no time to measure it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub prefill_ms: Option<f64>,
    /// Floating-point operations of the prefill in closed form by the field's conventions: those of the forward pass over
    /// the context.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub prefill_flops: f64,
    /// Floating-point operations that the CPU kernel executes in the forward pass over the context, in closed form.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub prefill_executed_flops: f64,
    /// Exponentials, divisions and square roots of the forward pass over the context, in closed form.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub prefill_transcendentals: f64,
    /// Bytes that the forward pass over the context moves, in closed form.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub prefill_bytes: f64,
    /// Least time that the measured roofline allows for the prefill, over [`Decoding::prefill_ms`]. Readers compute it from
    /// the other fields.
    #[serde(default)]
    pub prefill_roofline_share: Option<f64>,
    /// Times of single tokens. Absent where the clock is too coarse for them, or where there was no time.
    #[serde(default)]
    pub steps: Option<Steps>,
}

/// Times of single tokens of one run, each read from the clock before the next token starts. They include a reading of
/// the clock, exclude set-up and prefill, and show bursts of work, which a mean over many tokens hides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Steps {
    /// Number of tokens.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4096)))]
    pub tokens: u32,
    /// Median.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub median_ms: f64,
    /// 99th percentile.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub p99_ms: f64,
    /// Slowest token.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub worst_ms: f64,
}

/// Comparison of a lane with attention at one length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Versus {
    /// Index of the attention lane on the same backend.
    pub baseline: u32,
    /// Attention's time over the lane's: above 1, the lane is faster.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-24, max = 1e24)))]
    pub speedup: f64,
    /// Lower end of its 95% interval.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-24, max = 1e24)))]
    pub low: f64,
    /// Upper end.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-24, max = 1e24)))]
    pub high: f64,
    /// The decision. Pages, tables and exports use it unchanged.
    pub verdict: Verdict,
}

/// Which of two lanes is faster, as far as the measurements can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The lane is faster; the whole interval lies above 1.
    Ahead,
    /// The lane is slower; the whole interval lies below 1.
    Behind,
    /// The difference lies within the uncertainty, or is too small to matter.
    Undecided,
}

/// A comparison with the f64 reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Sequence length of the compared problem.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub length: u32,
    /// Largest absolute difference; absent where an output was not finite.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_abs: Option<f64>,
    /// Largest absolute difference over the largest reference magnitude.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_rel: Option<f64>,
    /// Whether the difference is within the system's tolerance.
    pub pass: bool,
}

/// A fitted exponent with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Exponent {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// log₂ of milliseconds at length 1, so that the fitted line can be drawn.
    pub log2_scale_ms: f64,
    /// First length fitted.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub from_length: u32,
    /// Exponent of the growth model's leading term: the growth of the time far beyond the raced lengths.
    #[serde(default)]
    pub leading: Option<Leading>,
}

/// The exponent of a leading term with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Leading {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The length from which a challenger stays ahead of attention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Crossover {
    /// Index of the challenger's lane.
    pub challenger: u32,
    /// Index of the attention lane.
    pub baseline: u32,
    /// `measured`, `at-most`, `predicted`, `undecided` or `none`.
    pub kind: CrossoverKind,
    /// The length; `null` where it is undecided or where there is none.
    pub estimate: Option<f64>,
    /// Lower end of its 95% interval; for a bound, the bound itself.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// How a crossover was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CrossoverKind {
    /// Between measured points.
    Measured,
    /// The challenger is ahead from this raced length on. It may be ahead at shorter lengths too: an upper bound.
    AtMost,
    /// Beyond the raced lengths, where the growth models meet.
    Predicted,
    /// The measurements do not decide.
    Undecided,
    /// The challenger is behind at all raced lengths and is not predicted to get ahead.
    None,
}

/// A circumstance that a reader needs to judge the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// Stable code: `drift`, `discarded`, `outliers`, `coarse-clock`, `software-gpu`, `cancelled`, `engine-crashed`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9-]{1,40}$")))]
    pub code: String,
    /// The English message.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub message: String,
    /// Index of the lane concerned, if there is one.
    pub lane: Option<u32>,
    /// Arguments of the message. Links do not carry them.
    #[serde(default, skip_serializing_if = "ReasonArgs::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 8)))]
    pub args: ReasonArgs,
}
