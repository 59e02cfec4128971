//! How far a computed output may be from its reference.

/// Passes when `|got − want| ≤ abs + rel · |want|` at every element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub abs: f64,
    /// Relative part.
    pub rel: f64,
}

/// How far an output was from its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Largest absolute difference; infinite where an output is not finite.
    pub max_abs: f64,
    /// Largest difference divided by the largest reference magnitude; infinite where an output is not finite.
    pub max_rel: f64,
    /// Whether every element is within the tolerance.
    pub pass: bool,
}

impl Tolerance {
    /// Compares element by element. Differing lengths and values that are not finite fail.
    pub fn compare(self, got: impl ExactSizeIterator<Item = f64>, want: &[f64]) -> Deviation {
        let failed = Deviation { max_abs: f64::INFINITY, max_rel: f64::INFINITY, pass: false };
        if got.len() != want.len() {
            return failed;
        }
        let mut max_abs = 0.0_f64;
        let mut scale = 0.0_f64;
        let mut pass = true;
        for (got, &want) in got.zip(want) {
            let difference = (got - want).abs();
            if !difference.is_finite() {
                return failed;
            }
            max_abs = max_abs.max(difference);
            scale = scale.max(want.abs());
            pass &= difference <= self.abs + self.rel * want.abs();
        }
        Deviation { max_abs, max_rel: if scale > 0.0 { max_abs / scale } else { max_abs }, pass }
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
}
