//! Networks of the position in f64, evaluated at several positions at once: as exact as single positions, and several
//! times as fast.

/// Positions evaluated together, so that their sums fill the vector registers.
pub const TOGETHER: usize = 16;

/// Σ wᵢ hᵢ in every lane.
pub fn product(row: &[f64], hidden: &[[f64; TOGETHER]]) -> [f64; TOGETHER] {
    let mut sum = [0.0; TOGETHER];
    for (w, h) in row.iter().zip(hidden) {
        for lane in 0..TOGETHER {
            sum[lane] += w * h[lane];
        }
    }
    sum
}

/// Largest argument that [`sines`] reduces without the standard library.
const REDUCIBLE: f64 = 1e5;

/// (−1)ᵏ / (2k + 1)! for k = 8 … 1: the Taylor polynomial of the sine, whose remainder on |r| ≤ π/2 is below 5·10⁻¹⁴.
const SINE: [f64; 8] = [
    1.0 / 355_687_428_096_000.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 39_916_800.0,
    1.0 / 362_880.0,
    -1.0 / 5040.0,
    1.0 / 120.0,
    -1.0 / 6.0,
];

/// The sine of every lane, within 10⁻¹² for moderate arguments. With the standard library's scalar sine, most of a
/// filter's time would be spent on sines.
pub fn sines(x: [f64; TOGETHER]) -> [f64; TOGETHER] {
    /// Adding 1.5·2⁵² rounds to the nearest integer and leaves its parity in the lowest bit.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// π minus its nearest f64.
    const PI_REST: f64 = 1.224_646_799_147_353_2e-16;
    // A NaN is not within the range, too.
    if !x.iter().all(|x| x.abs() <= REDUCIBLE) {
        return x.map(f64::sin);
    }
    let mut y = [0.0; TOGETHER];
    for lane in 0..TOGETHER {
        let shifted = x[lane] * std::f64::consts::FRAC_1_PI + ROUND;
        let turns = shifted - ROUND;
        let r = (x[lane] - turns * std::f64::consts::PI) - turns * PI_REST;
        let square = r * r;
        let mut polynomial = SINE[0];
        for coefficient in &SINE[1..] {
            polynomial = polynomial * square + coefficient;
        }
        let sine = r + r * square * polynomial;
        // sin(r + kπ) = (−1)ᵏ sin r.
        y[lane] = f64::from_bits(sine.to_bits() ^ (shifted.to_bits() << 63));
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_are_sines() {
        for step in -40_000..40_000 {
            let x = f64::from(step) * 0.01 + 0.003;
            let got = sines([x; TOGETHER])[TOGETHER - 1];
            assert!((got - x.sin()).abs() < 1e-12, "sin {x}: {got}");
        }
        for x in [0.0, 1e4 + 0.5, -1e5, 3e7, -1e300] {
            assert!((sines([x; TOGETHER])[0] - x.sin()).abs() < 1e-10, "sin {x}");
        }
        assert!(sines([f64::NAN; TOGETHER])[0].is_nan());
    }
}
