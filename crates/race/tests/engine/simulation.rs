//! What the engine claims about simulated races, whose truth is known: how often it names a winner where there is none,
//! how often its intervals hold the truth, and how often it finds a difference.

use mixer::LaneSpec;
use race::{CrossoverKind, Estimate, Record, Verdict};

use crate::world::{MODEL, Model, World, spec};

const RACES: u64 = 200;
const LENGTHS: [usize; 5] = [256, 512, 1024, 2048, 4096];

fn quadratic(n: f64) -> f64 {
    0.25 * n * n + 1e4
}

/// Challengers of attention and their true time relative to its.
const CHALLENGERS: [(&str, fn(f64) -> f64, f64); 4] = [
    ("hyena", quadratic, 1.0),
    ("bigs", |n| 1.01 * quadratic(n), 1.01),
    ("mega", |n| 0.97 * quadratic(n), 0.97),
    ("ltc", |n| quadratic(n) / 1.1, 1.0 / 1.1),
];

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

#[derive(Debug, Default)]
struct Rates {
    false_winner: Rate,
    covered: Rate,
    found_3: Rate,
    found_10: Rate,
    false_crossover: Rate,
    set_ups: f64,
    crossover_10: Rate,
}

fn holds(estimate: Estimate, truth: f64) -> bool {
    (estimate.low..=estimate.high).contains(&truth)
}

fn simulate(noise: f64, scatter: f64, world: fn(World) -> World) -> Rates {
    let mut rates = Rates::default();
    for seed in 0..RACES {
        let model = Model { noise, scatter, ..MODEL };
        let mut models: Vec<(&'static str, Model)> =
            vec![("attention", Model { time: quadratic, ..model.clone() })];
        models.extend(CHALLENGERS.map(|(name, time, _)| (name, Model { time, ..model.clone() })));
        let names: Vec<&str> = models.iter().map(|(name, _)| *name).collect();
        let mut spec = spec(&names);
        spec.seed = seed;
        spec.lengths = LENGTHS.to_vec();
        let record = world(World::new(seed * 31 + 1, &models)).race(spec).unwrap();
        tally(&record, &mut rates);
    }
    rates
}

fn tally(record: &Record, rates: &mut Rates) {
    for (lane, (_, _, truth)) in record.lanes.iter().skip(1).zip(CHALLENGERS) {
        let speedup = 1.0 / truth;
        for point in &lane.points {
            let Some(versus) = point.versus else { continue };
            rates.set_ups += point.set_ups.len() as f64;
            rates.covered.count(holds(versus.speedup, speedup));
            let right = if truth < 1.0 { Verdict::Ahead } else { Verdict::Behind };
            if truth == 1.0 {
                rates.false_winner.count(versus.verdict != Verdict::Undecided);
            } else {
                rates.false_winner.count(versus.verdict != Verdict::Undecided && versus.verdict != right);
            }
        }
        let last = lane.points.last().and_then(|point| point.versus).map(|versus| versus.verdict);
        if truth == 0.97 {
            rates.found_3.count(last == Some(Verdict::Ahead));
        }
        if truth < 0.95 {
            rates.found_10.count(last == Some(Verdict::Ahead));
        }
    }
    rates.false_crossover.count(record.crossovers[0].kind != CrossoverKind::Undecided);
    rates.crossover_10.count(record.crossovers[3].kind == CrossoverKind::AtMost);
}

#[test]
fn explore() {
    let _: Option<LaneSpec> = None;
    for noise in [0.005, 0.02, 0.05] {
        for scatter in [0.0, 0.01, 0.03] {
            let start = std::time::Instant::now();
            let r = simulate(noise, scatter, |world| world);
            println!(
                "noise {noise} scatter {scatter}: false {:.1}% covered {:.1}% found3 {:.1}% found10 {:.1}% false crossover {:.1}% atmost10 {:.1}% set-ups {:.2} {:?}",
                r.false_winner.percent(),
                r.covered.percent(),
                r.found_3.percent(),
                r.found_10.percent(),
                r.false_crossover.percent(),
                r.crossover_10.percent(),
                r.set_ups / r.covered.of as f64,
                start.elapsed()
            );
        }
    }
}
