//! Activations, four lanes at a time.
//!
//! The error function follows Abramowitz and Stegun, formula 7.1.26: erfc(a) = p(t) e^(−a²), t = 1 / (1 + 0.3275911 a),
//! a ≥ 0, whose error is below 1.5·10⁻⁷.

use super::exp::{Exp2, exp2};
use super::simd::{F32x4, LANES};

const ERFC_SCALE: f32 = 0.327_591_1;
const ERFC: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];

/// √½.
const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// e^x for x ≤ 0.
#[inline(always)]
fn exp_negative(x: F32x4) -> F32x4 {
    exp2(x * F32x4::splat(std::f32::consts::LOG2_E))
}

/// erfc(a) for a ≥ 0.
#[inline(always)]
fn erfc_positive(a: F32x4) -> F32x4 {
    let one = F32x4::splat(1.0);
    let t = one / one.mul_add(a, F32x4::splat(ERFC_SCALE));
    let mut polynomial = F32x4::splat(ERFC[0]);
    for coefficient in &ERFC[1..] {
        polynomial = F32x4::splat(*coefficient).mul_add(polynomial, t);
    }
    polynomial * t * exp_negative(F32x4::zero() - a * a)
}

/// erf(x), absolute error below 8·10⁻⁷: rounding of the polynomial included.
#[inline(always)]
pub fn erf(x: F32x4) -> F32x4 {
    (F32x4::splat(1.0) - erfc_positive(x.abs())).with_sign_of(x)
}

/// x·Φ(x) with the exact Φ, i.e. ½x(1 + erf(x/√2)). As max(x, 0) − ½|x|·erfc(|x|/√2), which never cancels.
#[inline(always)]
pub fn gelu(x: F32x4) -> F32x4 {
    let a = x.abs();
    x.max(F32x4::zero()) - F32x4::splat(0.5) * a * erfc_positive(a * F32x4::splat(SQRT_HALF))
}

/// The tanh approximation of GELU: ½x(1 + tanh(√(2/π)(x + 0.044715x³))), by tanh(z) = 2σ(2z) − 1.
#[inline(always)]
pub fn gelu_tanh(x: F32x4) -> F32x4 {
    let inner = x.mul_add(F32x4::splat(0.044_715) * x * x, x);
    x * sigmoid(F32x4::splat(2.0 * 0.797_884_6) * inner)
}

/// 1 / (1 + 2^a): the logistic function of −a ln 2, for callers that fold log₂e into a scale.
#[inline(always)]
pub fn sigmoid_exp2(a: F32x4) -> F32x4 {
    let one = F32x4::splat(1.0);
    one / (one + exp2(a.min(F32x4::splat(126.0))))
}

/// As [`sigmoid_exp2`], for long loops.
#[inline(always)]
pub fn sigmoid_exp2_by(exp2: &Exp2, a: F32x4) -> F32x4 {
    let one = F32x4::splat(1.0);
    one / (one + exp2.of(a.min(F32x4::splat(126.0))))
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub fn sigmoid(x: F32x4) -> F32x4 {
    sigmoid_exp2(F32x4::splat(-std::f32::consts::LOG2_E) * x)
}

/// x·σ(x).
#[inline(always)]
pub fn silu(x: F32x4) -> F32x4 {
    x * sigmoid(x)
}

/// tanh(x), absolute error below 5·10⁻⁷.
#[inline(always)]
pub fn tanh(x: F32x4) -> F32x4 {
    let two = F32x4::splat(2.0);
    two * sigmoid(two * x) - F32x4::splat(1.0)
}

/// `values[i] = f(values[i])`.
#[inline(always)]
pub fn map(values: &mut [f32], f: impl Fn(F32x4) -> F32x4) {
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        f(F32x4::from_array(chunk)).write_to(chunk);
    }
    f(F32x4::load(rest)).store(rest);
}

/// `values[i] = f(values[i], others[i])` over the shorter of the two.
#[inline(always)]
pub fn map2(values: &mut [f32], others: &[f32], f: impl Fn(F32x4, F32x4) -> F32x4) {
    let len = values.len().min(others.len());
    let (chunks, rest) = values[..len].as_chunks_mut::<LANES>();
    let (other_chunks, other_rest) = others[..len].as_chunks::<LANES>();
    for (chunk, other) in chunks.iter_mut().zip(other_chunks) {
        f(F32x4::from_array(chunk), F32x4::from_array(other)).write_to(chunk);
    }
    f(F32x4::load(rest), F32x4::load(other_rest)).store(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::exact;

    fn check(f: impl Fn(F32x4) -> F32x4, exact: impl Fn(f64) -> f64, abs: f64) {
        for step in -60_000..60_000 {
            let x = step as f32 / 3000.0;
            let (got, want) = (f64::from(f(F32x4::splat(x)).to_array()[0]), exact(f64::from(x)));
            assert!((got - want).abs() <= abs + 4e-7 * want.abs(), "at {x}: {got} {want}");
        }
    }

    #[test]
    fn stay_within_their_stated_errors() {
        check(erf, libm::erf, 8e-7);
        check(gelu, exact::gelu, 4e-7);
        check(gelu_tanh, exact::gelu_tanh, 4e-7);
        check(sigmoid, exact::sigmoid, 1e-7);
        check(silu, exact::silu, 1e-6);
        check(tanh, f64::tanh, 5e-7);
    }

    #[test]
    fn extremes_stay_finite_and_nan_stays_nan() {
        for f in [erf, gelu, gelu_tanh, sigmoid, silu, tanh] {
            for x in [-3e4, -200.0, 200.0, 3e4, 0.0] {
                assert!(f(F32x4::splat(x)).to_array()[0].is_finite(), "at {x}");
            }
            assert!(f(F32x4::splat(f32::NAN)).to_array()[0].is_nan());
        }
    }

    #[test]
    fn slices_of_any_length_are_mapped_once() {
        for len in 0..11 {
            let mut values: Vec<f32> = (0..len).map(|i| i as f32).collect();
            map(&mut values, |x| x + F32x4::splat(1.0));
            map2(&mut values, &vec![2.0; len], |x, y| x * y);
            let want: Vec<f32> = (0..len).map(|i| 2.0 * (i as f32 + 1.0)).collect();
            assert_eq!(values, want);
        }
    }
}
