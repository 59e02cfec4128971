//! From a report to a scene: which range to show, where every mark goes, what it says.

use report::{Crossover, CrossoverKind, Exponent, Point, Report};

use super::scale::{self, LogScale};
use super::{
    CrossoverMark, DnfMark, EndLabel, Guide, LaneMarks, Metric, Options, PointMark, Rect, Scene, labels,
};
use crate::format;
use crate::lanes::Look;
use crate::text::Text;

/// Below this width there is no room for names at the lines' ends.
const NARROW: f64 = 620.0;
/// Most crossovers that are drawn with their bands and labels at once.
const FEW_CROSSOVERS: usize = 3;
/// What is left free above and below the marks, in octaves.
const MARGIN: f64 = 0.35;
/// How far beyond the measured lengths a predicted crossover is still drawn.
const REACH: f64 = 8.0;

/// Places everything. `looks` are the report's lanes' looks, in their order.
pub fn scene(report: &Report, looks: &[Look], options: &Options, text: &Text) -> Scene {
    let narrow = options.width < NARROW;
    let shown: Vec<usize> =
        (0..report.lanes.len().min(looks.len())).filter(|lane| !options.hidden.contains(lane)).collect();
    let timed = matches!(options.metric, Metric::Time | Metric::Throughput);

    let longest = looks.iter().map(|look| look.label.chars().count()).max().unwrap_or(0);
    // The margin follows the names, not the results, so that the plot keeps its place while a race runs.
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
    let (y_low, y_high) = value_range(report, &shown, options.metric, x_high);
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
        x_title: text.axis_length.to_owned(),
        y_title: options.metric.axis(text).to_owned(),
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
            // A little beyond the meeting point, to the next power of two.
            high = (reachable * 1.2).log2().ceil().exp2();
        }
    }
    if high <= low { (low / 2.0, high * 2.0) } else { (low, high) }
}

/// Predicted crossovers between shown lanes, up to a length.
fn predicted_within<'a>(
    report: &'a Report,
    shown: &'a [usize],
    limit: f64,
) -> impl Iterator<Item = (&'a Crossover, f64)> {
    report
        .crossovers
        .iter()
        .filter(|crossover| crossover.kind == CrossoverKind::Predicted)
        .filter(|crossover| {
            shown.contains(&(crossover.challenger as usize)) && shown.contains(&(crossover.baseline as usize))
        })
        .filter_map(|crossover| Some((crossover, crossover.estimate?)))
        .filter(move |(_, estimate)| *estimate > 0.0 && *estimate <= limit)
}

/// The range of values, rounded outwards to a factor of four so that the axis rarely moves while a race runs.
fn value_range(report: &Report, shown: &[usize], metric: Metric, x_high: f64) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for &lane in shown {
        for point in &report.lanes[lane].points {
            let reading = metric.reading(point, report).map(|reading| (reading.low, reading.high));
            let range = reading.or_else(|| metric.prediction(point, report).map(|value| (value, value)));
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
                    .map(|fit| fitted(report, &fit, metric, (estimate * 1.15).min(x_high)))
                    .filter(|value| value.is_finite() && *value > 0.0)
                {
                    low = low.min(value);
                    high = high.max(value);
                }
            }
        }
    }
    if high == 0.0 {
        return match metric {
            Metric::Time => (0.06, 1100.0),
            Metric::Throughput => (1e3, 1.6e7),
            Metric::Gflops | Metric::Bandwidth => (0.25, 1024.0),
            Metric::Memory => (f64::from(1 << 20), f64::from(1 << 30)),
        };
    }
    let low = ((low.log2() - MARGIN) * 0.5).floor() * 2.0;
    let high = ((high.log2() + MARGIN) * 0.5).ceil() * 2.0;
    (low.exp2(), high.max(low + 2.0).exp2())
}

fn lane_marks(
    report: &Report,
    index: usize,
    look: &Look,
    options: &Options,
    x: &LogScale,
    y: &LogScale,
    plot: Rect,
    text: &Text,
) -> LaneMarks {
    let metric = options.metric;
    let lane = &report.lanes[index];
    let mut marks = LaneMarks {
        lane: index,
        slot: look.slot,
        filled: look.filled,
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
                description: (text.point_description)(
                    &look.label,
                    &format::length(f64::from(point.length)),
                    &metric.format(reading.value),
                    &metric.format(reading.low),
                    &metric.format(reading.high),
                ),
            });
        } else if point.outcome != "ok" {
            dropped(&mut marks, point, look, metric.prediction(point, report), (px, y, plot), text);
        }
    }
    marks
}

fn dropped(
    marks: &mut LaneMarks,
    point: &Point,
    look: &Look,
    prediction: Option<f64>,
    (px, y, plot): (f64, &LogScale, Rect),
    text: &Text,
) {
    let py = prediction.map(|value| y.pixel(value).clamp(plot.top, plot.bottom));
    if let Some(py) = py {
        if marks.predicted.is_empty() {
            marks.predicted.extend(marks.line.last().copied());
        }
        marks.predicted.push((px, py));
    }
    // The first unfinished length is where the lane dropped out; what was cancelled did not drop out.
    if marks.dnf.is_none() && point.outcome != "cancelled" {
        let at = py.or_else(|| marks.line.last().map(|last| last.1)).unwrap_or(plot.bottom - 12.0);
        marks.dnf = Some(DnfMark {
            length: point.length,
            x: px,
            y: at,
            reason: (text.outcome)(&point.outcome).to_owned(),
            description: (text.dnf_description)(
                &look.label,
                &format::length(f64::from(point.length)),
                (text.outcome)(&point.outcome),
                point.message.as_deref().unwrap_or_default(),
            ),
        });
    }
}

/// The value that a lane's fit gives at a length.
fn fitted(report: &Report, fit: &Exponent, metric: Metric, length: f64) -> f64 {
    let ms = (fit.log2_scale_ms + fit.estimate * length.log2()).exp2();
    match metric {
        Metric::Throughput => f64::from(report.config.batch) * length / ms * 1e3,
        _ => ms,
    }
}

/// Draws the fitted laws on, dashed, to where they are predicted to meet.
fn extend_to_crossovers(
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
        // A little beyond the meeting point.
        let until = (estimate * 1.15).min(x_high);
        for index in [crossover.challenger as usize, crossover.baseline as usize] {
            let Some(fit) = report.lanes.get(index).and_then(|lane| lane.exponent) else { continue };
            let Some(marks) = lanes.iter_mut().find(|marks| marks.lane == index) else { continue };
            let Some(&last) = marks.predicted.last().or(marks.line.last()) else { continue };
            let end = x.pixel(until);
            if end <= last.0 + 1.0 {
                continue;
            }
            let value = fitted(report, &fit, metric, until);
            if value.is_finite() && value > 0.0 {
                if marks.predicted.is_empty() {
                    marks.predicted.push(last);
                }
                marks.predicted.push((end, y.pixel(value)));
            }
        }
    }
}

fn crossover_marks(
    report: &Report,
    lanes: &[LaneMarks],
    looks: &[Look],
    options: &Options,
    x: &LogScale,
    plot: Rect,
    text: &Text,
) -> Vec<CrossoverMark> {
    let find = |index: u32| lanes.iter().find(|marks| marks.lane == index as usize);
    let mut candidates: Vec<_> = report
        .crossovers
        .iter()
        .filter_map(|crossover| Some((crossover, crossover.estimate?, find(crossover.challenger)?)))
        .filter(|(crossover, estimate, _)| {
            crossover.kind != CrossoverKind::None
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
            let interval = crossover.low.zip(crossover.high);
            let label = (few && at - last_label > 96.0).then(|| {
                last_label = at;
                (text.crossover_label)(&format::length_about(estimate))
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
                description: (text.crossover_description)(
                    &looks[marks.lane].label,
                    &format::length_about(estimate),
                    &interval.map_or_else(String::new, |(low, high)| {
                        (text.interval)(&format::length_about(low), &format::length_about(high))
                    }),
                ),
            })
        })
        .collect()
}

/// The height of a line at `x`.
fn along(line: &[(f64, f64)], predicted: &[(f64, f64)], x: f64) -> f64 {
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

/// Labels ride on the ends of their lines, so that a running race can be followed by name; those that end at the same
/// length keep their distance from each other.
fn end_labels(
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
    let mut ends: Vec<(&LaneMarks, (f64, f64))> = lanes
        .iter()
        .filter_map(|marks| Some((marks, *marks.predicted.last().or(marks.line.last())?)))
        .collect();
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

/// Before anything is measured: the slopes that theory gives, all through one point, since theory gives no times.
fn guides(looks: &[Look], shown: &[usize], x: &LogScale, plot: Rect) -> Vec<Guide> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::svg;
    use crate::lanes::looks;
    use crate::samples;
    use crate::text::ENGLISH;

    fn options(metric: Metric, width: f64) -> Options {
        Options { width, height: 420.0, metric, hidden: Vec::new(), emphasis: None }
    }

    fn drawn(report: &Report, options: &Options) -> Scene {
        scene(report, &looks(report, &[], &ENGLISH), options, &ENGLISH)
    }

    fn check_inside(scene: &Scene) {
        let plot = scene.plot;
        let inside = |(x, y): (f64, f64)| {
            assert!((plot.left - 1.0..=plot.right + 1.0).contains(&x), "{x} outside {plot:?}");
            assert!((plot.top - 1.0..=plot.bottom + 1.0).contains(&y), "{y} outside {plot:?}");
        };
        for lane in &scene.lanes {
            lane.line.iter().copied().for_each(inside);
            lane.points.iter().for_each(|point| inside((point.x, point.y)));
            lane.dnf.iter().for_each(|dnf| inside((dnf.x, dnf.y)));
        }
        for crossover in &scene.crossovers {
            inside((crossover.x, crossover.y));
            assert!(crossover.band.0 <= crossover.x && crossover.x <= crossover.band.1);
        }
        assert!(scene.labels.iter().all(|label| (plot.top..=plot.bottom).contains(&label.y)));
    }

    #[test]
    fn every_view_at_every_width_keeps_its_marks_inside_the_plot() {
        for report in [samples::duel(), samples::wall()] {
            for metric in Metric::ALL {
                for width in [280.0, 360.0, 700.0, 1400.0] {
                    let scene = drawn(&report, &options(metric, width));
                    check_inside(&scene);
                    assert!(scene.x_ticks.iter().filter(|tick| tick.label.is_some()).count() >= 2);
                    assert!(scene.y_ticks.len() >= 2, "{metric:?}");
                    assert_eq!(
                        scene.lanes[0].points.len(),
                        report.lanes[0].points.iter().filter(|point| point.median_ms.is_some()).count()
                    );
                }
            }
        }
    }

    #[test]
    fn the_crossover_is_where_the_lines_meet() {
        let report = samples::duel();
        let scene = drawn(&report, &options(Metric::Time, 900.0));
        let mark = &scene.crossovers[0];
        assert!(!mark.predicted && mark.label.is_some());
        let [attention, hyena] = [&scene.lanes[0], &scene.lanes[1]];
        let gap = along(&attention.line, &[], mark.x) - along(&hyena.line, &[], mark.x);
        assert!(gap.abs() < 2.0, "{gap}");
        // Crossovers are about time: other views don't show them.
        assert!(drawn(&report, &options(Metric::Memory, 900.0)).crossovers.is_empty());
    }

    #[test]
    fn a_lane_that_drops_out_says_why_where_it_was_predicted() {
        let scene = drawn(&samples::wall(), &options(Metric::Time, 900.0));
        let naive = &scene.lanes[1];
        let dnf = naive.dnf.as_ref().unwrap();
        assert_eq!(dnf.reason, "memory wall");
        assert!(dnf.description.contains("GiB"), "{}", dnf.description);
        assert_eq!(naive.predicted.first(), naive.line.last());
        assert_eq!(naive.predicted.last().copied(), Some((dnf.x, dnf.y)));
    }

    #[test]
    fn a_predicted_crossover_beyond_the_data_is_drawn_dashed() {
        let mut report = samples::duel();
        for lane in &mut report.lanes {
            lane.points.truncate(2);
        }
        report.config.lengths.truncate(2);
        let crossover = &mut report.crossovers[0];
        (crossover.kind, crossover.estimate) = (CrossoverKind::Predicted, Some(2000.0));
        let scene = drawn(&report, &options(Metric::Time, 900.0));
        assert!(scene.crossovers[0].predicted);
        assert!(scene.lanes.iter().all(|lane| lane.predicted.len() == 2));
        check_inside(&scene);
        // Far beyond, it is left out rather than squeezing the data.
        report.crossovers[0].estimate = Some(1e9);
        assert!(drawn(&report, &options(Metric::Time, 900.0)).crossovers.is_empty());
    }

    #[test]
    fn hidden_lanes_are_left_out_and_pointed_at_lanes_come_last() {
        let report = samples::duel();
        let hidden = drawn(&report, &Options { hidden: vec![1], ..options(Metric::Time, 900.0) });
        assert_eq!(hidden.lanes.len(), 1);
        assert!(hidden.crossovers.is_empty() && hidden.labels.len() == 1);
        let pointed = drawn(&report, &Options { emphasis: Some(0), ..options(Metric::Time, 900.0) });
        assert_eq!(pointed.lanes.last().map(|lane| lane.lane), Some(0));
        assert!(pointed.lanes[0].faded && pointed.lanes[1].emphasised);
    }

    #[test]
    fn nonsense_in_a_report_never_reaches_the_picture() {
        let mut report = samples::duel();
        for (index, bad) in [f64::NAN, f64::INFINITY, -3.0, 0.0, 1e308].into_iter().enumerate() {
            let point = &mut report.lanes[0].points[index];
            (point.median_ms, point.q1_ms, point.q3_ms) = (Some(bad), Some(bad), Some(f64::NAN));
            (point.flops, point.bytes, point.peak_bytes) = (bad, bad, bad);
        }
        report.lanes[0].points[5].length = 0;
        report.crossovers[0].estimate = Some(f64::NAN);
        report.lanes[1].title = "<script>alert(1)</script>\u{202e}".to_owned();
        for metric in Metric::ALL {
            let text = svg::document(
                &drawn(&report, &options(metric, 700.0)),
                crate::chart::palette::Theme::Dark,
                "a < b",
            );
            assert!(!text.contains("NaN") && !text.contains("inf"), "{metric:?}");
            assert!(!text.contains("<script") && !text.contains('\u{202e}') && text.contains("a &lt; b"));
        }
        // An empty race draws its axes.
        let mut empty = samples::duel();
        empty.lanes.clear();
        empty.crossovers.clear();
        empty.config.lengths.clear();
        assert!(!drawn(&empty, &options(Metric::Time, 700.0)).x_ticks.is_empty());
    }
}
