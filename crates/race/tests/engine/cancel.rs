//! Cancellation at every single step of a race.

use mixer::LaneError;
use race::{Dnf, Outcome, RaceSpec, Record, Status, Warning};

use crate::world::{Call, Kind, MODEL, Model, World, spec};

fn short() -> RaceSpec {
    let mut spec = spec(&["attention", "hyena"]);
    spec.lengths = vec![256, 1024];
    spec
}

/// Every lane ends with a reason at each unfinished length, and all measured points are kept.
fn assert_well_formed(record: &Record) {
    assert_eq!(record.status, Status::Cancelled);
    assert!(record.warnings.contains(&Warning::Cancelled));
    for lane in &record.lanes {
        let lengths: Vec<usize> = lane.points.iter().map(|point| point.seq_len).collect();
        assert_eq!(lengths, record.spec.lengths);
        for point in &lane.points {
            match &point.outcome {
                Outcome::Ok => {
                    assert!(point.verified.is_some_and(|verification| verification.deviation.pass));
                }
                Outcome::Dnf(dnf) => assert_eq!(*dnf, Dnf::Cancelled),
            }
        }
    }
}

fn n_samples(record: &Record) -> usize {
    record.lanes.iter().flat_map(|lane| &lane.points).map(|point| point.samples_ns.len()).sum()
}

fn is_work(call: &Call) -> bool {
    call.kind != Kind::Breathe
}

#[test]
fn fault_17_a_cancellation_at_any_step_keeps_all_points() {
    let whole = World::new(1, &[]);
    assert_eq!(whole.race(short()).unwrap().status, Status::Done);
    let n_calls = whole.calls().len();
    assert!(n_calls > 50);
    let mut most_samples = 0;
    for at in 0..n_calls {
        for ends_the_call in [false, true] {
            let world = World::new(1, &[]).script(move |call, stage| {
                stage.cancelled |= call.index == at;
                // An executor may notice the cancellation during its work or only afterwards.
                let noticed = stage.cancelled && ends_the_call && is_work(call);
                if noticed { Err(LaneError::Cancelled) } else { Ok(()) }
            });
            let record = world.race(short()).unwrap();
            assert_well_formed(&record);
            let calls = world.calls();
            let late = calls.iter().skip(at + 1).filter(|call| is_work(call)).count();
            assert_eq!(late, 0, "worked on after the cancellation at call {at}");
            assert!(calls.len() <= at + 2);
            assert!(n_samples(&record) >= most_samples || ends_the_call, "samples lost at call {at}");
            if !ends_the_call {
                most_samples = n_samples(&record);
            }
            // The last snapshot equals the result.
            assert_eq!(world.0.borrow().records.last(), Some(&record));
        }
    }
}

#[test]
fn fault_17_a_machine_races_again_after_a_cancellation() {
    let world = World::new(1, &[]).script(|call, stage| {
        stage.cancelled |= call.index == 30;
        Ok(())
    });
    assert_eq!(world.race(short()).unwrap().status, Status::Cancelled);
    assert_eq!(world.0.borrow().used_bytes, 0);
    world.0.borrow_mut().stage.cancelled = false;
    let record = world.race(short()).unwrap();
    assert_eq!(record.status, Status::Done);
    assert!(record.lanes.iter().flat_map(|lane| &lane.points).all(|point| point.outcome == Outcome::Ok));
}

#[test]
fn fault_17_cancelled_before_it_starts_it_does_nothing() {
    let world = World::new(1, &[]);
    world.0.borrow_mut().stage.cancelled = true;
    assert_well_formed(&world.race(short()).unwrap());
    assert!(!world.calls().iter().any(is_work));
}

#[test]
fn fault_17_cancelled_while_the_clock_is_measured() {
    // A clock so coarse that one step takes many readings.
    let world = World::new(1, &[]).tick(1e8).script(|call, stage| {
        stage.cancelled |= call.index == 5;
        Ok(())
    });
    assert_well_formed(&world.race(short()).unwrap());
}

#[test]
fn a_cancelled_point_keeps_its_samples_and_is_not_ranked() {
    let models = [("attention", Model { noise: 0.05, ..MODEL }), ("hyena", Model { noise: 0.05, ..MODEL })];
    let mut runs = 0;
    let world = World::new(1, &models).script(move |call, stage| {
        runs += usize::from(call.seq_len == 1024 && matches!(call.kind, Kind::Run { .. }));
        stage.cancelled |= runs == 11;
        Ok(())
    });
    let record = world.race(short()).unwrap();
    assert_well_formed(&record);
    let partial = &record.lanes[0].points[1];
    assert!(!partial.samples_ns.is_empty() && partial.median_ns > 0.0);
    assert_eq!(partial.outcome, Outcome::Dnf(Dnf::Cancelled));
    assert_eq!((partial.versus, partial.interval_ns), (None, None));
}
