//! Properties that hold whatever the lanes do: the record is complete, finite, ordered and within its budget.

use std::cell::Cell;

use proptest::prelude::*;
use race::{Outcome, RaceSpec};

use crate::world::{MODEL, Model, World, spec};

thread_local! {
    /// Scale and exponent of both laws below, static because a model's time is a plain function.
    static FIRST: Cell<(f64, f64)> = const { Cell::new((1.0, 1.0)) };
    static SECOND: Cell<(f64, f64)> = const { Cell::new((1.0, 1.0)) };
}

fn first(n: f64) -> f64 {
    FIRST.get().0 * n.powf(FIRST.get().1)
}

fn second(n: f64) -> f64 {
    SECOND.get().0 * n.powf(SECOND.get().1)
}

/// Times of the two lanes are `scale · length ^ exponent` in nanoseconds: scale and exponent of the first, then of the
/// second lane.
type Laws = (f64, f64, f64, f64);

fn check_record(
    laws: Laws,
    lengths: Vec<usize>,
    budget_ms: u64,
    tick_log10: f64,
    noise: f64,
    seed: u64,
) -> Result<(), TestCaseError> {
    FIRST.set((laws.0, laws.1));
    SECOND.set((laws.2, laws.3));
    let models = [
        ("attention", Model { time: first, noise, scatter: noise / 3.0, ..MODEL }),
        ("hyena", Model { time: second, noise, scatter: noise / 3.0, ..MODEL }),
    ];
    let world = World::new(seed, &models).tick(10_f64.powf(tick_log10));
    let spec = RaceSpec { lengths, budget_ns: budget_ms * 1_000_000, seed, ..spec(&["attention", "hyena"]) };
    let started_ns = world.time_ns();
    let record = world.race(spec).unwrap();
    let took_ns = world.time_ns() - started_ns;
    prop_assert!(took_ns <= record.spec.budget_ns as f64, "{took_ns} of {}", record.spec.budget_ns);
    for lane in &record.lanes {
        let lengths: Vec<usize> = lane.points.iter().map(|point| point.seq_len).collect();
        prop_assert_eq!(&lengths, &record.spec.lengths);
        let is_measured = lane.points.iter().any(|point| point.outcome == Outcome::Ok);
        prop_assert!(is_measured || lane.points.iter().all(|point| point.predicted_ns.is_none()));
        for point in &lane.points {
            let numbers =
                [point.q1_ns, point.median_ns, point.q3_ns, point.min_ns, point.setup_ns, point.first_run_ns];
            prop_assert!(numbers.iter().all(|number| number.is_finite() && *number >= 0.0));
            prop_assert!(point.samples_ns.iter().all(|ns| ns.is_finite() && *ns > 0.0));
            prop_assert!(point.predicted_ns.is_none_or(|ns| ns.is_finite() && ns > 0.0));
            if point.outcome == Outcome::Ok {
                prop_assert!(!point.samples_ns.is_empty() && point.verified.is_some());
                prop_assert!(point.min_ns <= point.q1_ns && point.q1_ns <= point.median_ns);
                prop_assert!(point.median_ns <= point.q3_ns && point.predicted_ns.is_none());
            }
        }
        if let Some(fit) = lane.fit {
            prop_assert!(fit.n_points >= 3 && fit.log2_scale.is_finite());
            prop_assert!(fit.exponent.low <= fit.exponent.value && fit.exponent.value <= fit.exponent.high);
            prop_assert!(fit.exponent.low.is_finite() && fit.exponent.high.is_finite());
        }
    }
    for crossover in &record.crossovers {
        if let Some(length) = crossover.length {
            prop_assert!(length.low > 0.0 && length.low <= length.value && length.value <= length.high);
            prop_assert!(length.high.is_finite());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_record_is_complete_and_finite(
        laws in (0.01..1e5_f64, 0.3..2.5_f64, 0.01..1e5_f64, 0.3..2.5_f64),
        lengths in proptest::collection::vec(1_usize..100_000, 1..9),
        budget_ms in 200_u64..100_000,
        tick_log10 in 0.0..6.5_f64,
        noise in 0.0..0.1_f64,
        seed: u64,
    ) {
        check_record(laws, lengths, budget_ms, tick_log10, noise, seed)?;
    }
}

/// More than 2.5% of the replicates of this race never cross, so a predicted crossover would have no upper end.
#[test]
fn a_prediction_needs_an_interval_with_an_upper_end() {
    let laws = (15_448.531_986_513_677, 0.955_376_408_473_148_1, 83_747.401_774_742_66, 0.815_268_346_213_97);
    check_record(
        laws,
        vec![9431, 43615, 317],
        61233,
        0.0,
        0.075_443_351_931_734_72,
        3_028_208_598_292_952_214,
    )
    .unwrap();
}
