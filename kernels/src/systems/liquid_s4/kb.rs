//! The KB kernel as in the authors' code: L + 1 bins of a transform of length L + 1, used as the bins of a real
//! transform of length 2L. It equals a circular filter of length 2L, which is computed at set-up in f64.

use algebra::{Complex, transform};

/// The circular filter v = irfft₂ₗ(FFT_{L+1}(k)) by fast transforms.
pub(super) fn filter(k: &[f64]) -> Vec<f64> {
    let length = k.len();
    let mut bins: Vec<Complex<f64>> = k.iter().map(|&k| Complex::new(k, 0.0)).collect();
    bins.push(Complex::ZERO);
    transform(&mut bins, false);
    // The inverse real transform drops the imaginary parts of the first and the last bin.
    let mut spectrum = vec![Complex::ZERO; 2 * length];
    spectrum[0].re = bins[0].re;
    spectrum[length].re = bins[length].re;
    for (bin, value) in bins.iter().enumerate().take(length).skip(1) {
        spectrum[bin] = *value;
        spectrum[2 * length - bin] = value.conj();
    }
    transform(&mut spectrum, true);
    spectrum.iter().map(|value| value.re / (2 * length) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The filter by its definition.
    fn filter_by_definition(k: &[f64]) -> Vec<f64> {
        let length = k.len();
        let bins: Vec<Complex<f64>> = (0..=length)
            .map(|bin| {
                k.iter().enumerate().fold(Complex::ZERO, |sum, (j, &k)| {
                    let turns = (j * bin % (length + 1)) as f64 / (length + 1) as f64;
                    sum + Complex::cis(-std::f64::consts::TAU * turns) * k
                })
            })
            .collect();
        (0..2 * length)
            .map(|t| {
                let mut sum = bins[0].re + bins[length].re * if t.is_multiple_of(2) { 1.0 } else { -1.0 };
                for (bin, value) in bins.iter().enumerate().take(length).skip(1) {
                    let turns = (bin * t % (2 * length)) as f64 / (2 * length) as f64;
                    sum += 2.0 * (*value * Complex::cis(std::f64::consts::TAU * turns)).re;
                }
                sum / (2 * length) as f64
            })
            .collect()
    }

    #[test]
    fn fast_and_defined_filters_agree_at_any_length() {
        for length in [1_usize, 2, 3, 7, 16, 31, 60] {
            let k: Vec<f64> = (0..length).map(|j: usize| ((j * 7) % 5) as f64 - 1.5).collect();
            for (got, want) in filter(&k).iter().zip(filter_by_definition(&k)) {
                assert!((got - want).abs() < 1e-12, "L {length}: {got} {want}");
            }
        }
    }
}
