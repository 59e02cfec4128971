//! Faults of lanes: each fault ends the affected lanes and nothing else.

use mixer::{Backend, Explain, LaneError, LaneSpec, MixerError, Problem};
use race::{Dnf, Outcome, RaceSpec, Status};

use crate::world::{Kind, MODEL, Model, World, dnf, lane, measured, spec};

/// Two lanes on each backend.
fn mixed() -> RaceSpec {
    let mut spec = spec(&["attention", "hyena"]);
    spec.lanes.push(lane("attention", Backend::WebGpu));
    spec.lanes.push(lane("hyena", Backend::WebGpu));
    spec
}

#[test]
fn fault_06_a_refused_allocation_ends_only_its_lane() {
    let models = [("attention-naive", Model { bytes: |n| 4 * (n * n) as u64, ..MODEL })];
    let world = World::new(1, &models).limit(100 << 20);
    let record = world.race(spec(&["attention", "attention-naive"])).unwrap();
    assert_eq!(record.status, Status::Done);
    assert_eq!(measured(&record, 0).len(), 7);
    // 4·4096² = 64 MiB fits, 4·8192² = 256 MiB does not.
    assert_eq!(measured(&record, 1).len(), 5);
    for seq_len in [8192, 16_384] {
        let wall = Dnf::Memory { needed_bytes: 4 * seq_len * seq_len, limit_bytes: 100 << 20 };
        assert_eq!(dnf(&record, 1, seq_len as usize), wall);
        let point = record.lanes[1].points.last().unwrap();
        assert!(point.predicted_ns.is_some_and(|ns| (ns / (1000.0 * 16_384.0) - 1.0).abs() < 0.2));
    }
    assert!(world.calls().iter().all(|call| call.seq_len <= 8192 || call.system == "attention"));
    assert_eq!(world.0.borrow().used_bytes, 0);
}

#[test]
fn fault_06_large_buffers_and_low_limits_have_different_outcomes() {
    let needs_buffer =
        MixerError::NeedsBuffer { label: "scores".to_owned(), needed_bytes: 1 << 28, limit_bytes: 1 << 27 };
    let needs_limit = MixerError::NeedsLimit { limit: "maxBufferSize".to_owned(), needed: 2, available: 1 };
    let unsupported = MixerError::Unsupported { system: "hyena".to_owned(), what: "this".to_owned() };
    let no_backend = LaneError::NoBackend { backend: "webgpu", reason: "no adapter".into() };
    let device = LaneError::Device { what: "shader".to_owned(), message: "line 3".to_owned() };
    let cases: [(LaneError, Dnf); 6] = [
        (needs_buffer.into(), Dnf::Memory { needed_bytes: 1 << 28, limit_bytes: 1 << 27 }),
        (needs_limit.clone().into(), Dnf::DeviceLimit { message: needs_limit.said() }),
        (unsupported.clone().into(), Dnf::Unsupported { message: unsupported.said() }),
        (no_backend, Dnf::NoBackend { message: "no adapter".into() }),
        (device.clone(), Dnf::Failed { code: "device-error".to_owned(), message: device.said() }),
        (
            LaneError::NotFinite { index: 3, value: f32::NAN },
            Dnf::Failed {
                code: "not-finite".to_owned(),
                message: LaneError::NotFinite { index: 3, value: f32::NAN }.said(),
            },
        ),
    ];
    for (error, expected) in cases {
        for at in [Kind::Verify, Kind::Prepare, Kind::Run { repeats: 1 }, Kind::Check] {
            let error = error.clone();
            let world = World::new(1, &[]).script(move |call, _| {
                let same = std::mem::discriminant(&call.kind) == std::mem::discriminant(&at);
                if same && call.system == "hyena" { Err(error.clone()) } else { Ok(()) }
            });
            let record = world.race(spec(&["attention", "hyena"])).unwrap();
            assert_eq!(record.status, Status::Done);
            assert_eq!(measured(&record, 0).len(), 7, "{at:?}");
            assert_eq!(record.lanes[1].points.len(), 7, "{at:?}");
            for &seq_len in &record.spec.lengths {
                assert_eq!(dnf(&record, 1, seq_len), expected, "{at:?}");
            }
        }
    }
}

#[test]
fn fault_06_lanes_that_do_not_fit_together_race_in_turn() {
    for declares_bytes in [true, false] {
        let model = Model { bytes: |_| 60, declares_bytes, ..MODEL };
        let models = [("attention", model.clone()), ("hyena", model)];
        let world = World::new(1, &models).limit(100);
        let record = world.race(spec(&["attention", "hyena"])).unwrap();
        assert_eq!((measured(&record, 0).len(), measured(&record, 1).len()), (7, 7));
        assert_eq!(world.0.borrow().most_used_bytes, 60);
    }
}

#[test]
fn fault_08_a_lost_device_ends_only_its_lanes() {
    for at in [Kind::Verify, Kind::Prepare, Kind::Run { repeats: 1 }, Kind::Check] {
        for lost_at_len in [256, 1024, 16_384] {
            if at == Kind::Verify && lost_at_len > 256 {
                continue;
            }
            let mut lost = false;
            let world = World::new(1, &[]).script(move |call, _| {
                assert!(!(lost && call.backend == Backend::WebGpu), "used a lost device: {call:?}");
                let here = std::mem::discriminant(&call.kind) == std::mem::discriminant(&at)
                    && (call.seq_len == lost_at_len || at == Kind::Verify)
                    && call.backend == Backend::WebGpu;
                lost |= here;
                if here { Err(LaneError::DeviceLost { reason: "destroyed".to_owned() }) } else { Ok(()) }
            });
            let record = world.race(mixed()).unwrap();
            assert_eq!(record.status, Status::Done);
            for cpu in [0, 1] {
                assert_eq!(measured(&record, cpu).len(), 7);
            }
            for gpu in [2, 3] {
                let points = &record.lanes[gpu].points;
                assert_eq!(points.len(), 7);
                for point in points {
                    let lost = Outcome::Dnf(Dnf::DeviceLost { message: "destroyed".into() });
                    match point.seq_len {
                        len if len < lost_at_len => assert_eq!(point.outcome, Outcome::Ok),
                        len if len > lost_at_len => assert_eq!(point.outcome, lost),
                        _ => assert!(point.outcome == lost || point.verified.is_some()),
                    }
                }
            }
        }
    }
}

#[test]
fn fault_11_a_lane_that_fails_verification_is_never_timed() {
    let models = [("hyena", Model { passes: false, ..MODEL })];
    let world = World::new(1, &models);
    let record = world.race(spec(&["attention", "hyena"])).unwrap();
    assert!(world.calls().iter().all(|call| call.system != "hyena" || call.kind == Kind::Verify));
    assert!(record.lanes[1].verification.is_some_and(|verification| !verification.deviation.pass));
    for &seq_len in &record.spec.lengths {
        assert_eq!(dnf(&record, 1, seq_len), Dnf::NotVerified);
    }
    assert!(
        record.lanes[1].points.iter().all(|point| point.median_ns == 0.0 && point.predicted_ns.is_none())
    );
    assert_eq!(measured(&record, 0).len(), 7);
    assert!(record.crossovers.iter().all(|crossover| crossover.length.is_none()));
}

#[test]
fn fault_11_a_wrong_timed_output_ends_the_lane_without_a_time() {
    let models = [("hyena", Model { checks: |n| n < 1000.0, ..MODEL })];
    let record = World::new(1, &models).race(spec(&["attention", "hyena"])).unwrap();
    assert_eq!(measured(&record, 1).len(), 2);
    let wrong = &record.lanes[1].points[2];
    assert_eq!(wrong.outcome, Outcome::Dnf(Dnf::NotVerified));
    assert!(wrong.samples_ns.is_empty() && wrong.median_ns == 0.0);
    assert!(wrong.verified.is_some_and(|verification| !verification.deviation.pass));
    assert_eq!(measured(&record, 0).len(), 7);
}

/// Only the output of the last run is compared, so all earlier outputs must equal it.
#[test]
fn fault_09_skipped_work_and_changed_outputs_give_no_sample() {
    type Is = fn(usize) -> bool;
    let lazy: [Is; 3] = [|run| run == 0, |run| run < 5, |run| run != 4];
    for computes in lazy {
        let models = [("hyena", Model { computes, ..MODEL })];
        let record = World::new(1, &models).race(spec(&["attention", "hyena"])).unwrap();
        assert!(matches!(dnf(&record, 1, 256), Dnf::Failed { code, .. } if code == "not-finite"));
        assert!(record.lanes[1].points.iter().all(|point| point.samples_ns.is_empty()));
        assert_eq!(measured(&record, 0).len(), 7);
    }
    let output = |run: usize| if run == 4 { 1.0 + f64::EPSILON } else { 1.0 };
    let models = [("hyena", Model { output, ..MODEL })];
    let record = World::new(1, &models).race(spec(&["attention", "hyena"])).unwrap();
    assert!(matches!(dnf(&record, 1, 256), Dnf::Failed { code, .. } if code == "not-repeatable"));
    assert!(record.lanes[1].points.iter().all(|point| point.samples_ns.is_empty()));
    assert_eq!(measured(&record, 0).len(), 7);
}

#[test]
fn fault_13_a_sweep_stops_before_a_length_that_would_not_fit() {
    let models = [("attention-naive", Model { time: |n| n * n * n / 4.0, ..MODEL })];
    let world = World::new(1, &models);
    // 2048³/4 ns = 2.1 s, 4096³/4 = 17 s, 8192³/4 = 137 s.
    let record = world.race(spec(&["attention", "attention-naive"])).unwrap();
    for seq_len in [8192, 16_384] {
        assert!(matches!(dnf(&record, 1, seq_len), Dnf::TimeBudget { needed_ns: Some(ns) } if ns > 1e10));
        let point = record.lanes[1].points.iter().find(|point| point.seq_len == seq_len).unwrap();
        let truth = (seq_len as f64).powi(3) / 4.0;
        assert!(point.predicted_ns.is_some_and(|ns| (ns / truth - 1.0).abs() < 0.2), "{point:?}");
        assert!(point.samples_ns.is_empty());
    }
    assert!(world.calls().iter().all(|call| call.seq_len < 8192 || call.system == "attention"));
    assert_eq!(measured(&record, 0).len(), 7);
    assert!(measured(&record, 1).len() >= 4);
}

#[test]
fn a_system_may_refuse_one_length_and_race_at_the_next() {
    let world = World::new(1, &[]);
    let costs = |lane: &mixer::LaneSpec, problem: &mixer::Problem| {
        if lane.system == "hyena" && problem.seq_len < 1000 {
            return Err(MixerError::Unsupported {
                system: "hyena".to_owned(),
                what: "short inputs".to_owned(),
            });
        }
        Ok(world.cost(lane, problem))
    };
    let spec = spec(&["attention", "hyena"]);
    let record = pollster::block_on(race::run(spec, &costs, &mut world.clone(), &world, &world)).unwrap();
    assert!(matches!(dnf(&record, 1, 512), Dnf::Unsupported { .. }));
    assert_eq!(measured(&record, 1).len(), 5);
}

#[test]
fn a_lane_refusing_the_first_length_races_at_later_ones() {
    let world = World::new(1, &[]);
    let asked = RaceSpec { lengths: vec![4, 64, 128], ..spec(&["attention", "liquid-s4"]) };
    let costs = |lane: &LaneSpec, problem: &Problem| {
        if lane.system == "liquid-s4" && problem.seq_len < 5 {
            return Err(MixerError::invalid("length", "at least 5", problem.seq_len));
        }
        Ok(world.cost(lane, problem))
    };
    let record = pollster::block_on(race::run(asked, &costs, &mut world.clone(), &world, &world)).unwrap();
    let verified: Vec<usize> = world
        .calls()
        .iter()
        .filter(|call| call.kind == Kind::Verify && call.system == "liquid-s4")
        .map(|call| call.seq_len)
        .collect();
    assert_eq!(verified, [64]);
    assert_eq!(measured(&record, 1).iter().map(|point| point.seq_len).collect::<Vec<_>>(), [64, 128]);
    assert!(matches!(dnf(&record, 1, 4), Dnf::Failed { code, .. } if code == "invalid-field"));
}
