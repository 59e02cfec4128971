//! Makes a scene from a report: the visible range, the positions of all marks, and their descriptions.

use mixer::{Task, exp2};
use report::{Point, Report};

use super::crossovers::{crossover_marks, extend_to_crossovers, fitted, predicted_within};
use super::ends::{end_labels, guides};
use super::scale::{self, LogScale};
use super::{DnfMark, LaneMarks, Limit, Metric, Options, PointMark, Rect, Scene, labels};
use crate::comparison;
use crate::format;
use crate::lanes::Look;
use crate::words::{Wording, Words};

/// Smallest width with names at the ends of lines, in pixels.
pub const NARROW: f64 = 620.0;
/// Free space above and below the marks, in octaves.
const MARGIN: f64 = 0.35;
/// Largest distance of a drawn predicted crossover beyond the measured lengths.
const REACH: f64 = 8.0;

/// Computes the scene. `looks` are the looks of the report's lanes, in their order.
pub fn scene(report: &Report, looks: &[Look], options: &Options, text: &Words) -> Scene {
    let narrow = options.width < NARROW;
    let mode = report.config.mode;
    let shown: Vec<usize> =
        (0..report.lanes.len().min(looks.len())).filter(|lane| !options.hidden.contains(lane)).collect();
    let timed = matches!(options.metric, Metric::Time | Metric::Throughput);

    let longest = looks.iter().map(|look| look.label.chars().count()).max().unwrap_or(0);
    // The margin depends on the names and not on results, so that the plot keeps its position during a race.
    let margin = if narrow {
        if shown.len() <= 6 { 44.0 } else { 12.0 }
    } else {
        ((longest + if timed { 6 } else { 0 }) as f64 * 6.9 + 22.0).clamp(90.0, options.width * 0.34)
    };
    let plot = Rect {
        left: 64.0,
        top: 46.0,
        right: (options.width - margin).max(120.0),
        bottom: (options.height - 46.0).max(96.0),
    };

    let (x_low, x_high) = length_range(report, &shown, timed);
    let x = LogScale::new(x_low / 1.12, x_high * 1.12, plot.left, plot.right);
    let limit = memory_limit(report, &shown, options.metric);
    let (y_low, y_high) = value_range(report, &shown, options.metric, x_high, limit);
    let y = LogScale::new(y_low, y_high, plot.bottom, plot.top);

    let mut lanes: Vec<LaneMarks> = shown
        .iter()
        .map(|&index| lane_marks(report, index, &looks[index], options, &x, &y, plot, text))
        .collect();
    if timed {
        extend_to_crossovers(report, &mut lanes, options.metric, &x, &y, x_high);
    }
    let crossovers =
        if timed { crossover_marks(report, &lanes, looks, options, &x, plot, text) } else { Vec::new() };
    if narrow && lanes.len() > 6 {
        // Draw only the crosses: that many reasons would hide the lines.
        lanes.iter_mut().filter_map(|lane| lane.dnf.as_mut()).for_each(|dnf| dnf.reason.clear());
    } else {
        part_reasons(&mut lanes, plot);
    }
    let labels = end_labels(report, looks, &lanes, options, plot);
    let empty = lanes.iter().all(|lane| lane.points.is_empty() && lane.dnf.is_none());
    let guides =
        if empty && options.metric == Metric::Time { guides(looks, &shown, &x, plot) } else { Vec::new() };
    lanes.sort_by_key(|lane| lane.emphasised);

    Scene {
        width: options.width,
        height: options.height,
        plot,
        x_ticks: scale::length_ticks(&x, 40.0, format::length_short),
        y_ticks: scale::value_ticks(&y, options.metric.units(), 26.0),
        x_title: text.of(mode).axis_length.to_owned(),
        y_title: options.metric.axis(mode, text).to_owned(),
        limit: limit
            .map(|bytes| Limit { y: y.pixel(bytes), label: (text.memory_limit)(&format::bytes(bytes)) }),
        lanes,
        crossovers,
        labels,
        guides,
    }
}

fn length_range(report: &Report, shown: &[usize], timed: bool) -> (f64, f64) {
    let measured = shown.iter().flat_map(|&lane| report.lanes[lane].points.iter().map(|point| point.length));
    let lengths = report.config.lengths.iter().copied().chain(measured).filter(|&length| length > 0);
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for length in lengths {
        low = low.min(f64::from(length));
        high = high.max(f64::from(length));
    }
    if high == 0.0 {
        return (256.0, 16_384.0);
    }
    if timed {
        let reachable = predicted_within(report, shown, high * REACH)
            .map(|(_, estimate)| estimate)
            .filter(|estimate| *estimate > high)
            .fold(high, f64::max);
        if reachable > high {
            // Extends to the next power of two after the meeting point.
            high = exp2((reachable * 1.2).log2().ceil());
        }
    }
    if high <= low { (low / 2.0, high * 2.0) } else { (low, high) }
}

/// The bytes that CPU lanes may hold, where a decode race with such lanes shows its memory: the limit of growing caches.
fn memory_limit(report: &Report, shown: &[usize], metric: Metric) -> Option<f64> {
    let limit = report.environment.cpu_memory_bytes;
    let applies = matches!(metric, Metric::State | Metric::Memory)
        && matches!(report.config.mode, Task::Decode { .. })
        && shown.iter().any(|&lane| report.lanes[lane].backend == "cpu");
    (applies && limit.is_finite() && limit > 0.0).then_some(limit)
}

/// The range of values, rounded outward to a factor of four so that the axis rarely changes during a race.
fn value_range(
    report: &Report,
    shown: &[usize],
    metric: Metric,
    x_high: f64,
    limit: Option<f64>,
) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for &lane in shown {
        let lane = &report.lanes[lane];
        for point in &lane.points {
            let reading = metric.reading(point, report).map(|reading| (reading.low, reading.high));
            let range =
                reading.or_else(|| metric.prediction(point, lane, report).map(|value| (value, value)));
            if let Some((from, to)) = range {
                low = low.min(from);
                high = high.max(to);
            }
        }
    }
    if high > 0.0 && matches!(metric, Metric::Time | Metric::Throughput) {
        for (crossover, estimate) in predicted_within(report, shown, x_high) {
            for index in [crossover.challenger, crossover.baseline] {
                let fit = report.lanes.get(index as usize).and_then(|lane| lane.exponent);
                if let Some(value) = fit
                    .map(|fit| fitted(report, &fit, metric, estimate))
                    .filter(|value| value.is_finite() && *value > 0.0)
                {
                    low = low.min(value);
                    high = high.max(value);
                }
            }
        }
    }
    if high == 0.0 {
        return match (metric, report.config.mode) {
            (Metric::Time, Task::Decode { .. }) => (0.001, 16.0),
            (Metric::Throughput, Task::Decode { .. }) => (64.0, 1e6),
            (Metric::Time | Metric::Prefill, _) => (0.06, 1100.0),
            (Metric::Throughput, _) => (1e3, 1.6e7),
            (Metric::Gflops | Metric::Bandwidth, _) => (0.25, 1024.0),
            (Metric::Roofline, _) => (0.25, 100.0),
            (Metric::Memory | Metric::State, _) => (f64::from(1 << 20), f64::from(1 << 30)),
        };
    }
    high = high.max(limit.unwrap_or(0.0));
    let low = ((low.log2() - MARGIN) * 0.5).floor() * 2.0;
    let high = ((high.log2() + MARGIN) * 0.5).ceil() * 2.0;
    (exp2(low), exp2(high.max(low + 2.0)))
}

fn lane_marks(
    report: &Report,
    index: usize,
    look: &Look,
    options: &Options,
    x: &LogScale,
    y: &LogScale,
    plot: Rect,
    text: &Words,
) -> LaneMarks {
    let metric = options.metric;
    let say = text.of(report.config.mode);
    let lane = &report.lanes[index];
    let mut marks = LaneMarks {
        lane: index,
        slot: look.slot,
        filled: look.filled,
        series: look.series,
        faded: options.emphasis.is_some_and(|other| other != index),
        emphasised: options.emphasis == Some(index),
        line: Vec::new(),
        predicted: Vec::new(),
        points: Vec::new(),
        dnf: None,
    };
    for point in &lane.points {
        let px = x.pixel(f64::from(point.length));
        if let Some(reading) = metric.reading(point, report) {
            let py = y.pixel(reading.value);
            marks.line.push((px, py));
            marks.points.push(PointMark {
                length: point.length,
                x: px,
                y: py,
                whisker: (y.pixel(reading.high), y.pixel(reading.low)),
                value: metric.format(reading.value),
                full_attention: point.full_attention,
                description: with_reason(
                    (say.point_description)(
                        &look.label,
                        &format::length(f64::from(point.length)),
                        &metric.format(reading.value),
                        &metric.format(reading.low),
                        &metric.format(reading.high),
                    ),
                    point,
                    text,
                ),
            });
        } else if point.outcome != "ok" {
            let prediction = metric.prediction(point, lane, report);
            dropped(&mut marks, point, look, prediction, (px, y, plot), (text, say));
        }
    }
    marks
}

/// A point's description, with the reason if it is marked.
fn with_reason(description: String, point: &Point, text: &Words) -> String {
    if point.full_attention { (text.and_full_attention)(&description) } else { description }
}

/// Stacks the reasons of lanes that drop out at one length.
fn part_reasons(lanes: &mut [LaneMarks], plot: Rect) {
    let mut out: Vec<&mut DnfMark> = lanes.iter_mut().filter_map(|lane| lane.dnf.as_mut()).collect();
    out.sort_by(|a, b| a.x.total_cmp(&b.x));
    for group in out.chunk_by_mut(|a, b| (a.x - b.x).abs() < 1.0) {
        let wanted: Vec<f64> = group.iter().map(|dnf| dnf.label_y).collect();
        for (dnf, y) in group.iter_mut().zip(labels::spread(&wanted, 14.0, plot.top, plot.bottom)) {
            dnf.label_y = y;
        }
    }
}

fn dropped(
    marks: &mut LaneMarks,
    point: &Point,
    look: &Look,
    prediction: Option<f64>,
    (px, y, plot): (f64, &LogScale, Rect),
    (text, say): (&Words, &Wording),
) {
    let py = prediction.map(|value| y.pixel(value).clamp(plot.top, plot.bottom));
    if let Some(py) = py {
        if marks.predicted.is_empty() {
            marks.predicted.extend(marks.line.last().copied());
        }
        marks.predicted.push((px, py));
    }
    // The lane dropped out at its first unfinished length, unless that was cancelled.
    if marks.dnf.is_none() && point.outcome != "cancelled" {
        let at = py.or_else(|| marks.line.last().map(|last| last.1)).unwrap_or(plot.bottom - 12.0);
        marks.dnf = Some(DnfMark {
            length: point.length,
            x: px,
            y: at,
            label_y: at - 6.0,
            reason: (text.outcome)(&point.outcome).to_owned(),
            description: (say.dnf_description)(
                &look.label,
                &format::length(f64::from(point.length)),
                (text.outcome)(&point.outcome),
                &comparison::reason(point, text).unwrap_or_default(),
            ),
        });
    }
}
