//! Scatter between set-ups: how much a lane's time varies from one set-up to the next beyond the noise of its samples.
//!
//! Lanes that are set up together share the state of the machine at that moment. Their medians are split into an effect
//! of the lane, one of the moment (shared by all lanes, so it cancels in ratios) and a remainder (the lane's own
//! scatter), by a two-way analysis of variance without replication.

use fastrand::Rng;

use crate::stats;

/// Assumed scatter between set-ups where it could not be measured: 2%, in log₂.
const PRIOR_SCATTER: f64 = 0.028_8;
/// Degrees of freedom of [`PRIOR_SCATTER`]; measured degrees of freedom replace them.
const PRIOR_FREEDOM: f64 = 4.0;
/// Most degrees of freedom that a lane takes over from other lanes of its backend.
const SHARED_FREEDOM: f64 = 6.0;
/// Iterations after which the weights of [`Scatter::pool`] are settled.
const ROUNDS: usize = 3;

/// Mean square between the set-ups of a point or of a moment, the expected contribution of noise to it, and its degrees
/// of freedom. Squares are in log₂ squared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scatter {
    total: f64,
    noise: f64,
    freedom: f64,
}

impl Scatter {
    /// The assumption where no lane was set up twice.
    pub const PRIOR: Self = Self { total: PRIOR_SCATTER * PRIOR_SCATTER, noise: 0.0, freedom: PRIOR_FREEDOM };
    /// No measurement and no assumption.
    pub const NONE: Self = Self { total: 0.0, noise: 0.0, freedom: 0.0 };

    /// Standard deviation between set-ups, in log₂.
    pub fn deviation(self) -> f64 {
        (self.total - self.noise).max(0.0).sqrt()
    }

    /// Draws a standard deviation from its distribution given so few set-ups: a scaled inverse χ², minus the noise.
    pub fn draw(self, rng: &mut Rng) -> f64 {
        if self.freedom <= 0.0 {
            return 0.0;
        }
        let total = self.total * self.freedom / stats::chi_squared(self.freedom, rng);
        (total - self.noise).max(0.0).sqrt()
    }

    /// Pooled scatter of several points, each weighted by the precision that its noise allows, with Satterthwaite's
    /// degrees of freedom.
    pub fn pool(seen: &[Scatter]) -> Self {
        let seen: Vec<&Scatter> = seen.iter().filter(|point| point.freedom > 0.0).collect();
        let mut pooled = Self::NONE;
        for _ in 0..ROUNDS {
            let scatter = pooled.total - pooled.noise;
            let expected = |point: &Scatter| point.noise + scatter.max(0.0) + 1e-12;
            let weight = |point: &Scatter| point.freedom * expected(point).powi(-2);
            let total: f64 = seen.iter().map(|point| weight(point)).sum();
            if total <= 0.0 {
                return pooled;
            }
            let mean = |of: fn(&Scatter) -> f64| {
                seen.iter().map(|point| weight(point) * of(point)).sum::<f64>() / total
            };
            let sum: f64 = seen.iter().map(|point| weight(point) * expected(point)).sum();
            let squares: f64 =
                seen.iter().map(|point| (weight(point) * expected(point)).powi(2) / point.freedom).sum();
            pooled = Self {
                total: mean(|point| point.total),
                noise: mean(|point| point.noise),
                freedom: sum * sum / squares,
            };
        }
        pooled
    }

    /// The lane's scatter shrunk towards that of other lanes of its backend, and towards the prior where few set-ups
    /// were made.
    pub fn shrunk(self, others: Self) -> Self {
        let scatter = self.with(others, SHARED_FREEDOM);
        scatter.with(Self::PRIOR, (PRIOR_FREEDOM - scatter.freedom).max(0.0))
    }

    /// The mean of both scatters weighted by degrees of freedom, at most `most` of `other`'s.
    fn with(self, other: Self, most: f64) -> Self {
        let borrowed = other.freedom.min(most);
        let freedom = self.freedom + borrowed;
        if freedom <= 0.0 {
            return self;
        }
        let mean = |own: f64, other: f64| (own * self.freedom + other * borrowed) / freedom;
        Self { total: mean(self.total, other.total), noise: mean(self.noise, other.noise), freedom }
    }
}

/// Splits the medians of lanes that were set up together equally often (rows: lanes), each with the variance of one
/// median by its own samples. Returns the scatter of each lane and that of the moments; `None` for lanes that were set
/// up once.
pub(crate) fn analyze(lanes: &[(Vec<f64>, f64)]) -> Option<(Vec<Scatter>, Scatter)> {
    let n_lanes = lanes.len() as f64;
    let n_moments = lanes.first().map(|(medians, _)| medians.len()).filter(|n| *n > 1)?;
    let freedom = (n_moments - 1) as f64;
    let centred: Vec<Vec<f64>> = lanes
        .iter()
        .map(|(medians, _)| {
            let mean = medians.iter().sum::<f64>() / medians.len() as f64;
            medians.iter().map(|median| median - mean).collect()
        })
        .collect();
    let moments: Vec<f64> = (0..n_moments)
        .map(|moment| centred.iter().filter_map(|lane| lane.get(moment)).sum::<f64>() / n_lanes)
        .collect();
    if lanes.len() == 1 {
        let total = moments.iter().map(|moment| moment * moment).sum::<f64>() / freedom;
        let noise = lanes.first().map_or(0.0, |(_, noise)| *noise);
        return Some((vec![Scatter { total, noise, freedom }], Scatter::NONE));
    }
    let noises: f64 = lanes.iter().map(|(_, noise)| noise).sum();
    let own = 1.0 - 1.0 / n_lanes;
    let scatters: Vec<Scatter> = centred
        .iter()
        .zip(lanes)
        .map(|(lane, (_, noise))| {
            let squares: f64 = lane.iter().zip(&moments).map(|(own, moment)| (own - moment).powi(2)).sum();
            let noise = own * noise + (noises - noise) / (n_lanes * (n_lanes - 1.0));
            Scatter { total: squares / (own * freedom), noise, freedom: own * freedom }
        })
        .collect();
    let between = moments.iter().map(|moment| moment * moment).sum::<f64>() / freedom;
    let remainder = scatters.iter().map(|scatter| scatter.total).sum::<f64>() / n_lanes / n_lanes;
    Some((scatters, Scatter { total: between, noise: remainder, freedom }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Medians of `lanes` lanes over four set-ups with these standard deviations, in log₂.
    fn medians(lanes: usize, own: f64, shared: f64, noise: f64, rng: &mut Rng) -> Vec<(Vec<f64>, f64)> {
        let moments: Vec<f64> = (0..4).map(|_| shared * stats::normal(rng)).collect();
        (0..lanes)
            .map(|_| {
                let median = |moment: &f64| moment + own.hypot(noise) * stats::normal(rng);
                (moments.iter().map(median).collect(), noise * noise)
            })
            .collect()
    }

    #[test]
    fn own_scatter_moments_and_noise_are_separated() {
        let mut rng = Rng::with_seed(5);
        for lanes in [2, 5] {
            let mut own = Vec::new();
            let mut shared = Vec::new();
            for _ in 0..2000 {
                let (scatters, moment) = analyze(&medians(lanes, 0.02, 0.1, 0.01, &mut rng)).unwrap();
                own.extend(scatters);
                shared.push(moment);
            }
            let (own, shared) = (Scatter::pool(&own), Scatter::pool(&shared));
            assert!((own.deviation() / 0.02 - 1.0).abs() < 0.1, "{own:?}");
            assert!((shared.deviation() / 0.1 - 1.0).abs() < 0.1, "{shared:?}");
        }
    }

    #[test]
    fn a_single_lane_has_all_scatter_and_one_set_up_has_none() {
        let (scatters, moment) = analyze(&[(vec![1.0, 2.0, 3.0], 0.25)]).unwrap();
        assert_eq!(scatters, [Scatter { total: 1.0, noise: 0.25, freedom: 2.0 }]);
        assert_eq!(moment, Scatter::NONE);
        assert_eq!(analyze(&[(vec![1.0], 0.25)]), None);
        assert_eq!(analyze(&[]), None);
    }

    #[test]
    fn lanes_without_moments_do_not_hide_those_of_other_lanes() {
        let seen = Scatter { total: 1e-4, noise: 1e-5, freedom: 3.0 };
        assert_eq!(Scatter::pool(&[Scatter::NONE, seen]), Scatter::pool(&[seen]));
        assert!(Scatter::pool(&[seen, Scatter::NONE]).freedom > 2.9);
    }

    #[test]
    fn measured_scatter_replaces_the_prior() {
        let quiet = Scatter { total: 1e-8, noise: 0.0, freedom: 12.0 };
        assert!(quiet.shrunk(Scatter::NONE).deviation() < 2e-4);
        assert_eq!(Scatter::NONE.shrunk(Scatter::NONE), Scatter::PRIOR);
        let mut rng = Rng::with_seed(2);
        assert_eq!(Scatter::NONE.draw(&mut rng), 0.0);
    }
}
