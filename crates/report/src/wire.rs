//! The report as it travels: JSON, links, messages. Camel case, milliseconds; domain types stay free of serialisation.

use serde::{Deserialize, Serialize};

use crate::{Config, Environment, ParamValue, Peaks, Reason, ReasonArgs};

/// Version of this format, raised with every change that a reader must know of. 2 has crossovers that are bounds or
/// undecided, and verdicts with their intervals; reports of version 1 are read, without any of these.
pub const SCHEMA_VERSION: u32 = 2;

/// Everything about one race.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer; once read, this reader's own.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2)))]
    pub schema: u32,
    /// The configuration, defaults filled in.
    pub config: Config,
    /// The machine.
    pub environment: Environment,
    /// Milliseconds since 1970 at the start, where a calendar is at hand.
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
    /// What a reader must know to trust or doubt the numbers.
    #[cfg_attr(feature = "schema", schemars(length(max = 200)))]
    pub warnings: Vec<Warning>,
}

/// How far the race is.
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

impl Report {
    /// Works out every point's share of the roofline.
    #[must_use]
    pub(crate) fn with_shares(mut self) -> Self {
        for lane in &mut self.lanes {
            let peaks = self.environment.roofline.as_ref().and_then(|roofline| roofline.of(&lane.backend));
            for point in &mut lane.points {
                // Reports of before operations were counted as they run have the field's count alone.
                let flops = point.executed_flops.unwrap_or(point.flops);
                let functions = point.transcendentals.unwrap_or(0.0);
                let share =
                    |peaks: &Peaks| Some(peaks.least_ms(flops, functions, point.bytes) / point.median_ms?);
                point.roofline_share = peaks.and_then(share).filter(|share| share.is_finite());
            }
        }
        self
    }
}

impl Lane {
    /// The time predicted for a point, where points of the lane were measured: what nothing was measured for has no
    /// prediction to show, whatever a report says.
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
    /// Its name for people.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub title: String,
    /// `cpu` or `webgpu`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["cpu", "webgpu"])))]
    pub backend: String,
    /// Parameters, defaults filled in.
    pub params: std::collections::BTreeMap<String, ParamValue>,
    /// Whether it ran causally: some systems exist only one way, whatever was asked.
    pub causal: bool,
    /// Comparison on a small problem, before anything was timed.
    pub verification: Option<Verified>,
    /// One entry per length reached, ascending.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub points: Vec<Point>,
    /// Exponent of the time's growth over the tail.
    pub exponent: Option<Exponent>,
}

/// A lane at a length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Sequence length.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub length: u32,
    /// `ok`, or why the lane did not finish: `memory`, `time-budget`, `device-limit`, `device-lost`, `no-backend`,
    /// `unsupported`, `not-verified`, `failed`, `cancelled`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = crate::validate::OUTCOMES)))]
    pub outcome: String,
    /// The reason in words, where there is more to say.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub message: Option<String>,
    /// The reason as a code with arguments; links do not carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Median time of one forward pass.
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
    /// Forward passes per sample.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub repeats: u32,
    /// Samples thrown away.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub discarded: u32,
    /// Median by the device's own timestamps.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub device_ms: Option<f64>,
    /// Set-up: allocation, upload, compilation, cached tables.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub setup_ms: Option<f64>,
    /// First forward pass.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub first_run_ms: Option<f64>,
    /// What the fit predicts, where nothing was measured.
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub predicted_ms: Option<f64>,
    /// Floating-point operations of one forward pass by the field's conventions, closed form: to compare algorithms.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub flops: f64,
    /// Floating-point operations that the CPU kernel executes, closed form: for the roofline. Absent in reports of
    /// before they were counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed_flops: Option<f64>,
    /// Exponentials, divisions and square roots, closed form. Absent in reports of before they were counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcendentals: Option<f64>,
    /// Bytes moved, closed form.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub bytes: f64,
    /// Most bytes held at once, counted.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub peak_bytes: f64,
    /// Bytes of state that decoding carries at this length.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub decode_state_bytes: f64,
    /// Rows of the timed output against the f64 reference.
    pub verified: Option<Verified>,
    /// The least time that the measured roofline allows for the executed operations, the functions and the bytes, over the
    /// median: 1 is all that the machine can do. More than 1 says that the data sat in a cache, whose bandwidth is not
    /// that of memory, or that the probe was disturbed. Follows from the other fields: whoever reads a report works it out anew.
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
    /// How often the lane was set up anew at this length; 0 where the report does not say.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub set_ups: u32,
    /// Against the attention lane of the same backend, where both were measured.
    #[serde(default)]
    pub versus: Option<Versus>,
    /// Whether the system's sparse pattern covers every pair of positions at this length: it ran full attention.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full_attention: bool,
    /// Time that this point would have needed (set-up, runs, check), where the outcome is `time-budget` and it is known.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1e-12, max = 1e12)))]
    pub needed_ms: Option<f64>,
}

/// A lane against attention at one length.
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
    /// The decision, which every reader takes as it is.
    pub verdict: Verdict,
}

/// Which of two lanes is faster, as far as the measurements can tell.
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
    /// Length of the problem compared.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub length: u32,
    /// Largest absolute difference; absent where an output was not finite.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_abs: Option<f64>,
    /// The same relative to the largest reference magnitude.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_rel: Option<f64>,
    /// Whether it is within the system's tolerance.
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
    /// Exponent of the growth model's leading term: how the time grows far beyond the lengths raced.
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

/// Where a challenger gets ahead of attention.
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
    /// The length; `null` where it is undecided or there is none.
    pub estimate: Option<f64>,
    /// Lower end of its 95% interval; the bound itself where the length is one.
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
    /// The challenger is ahead from this raced length on, and may have been ahead before: an upper bound.
    AtMost,
    /// Beyond the raced lengths, where the growth models meet.
    Predicted,
    /// The measurements do not tell.
    Undecided,
    /// The challenger is behind as far as raced, and is not predicted to get ahead.
    None,
}

/// Something that a reader must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// Stable code: `drift`, `discarded`, `outliers`, `coarse-clock`, `software-gpu`, `cancelled`, `engine-crashed`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9-]{1,40}$")))]
    pub code: String,
    /// In words.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub message: String,
    /// The lane concerned, where it is one.
    pub lane: Option<u32>,
    /// What the message is about; links do not carry it.
    #[serde(default, skip_serializing_if = "ReasonArgs::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 8)))]
    pub args: ReasonArgs,
}
