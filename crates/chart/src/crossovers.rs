//! Crossovers: the selection to draw, their positions, and the fitted lines that lead to them.

use mixer::exp2;
use report::{Crossover, CrossoverKind, Exponent, Report};

use super::metric::throughput;
use super::scale::LogScale;
use super::{CrossoverMark, LaneMarks, Metric, Options, Rect};
use crate::format;
use crate::lanes::Look;
use crate::words::Words;

/// Largest number of crossovers drawn with bands and labels.
const FEW_CROSSOVERS: usize = 3;

/// Predicted crossovers between visible lanes up to a length; none if there are so many that extended lines would hide
/// the measurements.
pub fn predicted_within<'a>(
    report: &'a Report,
    shown: &'a [usize],
    limit: f64,
) -> impl Iterator<Item = (&'a Crossover, f64)> {
    report
        .crossovers
        .iter()
        .filter(|crossover| crossover.kind == CrossoverKind::Predicted)
        .filter(|_| report.crossovers.len() <= FEW_CROSSOVERS)
        .filter(|crossover| {
            shown.contains(&(crossover.challenger as usize)) && shown.contains(&(crossover.baseline as usize))
        })
        .filter_map(|crossover| Some((crossover, crossover.estimate?)))
        .filter(move |(_, estimate)| *estimate > 0.0 && *estimate <= limit)
}

/// Value of a lane's fit at a length.
pub fn fitted(report: &Report, fit: &Exponent, metric: Metric, length: f64) -> f64 {
    let ms = exp2(fit.log2_scale_ms + fit.estimate * length.log2());
    match metric {
        Metric::Throughput => throughput(ms, length, report),
        _ => ms,
    }
}

/// Extends lines, dashed, to their predicted crossovers. The length comes from growth models, which the report does not
/// contain. The height comes from the fitted laws in the report: the middle between their two values at that length.
pub fn extend_to_crossovers(
    report: &Report,
    lanes: &mut [LaneMarks],
    metric: Metric,
    x: &LogScale,
    y: &LogScale,
    x_high: f64,
) {
    for crossover in &report.crossovers {
        let Some(estimate) = crossover.estimate.filter(|_| crossover.kind == CrossoverKind::Predicted) else {
            continue;
        };
        if !(estimate > 0.0 && estimate <= x_high) {
            continue;
        }
        let pair = [crossover.challenger as usize, crossover.baseline as usize];
        let heights: Vec<f64> = pair
            .iter()
            .filter_map(|&index| report.lanes.get(index)?.exponent)
            .map(|fit| fitted(report, &fit, metric, estimate))
            .filter(|value| value.is_finite() && *value > 0.0)
            .map(|value| y.pixel(value))
            .collect();
        let [first, second] = heights[..] else { continue };
        let meet = (x.pixel(estimate), f64::midpoint(first, second));
        for index in pair {
            let Some(marks) = lanes.iter_mut().find(|marks| marks.lane == index) else { continue };
            let Some(&last) = marks.predicted.last().or(marks.line.last()) else { continue };
            if meet.0 <= last.0 + 1.0 {
                continue;
            }
            if marks.predicted.is_empty() {
                marks.predicted.push(last);
            }
            marks.predicted.push(meet);
        }
    }
}

/// The crossovers within the plot in ascending order.
pub fn crossover_marks(
    report: &Report,
    lanes: &[LaneMarks],
    looks: &[Look],
    options: &Options,
    x: &LogScale,
    plot: Rect,
    text: &Words,
) -> Vec<CrossoverMark> {
    let find = |index: u32| lanes.iter().find(|marks| marks.lane == index as usize);
    let mut candidates: Vec<_> = report
        .crossovers
        .iter()
        .filter_map(|crossover| Some((crossover, crossover.estimate?, find(crossover.challenger)?)))
        .filter(|(crossover, estimate, _)| {
            !matches!(crossover.kind, CrossoverKind::Undecided | CrossoverKind::None)
                && estimate.is_finite()
                && (x.low()..=x.high()).contains(estimate)
                && options.emphasis.is_none_or(|lane| {
                    lane == crossover.challenger as usize || lane == crossover.baseline as usize
                })
        })
        .collect();
    candidates.sort_by(|a, b| a.1.total_cmp(&b.1));
    let few = candidates.len() <= FEW_CROSSOVERS;
    let mut last_label = f64::NEG_INFINITY;
    candidates
        .into_iter()
        .filter_map(|(crossover, estimate, marks)| {
            let baseline = find(crossover.baseline)?;
            let at = x.pixel(estimate);
            let end = |value: Option<f64>| {
                value.filter(|_| few).map_or(at, |value| x.pixel(value).clamp(plot.left, plot.right))
            };
            // A bound has no interval.
            let interval =
                crossover.low.zip(crossover.high).filter(|_| crossover.kind != CrossoverKind::AtMost);
            let length = format::crossover_length(estimate, crossover.kind);
            let label = (few && at - last_label > 96.0).then(|| {
                last_label = at;
                (text.crossover_label)(&length)
            });
            Some(CrossoverMark {
                lane: marks.lane,
                slot: marks.slot,
                x: at,
                band: (end(crossover.low), end(crossover.high)),
                y: along(&baseline.line, &baseline.predicted, at).clamp(plot.top, plot.bottom),
                small: !few,
                predicted: crossover.kind == CrossoverKind::Predicted,
                label,
                description: (text.of(report.config.mode).crossover_description)(
                    &looks[marks.lane].label,
                    &length,
                    &interval.map_or_else(String::new, |(low, high)| {
                        (text.interval)(&format::length_about(low), &format::length_about(high))
                    }),
                ),
            })
        })
        .collect()
}

/// Vertical position of a line at `x`.
pub fn along(line: &[(f64, f64)], predicted: &[(f64, f64)], x: f64) -> f64 {
    let points: Vec<_> = line.iter().chain(predicted).collect();
    for pair in points.windows(2) {
        let (&(x0, y0), &(x1, y1)) = (pair[0], pair[1]);
        if (x0..=x1).contains(&x) && x1 > x0 {
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0);
        }
    }
    let nearest = points.iter().min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs()));
    nearest.map_or(0.0, |point| point.1)
}
