//! Tolerances for comparing a computed output with its reference.

/// The comparison passes where `|got − want| ≤ abs + rel · |want|` for every element.
///
/// Outputs of long sequences can be smaller than `abs`, which would then let any output pass.
/// [`Tolerance::compare_rows`] therefore bounds `abs` by the size of each row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub abs: f64,
    /// Relative part.
    pub rel: f64,
}

/// Deviation of an output from its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Largest absolute difference; infinite where an output is not finite.
    pub max_abs: f64,
    /// Largest difference divided by the largest reference magnitude; infinite where an output is not finite.
    pub max_rel: f64,
    /// Whether every element is within the tolerance.
    pub pass: bool,
}

const FAILED: Deviation = Deviation { max_abs: f64::INFINITY, max_rel: f64::INFINITY, pass: false };

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

impl Tolerance {
    /// Compares element by element. Different lengths and values that are not finite fail.
    pub fn compare(self, got: impl ExactSizeIterator<Item = f64>, want: &[f64]) -> Deviation {
        if got.len() != want.len() {
            return FAILED;
        }
        let mut max_abs = 0.0_f64;
        let mut scale = 0.0_f64;
        let mut pass = true;
        for (got, &want) in got.zip(want) {
            let difference = (got - want).abs();
            if !difference.is_finite() {
                return FAILED;
            }
            max_abs = max_abs.max(difference);
            scale = scale.max(want.abs());
            pass &= difference <= self.abs + self.rel * want.abs();
        }
        Deviation { max_abs, max_rel: if scale > 0.0 { max_abs / scale } else { max_abs }, pass }
    }

    /// [`Tolerance::compare`] for the rows of an output `[.., width]`. `abs` is at most 10⁻⁴ of the root mean square of
    /// the row's elements. A row much smaller than the other rows counts as a hundredth of their size, since a
    /// transform along the sequence spreads the rounding of its largest rows over all rows.
    pub fn compare_rows(self, got: &[f32], want: &[f64], width: usize) -> Deviation {
        if got.len() != want.len() || width == 0 {
            return FAILED;
        }
        let least = root_mean_square(want) / 100.0;
        let mut rows = got.chunks(width).zip(want.chunks(width)).map(|(got, want)| {
            let size = root_mean_square(want).max(least);
            Self { abs: self.abs.min(size / 10_000.0), ..self }.compare_f32(got, want)
        });
        let whole = self.compare_f32(got, want);
        Deviation { pass: whole.pass && rows.all(|row| row.pass), ..whole }
    }

    /// [`Tolerance::compare`] for f32 outputs.
    pub fn compare_f32(self, got: &[f32], want: &[f64]) -> Deviation {
        self.compare(got.iter().map(|&value| f64::from(value)), want)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Tolerance = Tolerance { abs: 1e-6, rel: 1e-5 };

    #[test]
    fn a_flipped_sign_a_short_output_and_a_nan_all_fail() {
        let want = [1.0, -2.0, 3.0];
        assert!(TIGHT.compare_f32(&[1.0, -2.0, 3.0], &want).pass);
        assert!(!TIGHT.compare_f32(&[1.0, 2.0, 3.0], &want).pass);
        assert!(!TIGHT.compare_f32(&[1.0, -2.0], &want).pass);
        let nan = TIGHT.compare_f32(&[1.0, f32::NAN, 3.0], &want);
        assert!(!nan.pass && nan.max_abs.is_infinite());
    }

    #[test]
    fn small_rows_are_held_to_their_size() {
        let loose = Tolerance { abs: 1e-3, rel: 1e-5 };
        let want = [1.0, -1.0, 0.02, -0.02];
        assert!(loose.compare_rows(&[1.00005, -1.0, 0.02, -0.02], &want, 2).pass);
        assert!(loose.compare_f32(&[1.0, -1.0, 0.02005, -0.02], &want).pass);
        assert!(!loose.compare_rows(&[1.0, -1.0, 0.02005, -0.02], &want, 2).pass);
        assert!(!loose.compare_rows(&[1.0, -1.0, 0.02, f32::NAN], &want, 2).pass);
        assert!(!loose.compare_rows(&[1.0, -1.0], &want, 2).pass);
        // Within the rounding of a transform over all rows.
        assert!(loose.compare_rows(&[1.0, -1.0, 1e-7, 0.0], &[1.0, -1.0, 0.0, 0.0], 2).pass);
    }
}
