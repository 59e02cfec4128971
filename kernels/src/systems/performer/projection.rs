//! A new projection: blocks of d orthogonal rows, the last block cut to fit, each row with the length of a normal
//! vector (Choromanski et al., section 2.4). Uses only additions, products, quotients and square roots, so that the
//! numbers are equal on all platforms.

use mixer::{Count, MixerError, Tensors, room};

use crate::generate::Generator;

/// Numbers drawn at once.
const BATCH: usize = 4096;

/// A direction that is shorter than this share of its length before orthogonalisation lies in the span of the earlier
/// directions, up to rounding.
const DEPENDENT: f64 = 1e-6;

/// A projection `[rows, d]`. With `equal_lengths` every row has length √d, otherwise that of an independent normal
/// vector.
pub(super) fn orthogonal(
    generator: &Generator,
    [rows, d]: [usize; 2],
    equal_lengths: bool,
) -> Result<Vec<f32>, MixerError> {
    let mut normals = Normals::new(generator);
    let mut projection = room(Count::from(rows) * Count::from(d))?;
    for first in (0..rows).step_by(d) {
        let mut block: Vec<Vec<f64>> = Vec::with_capacity(d.min(rows - first));
        while block.len() < d.min(rows - first) {
            block.extend(direction(&block, normals.vector(d)?));
        }
        for row in block {
            let length = if equal_lengths { (d as f64).sqrt() } else { length(&normals.vector(d)?) };
            projection.extend(row.iter().map(|value| (value * length) as f32));
        }
    }
    Ok(projection)
}

/// The next orthonormal row by the modified Gram–Schmidt process. The rows are those of the transposed orthonormal
/// factor of a normal matrix whose triangular factor has a positive diagonal.
fn direction(block: &[Vec<f64>], mut row: Vec<f64>) -> Option<Vec<f64>> {
    let before = length(&row);
    for other in block {
        let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
        row.iter_mut().zip(other).for_each(|(to, from)| *to -= along * from);
    }
    let left = length(&row);
    row.iter_mut().for_each(|value| *value /= left);
    (left > DEPENDENT * before).then_some(row)
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Normal numbers by Marsaglia's polar method from the generator's uniform numbers.
struct Normals<'a> {
    generator: &'a Generator,
    batches: usize,
    uniform: std::vec::IntoIter<f32>,
    /// The second number of a pair.
    spare: Option<f64>,
}

impl<'a> Normals<'a> {
    fn new(generator: &'a Generator) -> Self {
        Self { generator, batches: 0, uniform: Vec::new().into_iter(), spare: None }
    }

    fn vector(&mut self, d: usize) -> Result<Vec<f64>, MixerError> {
        (0..d).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Result<f64, MixerError> {
        if let Some(spare) = self.spare.take() {
            return Ok(spare);
        }
        loop {
            let (u, v) = (self.uniform()?, self.uniform()?);
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some(v * factor);
                return Ok(u * factor);
            }
        }
    }

    /// Uniform in `[-1, 1)`.
    fn uniform(&mut self) -> Result<f64, MixerError> {
        loop {
            if let Some(value) = self.uniform.next() {
                return Ok(f64::from(value));
            }
            let name = format!("projection.{}", self.batches);
            self.batches += 1;
            let mut drawn = Tensors::new();
            self.generator.uniform(&mut drawn, &name, &[BATCH], 1.0)?;
            self.uniform = drawn.floats(&name, &[BATCH]).unwrap_or_default().to_vec().into_iter();
        }
    }
}

/// ln x for 0 < x ≤ 1: halvings are separated, then 2 artanh((x − 1) / (x + 1)) by its series.
fn ln(mut x: f64) -> f64 {
    let mut halvings = 0.0;
    while x < 0.5 {
        x *= 2.0;
        halvings += 1.0;
    }
    let s = (x - 1.0) / (x + 1.0);
    let (mut power, mut sum) = (s, 0.0);
    // |s| ≤ 1/3: the last term is below 10⁻²⁰.
    for k in 0..20 {
        sum += power / f64::from(2 * k + 1);
        power *= s * s;
    }
    2.0 * sum - halvings * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_exact_to_rounding() {
        for step in 1..=10_000 {
            let x = f64::from(step) / 10_000.0;
            for x in [x, x * 1e-9] {
                assert!((ln(x) - x.ln()).abs() <= 1e-15 * (1.0 + x.ln().abs()), "ln {x}");
            }
        }
    }

    #[test]
    fn draws_have_the_moments_of_the_normal_distribution() {
        let generator = Generator::new(5);
        let values = Normals::new(&generator).vector(100_000).unwrap();
        let moment = |power| values.iter().map(|value| value.powi(power)).sum::<f64>() / 1e5;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.02, "{} {}", moment(1), moment(2));
        assert!(moment(3).abs() < 0.05 && (moment(4) - 3.0).abs() < 0.1, "{} {}", moment(3), moment(4));
    }

    #[test]
    fn rows_of_a_block_are_orthogonal_and_of_the_right_length() {
        for (rows, d) in [(1, 1), (5, 1), (44, 16), (7, 12), (266, 64)] {
            for equal_lengths in [true, false] {
                let projection = orthogonal(&Generator::new(3), [rows, d], equal_lengths).unwrap();
                let row = |i: usize| &projection[i * d..][..d];
                let dot = |i: usize, j: usize| -> f64 {
                    row(i).iter().zip(row(j)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                let mut mean_square = 0.0;
                for i in 0..rows {
                    mean_square += dot(i, i) / (rows * d) as f64;
                    assert!(!equal_lengths || (dot(i, i) - d as f64).abs() < 1e-4 * d as f64);
                    for j in i / d * d..i {
                        assert!(dot(i, j).abs() < 1e-5 * d as f64, "{rows}×{d}: rows {i} and {j}");
                    }
                }
                assert!(rows < 100 || (mean_square - 1.0).abs() < 0.1, "{mean_square}");
            }
        }
    }

    #[test]
    fn depends_only_on_the_seed() {
        let draw = |seed| orthogonal(&Generator::new(seed), [9, 4], false).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
