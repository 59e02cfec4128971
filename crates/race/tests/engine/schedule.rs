//! The order of steps: verification first, interleaved rounds, separate set-up, an order determined by the seed.

use std::collections::BTreeSet;

use mixer::Backend;
use race::{Activity, Record, Status};

use crate::world::{Call, Kind, MODEL, Model, World, lane, measured, spec};

fn runs_at(calls: &[Call], seq_len: usize) -> Vec<&Call> {
    calls.iter().filter(|call| call.seq_len == seq_len && matches!(call.kind, Kind::Run { .. })).collect()
}

fn finished(record: &Record, lane: usize) -> usize {
    record.lanes[lane].points.iter().filter(|point| point.verified.is_some()).count()
}

#[test]
fn every_lane_is_verified_before_any_is_timed() {
    let world = World::new(1, &[]);
    world.race(spec(&["attention", "hyena", "cfc"])).unwrap();
    let calls = world.calls();
    let last_verified = calls.iter().rposition(|call| call.kind == Kind::Verify).unwrap();
    let first_timed = calls.iter().position(|call| matches!(call.kind, Kind::Run { .. })).unwrap();
    assert!(last_verified < first_timed);
    // Each timed output is compared once. Outputs of later set-ups equal the first one's bit by bit.
    assert_eq!(calls.iter().filter(|call| call.kind == Kind::Check).count(), 3 * 7);
}

/// Even with a long budget, the reference gets no problem that would take it several seconds.
#[test]
fn the_verified_problem_fits_the_references_budget() {
    type Time = fn(f64) -> f64;
    // Closed forms determine the times here: operations of 2 ns, at most 2²⁸ of them and at most a fifth of the budget.
    let cases: [(Time, u64, usize); 3] = [
        (|n| 1e3 * n, 10_000_000_000_000, 160),
        (|n| 1e7 * n, 10_000_000_000_000, 20),
        (|n| 1e6 * n, 1_000_000_000, 80),
    ];
    for (time, budget_ns, verified) in cases {
        let world = World::new(1, &[("attention", Model { time, ..MODEL })]);
        let mut spec = spec(&["attention"]);
        spec.budget_ns = budget_ns;
        world.race(spec).unwrap();
        let calls = world.calls();
        let call = calls.iter().find(|call| call.kind == Kind::Verify).unwrap();
        assert_eq!(call.seq_len, verified, "{budget_ns}");
    }
}

#[test]
fn lanes_take_turns_in_random_order() {
    let noisy = Model { noise: 0.1, ..MODEL };
    let models = [("attention", noisy.clone()), ("hyena", noisy.clone()), ("cfc", noisy)];
    let world = World::new(1, &models);
    world.race(spec(&["attention", "hyena", "cfc"])).unwrap();
    let calls = world.calls();
    let runs = runs_at(&calls, 4096);
    // Rounds: among any three successive runs while all three lanes are sampled, no lane occurs three times.
    let early: Vec<&str> = runs.iter().skip(3).take(30).map(|call| call.system.as_str()).collect();
    assert!(early.windows(3).all(|three| three.iter().any(|system| *system != three[0])), "{early:?}");
    let orders: BTreeSet<Vec<&str>> = early.chunks(3).map(<[&str]>::to_vec).collect();
    assert!(orders.len() > 1, "always the same order: {early:?}");
}

#[test]
fn the_seed_determines_the_order_of_a_race() {
    let systems = |seed: u64| {
        let world = World::new(1, &[]);
        let mut spec = spec(&["attention", "hyena", "cfc", "mega"]);
        spec.seed = seed;
        let record = world.race(spec).unwrap();
        let order: Vec<String> = world.calls().into_iter().map(|call| call.system).collect();
        (order, record)
    };
    assert_eq!(systems(7), systems(7));
    assert_ne!(systems(7).0, systems(8).0);
}

#[test]
fn set_up_and_first_run_are_separate_from_the_samples() {
    let models = [("attention", Model { setup_ns: 3e8, ..MODEL })];
    let mut cold = true;
    let world = World::new(1, &models).script(move |call, stage| {
        // The first run after each set-up takes four times as long.
        let run = matches!(call.kind, Kind::Run { .. });
        stage.throttle = if cold { 4.0 } else { 1.0 };
        cold = call.kind == Kind::Prepare || (cold && !run);
        Ok(())
    });
    let record = world.race(spec(&["attention"])).unwrap();
    for point in measured(&record, 0) {
        let truth = 1000.0 * point.seq_len as f64;
        assert!((point.setup_ns / 3e8 - 1.0).abs() < 0.01);
        assert!((point.median_ns / truth - 1.0).abs() < 0.02);
        assert!(point.first_run_ns > point.median_ns * 0.9);
    }
}

#[test]
fn warm_up_goes_on_until_rounds_agree() {
    // Each of the first eight runs at each length is 30% faster than the preceding one.
    let mut runs = 0;
    let world = World::new(1, &[]).script(move |call, stage| {
        match call.kind {
            Kind::Prepare => runs = 0,
            Kind::Run { .. } => runs += 1,
            _ => {}
        }
        stage.throttle = 0.7_f64.powi(runs.min(8)) / 0.7_f64.powi(8);
        Ok(())
    });
    let record = world.race(spec(&["attention"])).unwrap();
    for point in measured(&record, 0) {
        let truth = 1000.0 * point.seq_len as f64;
        assert!(point.samples_ns.iter().all(|ns| (ns / truth - 1.0).abs() < 0.05), "{point:?}");
    }
}

#[test]
fn snapshots_grow_towards_the_result() {
    let world = World::new(1, &[]);
    let record = world.race(spec(&["attention", "hyena"])).unwrap();
    let state = world.0.borrow();
    assert_eq!(state.records.last(), Some(&record));
    assert_eq!(record.status, Status::Done);
    let counts: Vec<usize> =
        state.records.iter().map(|record| record.lanes.iter().map(|lane| lane.points.len()).sum()).collect();
    assert!(counts.is_sorted() && counts.first() == Some(&0) && counts.last() == Some(&14));
    // Verified points appear one by one.
    let finished = |record: &Record| (0..2).map(|lane| finished(record, lane)).sum::<usize>();
    let distinct: BTreeSet<usize> = state.records.iter().map(finished).collect();
    assert_eq!(distinct, (0..=14).collect());
    let activities: Vec<Activity> = state.progress.iter().map(|progress| progress.activity).collect();
    for activity in [
        Activity::Verifying,
        Activity::Preparing,
        Activity::WarmingUp,
        Activity::Sampling,
        Activity::CheckingDrift,
    ] {
        assert!(activities.contains(&activity), "{activity:?}");
    }
}

#[test]
fn each_backend_has_its_own_baseline() {
    let mut spec = spec(&["attention-naive", "attention", "hyena"]);
    spec.lanes.push(lane("hyena", Backend::WebGpu));
    assert_eq!(race::baseline_of(&spec, 0), Some(1));
    assert_eq!(race::baseline_of(&spec, 1), None);
    assert_eq!(race::baseline_of(&spec, 2), Some(1));
    assert_eq!(race::baseline_of(&spec, 3), None);
    assert_eq!(race::baseline_of(&spec, 9), None);
    spec.lanes.push(lane("attention", Backend::WebGpu));
    assert_eq!(race::baseline_of(&spec, 3), Some(4));
    let record = World::new(1, &[]).race(spec).unwrap();
    let pairs: Vec<(usize, usize)> =
        record.crossovers.iter().map(|crossover| (crossover.challenger, crossover.baseline)).collect();
    assert_eq!(pairs, [(0, 1), (2, 1), (3, 4)]);
}
