//! Activations, by the widest vectors of the processor.
//!
//! The error function follows Abramowitz and Stegun, formula 7.1.26: erfc(a) = p(t) e^(−a²), t = 1 / (1 + 0.3275911 a),
//! a ≥ 0, whose error is below 1.5·10⁻⁷.

use super::exp::{Exp2, exp2};
use super::simd::{Lanes, Work, run_widest};

const ERFC_SCALE: f32 = 0.327_591_1;
const ERFC: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];

/// √½.
const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// e^x for x ≤ 0.
#[inline(always)]
fn exp_negative<V: Lanes>(x: V) -> V {
    exp2(x * V::splat(std::f32::consts::LOG2_E))
}

/// erfc(a) for a ≥ 0.
#[inline(always)]
fn erfc_positive<V: Lanes>(a: V) -> V {
    let one = V::splat(1.0);
    let t = one / one.mul_add(a, V::splat(ERFC_SCALE));
    let mut polynomial = V::splat(ERFC[0]);
    for coefficient in &ERFC[1..] {
        polynomial = V::splat(*coefficient).mul_add(polynomial, t);
    }
    polynomial * t * exp_negative(V::splat(0.0) - a * a)
}

/// erf(x), absolute error below 8·10⁻⁷: rounding of the polynomial included.
#[inline(always)]
pub fn erf<V: Lanes>(x: V) -> V {
    (V::splat(1.0) - erfc_positive(x.abs())).with_sign_of(x)
}

/// x·Φ(x) with the exact Φ, i.e. ½x(1 + erf(x/√2)). As max(x, 0) − ½|x|·erfc(|x|/√2), which never cancels.
#[inline(always)]
pub fn gelu<V: Lanes>(x: V) -> V {
    let a = x.abs();
    x.max(V::splat(0.0)) - V::splat(0.5) * a * erfc_positive(a * V::splat(SQRT_HALF))
}

/// The tanh approximation of GELU: ½x(1 + tanh(√(2/π)(x + 0.044715x³))), by tanh(z) = 2σ(2z) − 1.
#[inline(always)]
pub fn gelu_tanh<V: Lanes>(x: V) -> V {
    let inner = x.mul_add(V::splat(0.044_715) * x * x, x);
    x * sigmoid(V::splat(2.0 * 0.797_884_6) * inner)
}

/// 1 / (1 + 2^a): the logistic function of −a ln 2, for callers that fold log₂e into a scale.
#[inline(always)]
pub fn sigmoid_exp2<V: Lanes>(a: V) -> V {
    let one = V::splat(1.0);
    one / (one + exp2(a.min(V::splat(126.0))))
}

/// Like [`sigmoid_exp2`], with the constants in registers, for long loops.
#[inline(always)]
pub fn sigmoid_exp2_by<V: Lanes>(exp2: &Exp2<V>, a: V) -> V {
    let one = V::splat(1.0);
    one / (one + exp2.of(a.min(V::splat(126.0))))
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub fn sigmoid<V: Lanes>(x: V) -> V {
    sigmoid_exp2(V::splat(-std::f32::consts::LOG2_E) * x)
}

/// x·σ(x).
#[inline(always)]
pub fn silu<V: Lanes>(x: V) -> V {
    x * sigmoid(x)
}

/// tanh(x), absolute error below 5·10⁻⁷.
#[inline(always)]
pub fn tanh<V: Lanes>(x: V) -> V {
    let two = V::splat(2.0);
    two * sigmoid(two * x) - V::splat(1.0)
}

/// 1.7159·tanh(0.666x) (LeCun).
#[inline(always)]
pub fn lecun_tanh<V: Lanes>(x: V) -> V {
    V::splat(1.715_9) * tanh(V::splat(0.666) * x)
}

/// A function of one number, defined for vectors of any width.
pub trait Unary: Copy {
    /// f(x) in each lane.
    fn of<V: Lanes>(self, x: V) -> V;
}

/// A function of two numbers, defined for vectors of any width.
pub trait Binary: Copy {
    /// f(a, b) in each lane.
    fn of<V: Lanes>(self, a: V, b: V) -> V;
}

macro_rules! functions {
    ($trait:ident: $($(#[$doc:meta])* $name:ident($($arg:ident),+) = $value:expr;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $trait for $name {
                #[inline(always)]
                fn of<V: Lanes>(self, $($arg: V),+) -> V {
                    $value
                }
            }
        )+
    };
}

functions! { Unary:
    /// [`sigmoid`].
    Sigmoid(x) = sigmoid(x);
    /// [`silu`].
    Silu(x) = silu(x);
    /// [`gelu`].
    Gelu(x) = gelu(x);
    /// [`gelu_tanh`].
    GeluTanh(x) = gelu_tanh(x);
    /// [`tanh`].
    Tanh(x) = tanh(x);
    /// [`lecun_tanh`].
    LecunTanh(x) = lecun_tanh(x);
    /// max(x, 0).
    Relu(x) = x.max(V::splat(0.0));
}

functions! { Binary:
    /// a + b.
    Sum(a, b) = a + b;
    /// a − b.
    Difference(a, b) = a - b;
    /// a·b.
    Product(a, b) = a * b;
    /// a·σ(b): a gated linear unit.
    SigmoidGated(a, b) = a * sigmoid(b);
    /// gelu(a)·b.
    GeluTimes(a, b) = gelu(a) * b;
    /// silu(a + b).
    SiluOfSum(a, b) = silu(a + b);
}

/// `values[i] = f(values[i])`.
pub fn map(values: &mut [f32], f: impl Unary) {
    run_widest(Map(values, f));
}

struct Map<'a, F>(&'a mut [f32], F);

impl<F: Unary> Work for Map<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self(values, f) = self;
        for chunk in values.chunks_mut(V::LANES) {
            f.of(V::load(chunk)).store(chunk);
        }
    }
}

/// `values[i] = f(values[i], others[i])` up to the shorter length.
pub fn map2(values: &mut [f32], others: &[f32], f: impl Binary) {
    run_widest(Map2(values, others, f));
}

struct Map2<'a, F>(&'a mut [f32], &'a [f32], F);

impl<F: Binary> Work for Map2<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self(values, others, f) = self;
        let len = values.len().min(others.len());
        for (chunk, other) in values[..len].chunks_mut(V::LANES).zip(others[..len].chunks(V::LANES)) {
            f.of(V::load(chunk), V::load(other)).store(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::exact;
    use crate::ops::simd::{F32x4, InstructionSet};

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
        for f in [erf::<F32x4>, gelu, gelu_tanh, sigmoid, silu, tanh] {
            for x in [-3e4, -200.0, 200.0, 3e4, 0.0] {
                assert!(f(F32x4::splat(x)).to_array()[0].is_finite(), "at {x}");
            }
            assert!(f(F32x4::splat(f32::NAN)).to_array()[0].is_nan());
        }
    }

    #[test]
    fn nan_stays_nan_with_every_instruction_set() {
        fn check(f: impl Unary) {
            for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
                let mut values = [f32::NAN; 8];
                set.run(Map(&mut values, f));
                assert!(values.iter().all(|value| value.is_nan()), "{set:?}");
            }
        }
        check(Sigmoid);
        check(Silu);
        check(Gelu);
        check(GeluTanh);
        check(Tanh);
        check(LecunTanh);
        check(Relu);
    }

    #[test]
    fn slices_of_any_length_are_mapped_once() {
        for len in 0..20 {
            let mut values: Vec<f32> = (0..len).map(|i| i as f32).collect();
            map(&mut values, Relu);
            map2(&mut values, &vec![1.0; len], Sum);
            map2(&mut values, &vec![2.0; len], Product);
            let want: Vec<f32> = (0..len).map(|i| 2.0 * (i as f32 + 1.0)).collect();
            assert_eq!(values, want);
        }
    }
}
