//! The views of a report: its points as time, throughput, arithmetic, traffic or memory, and those of a decode race also
//! as state or prefill.

use mixer::Task;
use report::{Lane, Point, Report};

use super::scale::{self, Units};
use crate::format;
use crate::words::Words;

/// Quantity of the vertical axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Milliseconds per forward pass, or per generated token.
    Time,
    /// Tokens per second.
    Throughput,
    /// 10⁹ floating-point operations per second.
    Gflops,
    /// 10⁹ bytes per second, from the closed form of the traffic.
    Bandwidth,
    /// Peak memory in bytes.
    Memory,
    /// Per cent of the machine's roofline, as measured after the race.
    Roofline,
    /// Bytes of a decoder's state.
    State,
    /// Milliseconds of the prefill of a decoder's context.
    Prefill,
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
    /// The views of a mode, in the order of their tabs. Steps of decoding are bound by memory, so their arithmetic has no
    /// view.
    pub fn views(mode: Task) -> &'static [Self] {
        match mode {
            Task::Forward => {
                &[Self::Time, Self::Throughput, Self::Gflops, Self::Bandwidth, Self::Memory, Self::Roofline]
            }
            Task::Decode { .. } => &[
                Self::Time,
                Self::Throughput,
                Self::State,
                Self::Prefill,
                Self::Bandwidth,
                Self::Memory,
                Self::Roofline,
            ],
        }
    }

    /// This view if the mode has it; otherwise the first one.
    #[must_use]
    pub fn within(self, mode: Task) -> Self {
        if Self::views(mode).contains(&self) { self } else { Self::Time }
    }

    /// Stable name, for test ids and element ids.
    pub fn id(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Throughput => "throughput",
            Self::Gflops => "gflops",
            Self::Bandwidth => "bandwidth",
            Self::Memory => "memory",
            Self::Roofline => "roofline",
            Self::State => "state",
            Self::Prefill => "prefill",
        }
    }

    /// The tab's label.
    pub fn label(self, mode: Task, text: &Words) -> &'static str {
        match self {
            Self::Time => text.of(mode).metric_time,
            Self::Throughput => text.of(mode).metric_throughput,
            Self::Gflops => text.metric_gflops,
            Self::Bandwidth => text.metric_bandwidth,
            Self::Memory => text.metric_memory,
            Self::Roofline => text.metric_roofline,
            Self::State => text.metric_state,
            Self::Prefill => text.metric_prefill,
        }
    }

    /// The axis title.
    pub fn axis(self, mode: Task, text: &Words) -> &'static str {
        match self {
            Self::Time => text.of(mode).axis_time,
            Self::Throughput => text.of(mode).axis_throughput,
            Self::Gflops => text.axis_gflops,
            Self::Bandwidth => text.axis_bandwidth,
            Self::Memory => text.of(mode).axis_memory,
            Self::Roofline => text.axis_roofline,
            Self::State => text.axis_state,
            Self::Prefill => text.axis_prefill,
        }
    }

    /// Units of the axis.
    pub fn units(self) -> Units {
        match self {
            Self::Time | Self::Prefill => scale::TIME,
            Self::Throughput => scale::COUNT,
            Self::Gflops | Self::Bandwidth => scale::GIGA,
            Self::Memory | Self::State => scale::BYTES,
            Self::Roofline => scale::PERCENT,
        }
    }

    /// A value with its unit.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::Time | Self::Prefill => format::time(value),
            Self::Throughput => format::rate(value, "tokens/s"),
            Self::Gflops => format::rate(value * 1e9, "FLOP/s"),
            Self::Bandwidth => format::rate(value * 1e9, "B/s"),
            Self::Memory | Self::State => format::bytes(value),
            Self::Roofline => format::percent(value),
        }
    }

    /// Whether smaller is better.
    pub fn smaller_is_better(self) -> bool {
        matches!(self, Self::Time | Self::Memory | Self::State | Self::Prefill)
    }

    /// Whether it is a function of the timed samples, and thus has quartiles.
    pub fn has_spread(self) -> bool {
        !matches!(self, Self::Memory | Self::State | Self::Prefill)
    }

    /// The metric of a forward pass or of a generated token at this point that takes `ms` milliseconds.
    pub fn at(self, ms: f64, point: &Point, report: &Report) -> Option<f64> {
        let value = match self {
            Self::Time => ms,
            Self::Throughput => throughput(ms, f64::from(point.length), report),
            Self::Gflops => point.flops / ms / 1e6,
            Self::Bandwidth => point.bytes / ms / 1e6,
            Self::Memory => point.peak_bytes,
            Self::State => point.decode.map_or(point.decode_state_bytes, |decode| decode.state_bytes),
            Self::Prefill => point.decode?.prefill_ms?,
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
            Self::State => (point.decode_state_bytes > 0.0).then_some(point.decode_state_bytes),
            // Nor does a fit of single tokens predict the prefill.
            Self::Prefill => None,
            _ => self.at(lane.predicted_ms(point)?, point, report),
        }
    }
}

/// Tokens per second: all tokens of a forward pass of `length` tokens, or the one token that each sequence of the batch
/// gets in a step of decoding.
pub(crate) fn throughput(ms: f64, length: f64, report: &Report) -> f64 {
    let tokens = match report.config.mode {
        Task::Forward => length,
        Task::Decode { .. } => 1.0,
    };
    f64::from(report.config.batch) * tokens / ms * 1e3
}
