//! Races of generated tokens: the engine is that of forward passes, with the prefill and single tokens measured besides.

use mixer::{LaneError, Task};
use race::{Dnf, Outcome, RaceSpec, Status};

use crate::world::{Kind, MODEL, Model, World, dnf, measured, spec};

const TOKENS: usize = 64;

fn decode(systems: &[&str]) -> RaceSpec {
    RaceSpec { task: Task::Decode { tokens: TOKENS }, ..spec(systems) }
}

/// Microseconds per token: a cache that is read, and a constant state.
const CACHE: Model = Model { time: |n| 2e4 + 50.0 * n, ..MODEL };
const CONSTANT: Model = Model { time: |_| 1e5, ..MODEL };

#[test]
fn points_have_the_time_of_a_token_its_spread_the_state_and_the_prefill() {
    let world = World::new(1, &[("attention", CACHE), ("constant", CONSTANT)]);
    let record = world.race(decode(&["attention", "constant"])).unwrap();
    assert_eq!(record.status, Status::Done);
    for lane in 0..2 {
        let points = measured(&record, lane);
        assert_eq!(points.len(), 7);
        for point in points {
            let decoding = point.decoding.unwrap();
            let model = if lane == 0 { CACHE } else { CONSTANT };
            let token_ns = (model.time)(point.seq_len as f64);
            assert!((point.median_ns / token_ns - 1.0).abs() < 0.02, "{point:?}");
            assert_eq!(decoding.state_bytes, (model.bytes)(point.seq_len as f64) / 2);
            let prefill_ns = point.seq_len as f64 * token_ns;
            if let Some(measured_ns) = decoding.prefill_ns {
                assert!((measured_ns / prefill_ns - 1.0).abs() < 0.01, "{measured_ns} {prefill_ns}");
            }
            // Samples are whole runs.
            assert_eq!(point.repeats as usize % TOKENS, 0, "{point:?}");
            let steps = decoding.steps.unwrap();
            assert_eq!(steps.tokens as usize, TOKENS);
            assert!((steps.median_ns / token_ns - 1.0).abs() < 0.1, "{steps:?}");
            assert!(steps.median_ns <= steps.p99_ns && steps.p99_ns <= steps.worst_ns);
        }
        assert!(measured(&record, lane)[0].decoding.unwrap().prefill_ns.is_some());
    }
    let crossover = &record.crossovers[0];
    // The curved law is interpolated between lengths that differ by a factor of two.
    let length = crossover.length.unwrap();
    assert!((length.value / 1600.0 - 1.0).abs() < 0.03, "{length:?}");
    let exponent = record.lanes[1].fit.as_ref().unwrap().exponent;
    assert!(exponent.value.abs() < 0.02, "{exponent:?}");
}

#[test]
fn a_prefill_that_would_take_too_long_is_left_out_and_the_time_of_a_token_kept() {
    let world = World::new(1, &[("attention", Model { time: |n| 1e3 * n, ..MODEL })]);
    let record = world.race(RaceSpec { budget_ns: 20_000_000_000, ..decode(&["attention"]) }).unwrap();
    let points = measured(&record, 0);
    assert!(points.iter().any(|point| point.decoding.unwrap().prefill_ns.is_some()));
    assert!(points.iter().any(|point| point.decoding.unwrap().prefill_ns.is_none()));
    assert!(record.lanes[0].points.iter().all(|point| point.seq_len > 4096 || point.outcome == Outcome::Ok));
}

#[test]
fn single_tokens_that_the_clock_cannot_tell_apart_are_not_reported() {
    let world = World::new(1, &[("attention", Model { time: |_| 1e4, ..MODEL })]);
    world.0.borrow_mut().tick_ns = 1e5;
    let record = world.race(decode(&["attention"])).unwrap();
    let points = measured(&record, 0);
    assert!(!points.is_empty());
    assert!(points.iter().all(|point| point.decoding.unwrap().steps.is_none()));
}

#[test]
fn a_prefill_that_fails_ends_its_lane_and_not_the_race() {
    let world = World::new(1, &[("attention", CACHE), ("constant", CONSTANT)]);
    let world = world.script(|call, _| {
        if call.kind == Kind::Prefill && call.system == "constant" && call.seq_len == 1024 {
            return Err(LaneError::NotFinite { index: 3, value: f32::NAN });
        }
        Ok(())
    });
    let record = world.race(decode(&["attention", "constant"])).unwrap();
    assert!(matches!(dnf(&record, 1, 1024), Dnf::Failed { .. }));
    assert_eq!(measured(&record, 0).len(), 7);
    assert_eq!(measured(&record, 1).len(), 2);
}

#[test]
fn a_forward_race_measures_no_prefill() {
    let world = World::new(1, &[("attention", MODEL)]);
    let record = world.race(spec(&["attention"])).unwrap();
    assert!(record.lanes[0].points.iter().all(|point| point.decoding.is_none()));
    assert!(world.0.borrow().calls.iter().all(|call| call.kind != Kind::Prefill));
}
