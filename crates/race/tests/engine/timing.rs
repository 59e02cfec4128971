//! Clocks, timestamps, hidden tabs and drift.

use std::cell::Cell;
use std::rc::Rc;

use race::{Outcome, Point, RaceError, Record, Status, Warning};

use crate::world::{Kind, MODEL, Model, World, dnf, measured, spec};

fn discarded(record: &Record) -> u32 {
    let of = |warning: &Warning| match warning {
        Warning::Discarded { samples } => Some(*samples),
        _ => None,
    };
    record.warnings.iter().find_map(of).unwrap_or(0)
}

/// Every median within 2% of 1000 ns per token.
fn assert_times_are_true(record: &Record) {
    for (lane, _) in record.lanes.iter().enumerate() {
        let points = measured(record, lane);
        assert_eq!(points.len(), 7);
        for point in points {
            let truth = 1000.0 * point.seq_len as f64;
            assert!((point.median_ns / truth - 1.0).abs() < 0.02, "{point:?}");
        }
    }
}

#[test]
fn fault_12_device_timestamps_are_kept_where_they_make_sense() {
    type Device = fn(f64) -> Option<f64>;
    let cases: [(Device, bool); 8] = [
        (|_| None, false),
        (|ns| Some(0.9 * ns), true),
        (|ns| Some((0.9 * ns / 1e5).round() * 1e5), true),
        (|_| Some(0.0), false),
        (|ns| Some(-ns), false),
        (|ns| Some(3.0 * ns), false),
        (|_| Some(f64::NAN), false),
        (|_| Some(f64::INFINITY), false),
    ];
    for (case, (device, kept)) in cases.into_iter().enumerate() {
        let models = [("attention", Model { device, ..MODEL })];
        let record = World::new(1, &models).race(spec(&["attention"])).unwrap();
        assert_times_are_true(&record);
        for point in measured(&record, 0) {
            assert_eq!(point.device_ns.is_some(), kept, "case {case}");
            if let Some(device_ns) = point.device_ns {
                assert!((device_ns / (0.9 * point.median_ns) - 1.0).abs() < 0.05, "case {case}: {point:?}");
            }
        }
    }
}

#[test]
fn fault_12_a_missing_timestamp_leaves_all_others_valid() {
    thread_local!(static TURN: Cell<u32> = const { Cell::new(0) });
    let device = |ns: f64| {
        TURN.set(TURN.get() + 1);
        (!TURN.get().is_multiple_of(4)).then_some(0.5 * ns)
    };
    let models = [("attention", Model { device, ..MODEL })];
    let record = World::new(1, &models).race(spec(&["attention"])).unwrap();
    let point = &record.lanes[0].points[6];
    assert!((point.device_ns.unwrap() / (0.5 * point.median_ns) - 1.0).abs() < 0.05);
}

#[test]
fn fault_15_a_sample_in_a_hidden_tab_is_retaken() {
    // Hidden and shown again within a sample, which took seconds longer.
    let mut runs = 0;
    let world = World::new(1, &[]).script(move |call, stage| {
        if matches!(call.kind, Kind::Run { .. }) {
            runs += 1;
            if runs % 10 == 0 {
                stage.hide();
                stage.time_ns += 3e9;
                stage.show();
            }
        }
        Ok(())
    });
    let record = world.race(spec(&["attention", "hyena"])).unwrap();
    assert_eq!(record.status, Status::Done);
    assert_times_are_true(&record);
    assert!(discarded(&record) > 5);
    let counted: u32 = record.lanes.iter().flat_map(|lane| &lane.points).map(|point| point.discarded).sum();
    assert!(counted > 0 && counted <= discarded(&record));
    assert!(record.lanes.iter().flat_map(|lane| &lane.points).all(|point| point.samples_ns.len() >= 5));
}

#[test]
fn fault_15_a_tab_hidden_during_a_kernel_is_noticed_afterwards() {
    // A kernel on the CPU blocks the worker's event loop, so the page's message arrives at the next turn.
    let mut runs = 0;
    let mut pending = false;
    let world = World::new(1, &[]).script(move |call, stage| {
        if matches!(call.kind, Kind::Run { .. }) {
            runs += 1;
            pending = runs % 10 == 0;
        } else if call.kind == Kind::Breathe && std::mem::take(&mut pending) {
            stage.hide();
            stage.show();
        }
        Ok(())
    });
    let record = world.race(spec(&["attention", "hyena"])).unwrap();
    assert_eq!(record.status, Status::Done);
    assert_times_are_true(&record);
    assert!(discarded(&record) > 5);
}

#[test]
fn fault_15_a_hidden_tab_pauses_the_race() {
    // Hidden for ten minutes at the start, between samples, while preparing and while verifying.
    for at in [Kind::Breathe, Kind::Prepare, Kind::Run { repeats: 1 }, Kind::Check, Kind::Verify] {
        let hidden_until = Rc::new(Cell::new(f64::NAN));
        let until = hidden_until.clone();
        let mut seen = 0;
        let world = World::new(1, &[]).script(move |call, stage| {
            if std::mem::discriminant(&call.kind) == std::mem::discriminant(&at) && !stage.hidden {
                seen += 1;
                if seen == 2 {
                    stage.hide();
                    until.set(stage.time_ns + 600e9);
                }
            }
            if stage.hidden {
                assert!(call.kind == Kind::Breathe || call.kind == at, "worked while hidden: {call:?}");
                if stage.time_ns > until.get() {
                    stage.show();
                }
            }
            Ok(())
        });
        let started_ns = world.time_ns();
        let record = world.race(spec(&["attention", "hyena"])).unwrap();
        // Ten minutes of waiting are not charged to a budget of one minute.
        assert!(world.time_ns() - started_ns > 600e9, "{at:?}");
        assert_times_are_true(&record);
    }
}

#[test]
fn fault_15_a_paused_race_can_be_cancelled() {
    let world = World::new(1, &[]).script(|call, stage| {
        assert_eq!(call.kind, Kind::Breathe, "worked while hidden");
        stage.hidden = true;
        stage.cancelled = call.index > 5000;
        Ok(())
    });
    world.0.borrow_mut().stage.hide();
    let record = world.race(spec(&["attention"])).unwrap();
    assert_eq!(record.status, Status::Cancelled);
    assert!(record.lanes[0].points.iter().all(|point| point.samples_ns.is_empty()));
}

#[test]
fn fault_15_a_clock_jump_within_a_sample_is_discarded_and_not_charged() {
    // The machine sleeps for an hour, and only the clock shows it.
    for at_run in [1, 2, 3, 20, 60, 100] {
        let mut runs = 0;
        let world = World::new(1, &[]).script(move |call, stage| {
            if matches!(call.kind, Kind::Run { .. }) {
                runs += 1;
                if runs == at_run {
                    stage.time_ns += 3600e9;
                }
            }
            Ok(())
        });
        let record = world.race(spec(&["attention", "hyena"])).unwrap();
        if at_run > 3 {
            assert_times_are_true(&record);
            assert!(discarded(&record) == 1, "run {at_run}: {}", discarded(&record));
        }
        assert_eq!(record.status, Status::Done);
    }
}

#[test]
fn fault_15_a_clock_jump_between_samples_is_not_charged() {
    let mut breaths = 0;
    let world = World::new(1, &[]).script(move |call, stage| {
        breaths += usize::from(call.kind == Kind::Breathe);
        if breaths == 40 {
            breaths += 1;
            stage.time_ns += 3600e9;
        }
        Ok(())
    });
    assert_times_are_true(&world.race(spec(&["attention", "hyena"])).unwrap());
}

#[test]
fn a_slow_sample_counts_after_a_second_one() {
    // From 4096 on each run takes ten seconds longer than any prediction.
    let models =
        [("attention", Model { time: |n| if n >= 4096.0 { 1e10 + n } else { 1000.0 * n }, ..MODEL })];
    let world = World::new(1, &models);
    let costs = |_: &mixer::LaneSpec, problem: &mixer::Problem| {
        Ok(mixer::Cost { flops: problem.seq_len as u64, ..mixer::Cost::default() })
    };
    let mut spec = spec(&["attention"]);
    spec.lengths.truncate(5);
    spec.budget_ns = 200_000_000_000;
    let started_ns = world.time_ns();
    let record = pollster::block_on(race::run(spec, &costs, &mut world.clone(), &world, &world)).unwrap();
    let last = measured(&record, 0)[4];
    assert!((last.median_ns / 1e10 - 1.0).abs() < 0.05, "{last:?}");
    assert!(world.time_ns() - started_ns <= 200e9);
}

#[test]
fn fault_19_a_sample_lasts_twenty_ticks_whatever_the_tick() {
    for tick_ns in [1.0, 5e3, 1e5, 1e6, 1e8] {
        let record = World::new(1, &[]).tick(tick_ns).race(spec(&["attention", "hyena"])).unwrap();
        assert!((record.tick_ns / tick_ns.max(40.0) - 1.0).abs() < 0.05, "{tick_ns}: {}", record.tick_ns);
        let coarse = record.warnings.iter().any(|warning| matches!(warning, Warning::CoarseClock { .. }));
        assert_eq!(coarse, tick_ns > 1e5);
        for lane in [0, 1] {
            for point in measured(&record, lane) {
                let truth = 1000.0 * point.seq_len as f64;
                assert!((point.median_ns / truth - 1.0).abs() < 0.05, "{point:?}");
                for sample in &point.samples_ns {
                    assert!(sample * f64::from(point.repeats) >= 18.0 * tick_ns, "{tick_ns}: {point:?}");
                }
            }
            assert!(measured(&record, lane).len() >= if tick_ns > 1e7 { 1 } else { 7 });
        }
    }
}

#[test]
fn fault_19_samples_too_short_for_the_clock_are_retaken() {
    // Four times as fast from the fifth run on, after the warm-up has agreed.
    let mut runs = 0;
    let world = World::new(1, &[]).tick(1e5).script(move |call, stage| {
        match call.kind {
            Kind::Prepare => runs = 0,
            Kind::Run { .. } => runs += 1,
            _ => {}
        }
        stage.throttle = if runs < 5 { 4.0 } else { 1.0 };
        Ok(())
    });
    let record = world.race(spec(&["attention"])).unwrap();
    for point in measured(&record, 0) {
        for sample in &point.samples_ns {
            assert!(sample * f64::from(point.repeats) >= 18.0 * 1e5, "{point:?}");
        }
        assert!((point.median_ns / (1000.0 * point.seq_len as f64) - 1.0).abs() < 0.05, "{point:?}");
    }
}

#[test]
fn fault_19_a_clock_that_never_advances_is_an_error_not_a_win() {
    let error = World::new(1, &[]).tick(f64::INFINITY).race(spec(&["attention"])).unwrap_err();
    assert!(matches!(error, RaceError::ClockStopped { reads } if reads > 1000), "{error}");
    assert_eq!(error.code(), "clock-stopped");
}

#[test]
fn fault_19_no_pass_is_ever_recorded_as_taking_no_time() {
    // Passes of 10 ns with a clock step of 1 ms.
    let models = [("attention", Model { time: |_| 10.0, ..MODEL })];
    let record = World::new(1, &models).tick(1e6).race(spec(&["attention"])).unwrap();
    for point in &record.lanes[0].points {
        match &point.outcome {
            Outcome::Ok => assert!((point.median_ns / 10.0 - 1.0).abs() < 0.1, "{point:?}"),
            Outcome::Dnf(_) => assert!(point.samples_ns.is_empty()),
        }
        assert!(point.samples_ns.iter().all(|&ns| ns > 0.0));
    }
    // Passes that take no time at all.
    let models = [("attention", Model { time: |_| 0.0, ..MODEL })];
    let record = World::new(1, &models).tick(1e6).race(spec(&["attention"])).unwrap();
    assert!(measured(&record, 0).is_empty());
    assert!(matches!(dnf(&record, 0, 256), race::Dnf::Failed { code, .. } if code == "clock-too-coarse"));
}

/// A lane that becomes faster whenever its samples have become long enough.
#[test]
fn fault_19_samples_of_too_few_clock_steps_are_dropped() {
    let tick_ns = 1e5;
    for faster in [0.7, 0.1, 0.01] {
        let mut warm_runs = 0;
        let world = World::new(1, &[]).tick(tick_ns).script(move |call, stage| {
            if let Kind::Run { repeats } = call.kind {
                let run_ns = 1000.0 * call.seq_len as f64;
                // Six times in a row it becomes faster by more than longer samples compensate.
                warm_runs += u32::from(f64::from(repeats) * run_ns * stage.throttle > 20.0 * tick_ns);
                if warm_runs > 3 && warm_runs < 10 {
                    stage.throttle *= faster;
                }
            }
            Ok(())
        });
        let record = world.race(spec(&["attention"])).unwrap();
        for point in &record.lanes[0].points {
            let shortest_ns = 0.85 * 20.0 * tick_ns / f64::from(point.repeats.max(1));
            assert!(point.samples_ns.iter().all(|&ns| ns >= shortest_ns), "{faster}: {point:?}");
        }
    }
}

#[test]
fn fault_20_only_drift_beyond_the_noise_is_flagged() {
    for (throttle, flagged) in [(1.0, false), (1.05, false), (1.5, true), (0.6, true)] {
        let mut prepared_last = false;
        let world = World::new(1, &[]).script(move |call, stage| {
            prepared_last |= call.kind == Kind::Prepare && call.seq_len == 16_384;
            if prepared_last && call.seq_len == 256 {
                stage.throttle = throttle;
            }
            Ok(())
        });
        let record = world.race(spec(&["attention", "hyena"])).unwrap();
        let drifts: Vec<(usize, f64)> = record
            .warnings
            .iter()
            .filter_map(|warning| match warning {
                Warning::Drift { lane, ratio } => Some((*lane, *ratio)),
                _ => None,
            })
            .collect();
        assert_eq!(drifts.len(), if flagged { 2 } else { 0 }, "{throttle}: {drifts:?}");
        assert!(drifts.iter().all(|(_, ratio)| (ratio / throttle - 1.0).abs() < 0.05), "{drifts:?}");
    }
}

#[test]
fn fault_20_outliers_are_flagged_and_kept() {
    let mut runs = 0;
    let world = World::new(1, &[]).script(move |call, stage| {
        runs += u32::from(matches!(call.kind, Kind::Run { .. }));
        stage.throttle = if runs % 6 == 0 { 3.0 } else { 1.0 };
        Ok(())
    });
    let record = world.race(spec(&["attention", "hyena"])).unwrap();
    assert_times_are_true(&record);
    let flagged: Vec<usize> = record
        .warnings
        .iter()
        .filter_map(|warning| match warning {
            Warning::Outliers { lane, samples, of } => {
                let points = &record.lanes[*lane].points;
                assert_eq!(*samples, points.iter().map(Point::n_outliers).sum::<usize>());
                assert_eq!(*of, points.iter().map(|point| point.samples_ns.len()).sum::<usize>());
                Some(*lane)
            }
            _ => None,
        })
        .collect();
    assert_eq!(flagged, [0, 1]);
    let quiet = World::new(1, &[]).race(spec(&["attention", "hyena"])).unwrap();
    assert!(!quiet.warnings.iter().any(|warning| matches!(warning, Warning::Outliers { .. })));
    let slow = record.lanes.iter().flat_map(|lane| &lane.points);
    let kept = slow.filter(|point| point.samples_ns.iter().any(|&ns| ns > 2.0 * point.median_ns)).count();
    assert!(kept > 0);
    assert_eq!(discarded(&record), 0);
}

#[test]
fn fault_20_a_single_sample_has_no_interval() {
    // 20 s per pass: a minute allows a first run and one sample.
    let models = [("attention", Model { time: |n| 2e10 * (n / 256.0).powi(2), ..MODEL })];
    let mut spec = spec(&["attention"]);
    spec.lengths = vec![256];
    let record = World::new(1, &models).race(spec).unwrap();
    let point = &record.lanes[0].points[0];
    assert_eq!(point.outcome, Outcome::Ok);
    assert_eq!(point.samples_ns.len(), 1);
    assert_eq!(point.interval_ns, None);
    assert!(record.lanes[0].fit.is_none());
}

#[test]
fn fault_20_equal_samples_give_finite_statistics() {
    let models = [("attention", Model { noise: 0.0, ..MODEL }), ("hyena", Model { noise: 0.0, ..MODEL })];
    let record = World::new(1, &models).tick(1e5).race(spec(&["attention", "hyena"])).unwrap();
    let point = &record.lanes[0].points[6];
    assert_eq!(race::stats::mad(&point.samples_ns), Some(0.0));
    assert_eq!((point.q1_ns, point.median_ns), (point.median_ns, point.q3_ns));
    assert_eq!(race::stats::n_outliers(&[point.median_ns; 9]), 0);
    let fit = record.lanes[0].fit.unwrap();
    assert!((fit.exponent.value - 1.0).abs() < 0.01);
    assert!(fit.exponent.low.is_finite() && fit.exponent.high.is_finite());
    let (low, high) = point.interval_ns.unwrap();
    assert!(low <= point.median_ns && point.median_ns <= high);
}
