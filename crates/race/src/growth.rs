//! Growth of a lane's time beyond the raced lengths: t(L) = a + b·L + c·cost(L) with a, b, c ≥ 0, where cost(L) is the
//! system's closed-form operation count.
//!
//! An extrapolated power law overestimates systems with a linear part: at the raced lengths of a layer, the linear
//! projections hide attention's quadratic term. All terms of this model are known to exist, so it extrapolates.

use mixer::exp2;

use crate::record::Estimate;
use crate::replicates::Spread;
use crate::stats;

/// Fewest points of a growth model.
pub(crate) const MIN_POINTS: usize = 3;
/// Relative error that is allowed to every point on top of its own: caches and clock frequencies follow no closed form.
const MODEL_ERROR: f64 = 0.01;
/// Reduction of χ² that a further term must achieve (Akaike's criterion).
const PRICE_OF_A_TERM: f64 = 2.0;
/// Relative size below which a pivot is treated as rounding: the terms are multiples of each other.
const SINGULAR: f64 = 1e-10;
/// Number of terms.
const TERMS: usize = 3;
/// Distance in log₂ over which a local slope is taken.
const SLOPE_STEP: f64 = 0.25;

/// A system's closed-form operation count as a function of the length: a smooth curve in log-log through its values at
/// powers of two. It smooths over padding between them (to a block or to the size of a transform), as the interpolation
/// of measured times does.
#[derive(Debug, Clone, Default)]
pub(crate) struct CostLaw {
    /// log₂ of the length, log₂ of the operations; ascending.
    knots: Vec<(f64, f64)>,
}

impl CostLaw {
    /// Builds the law from lengths and their operation counts, ascending. Omits lengths that the system refuses and
    /// counts that saturate.
    pub fn new(costs: impl Iterator<Item = (usize, u64)>) -> Self {
        let knots = costs
            .filter(|(seq_len, flops)| *seq_len > 0 && (1..u64::MAX).contains(flops))
            .map(|(seq_len, flops)| ((seq_len as f64).log2(), (flops as f64).log2()))
            .collect();
        Self { knots }
    }

    /// Operations at log₂ L = `x`; 0 for an empty law. The last slope continues beyond the knots.
    pub fn at(&self, x: f64) -> f64 {
        let last = self.knots.len().saturating_sub(1);
        let after = self.knots.partition_point(|knot| knot.0 <= x).clamp(1, last.max(1));
        let (Some(&(x0, y0)), Some(&(x1, y1))) = (self.knots.get(after - 1), self.knots.get(after)) else {
            return self.knots.first().map_or(0.0, |knot| exp2(knot.1));
        };
        let (width, part) = (x1 - x0, (x - x0) / (x1 - x0));
        let chord = (y1 - y0) / width;
        if !(0.0..=1.0).contains(&part) {
            return exp2(y0 + chord * (x - x0));
        }
        // Cubic Hermite interpolation with slopes from the neighbours.
        let slope = |before: Option<usize>, after: usize| {
            let neighbours = before.and_then(|before| self.knots.get(before)).zip(self.knots.get(after));
            neighbours.map_or(chord, |(before, after)| (after.1 - before.1) / (after.0 - before.0))
        };
        let (m0, m1) = (slope(after.checked_sub(2), after), slope(after.checked_sub(1), after + 1));
        let bend = part * (1.0 - part) * width * ((m0 - chord) * (1.0 - part) - (m1 - chord) * part);
        exp2(y0 + (y1 - y0) * part + bend)
    }
}

/// Values of the model's terms at fixed lengths, computed once for all replicates.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    /// log₂ of each length, ascending.
    pub xs: Vec<f64>,
    terms: Vec<[f64; TERMS]>,
}

impl Grid {
    /// The terms at these lengths.
    pub fn new(law: &CostLaw, xs: Vec<f64>) -> Self {
        let terms = xs.iter().map(|&x| terms(law, x)).collect();
        Self { xs, terms }
    }

    /// Nanoseconds of a model at every length.
    pub fn evaluate<'a>(&'a self, growth: &'a Growth) -> impl Iterator<Item = f64> + 'a {
        self.terms.iter().map(|terms| growth.sum(terms))
    }
}

fn terms(law: &CostLaw, x: f64) -> [f64; TERMS] {
    [1.0, exp2(x), law.at(x)]
}

fn point_terms(point: &Spread) -> [f64; TERMS] {
    [1.0, exp2(point.x), point.flops as f64]
}

/// A fitted model: nanoseconds per call, per token and per operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Growth {
    coefficients: [f64; TERMS],
}

impl Growth {
    fn sum(&self, terms: &[f64; TERMS]) -> f64 {
        self.coefficients.iter().zip(terms).map(|(coefficient, term)| coefficient * term).sum()
    }

    /// Nanoseconds at a measured point, by its own closed form.
    fn at_point(&self, point: &Spread) -> f64 {
        self.sum(&point_terms(point))
    }

    /// Nanoseconds at log₂ L = `x`.
    pub fn at(&self, law: &CostLaw, x: f64) -> f64 {
        self.sum(&terms(law, x))
    }

    /// Slope in log-log at log₂ L = `x`.
    pub fn slope(&self, law: &CostLaw, x: f64) -> f64 {
        (self.at(law, x) / self.at(law, x - SLOPE_STEP)).log2() / SLOPE_STEP
    }
}

/// A lane's measured points prepared for many fits: the design is equal for all replicates.
#[derive(Debug, Clone)]
pub(crate) struct Design {
    rows: Vec<[f64; TERMS]>,
    /// Relative variance of each point.
    variances: Vec<f64>,
    /// Each term's size at the longest length. Dividing by it keeps the equations well-conditioned.
    scale: [f64; TERMS],
}

impl Design {
    /// Builds the design of these points; `None` for fewer than three.
    pub fn new(points: &[&Spread], law: &CostLaw) -> Option<Self> {
        if points.len() < MIN_POINTS {
            return None;
        }
        let scale = terms(law, points.last()?.x).map(|term| if term > 0.0 { term } else { 1.0 });
        let rows = points
            .iter()
            .map(|point| {
                let terms = point_terms(point);
                std::array::from_fn(|term| terms[term] / scale[term])
            })
            .collect();
        let to_relative = std::f64::consts::LN_2.powi(2);
        let variances =
            points.iter().map(|point| point.variance() * to_relative + MODEL_ERROR * MODEL_ERROR).collect();
        Some(Self { rows, variances, scale })
    }

    /// The best model for these heights (log₂ of nanoseconds) and its χ²: least squares of relative errors over every
    /// set of terms whose coefficients are non-negative. A larger set must reduce χ² by [`PRICE_OF_A_TERM`] per term.
    pub fn fit(&self, heights: &[f64]) -> Option<(Growth, f64)> {
        // Normal equations of Σ (1 − Σ cⱼ termⱼ / t)² / variance, over all terms.
        let mut equations = [[0.0; TERMS + 1]; TERMS];
        let mut total = 0.0;
        for ((row, height), variance) in self.rows.iter().zip(heights).zip(&self.variances) {
            let per_time = exp2(-height);
            let columns = row.map(|term| term * per_time);
            for (equation, column) in equations.iter_mut().zip(columns) {
                for (entry, other) in equation.iter_mut().zip(columns) {
                    *entry += column * other / variance;
                }
                equation[TERMS] += column / variance;
            }
            total += 1.0 / variance;
        }
        let mut best: Option<(Growth, f64, f64)> = None;
        for set in 1_u32..1 << TERMS {
            if set.count_ones() as usize >= self.rows.len() {
                continue;
            }
            let Some(solution) = solve(&equations, set) else { continue };
            let explained: f64 = equations
                .iter()
                .zip(solution)
                .map(|(equation, coefficient)| equation[TERMS] * coefficient)
                .sum();
            let chi_squared = (total - explained).max(0.0);
            let price = chi_squared + PRICE_OF_A_TERM * f64::from(set.count_ones());
            if best.is_none_or(|(_, _, least)| price < least) {
                let coefficients = std::array::from_fn(|term| solution[term] / self.scale[term]);
                best = Some((Growth { coefficients }, chi_squared, price));
            }
        }
        best.map(|(growth, chi_squared, _)| (growth, chi_squared))
    }

    /// Degrees of freedom to compare χ² with.
    pub fn freedom(&self) -> f64 {
        (self.rows.len() as f64 - 2.0).max(1.0)
    }
}

/// Least-squares coefficients of a set of terms, given as a bit mask; the coefficients of all other terms are zero.
/// `None` where a coefficient is negative.
fn solve(equations: &[[f64; TERMS + 1]; TERMS], set: u32) -> Option<[f64; TERMS]> {
    let is_chosen = |term: usize| set >> term & 1 == 1;
    let mut chosen = *equations;
    for (row, equation) in chosen.iter_mut().enumerate() {
        for (column, entry) in equation.iter_mut().enumerate() {
            if !is_chosen(row) || (column < TERMS && !is_chosen(column)) {
                *entry = f64::from(u8::from(row == column));
            }
        }
    }
    let solution = eliminate(chosen)?;
    solution.iter().all(|coefficient| *coefficient >= 0.0 && coefficient.is_finite()).then_some(solution)
}

/// Gaussian elimination with pivoting; `None` where the terms are linearly dependent.
fn eliminate(mut rows: [[f64; TERMS + 1]; TERMS]) -> Option<[f64; TERMS]> {
    for column in 0..TERMS {
        let pivot =
            (column..TERMS).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        let size = rows[pivot].iter().take(TERMS).fold(0.0_f64, |most, entry| most.max(entry.abs()));
        rows.swap(column, pivot);
        let pivot_row = rows[column];
        if size <= 0.0 || pivot_row[column].abs() <= SINGULAR * size {
            return None;
        }
        for row in rows.iter_mut().skip(column + 1) {
            let factor = row[column] / pivot_row[column];
            for (entry, pivot) in row.iter_mut().zip(&pivot_row) {
                *entry -= factor * pivot;
            }
            // The difference of two equal terms is rounding error.
            if row[column + 1..TERMS].iter().all(|entry| entry.abs() <= SINGULAR * factor.abs() * size)
                && column + 1 < TERMS
            {
                row[column + 1..TERMS].fill(0.0);
            }
        }
    }
    let mut solution = [0.0; TERMS];
    for row in (0..TERMS).rev() {
        let known: f64 = (row + 1..TERMS).map(|column| rows[row][column] * solution[column]).sum();
        solution[row] = (rows[row][TERMS] - known) / rows[row][row];
    }
    Some(solution)
}

/// The growth model of a lane's points, without replicates.
pub(crate) fn fit(points: &[Spread], law: &CostLaw) -> Option<Growth> {
    let own: Vec<&Spread> = points.iter().filter(|point| !point.full_attention).collect();
    let heights: Vec<f64> = own.iter().map(|point| point.y).collect();
    Design::new(&own, law)?.fit(&heights).map(|(growth, _)| growth)
}

/// A lane's model with the models of its replicates.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub law: CostLaw,
    pub growth: Growth,
    /// One model per replicate of the race; the fit itself where a replicate has none.
    pub replicates: Vec<Growth>,
}

impl Model {
    /// Fits the points at which the system did not run full attention. Where they scatter more around the model than
    /// their errors explain, the replicates are spread out accordingly (Birge's ratio).
    pub fn new(points: &[Spread], law: &CostLaw) -> Option<Self> {
        let own: Vec<&Spread> = points.iter().filter(|point| !point.full_attention).collect();
        let design = Design::new(&own, law)?;
        let heights: Vec<f64> = own.iter().map(|point| point.y).collect();
        let (growth, chi_squared) = design.fit(&heights)?;
        let birge = stats::birge(chi_squared, design.freedom());
        let n = own.first().map_or(0, |point| point.draws.len());
        // The replicates are centred on the model: the points already are one draw of the noise.
        let centres: Vec<f64> = own.iter().map(|point| growth.at_point(point).log2()).collect();
        let mut drawn = centres.clone();
        let replicates = (0..n)
            .map(|replicate| {
                for ((height, centre), point) in drawn.iter_mut().zip(&centres).zip(&own) {
                    let draw = point.draws.get(replicate).copied().unwrap_or(point.y);
                    *height = centre + birge * (draw - point.y);
                }
                design.fit(&drawn).map_or(growth, |(growth, _)| growth)
            })
            .collect();
        Some(Self { law: law.clone(), growth, replicates })
    }

    /// The slope in log-log at log₂ L = `x` with its 95% interval. Far from the points it is the leading term's
    /// exponent.
    pub fn slope(&self, x: f64) -> Estimate {
        let slopes: Vec<f64> = self.replicates.iter().map(|growth| growth.slope(&self.law, x)).collect();
        stats::interval(self.growth.slope(&self.law, x), &slopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(of: fn(f64) -> f64) -> CostLaw {
        CostLaw::new((6..=24).map(|log2| (1 << log2, of(f64::from(log2).exp2()) as u64)))
    }

    fn spread(law: &CostLaw, seq_len: usize, ns: f64) -> Spread {
        let y = ns.log2();
        let x = (seq_len as f64).log2();
        Spread {
            seq_len,
            x,
            y,
            flops: law.at(x) as u64,
            full_attention: false,
            is_repeated: true,
            draws: vec![y; 4],
        }
    }

    #[test]
    fn a_law_is_interpolated_and_carried_on() {
        let law = cost(|n| n * n);
        assert!((law.at(10.5) / 21_f64.exp2() - 1.0).abs() < 1e-9);
        assert!((law.at(30.0) / 60_f64.exp2() - 1.0).abs() < 1e-9);
        assert_eq!(CostLaw::default().at(5.0), 0.0);
        assert_eq!(CostLaw::new([(4, 7)].into_iter()).at(5.0), 7.0);
    }

    #[test]
    fn a_linear_part_does_not_hide_the_quadratic_one() {
        let law = cost(|n| n * n);
        let time = |n: f64| 0.25 * n * n + 300.0 * n + 5000.0;
        let points: Vec<Spread> =
            (7..=10).map(|log2| spread(&law, 1 << log2, time(f64::from(log2).exp2()))).collect();
        let model = Model::new(&points, &law).unwrap();
        let far = model.growth.at(&model.law, 16.0);
        assert!((far / time(65_536.0) - 1.0).abs() < 0.05, "{far}");
        let slope = model.slope(18.0);
        assert!((slope.value - 2.0).abs() < 0.02, "{slope:?}");
    }

    #[test]
    fn linearly_dependent_terms_are_not_fitted_together() {
        let law = cost(|n| 64.0 * n);
        let points: Vec<Spread> =
            (7..=12).map(|log2| spread(&law, 1 << log2, 30.0 * f64::from(log2).exp2())).collect();
        let model = Model::new(&points, &law).unwrap();
        assert!((model.growth.at(&model.law, 20.0) / (30.0 * 20_f64.exp2()) - 1.0).abs() < 1e-6);
        assert!((model.slope(20.0).value - 1.0).abs() < 1e-6);
    }

    #[test]
    fn full_attention_and_too_few_points_give_no_model() {
        let law = cost(|n| n);
        let mut points: Vec<Spread> = (7..=9).map(|log2| spread(&law, 1 << log2, 1e3)).collect();
        assert!(Model::new(&points, &law).is_some());
        points[0].full_attention = true;
        assert!(Model::new(&points, &law).is_none());
    }
}
