//! Scenes of reports: every view, every width, and malformed reports.

use report::{CrossoverKind, Report};

use super::crossovers::along;
use super::svg;
use super::{Metric, Options, Scene, scene};
use crate::lanes::looks;
use crate::samples;
use crate::words::{CHINESE, ENGLISH};

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
    for report in [samples::duel(), samples::wall(), samples::decode()] {
        for &metric in Metric::views(report.config.mode) {
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
fn the_crossover_is_drawn_where_the_lines_meet() {
    let report = samples::duel();
    let scene = drawn(&report, &options(Metric::Time, 900.0));
    let mark = &scene.crossovers[0];
    assert!(!mark.predicted && mark.label.is_some());
    let [attention, hyena] = [&scene.lanes[0], &scene.lanes[1]];
    let gap = along(&attention.line, &[], mark.x) - along(&hyena.line, &[], mark.x);
    assert!(gap.abs() < 2.0, "{gap}");
    // Crossovers are crossovers of times, so other views don't show them.
    assert!(drawn(&report, &options(Metric::Memory, 900.0)).crossovers.is_empty());
}

#[test]
fn a_lane_that_drops_out_shows_its_reason_at_its_prediction() {
    let scene = drawn(&samples::wall(), &options(Metric::Time, 900.0));
    let naive = &scene.lanes[1];
    let dnf = naive.dnf.as_ref().unwrap();
    assert_eq!(dnf.reason, "out of memory");
    assert!(dnf.description.contains("GiB"), "{}", dnf.description);
    assert_eq!(naive.predicted.first(), naive.line.last());
    assert_eq!(naive.predicted.last().copied(), Some((dnf.x, dnf.y)));
}

#[test]
fn an_unmeasured_lane_has_no_prediction() {
    let mut report = samples::wall();
    for point in &mut report.lanes[1].points {
        point.outcome = "memory".to_owned();
        (point.median_ms, point.predicted_ms) = (None, Some(point.length.into()));
    }
    let scene = drawn(&report, &options(Metric::Time, 900.0));
    assert!(scene.lanes[1].predicted.is_empty() && scene.lanes[1].dnf.is_some());
    assert!(!report.to_markdown().contains('~'), "{}", report.to_markdown());
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
    // Far beyond the measured lengths it is omitted, since it would squeeze the data.
    report.crossovers[0].estimate = Some(1e9);
    assert!(drawn(&report, &options(Metric::Time, 900.0)).crossovers.is_empty());
}

#[test]
fn lines_with_a_predicted_crossover_end_in_one_point() {
    let mut report = samples::duel();
    for lane in &mut report.lanes {
        lane.points.truncate(2);
    }
    report.config.lengths.truncate(2);
    let crossover = &mut report.crossovers[0];
    (crossover.kind, crossover.estimate) = (CrossoverKind::Predicted, Some(2000.0));
    let scene = drawn(&report, &options(Metric::Time, 900.0));
    let mark = &scene.crossovers[0];
    let ends: Vec<_> = scene.lanes.iter().filter_map(|lane| lane.predicted.last()).collect();
    assert_eq!(ends.len(), 2);
    assert!(ends[0] == ends[1] && (ends[0].0 - mark.x).abs() < 1e-9 && (ends[0].1 - mark.y).abs() < 1e-9);
}

#[test]
fn bounds_are_marked_and_undecided_crossovers_are_not_drawn() {
    let mut report = samples::duel();
    let crossover = &mut report.crossovers[0];
    crossover.kind = CrossoverKind::AtMost;
    (crossover.estimate, crossover.low, crossover.high) = (Some(1024.0), Some(1024.0), Some(1024.0));
    let scene = drawn(&report, &options(Metric::Time, 900.0));
    let mark = &scene.crossovers[0];
    assert_eq!(mark.label.as_deref(), Some("crossover ≤ 1,024"));
    assert!(
        mark.description.contains("≤ 1,024") && !mark.description.contains("95%"),
        "{}",
        mark.description
    );
    assert_eq!(mark.band, (mark.x, mark.x));
    for kind in [CrossoverKind::Undecided, CrossoverKind::None] {
        report.crossovers[0].kind = kind;
        assert!(drawn(&report, &options(Metric::Time, 900.0)).crossovers.is_empty(), "{kind:?}");
    }
}

#[test]
fn points_with_full_attention_have_a_ring_and_a_reason() {
    let mut report = samples::duel();
    assert!(!svg::marks(&drawn(&report, &options(Metric::Time, 900.0))).contains("ring"));
    report.lanes[1].points[0].full_attention = true;
    let scene = drawn(&report, &options(Metric::Time, 900.0));
    let hyena = scene.lanes.iter().find(|lane| lane.lane == 1).unwrap();
    assert!(hyena.points[0].full_attention && hyena.points[0].description.ends_with("full attention"));
    assert_eq!(svg::marks(&scene).matches(r#"class="ring""#).count(), 1);
}

#[test]
fn hidden_lanes_are_omitted_and_the_emphasised_lane_is_last() {
    let report = samples::duel();
    let hidden = drawn(&report, &Options { hidden: vec![1], ..options(Metric::Time, 900.0) });
    assert_eq!(hidden.lanes.len(), 1);
    assert!(hidden.crossovers.is_empty() && hidden.labels.len() == 1);
    let pointed = drawn(&report, &Options { emphasis: Some(0), ..options(Metric::Time, 900.0) });
    assert_eq!(pointed.lanes.last().map(|lane| lane.lane), Some(0));
    assert!(pointed.lanes[0].faded && pointed.lanes[1].emphasised);
}

#[test]
fn invalid_values_of_a_report_are_not_drawn() {
    let mut report = samples::duel();
    for (index, bad) in [f64::NAN, f64::INFINITY, -3.0, 0.0, 1e308].into_iter().enumerate() {
        let point = &mut report.lanes[0].points[index];
        (point.median_ms, point.q1_ms, point.q3_ms) = (Some(bad), Some(bad), Some(f64::NAN));
        (point.flops, point.bytes, point.peak_bytes) = (bad, bad, bad);
    }
    report.lanes[0].points[5].length = 0;
    report.crossovers[0].estimate = Some(f64::NAN);
    report.lanes[1].title = "<script>alert(1)</script>\u{202e}".to_owned();
    for &metric in Metric::views(report.config.mode) {
        let text =
            svg::document(&drawn(&report, &options(metric, 700.0)), super::palette::Theme::Dark, "a < b");
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

#[test]
fn a_decode_race_has_its_own_axes_views_and_limit() {
    let report = samples::decode();
    let mode = report.config.mode;
    for (text, length, time) in [
        (&ENGLISH, "Context length (tokens)", "Time per generated token"),
        (&CHINESE, "上下文长度（词元）", "生成每个词元的时间"),
    ] {
        let scene = scene(&report, &looks(&report, &[], text), &options(Metric::Time, 900.0), text);
        assert_eq!((scene.x_title.as_str(), scene.y_title.as_str()), (length, time));
        assert!(scene.limit.is_none() && scene.crossovers.len() == 1);
    }
    let point = &report.lanes[0].points[2];
    let decode = point.decode.unwrap();
    let value = |metric: Metric| metric.reading(point, &report).unwrap().value;
    assert_eq!(value(Metric::State), decode.state_bytes);
    assert_eq!(Some(value(Metric::Prefill)), decode.prefill_ms);
    assert_eq!(Some(value(Metric::Throughput)), report.tokens_per_s(point));
    // The caches of CPU lanes grow towards the limit of their memory; GPU lanes have none that is known.
    let limit = |report: &Report, metric| drawn(report, &options(metric, 900.0)).limit;
    let line = limit(&report, Metric::State).unwrap();
    assert_eq!(line.label, "CPU memory limit 1.00\u{202f}GiB");
    let scene = drawn(&report, &options(Metric::State, 900.0));
    assert!(scene.lanes.iter().flat_map(|lane| &lane.points).all(|point| point.y > line.y));
    assert!(line.y >= scene.plot.top && svg::marks(&scene).contains("CPU memory limit"));
    assert!(limit(&report, Metric::Prefill).is_none() && limit(&samples::duel(), Metric::Memory).is_none());
    let mut gpu = report.clone();
    gpu.lanes.iter_mut().for_each(|lane| "webgpu".clone_into(&mut lane.backend));
    assert!(limit(&gpu, Metric::State).is_none());
    // An unmeasured prefill is no point, and nothing predicts it.
    let mut untimed = report.clone();
    let last = untimed.lanes[0].points.last_mut().unwrap();
    last.decode.as_mut().unwrap().prefill_ms = None;
    assert_eq!(Metric::Prefill.reading(last, &report), None);
    assert_eq!(drawn(&untimed, &options(Metric::Prefill, 900.0)).lanes[0].points.len(), 6);
    // Theory is that of forward passes.
    let mut before = report.clone();
    before.lanes.iter_mut().for_each(|lane| lane.points.clear());
    assert!(drawn(&before, &options(Metric::Time, 900.0)).guides.is_empty());
    assert_eq!((Metric::State.within(mode), Metric::Gflops.within(mode)), (Metric::State, Metric::Time));
    assert_eq!(Metric::State.within(samples::duel().config.mode), Metric::Time);
}

#[test]
fn a_system_that_does_not_decode_drops_out_with_its_reason() {
    let scene = drawn(&samples::decode(), &options(Metric::Time, 900.0));
    let dnf = scene.lanes.iter().find_map(|lane| lane.dnf.as_ref()).unwrap();
    assert_eq!(dnf.reason, "unsupported");
    // Right of its cross, because the labels of the axis are left of it.
    let mark =
        format!(r#"x="{:.1}" y="{:.1}" text-anchor="start">unsupported</text>"#, dnf.x + 9.0, dnf.label_y);
    assert!(svg::marks(&scene).contains(&mark), "{mark}");
    assert!(
        svg::marks(&drawn(&samples::wall(), &options(Metric::Time, 900.0)))
            .contains(r#"text-anchor="end">out of memory"#)
    );
    assert!(dnf.description.starts_with("BiGS dropped out at 256 tokens of context: unsupported. "));
    assert!(dnf.description.contains("each output depends on later tokens"), "{}", dnf.description);
}
