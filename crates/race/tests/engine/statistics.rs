//! For lanes with known laws, the engine's stated intervals contain the laws' parameters.

use race::{CrossoverKind, Estimate};

use crate::world::{MODEL, Model, World, spec};

const SEEDS: u64 = 100;
/// The level of the intervals, 95%.
const AT_LEAST: usize = 90;

/// a·L²: 0.25 ns each.
fn quadratic(n: f64) -> f64 {
    0.25 * n * n
}

/// b·L·log₂ L: 60 ns each.
fn quasilinear(n: f64) -> f64 {
    60.0 * n * n.log2()
}

/// The intersection of the two laws, by bisection: about 2,800.
fn true_crossover() -> f64 {
    let (mut low, mut high) = (256.0_f64, 65_536.0_f64);
    for _ in 0..60 {
        let middle = (low * high).sqrt();
        if quasilinear(middle) > quadratic(middle) { low = middle } else { high = middle }
    }
    low
}

/// The slope of a noise-free measurement of `law` over these lengths.
fn true_exponent(law: fn(f64) -> f64, lengths: &[usize]) -> f64 {
    let points: Vec<(f64, f64)> =
        lengths.iter().map(|&n| ((n as f64).log2(), law(n as f64).log2())).collect();
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let sxy: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    sxy / points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

fn holds(estimate: Estimate, truth: f64) -> bool {
    (estimate.low..=estimate.high).contains(&truth)
}

#[derive(Debug, Default)]
struct Coverage {
    quadratic: usize,
    quasilinear: usize,
    crossover: usize,
    widest_exponent: f64,
    widest_crossover: f64,
}

fn coverage(noise: f64, scatter: f64) -> Coverage {
    let mut coverage = Coverage::default();
    for seed in 0..SEEDS {
        let models: [(&'static str, Model); 2] = [
            ("attention", Model { time: quadratic, noise, scatter, ..MODEL }),
            ("hyena", Model { time: quasilinear, noise, scatter, ..MODEL }),
        ];
        let mut spec = spec(&["attention", "hyena"]);
        spec.seed = seed;
        let record = World::new(seed.wrapping_mul(77) + 3, &models).race(spec).unwrap();
        let exponent = |lane: usize, law: fn(f64) -> f64| {
            let fit = record.lanes[lane].fit.unwrap();
            let lengths: Vec<usize> =
                record.spec.lengths.iter().copied().filter(|&len| len >= fit.from_len).collect();
            (fit.exponent, holds(fit.exponent, true_exponent(law, &lengths)))
        };
        let (wide, hit) = exponent(0, quadratic);
        coverage.quadratic += usize::from(hit);
        coverage.widest_exponent = coverage.widest_exponent.max(wide.high - wide.low);
        let (wide, hit) = exponent(1, quasilinear);
        coverage.quasilinear += usize::from(hit);
        coverage.widest_exponent = coverage.widest_exponent.max(wide.high - wide.low);
        let [crossover] = record.crossovers.as_slice() else {
            panic!("one challenger, one crossover");
        };
        assert_eq!(crossover.kind, CrossoverKind::Measured);
        let length = crossover.length.unwrap();
        coverage.crossover += usize::from(holds(length, true_crossover()));
        coverage.widest_crossover = coverage.widest_crossover.max(length.high / length.low);
    }
    coverage
}

#[test]
fn exponents_and_crossover_lie_within_the_stated_intervals() {
    for (noise, scatter) in [(0.03, 0.0), (0.02, 0.01), (0.05, 0.03)] {
        let coverage = coverage(noise, scatter);
        assert!(coverage.quadratic >= AT_LEAST, "noise {noise}, scatter {scatter}: {coverage:?}");
        assert!(coverage.quasilinear >= AT_LEAST, "noise {noise}, scatter {scatter}: {coverage:?}");
        assert!(coverage.crossover >= AT_LEAST, "noise {noise}, scatter {scatter}: {coverage:?}");
        // An interval that contains everything would be useless.
        assert!(coverage.widest_exponent < 0.3 && coverage.widest_crossover < 1.6, "{coverage:?}");
    }
}

#[test]
fn a_crossover_beyond_the_measured_lengths_is_predicted() {
    let models = [
        ("attention", Model { time: quadratic, ..MODEL }),
        ("hyena", Model { time: quasilinear, ..MODEL }),
        ("attention-naive", Model { time: |n| 0.5 * n * n, ..MODEL }),
    ];
    let mut spec = spec(&["attention", "hyena", "attention-naive"]);
    spec.lengths = vec![128, 256, 512, 1024];
    let record = World::new(5, &models).race(spec).unwrap();
    let [hyena, naive] = record.crossovers.as_slice() else {
        panic!("two challengers");
    };
    assert_eq!((hyena.challenger, hyena.baseline, hyena.kind), (1, 0, CrossoverKind::Predicted));
    let length = hyena.length.unwrap();
    // The power laws bend slightly differently from L·log L, so the estimate is near but not exact.
    assert!((length.value / true_crossover()).log2().abs() < 0.2, "{length:?}");
    assert!(length.low <= length.value && length.value <= length.high && length.high.is_finite());
    assert_eq!((naive.kind, naive.length), (CrossoverKind::None, None));
}

#[test]
fn a_challenger_ahead_from_the_start_has_a_bound() {
    let models =
        [("attention", Model { time: quadratic, ..MODEL }), ("hyena", Model { time: |n| n, ..MODEL })];
    let record = World::new(5, &models).race(spec(&["attention", "hyena"])).unwrap();
    let crossover = &record.crossovers[0];
    assert_eq!(crossover.kind, CrossoverKind::AtMost);
    assert_eq!(crossover.length.unwrap(), Estimate { value: 256.0, low: 256.0, high: 256.0 });
}

#[test]
fn the_exponent_is_that_of_the_tail() {
    // A linear and a quadratic term: only the tail is nearly quadratic.
    let models = [("attention", Model { time: |n| 0.25 * n * n + 2000.0 * n, noise: 0.003, ..MODEL })];
    let mut spec = spec(&["attention"]);
    spec.lengths = (6..=17).map(|log2| 1 << log2).collect();
    spec.budget_ns = 600_000_000_000;
    let record = World::new(2, &models).race(spec).unwrap();
    let fit = record.lanes[0].fit.unwrap();
    assert!(fit.exponent.value > 1.8, "{fit:?}");
    assert!(fit.from_len > 4096 && fit.n_points >= 3, "{fit:?}");
}
