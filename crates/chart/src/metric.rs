//! The views of a report: its points as time, throughput, arithmetic, traffic or memory.

use mixer::Task;
use report::{Lane, Point, Report};

use super::scale::{self, Units};
use crate::format;
use crate::words::Words;

/// Quantity of the vertical axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Milliseconds per forward pass, or when decoding per generated token.
    Time,
    /// Tokens per second: those of a forward pass, or when decoding the generated ones.
    Throughput,
    /// 10⁹ floating-point operations per second.
    Gflops,
    /// 10⁹ bytes per second, from the closed form of the traffic.
    Bandwidth,
    /// Peak memory in bytes.
    Memory,
    /// Per cent of the machine's roofline, as measured after the race.
    Roofline,
}

/// A point's value with its quartiles in ascending order; all three are equal if the metric has no spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The median.
    pub value: f64,
    /// The first quartile.
    pub low: f64,
    /// The third quartile.
    pub high: f64,
}

impl Metric {
    /// All views, in the order of their tabs.
    pub const ALL: [Self; 6] =
        [Self::Time, Self::Throughput, Self::Gflops, Self::Bandwidth, Self::Memory, Self::Roofline];

    /// Stable name, for test ids and element ids.
    pub fn id(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Throughput => "throughput",
            Self::Gflops => "gflops",
            Self::Bandwidth => "bandwidth",
            Self::Memory => "memory",
            Self::Roofline => "roofline",
        }
    }

    /// The tab's label.
    pub fn label(self, text: &Words) -> &'static str {
        match self {
            Self::Time => text.metric_time,
            Self::Throughput => text.metric_throughput,
            Self::Gflops => text.metric_gflops,
            Self::Bandwidth => text.metric_bandwidth,
            Self::Memory => text.metric_memory,
            Self::Roofline => text.metric_roofline,
        }
    }

    /// The axis title for forward passes.
    pub fn axis(self, text: &Words) -> &'static str {
        match self {
            Self::Time => text.axis_time,
            Self::Throughput => text.axis_throughput,
            Self::Gflops => text.axis_gflops,
            Self::Bandwidth => text.axis_bandwidth,
            Self::Memory => text.axis_memory,
            Self::Roofline => text.axis_roofline,
        }
    }

    /// The axis title for the mode of a report: of forward passes, or of generated tokens.
    pub fn axis_of(self, report: &Report, text: &Words) -> &'static str {
        match (self, report.config.mode) {
            (Self::Time, Task::Decode { .. }) => text.axis_token_time,
            _ => self.axis(text),
        }
    }

    /// Units of the axis.
    pub fn units(self) -> Units {
        match self {
            Self::Time => scale::TIME,
            Self::Throughput => scale::COUNT,
            Self::Gflops | Self::Bandwidth => scale::GIGA,
            Self::Memory => scale::BYTES,
            Self::Roofline => scale::PERCENT,
        }
    }

    /// A value with its unit.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Time => format::time(value),
            Self::Throughput => format::rate(value, "tokens/s"),
            Self::Gflops => format::rate(value * 1e9, "FLOP/s"),
            Self::Bandwidth => format::rate(value * 1e9, "B/s"),
            Self::Memory => format::bytes(value),
            Self::Roofline => format::percent(value),
        }
    }

    /// Whether smaller is better.
    pub fn smaller_is_better(self) -> bool {
        matches!(self, Self::Time | Self::Memory)
    }

    /// The metric of a forward pass or generated token at this point that takes `ms` milliseconds.
    pub fn at(self, ms: f64, point: &Point, report: &Report) -> Option<f64> {
        // Of each sequence, in the time.
        let tokens = match report.config.mode {
            Task::Forward => f64::from(point.length),
            Task::Decode { .. } => 1.0,
        };
        let value = match self {
            Self::Time => ms,
            Self::Throughput => f64::from(report.config.batch) * tokens / ms * 1e3,
            Self::Gflops => point.flops / ms / 1e6,
            Self::Bandwidth => point.bytes / ms / 1e6,
            Self::Memory => point.peak_bytes,
            // The share belongs to the median; shares of other times are proportional to their inverse.
            Self::Roofline => 100.0 * point.roofline_share? * point.median_ms? / ms,
        };
        (ms > 0.0 && value.is_finite() && value > 0.0).then_some(value)
    }

    /// The measured value of a point, if it was measured.
    pub fn reading(self, point: &Point, report: &Report) -> Option<Reading> {
        let median = point.median_ms?;
        let value = self.at(median, point, report)?;
        let end = |ms: Option<f64>| ms.and_then(|ms| self.at(ms, point, report)).unwrap_or(value);
        let (a, b) = (end(point.q1_ms), end(point.q3_ms));
        Some(Reading { value, low: a.min(b).min(value), high: a.max(b).max(value) })
    }

    /// The predicted value of an unmeasured point, if other points of its lane were measured.
    pub fn prediction(self, point: &Point, lane: &Lane, report: &Report) -> Option<f64> {
        match self {
            // A fit of times does not predict memory; the point has its closed form.
            Self::Memory => (point.peak_bytes > 0.0).then_some(point.peak_bytes),
            _ => self.at(lane.predicted_ms(point)?, point, report),
        }
    }
}
