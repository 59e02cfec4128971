//! The budget: whatever the lanes do, the race ends within it and uses most of it.

use mixer::Backend;
use race::{Dnf, Outcome, RaceSpec, Record, Status};

use crate::world::{Kind, MODEL, Model, World, dnf, lane, measured, spec};

const SYSTEMS: [&str; 14] = [
    "attention",
    "attention-naive",
    "hyena",
    "monarch-mixer",
    "bigs",
    "mega",
    "ltc",
    "cfc",
    "liquid-s4",
    "longformer",
    "bigbird",
    "reformer",
    "performer",
    "linformer",
];

fn fourteen() -> Vec<(&'static str, Model)> {
    let mut models: Vec<(&'static str, Model)> =
        SYSTEMS.iter().map(|system| (*system, Model { noise: 0.03, scatter: 0.01, ..MODEL })).collect();
    for (name, model) in &mut models {
        model.time = match *name {
            "attention" => |n| 20.0 * n * n,
            "attention-naive" => |n| 60.0 * n * n,
            "ltc" => |n| 2e6 * n,
            "cfc" => |n| 3e5 * n,
            "hyena" => |n| 4000.0 * n * n.log2(),
            _ => |n| 5000.0 * n,
        };
        model.setup_ns = 2e7;
        model.check_ns = 2e7;
    }
    models
}

fn assert_within(world: &World, started_ns: f64, spec: &RaceSpec) {
    let took_ns = world.time_ns() - started_ns;
    assert!(took_ns <= spec.budget_ns as f64, "{took_ns} of {}", spec.budget_ns);
}

fn n_measured(record: &Record) -> usize {
    (0..record.lanes.len()).map(|lane| measured(record, lane).len()).sum()
}

#[test]
fn fourteen_lanes_end_within_any_budget() {
    let mut last = 0;
    for budget_s in [1, 3, 10, 30, 120, 600] {
        let mut spec = spec(&SYSTEMS);
        spec.budget_ns = budget_s * 1_000_000_000;
        let world = World::new(budget_s, &fourteen());
        let started_ns = world.time_ns();
        let record = world.race(spec.clone()).unwrap();
        assert_within(&world, started_ns, &spec);
        assert_eq!(record.status, Status::Done);
        for lane in &record.lanes {
            assert_eq!(lane.points.len(), spec.lengths.len());
            for point in &lane.points {
                match &point.outcome {
                    Outcome::Ok => assert!(!point.samples_ns.is_empty()),
                    Outcome::Dnf(dnf) => assert!(matches!(dnf, Dnf::TimeBudget { .. }), "{dnf:?}"),
                }
            }
        }
        let n = n_measured(&record);
        assert!(n >= last, "more budget, fewer points: {n} after {last} at {budget_s} s");
        last = n;
    }
    assert_eq!(last, 14 * 7);
}

#[test]
fn slow_checks_and_set_ups_leave_time_to_race_the_first_lanes() {
    // 14 lanes whose verification takes 2.5 s and each set-up 1 s, as on a software GPU adapter, in 15 s.
    let models: Vec<(&'static str, Model)> =
        SYSTEMS.iter().map(|system| (*system, Model { setup_ns: 1e9, ..MODEL })).collect();
    let world = World::new(1, &models).script(|call, stage| {
        if call.kind == Kind::Verify {
            stage.time_ns += 2.5e9;
        }
        Ok(())
    });
    let mut spec = spec(&SYSTEMS);
    spec.lengths = vec![64, 128];
    spec.budget_ns = 15_000_000_000;
    let record = world.race(spec).unwrap();
    assert!(!measured(&record, 0).is_empty() && !measured(&record, 1).is_empty());
    let waiting: Vec<&race::LaneRecord> = record
        .lanes
        .iter()
        .filter(|lane| lane.points.iter().all(|point| point.outcome != Outcome::Ok))
        .collect();
    assert!(waiting.len() >= 8, "{} lanes without a point", waiting.len());
    for lane in waiting {
        let Outcome::Dnf(Dnf::TimeBudget { needed_ns: Some(needed_ns) }) = lane.points[0].outcome else {
            panic!("{:?}", lane.points[0]);
        };
        assert!((2e9..1e10).contains(&needed_ns), "{needed_ns}");
    }
}

#[test]
fn lanes_on_both_backends_share_one_budget() {
    let mut spec = spec(&SYSTEMS);
    spec.lanes.extend(SYSTEMS.map(|system| lane(system, Backend::WebGpu)));
    spec.budget_ns = 20_000_000_000;
    let world = World::new(1, &fourteen());
    let started_ns = world.time_ns();
    let record = world.race(spec.clone()).unwrap();
    assert_within(&world, started_ns, &spec);
    assert!(n_measured(&record) > 60);
}

/// The time that a lane states as needed for a length that it had no time for.
fn needed_ns(record: &Record, lane: usize, seq_len: usize) -> Option<f64> {
    match dnf(record, lane, seq_len) {
        Dnf::TimeBudget { needed_ns } => needed_ns,
        other => panic!("{other:?}"),
    }
}

#[test]
fn probes_exclude_a_first_length_that_cannot_fit() {
    // 16,384² · 200 ns = 54 s for the only length.
    let models = [("attention-naive", Model { time: |n| 200.0 * n * n, ..MODEL })];
    let world = World::new(1, &models);
    let mut spec = spec(&["attention-naive", "hyena"]);
    spec.lengths = vec![16_384, 32_768];
    spec.budget_ns = 10_000_000_000;
    let started_ns = world.time_ns();
    let record = world.race(spec.clone()).unwrap();
    assert_within(&world, started_ns, &spec);
    let needed_ns = needed_ns(&record, 0, 16_384);
    assert!(needed_ns.is_some_and(|ns| (1e11..2e11).contains(&ns)), "two runs of 54 s: {needed_ns:?}");
    // Nothing of the lane was measured, and probes of a few positions are no basis for a prediction.
    assert!(record.lanes[0].points.iter().all(|point| point.predicted_ns.is_none()));
    assert!(!world.calls().iter().any(|call| call.system == "attention-naive" && call.seq_len >= 16_384));
    assert_eq!(measured(&record, 1).len(), 2);
}

#[test]
fn a_lane_with_an_unaffordable_reference_is_not_verified() {
    // 2 G operations per position: the reference takes 8 s for two of them.
    let models = [("ltc", Model { time: |n| 2e9 * n, ..MODEL })];
    let world = World::new(1, &models);
    let mut spec = spec(&["ltc", "hyena"]);
    spec.budget_ns = 10_000_000_000;
    let started_ns = world.time_ns();
    let record = world.race(spec.clone()).unwrap();
    assert_within(&world, started_ns, &spec);
    assert_eq!((needed_ns(&record, 0, 256), record.lanes[0].verification), (Some(8e9), None));
    assert!(world.calls().iter().all(|call| call.system != "ltc"));
    assert_eq!(measured(&record, 1).len(), 7);
}

#[test]
fn a_long_lane_gets_the_unused_time() {
    // 8 s per pass at the last length, a third of the whole budget, is more than an equal share.
    let models = [("attention", Model { time: |n| 30.0 * n * n, ..MODEL })];
    let record = World::new(1, &models).race(spec(&["attention", "hyena", "bigs", "mega"])).unwrap();
    assert_eq!(n_measured(&record), 4 * 7);
    let last = &record.lanes[0].points[6];
    assert!((last.median_ns / 8.05e9 - 1.0).abs() < 0.05 && !last.samples_ns.is_empty(), "{last:?}");
}

#[test]
fn an_easy_race_is_over_long_before_its_budget() {
    let world = World::new(1, &[]);
    let started_ns = world.time_ns();
    let record = world.race(spec(&["attention", "hyena"])).unwrap();
    assert!(world.time_ns() - started_ns < 6e9, "{}", world.time_ns() - started_ns);
    assert!(record.lanes.iter().flat_map(|lane| &lane.points).all(|point| point.samples_ns.len() >= 5));
}

#[test]
fn slow_set_ups_and_checks_are_part_of_the_budget() {
    let models = [
        ("attention", Model { setup_ns: 2e9, check_ns: 1e9, ..MODEL }),
        ("hyena", Model { setup_ns: 2e9, check_ns: 1e9, ..MODEL }),
    ];
    let mut spec = spec(&["attention", "hyena"]);
    spec.budget_ns = 15_000_000_000;
    let world = World::new(1, &models);
    let started_ns = world.time_ns();
    let record = world.race(spec.clone()).unwrap();
    assert_within(&world, started_ns, &spec);
    assert!(n_measured(&record) >= 4);
    // The set-up is expensive, but the samples are not, so they are not reduced.
    assert!(measured(&record, 0).iter().all(|point| point.samples_ns.len() >= 3));
}

#[test]
fn noisy_lanes_get_more_samples_than_quiet_ones() {
    let models = [("attention", Model { noise: 0.2, ..MODEL }), ("hyena", Model { noise: 0.001, ..MODEL })];
    let record = World::new(1, &models).race(spec(&["attention", "hyena"])).unwrap();
    for (noisy, quiet) in record.lanes[0].points.iter().zip(&record.lanes[1].points) {
        assert!(2 * noisy.samples_ns.len() >= 3 * quiet.samples_ns.len(), "{noisy:?} {quiet:?}");
    }
}

#[test]
fn progress_is_monotone_and_its_estimate_accurate() {
    for budget_s in [10, 60, 600] {
        let mut spec = spec(&SYSTEMS);
        spec.budget_ns = budget_s * 1_000_000_000;
        let world = World::new(1, &fourteen());
        let started_ns = world.time_ns();
        world.race(spec.clone()).unwrap();
        let ended_ns = world.time_ns();
        let state = world.0.borrow();
        assert!(state.progress.windows(2).all(|pair| pair[0].fraction <= pair[1].fraction));
        assert!(state.progress.iter().all(|progress| (0.0..=1.0).contains(&progress.fraction)));
        assert!(state.progress.iter().all(|progress| progress.remaining_ns >= 0.0));
        assert!(state.progress.last().unwrap().fraction > 0.9);
        // After a fifth of the race, the estimate is within a factor of two, or a tenth of the whole.
        let whole_ns = ended_ns - started_ns;
        for (at_ns, progress) in state.progress_at.iter().zip(&state.progress) {
            let left_ns = ended_ns - at_ns;
            if at_ns - started_ns > 0.2 * whole_ns {
                let ratio = (progress.remaining_ns / left_ns).max(left_ns / progress.remaining_ns);
                let off = (progress.remaining_ns - left_ns).abs() / whole_ns;
                assert!(
                    ratio < 2.0 || off < 0.15,
                    "{budget_s} s: said {} of {left_ns}",
                    progress.remaining_ns
                );
            }
        }
    }
}
