//! The engine's claims about simulated races with known truth: how often it names a winner where there is none, how
//! often its intervals contain the truth, and how often it finds a difference. 200 seeded races for each design.

use race::{CrossoverKind, Estimate, Record, Verdict};

use crate::world::{Call, Kind, MODEL, Model, Stage, World, spec};

const RACES: u64 = 200;
/// Relative spread of samples and relative spread between set-ups.
const DESIGNS: [(f64, f64); 9] = [
    (0.005, 0.0),
    (0.005, 0.01),
    (0.005, 0.03),
    (0.02, 0.0),
    (0.02, 0.01),
    (0.02, 0.03),
    (0.05, 0.0),
    (0.05, 0.01),
    (0.05, 0.03),
];

/// Number of occurrences, and of trials.
#[derive(Debug, Default, Clone, Copy)]
struct Rate {
    hits: usize,
    of: usize,
}

impl Rate {
    fn count(&mut self, hit: bool) {
        self.hits += usize::from(hit);
        self.of += 1;
    }

    fn percent(self) -> f64 {
        100.0 * self.hits as f64 / self.of.max(1) as f64
    }
}

fn holds(estimate: Estimate, truth: f64) -> bool {
    (estimate.low..=estimate.high).contains(&truth)
}

/// Races of the models at some lengths, one per seed.
fn races(
    models: &[(&'static str, Model)],
    lengths: &[usize],
    world: impl Fn(World) -> World,
    mut each: impl FnMut(&Record),
) {
    let names: Vec<&str> = models.iter().map(|(name, _)| *name).collect();
    for seed in 0..RACES {
        let mut spec = spec(&names);
        spec.seed = seed;
        spec.lengths = lengths.to_vec();
        each(&world(World::new(seed * 31 + 1, models)).race(spec).unwrap());
    }
}

mod close_lanes {
    use super::*;

    fn base(n: f64) -> f64 {
        0.25 * n * n + 1e4
    }

    type Law = fn(f64) -> f64;

    /// Challengers of attention with their true time relative to attention's.
    const CHALLENGERS: [(&str, Law, f64); 4] = [
        ("hyena", base, 1.0),
        ("bigs", |n| 1.01 * base(n), 1.01),
        ("mega", |n| 0.97 * base(n), 0.97),
        ("ltc", |n| base(n) / 1.1, 1.0 / 1.1),
    ];

    #[derive(Debug, Default)]
    struct Rates {
        /// Points of identical lanes with a named winner.
        identical: Rate,
        /// Points at which the slower lane is called faster.
        reversed: Rate,
        /// Intervals of speed-ups that contain the truth.
        covered: Rate,
        /// Intervals of times that contain the truth.
        timed: Rate,
        /// Races in which the lane that is 10% faster is found faster at the longest length.
        found: Rate,
        /// Races of identical lanes with a crossover of any kind.
        crossover: Rate,
        /// Races in which a lane that is slower throughout overtakes attention.
        overtaken: Rate,
    }

    fn rates((noise, scatter): (f64, f64), world: fn(World) -> World) -> Rates {
        let model = Model { noise, scatter, ..MODEL };
        let mut models = vec![("attention", Model { time: base, ..model.clone() })];
        models.extend(CHALLENGERS.map(|(name, time, _)| (name, Model { time, ..model.clone() })));
        let mut rates = Rates::default();
        races(&models, &[256, 1024, 4096], world, |record| {
            for (lane, (_, _, truth)) in record.lanes.iter().skip(1).zip(CHALLENGERS) {
                for point in &lane.points {
                    let versus = point.versus.unwrap();
                    rates.covered.count(holds(versus.speedup, 1.0 / truth));
                    let (low, high) = point.interval_ns.unwrap();
                    rates.timed.count((low..=high).contains(&(truth * base(point.seq_len as f64))));
                    match versus.verdict {
                        verdict if truth == 1.0 => rates.identical.count(verdict != Verdict::Undecided),
                        Verdict::Ahead => rates.reversed.count(truth > 1.0),
                        Verdict::Behind => rates.reversed.count(truth < 1.0),
                        Verdict::Undecided => rates.reversed.count(false),
                    }
                }
            }
            let last = record.lanes[4].points.last().unwrap().versus.unwrap();
            rates.found.count(last.verdict == Verdict::Ahead);
            let claims = |index: usize| {
                !matches!(record.crossovers[index].kind, CrossoverKind::Undecided | CrossoverKind::None)
            };
            rates.crossover.count(claims(0) || record.crossovers[0].kind == CrossoverKind::None);
            rates.overtaken.count(claims(1));
        });
        rates
    }

    fn assert_honest(design: (f64, f64), rates: &Rates) {
        let about = format!("noise and scatter {design:?}: {rates:?}");
        println!(
            "{design:?}: winner of identical lanes {:.1}%, reversed {:.1}%, covered {:.1}%, times covered {:.1}%, 10% found {:.1}%, crossover of \
             identical lanes {:.1}%, overtaken by a slower lane {:.1}%",
            rates.identical.percent(),
            rates.reversed.percent(),
            rates.covered.percent(),
            rates.timed.percent(),
            rates.found.percent(),
            rates.crossover.percent(),
            rates.overtaken.percent()
        );
        assert!(rates.identical.percent() <= 7.0, "{about}");
        assert!(rates.reversed.percent() <= 1.0, "{about}");
        assert!(rates.crossover.percent() <= 7.0 && rates.overtaken.percent() <= 7.0, "{about}");
        assert!(rates.found.percent() >= 95.0, "{about}");
    }

    fn assert_covers(design: (f64, f64), rates: &Rates) {
        assert!((92.0..=98.0).contains(&rates.covered.percent()), "{design:?}: {rates:?}");
        assert!((92.0..=99.0).contains(&rates.timed.percent()), "{design:?}: {rates:?}");
    }

    #[test]
    fn quiet_machines_name_no_false_winner_and_find_a_tenth() {
        for design in &DESIGNS[..3] {
            let rates = rates(*design, |world| world);
            assert_honest(*design, &rates);
            assert_covers(*design, &rates);
        }
    }

    #[test]
    fn ordinary_machines_name_no_false_winner_and_find_a_tenth() {
        for design in &DESIGNS[3..6] {
            let rates = rates(*design, |world| world);
            assert_honest(*design, &rates);
            assert_covers(*design, &rates);
        }
    }

    #[test]
    fn noisy_machines_name_no_false_winner_and_find_a_tenth() {
        for design in &DESIGNS[6..] {
            let rates = rates(*design, |world| world);
            assert_honest(*design, &rates);
            assert_covers(*design, &rates);
        }
    }

    /// Readers look for the first challenger that overtakes. Of many identical ones, none may.
    #[test]
    fn many_identical_challengers_are_all_undecided() {
        let names = ["hyena", "bigs", "mega", "ltc", "cfc", "linformer", "longformer", "bigbird"];
        let model = Model { noise: 0.02, scatter: 0.01, time: base, ..MODEL };
        let mut models = vec![("attention", model.clone())];
        models.extend(names.map(|name| (name, model.clone())));
        let mut claimed = Rate::default();
        races(
            &models,
            &[256, 1024],
            |world| world,
            |record| {
                let undecided =
                    record.crossovers.iter().all(|crossover| crossover.kind == CrossoverKind::Undecided);
                claimed.count(!undecided);
            },
        );
        println!("eight identical challengers: a crossover in {:.1}% of races", claimed.percent());
        assert!(claimed.percent() <= 7.0, "{claimed:?}");
    }

    /// After each check, a large part of the minute passes.
    fn short_of_time(world: World) -> World {
        world.script(|call: &Call, stage: &mut Stage| {
            if call.kind == Kind::Check {
                stage.time_ns += 2.5e10;
            }
            Ok(())
        })
    }

    /// Without time for a second set-up, the prior scatter is used: intervals are wide, and verdicts remain valid.
    #[test]
    fn lanes_that_are_set_up_once_name_no_false_winner() {
        let slow_set_ups = |model: Model| Model { setup_ns: 3e9, ..model };
        let model = Model { noise: 0.02, scatter: 0.02, time: base, ..MODEL };
        let models = [("attention", slow_set_ups(model.clone())), ("hyena", slow_set_ups(model))];
        let (mut winners, mut covered) = (Rate::default(), Rate::default());
        races(&models, &[256], short_of_time, |record| {
            for point in &record.lanes[1].points {
                assert_eq!(point.set_ups.len(), 1, "{point:?}");
                let versus = point.versus.unwrap();
                winners.count(versus.verdict != Verdict::Undecided);
                covered.count(holds(versus.speedup, 1.0));
            }
        });
        println!("one set-up: winner {:.1}%, covered {:.1}%", winners.percent(), covered.percent());
        assert!(winners.percent() <= 7.0 && covered.percent() >= 92.0, "{winners:?} {covered:?}");
    }

    /// Every twentieth run takes three times as long.
    fn with_outliers(world: World) -> World {
        let mut runs = 0_u64;
        world.script(move |call: &Call, stage: &mut Stage| {
            runs += u64::from(matches!(call.kind, Kind::Run { .. }));
            let is_outlier = runs.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 < (1 << 32) / 20;
            stage.throttle = if is_outlier { 3.0 } else { 1.0 };
            Ok(())
        })
    }

    /// The machine gets slower by 30% over some seconds.
    fn with_drift(world: World) -> World {
        world.script(|_: &Call, stage: &mut Stage| {
            stage.throttle = 1.0 + 0.3 * ((stage.time_ns - 5e9) / 3e9).clamp(0.0, 1.0);
            Ok(())
        })
    }

    #[test]
    fn outliers_and_drift_make_no_winner() {
        for world in [with_outliers as fn(World) -> World, with_drift] {
            let rates = rates((0.02, 0.01), world);
            assert_honest((0.02, 0.01), &rates);
            assert!(rates.covered.percent() >= 92.0, "{rates:?}");
        }
    }
}

mod crossing_lanes {
    use super::*;

    /// The intersection of two times, by bisection.
    fn meeting(challenger: fn(f64) -> f64, baseline: fn(f64) -> f64) -> f64 {
        let (mut low, mut high) = (16.0_f64, 16_777_216.0_f64);
        for _ in 0..80 {
            let middle = (low * high).sqrt();
            if challenger(middle) > baseline(middle) { low = middle } else { high = middle }
        }
        low
    }

    /// 95% intervals contain the truth in 92 to 98% of races, up to the sampling error of 200 races.
    fn is_honest(covered: Rate) -> bool {
        (91.0..=99.0).contains(&covered.percent())
    }

    #[derive(Debug, Default)]
    struct Found {
        /// Races with the requested kind of crossover.
        of_kind: Rate,
        /// Intervals of these races that contain the truth.
        covered: Rate,
        /// log₂ of estimate over truth.
        errors: Vec<f64>,
    }

    impl Found {
        fn median_factor(&mut self) -> f64 {
            self.errors.sort_unstable_by(f64::total_cmp);
            self.errors[self.errors.len() / 2].exp2()
        }
    }

    fn find(
        (noise, scatter): (f64, f64),
        laws: [fn(f64) -> f64; 2],
        lengths: &[usize],
        kind: CrossoverKind,
    ) -> Found {
        let model = Model { noise, scatter, ..MODEL };
        let [challenger, baseline] = laws;
        let models = [
            ("attention", Model { time: baseline, ..model.clone() }),
            ("hyena", Model { time: challenger, ..model.clone() }),
        ];
        let truth = meeting(challenger, baseline);
        let mut found = Found::default();
        races(
            &models,
            lengths,
            |world| world,
            |record| {
                let crossover = &record.crossovers[0];
                found.of_kind.count(crossover.kind == kind);
                if let Some(length) = crossover.length.filter(|_| crossover.kind == kind) {
                    found.covered.count(holds(length, truth));
                    found.errors.push((length.value / truth).log2());
                }
            },
        );
        println!(
            "{noise} {scatter} {kind:?}: found {:.1}%, covered {:.1}%, median factor {:.3}",
            found.of_kind.percent(),
            found.covered.percent(),
            if found.errors.is_empty() { f64::NAN } else { found.median_factor() }
        );
        found
    }

    fn quadratic(n: f64) -> f64 {
        0.25 * n * n
    }

    fn quasilinear(n: f64) -> f64 {
        60.0 * n * n.log2()
    }

    #[test]
    fn a_measured_crossover_of_power_laws_lies_in_its_interval() {
        let lengths: Vec<usize> = (8..=14).map(|log2| 1 << log2).collect();
        for design in [DESIGNS[0], DESIGNS[4], DESIGNS[8]] {
            let found = find(design, [quasilinear, quadratic], &lengths, CrossoverKind::Measured);
            assert!(found.of_kind.percent() >= 95.0, "{design:?}: {found:?}");
            assert!(is_honest(found.covered), "{design:?}: {found:?}");
        }
    }

    fn attention_layer(n: f64) -> f64 {
        0.25 * n * n + 300.0 * n
    }

    fn challenger_layer(n: f64) -> f64 {
        90.0 * n * n.log2() + 20_000.0
    }

    #[test]
    fn a_predicted_crossover_of_layers_lies_in_its_interval() {
        for longest in [10, 11] {
            let lengths: Vec<usize> = (7..=longest).map(|log2| 1 << log2).collect();
            for design in [(0.01, 0.0), (0.01, 0.01), DESIGNS[5]] {
                let mut found =
                    find(design, [challenger_layer, attention_layer], &lengths, CrossoverKind::Predicted);
                assert!(found.of_kind.percent() >= 95.0, "{design:?}: {found:?}");
                // Here the law is the closed form alone, at the border of the model's parameter range, where replicates
                // spread more than the estimates on noisy machines.
                assert!(found.covered.percent() >= 91.0, "{design:?}: {found:?}");
                assert!((0.8..1.25).contains(&found.median_factor()), "{design:?}: {found:?}");
            }
        }
    }
}
