//! Comparisons of two or three reports that differ in one property.

use super::*;
use crate::testing::{decode_report, report};
use crate::{FullLane, LaneConfig, Verdict};

/// The sample on a machine `factor` times as fast.
fn faster(factor: f64) -> Report {
    let mut report = report();
    for point in report.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
        for time in [
            &mut point.min_ms,
            &mut point.q1_ms,
            &mut point.median_ms,
            &mut point.q3_ms,
            &mut point.low_ms,
            &mut point.high_ms,
        ] {
            *time = time.map(|ms| ms / factor);
        }
    }
    report
}

fn fields(comparison: &Comparison) -> Vec<Field> {
    comparison.differences.iter().map(|difference| difference.field).collect()
}

#[test]
fn the_same_race_on_a_machine_twice_as_fast() {
    let (mine, theirs) = (report(), faster(2.0));
    let reports = [&mine, &theirs];
    let comparison = Comparison::new(&reports);
    assert_eq!(
        comparison.lanes.iter().map(|lane| lane.at.clone()).collect::<Vec<_>>(),
        [[Some(0), Some(0)], [Some(1), Some(1)]]
    );
    assert_eq!(comparison.differences, []);
    let ratios = comparison.ratios(&reports, 1, 256);
    assert_eq!(ratios[0].and_then(|ratio| ratio.speedup), None);
    let speedup = ratios[1].and_then(|ratio| ratio.speedup).unwrap();
    let (low, high, verdict) = speedup.judged.unwrap();
    assert!((speedup.value - 2.0).abs() < 1e-9 && low > 1.9 && high < 2.1, "{speedup:?}");
    assert_eq!(verdict, Verdict::Ahead);
    // A point that ran out of memory has no time to compare.
    assert_eq!(comparison.ratios(&reports, 0, 16_384), [None, None]);
    assert_eq!(comparison.ratios(&reports, 9, 256), []);
    let near = faster(1.02);
    let ratios = Comparison::new(&[&mine, &near]).ratios(&[&mine, &near], 1, 256);
    let judged = ratios[1].and_then(|ratio| ratio.speedup?.judged);
    assert_eq!(judged.map(|(.., verdict)| verdict), Some(Verdict::Undecided));
    let reports = [&theirs, &mine];
    let back = Comparison::new(&reports).ratios(&reports, 1, 256)[1].and_then(|ratio| ratio.speedup?.judged);
    assert_eq!(back.map(|(.., verdict)| verdict), Some(Verdict::Behind));
}

#[test]
fn reports_without_intervals_have_ratios_but_no_verdict() {
    let (mine, mut theirs) = (report(), faster(2.0));
    theirs.lanes[1].points[0].low_ms = None;
    let reports = [&mine, &theirs];
    let ratio = Comparison::new(&reports).ratios(&reports, 1, 256)[1].unwrap();
    let speedup = ratio.speedup.unwrap();
    assert!((speedup.value - 2.0).abs() < 1e-9 && speedup.judged.is_none(), "{speedup:?}");
}

#[test]
fn lanes_match_by_system_parameters_and_backend() {
    let mine = report();
    let mut theirs = report();
    theirs.lanes.swap(0, 1);
    theirs.config.systems.swap(0, 1);
    "webgpu".clone_into(&mut theirs.lanes[0].backend);
    let comparison = Comparison::new(&[&mine, &theirs]);
    assert_eq!(comparison.lanes[1].at, [Some(1), Some(0)]);
    assert_eq!(comparison.lanes[1].backends[1].as_deref(), Some("webgpu"));
    assert_eq!(fields(&comparison), [Field::Backend]);
    // With both backends in one race, each lane matches its own backend's.
    let mut both = report();
    let mut gpu = both.lanes[1].clone();
    "webgpu".clone_into(&mut gpu.backend);
    both.lanes.insert(0, gpu);
    let comparison = Comparison::new(&[&both, &mine]);
    assert_eq!(comparison.lanes.iter().map(|lane| lane.at[1]).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
    assert_eq!(fields(&comparison), [Field::Lanes]);
    // Other parameters make another lane.
    let mut other = report();
    other.lanes[1].params.insert("order".to_owned(), ParamValue::Int(3));
    assert_eq!(Comparison::new(&[&mine, &other]).lanes.len(), 3);
}

#[test]
fn whose_crossover_comes_first() {
    let at = |estimate: Option<f64>, low: f64, high: f64| {
        let mut report = report();
        let crossover = &mut report.crossovers[0];
        crossover.estimate = estimate;
        (crossover.low, crossover.high) = (estimate.map(|_| low), estimate.map(|_| high));
        if estimate.is_none() {
            crossover.kind = CrossoverKind::None;
        }
        report
    };
    let early = at(Some(1000.0), 900.0, 1100.0);
    let late = at(Some(2000.0), 1500.0, 2500.0);
    let near = at(Some(1050.0), 1000.0, 1200.0);
    let never = at(None, 0.0, 0.0);
    let first = |reports: &[&Report]| Comparison::new(reports).crossings[0].first;
    assert_eq!(first(&[&late, &early]), First::Report(1));
    assert_eq!(first(&[&early, &near, &late]), First::Close);
    assert_eq!(first(&[&late, &never]), First::Unknown);
    // A bound does not say how far below it the lanes cross.
    let of = |kind: CrossoverKind, report: &Report| {
        let mut report = report.clone();
        report.crossovers[0].kind = kind;
        report
    };
    let bound = of(CrossoverKind::AtMost, &early);
    assert_eq!(first(&[&bound, &late]), First::Report(0));
    assert_eq!(first(&[&of(CrossoverKind::AtMost, &late), &early]), First::Close);
    assert_eq!(first(&[&bound, &of(CrossoverKind::AtMost, &late)]), First::Close);
    assert_eq!(first(&[&early, &late, &of(CrossoverKind::Undecided, &never)]), First::Unknown);
    assert_eq!(first(&[&never, &late, &early]), First::Report(2));
    // An estimate without an interval may be anywhere.
    let bare = |report: &Report| {
        let mut report = report.clone();
        (report.crossovers[0].low, report.crossovers[0].high) = (None, None);
        report
    };
    assert_eq!(first(&[&early, &bare(&late)]), First::Close);
    assert_eq!(first(&[&bare(&early), &late]), First::Close);
    let comparison = Comparison::new(&[&late, &never]);
    assert_eq!(comparison.crossings[0].lane, 1);
    assert_eq!(comparison.crossings[0].found[1].unwrap().estimate, None);
}

#[test]
fn differences_in_the_work_come_first() {
    let mine = report();
    let mut theirs = report();
    theirs.config.width = 512;
    theirs.config.causal = false;
    theirs.config.lengths.pop();
    theirs.environment.tick_ms = 1.0;
    theirs.environment.threads = 4;
    "0.2.0".clone_into(&mut theirs.environment.build);
    theirs.config.seed = 7;
    theirs.status = crate::Status::Cancelled;
    let comparison = Comparison::new(&[&mine, &theirs]);
    assert_eq!(
        fields(&comparison),
        [
            Field::Width,
            Field::Causal,
            Field::Lengths,
            Field::Threads,
            Field::Build,
            Field::Seed,
            Field::Status,
            Field::ClockStep
        ]
    );
    assert_eq!(comparison.differences[0].values, ["256", "512"]);
    assert_eq!(comparison.differences[7].values, ["5.00 µs", "1.00 ms"]);
    assert!(Field::Width.other_work() && !Field::ClockStep.other_work());
}

#[test]
fn modes_are_not_compared_point_by_point() {
    let (forward, decode) = (report(), decode_report());
    let reports = [&forward, &decode];
    let comparison = Comparison::new(&reports);
    // The sample's batch differs too.
    assert_eq!(fields(&comparison), [Field::Mode, Field::Batch]);
    assert_eq!(comparison.differences[0].values, ["forward", "decode"]);
    assert!(Field::Mode.other_work() && Field::Tokens.other_work());
    let ratios = comparison.ratios(&reports, 1, 256);
    assert!(ratios.iter().all(|ratio| ratio.is_some_and(|ratio| ratio.speedup.is_none())), "{ratios:?}");
    let later = |mut report: Report| {
        let crossover = &mut report.crossovers[0];
        (crossover.estimate, crossover.low, crossover.high) = (Some(7000.0), Some(6500.0), Some(7500.0));
        report
    };
    let first = |other: &Report| Comparison::new(&[&forward, other]).crossings[0].first;
    assert_eq!(first(&later(report())), First::Report(0));
    assert_eq!(first(&later(decode_report())), First::Unknown);

    // Decode races compare like others, and other numbers of tokens are other work.
    let mut other = decode_report();
    let reports = [&decode, &other];
    let comparison = Comparison::new(&reports);
    assert_eq!(comparison.differences, []);
    assert!(comparison.ratios(&reports, 1, 256)[1].unwrap().speedup.is_some());
    other.config.mode = Task::Decode { tokens: 65 };
    let comparison = Comparison::new(&[&decode, &other]);
    assert_eq!(fields(&comparison), [Field::Tokens]);
    assert_eq!(comparison.differences[0].values, ["64", "65"]);
}

#[test]
fn single_missing_and_empty_reports_are_accepted() {
    assert_eq!(Comparison::new(&[]).lanes, []);
    let one = report();
    let comparison = Comparison::new(&[&one]);
    assert_eq!((comparison.lanes.len(), comparison.differences.len()), (2, 0));
    let mut empty = report();
    empty.config.systems =
        vec![LaneConfig::Full(FullLane { system: "toy".to_owned(), backend: None, params: BTreeMap::new() })];
    empty.lanes.clear();
    empty.crossovers.clear();
    let comparison = Comparison::new(&[&one, &empty]);
    assert!(comparison.lanes.iter().all(|lane| lane.at[1].is_none()));
    assert!(fields(&comparison).contains(&Field::Lanes));
}
