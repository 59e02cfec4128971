//! Labels at the ends of lines: names of measured lanes, and theoretical slopes before the first measurement.

use report::Report;

use super::build::NARROW;
use super::scale::LogScale;
use super::{EndLabel, Guide, LaneMarks, Metric, Options, Rect, labels};
use crate::format;
use crate::lanes::Look;

/// Labels follow the ends of their lines, so that a running race can be followed by name. Labels of lines that end at
/// one length keep a distance from each other.
pub fn end_labels(
    report: &Report,
    looks: &[Look],
    lanes: &[LaneMarks],
    options: &Options,
    plot: Rect,
) -> Vec<EndLabel> {
    let narrow = options.width < NARROW;
    if narrow && lanes.len() > 6 {
        return Vec::new();
    }
    let timed = matches!(options.metric, Metric::Time | Metric::Throughput);
    let mut ends: Vec<(&LaneMarks, (f64, f64))> =
        lanes.iter().filter_map(|marks| Some((marks, end(marks)?))).collect();
    ends.sort_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let mut labels = Vec::with_capacity(ends.len());
    for group in ends.chunk_by(|a, b| (a.1.0 - b.1.0).abs() < 1.0) {
        let wanted: Vec<f64> = group.iter().map(|(_, end)| end.1).collect();
        let placed = labels::spread(&wanted, 16.0, plot.top + 2.0, plot.bottom - 6.0);
        for ((marks, end), y) in group.iter().zip(placed) {
            let exponent = report
                .lanes
                .get(marks.lane)
                .and_then(|lane| lane.exponent)
                .filter(|_| timed)
                .map(|exponent| format::exponent(exponent.estimate));
            let name = if narrow { String::new() } else { looks[marks.lane].label.clone() };
            if name.is_empty() && exponent.is_none() {
                continue;
            }
            labels.push(EndLabel {
                lane: marks.lane,
                slot: marks.slot,
                faded: marks.faded,
                x: end.0 + 16.0,
                y,
                from: *end,
                name,
                exponent,
            });
        }
    }
    labels
}

/// The end of a lane: the reason for dropping out is left of its cross, so the name is right of it.
fn end(marks: &LaneMarks) -> Option<(f64, f64)> {
    let line = *marks.predicted.last().or(marks.line.last())?;
    let cross = marks.dnf.as_ref().map(|dnf| (dnf.x, dnf.y)).filter(|cross| cross.0 > line.0);
    Some(cross.unwrap_or(line))
}

/// Before the first measurement: theoretical slopes through one common point, since theory gives no times.
pub fn guides(looks: &[Look], shown: &[usize], x: &LogScale, plot: Rect) -> Vec<Guide> {
    let middle = (f64::midpoint(plot.left, plot.right), f64::midpoint(plot.top, plot.bottom));
    let half = (plot.right - plot.left) / 2.0 - 24.0;
    // The steepest slope fills the plot.
    let theories: Vec<(usize, f64)> = shown
        .iter()
        .filter_map(|&lane| {
            Some((looks[lane].slot, looks[lane].theory.filter(|t| t.is_finite() && *t > 0.0)?))
        })
        .collect();
    let steepest = theories.iter().map(|(_, theory)| *theory).fold(0.0, f64::max);
    let octave = (x.pixel(2.0) - x.pixel(1.0)).abs();
    let rise = ((plot.bottom - plot.top) / 2.0 - 10.0) / (half / octave * steepest).max(1e-9);
    let mut guides: Vec<Guide> = Vec::new();
    for (slot, theory) in theories {
        let exponent = if theory == 1.0 { String::new() } else { theory.to_string() };
        if let Some(guide) = guides.iter_mut().find(|guide| guide.exponent == exponent) {
            if guide.slot != Some(slot) {
                guide.slot = None;
            }
            continue;
        }
        let dy = half / octave * theory * rise;
        guides.push(Guide {
            slot: Some(slot),
            from: (middle.0 - half, middle.1 + dy),
            to: (middle.0 + half, middle.1 - dy),
            exponent,
        });
    }
    guides
}
