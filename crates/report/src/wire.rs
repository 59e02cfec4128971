//! The report as it travels: JSON, links, messages. Camel case, milliseconds; domain types stay free of serialisation.

use serde::{Deserialize, Serialize};

use crate::{Config, Environment, ParamValue, Peaks};

/// Version of this format, raised with every change that a reader must know of.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything about one race.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema: u32,
    /// The configuration, defaults filled in.
    pub config: Config,
    /// The machine.
    pub environment: Environment,
    /// Milliseconds since 1970 at the start, where a calendar is at hand.
    pub started_at_ms: Option<f64>,
    /// `running`, `done` or `cancelled`.
    pub status: Status,
    /// One entry per lane, in the configuration's order.
    pub lanes: Vec<Lane>,
    /// One entry per challenger that has an attention lane on its backend.
    pub crossovers: Vec<Crossover>,
    /// What a reader must know to trust or doubt the numbers.
    pub warnings: Vec<Warning>,
}

/// How far the race is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
                let share = |peaks: &Peaks| Some(peaks.least_ms(point.flops, point.bytes) / point.median_ms?);
                point.roofline_share = peaks.and_then(share).filter(|share| share.is_finite());
            }
        }
        self
    }
}

/// One lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// The system's stable name.
    pub system: String,
    /// Its name for people.
    pub title: String,
    /// `cpu` or `webgpu`.
    pub backend: String,
    /// Parameters, defaults filled in.
    pub params: std::collections::BTreeMap<String, ParamValue>,
    /// Whether it ran causally: some systems exist only one way, whatever was asked.
    pub causal: bool,
    /// Comparison on a small problem, before anything was timed.
    pub verification: Option<Verified>,
    /// One entry per length reached, ascending.
    pub points: Vec<Point>,
    /// Exponent of the time's growth over the tail.
    pub exponent: Option<Exponent>,
}

/// A lane at a length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Sequence length.
    pub length: u32,
    /// `ok`, or why the lane did not finish: `memory`, `time-budget`, `device-limit`, `device-lost`, `no-backend`,
    /// `unsupported`, `not-verified`, `failed`, `cancelled`.
    pub outcome: String,
    /// The reason in words, where there is more to say.
    pub message: Option<String>,
    /// Median time of one forward pass.
    pub median_ms: Option<f64>,
    /// First quartile.
    pub q1_ms: Option<f64>,
    /// Third quartile.
    pub q3_ms: Option<f64>,
    /// Fastest sample.
    pub min_ms: Option<f64>,
    /// Samples kept.
    pub samples: u32,
    /// Forward passes per sample.
    pub repeats: u32,
    /// Samples thrown away.
    pub discarded: u32,
    /// Median by the device's own timestamps.
    pub device_ms: Option<f64>,
    /// Set-up: allocation, upload, compilation, cached tables.
    pub setup_ms: Option<f64>,
    /// First forward pass.
    pub first_run_ms: Option<f64>,
    /// What the fit predicts, where nothing was measured.
    pub predicted_ms: Option<f64>,
    /// Floating-point operations of one forward pass, closed form.
    pub flops: f64,
    /// Bytes moved, closed form.
    pub bytes: f64,
    /// Most bytes held at once, counted.
    pub peak_bytes: f64,
    /// Bytes of state that decoding carries at this length.
    pub decode_state_bytes: f64,
    /// Rows of the timed output against the f64 reference.
    pub verified: Option<Verified>,
    /// The least time that the measured roofline allows for these operations and bytes, over the median: 1 is all that
    /// the machine can do. Follows from the other fields: whoever reads a report works it out anew.
    #[serde(default)]
    pub roofline_share: Option<f64>,
}

/// A comparison with the f64 reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Length of the problem compared.
    pub length: u32,
    /// Largest absolute difference; absent where an output was not finite.
    pub max_abs: Option<f64>,
    /// The same relative to the largest reference magnitude.
    pub max_rel: Option<f64>,
    /// Whether it is within the system's tolerance.
    pub pass: bool,
}

/// A fitted exponent with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
    pub from_length: u32,
}

/// Where a challenger gets ahead of attention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Crossover {
    /// Index of the challenger's lane.
    pub challenger: u32,
    /// Index of the attention lane.
    pub baseline: u32,
    /// `measured`, `predicted` or `none`.
    pub kind: CrossoverKind,
    /// The length.
    pub estimate: Option<f64>,
    /// Lower end of its 95% interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// How a crossover was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CrossoverKind {
    /// Between measured points.
    Measured,
    /// Where the fits meet.
    Predicted,
    /// Nowhere that the data says.
    None,
}

/// Something that a reader must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// Stable code: `drift`, `discarded`, `coarse-clock`, `software-gpu`, `cancelled`, `engine-crashed`.
    pub code: String,
    /// In words.
    pub message: String,
    /// The lane concerned, where it is one.
    pub lane: Option<u32>,
}
