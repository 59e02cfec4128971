//! 2ˣ for x ≤ 0, a vector at a time: what an online softmax needs once log₂e is folded into its scale.

use super::simd::{F32x4, Lanes};

/// Below this, 2ˣ is taken as exactly 0: the bits of 1 less 127 exponent steps. A masked score then weighs nothing, and
/// no product with it is denormal, which some processors take a hundred times longer over.
const LOWEST: f32 = -127.0;

/// Adding 1.5·2²³ rounds to the nearest integer and leaves that integer in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

/// (ln 2)ᵏ / k!, k = 1 … 6: the Taylor polynomial of 2ᶠ, whose remainder on |f| ≤ ½ is below 1.3·10⁻⁷.
const TAYLOR: [f32; 6] =
    [std::f32::consts::LN_2, 0.240_226_5, 0.055_504_11, 0.009_618_129, 0.001_333_355_8, 0.000_154_035_3];

/// All constants of 2ˣ, in the order of their use.
static CONSTANTS: [f32; 9] =
    [LOWEST, ROUND, TAYLOR[5], TAYLOR[4], TAYLOR[3], TAYLOR[2], TAYLOR[1], TAYLOR[0], 1.0];

/// 2ˣ for long loops: its constants come from memory. Browsers build a vector constant out of integer ones, by four
/// instructions, in every round of a loop; a number that they cannot know is one load.
#[derive(Debug, Clone, Copy)]
pub struct Exp2(&'static [f32; 9]);

impl Exp2 {
    /// To be made outside of the loop.
    #[inline(always)]
    pub fn opaque() -> Self {
        // Natively a constant is a load anyway, and all of them before the loop would not fit in registers.
        Self(if cfg!(target_arch = "wasm32") { std::hint::black_box(&CONSTANTS) } else { &CONSTANTS })
    }

    /// 2ˣ per lane, as [`exp2`].
    #[inline(always)]
    pub fn of<V: Lanes>(self, x: V) -> V {
        let [lowest, round, first, rest @ ..] = self.0;
        let x = x.max(V::splat(*lowest));
        let shifted = x + V::splat(*round);
        let fraction = x - (shifted - V::splat(*round));
        let mut polynomial = V::splat(*first);
        for coefficient in rest {
            polynomial = V::splat(*coefficient).mul_add(polynomial, fraction);
        }
        polynomial.add_bits(shifted.shift_bits_left_23())
    }
}

/// 2ˣ per lane for x ≤ 0 (also slightly above), relative error below 4·10⁻⁷ down to −126; lanes below −127 give 0.
#[inline(always)]
pub fn exp2(x: F32x4) -> F32x4 {
    Exp2(&CONSTANTS).of(x)
}

/// 2ˣ of one float, by the same steps.
pub fn exp2_scalar(x: f32) -> f32 {
    exp2(F32x4::splat(x)).to_array()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_stated_error() {
        for step in 0..100_000_u32 {
            let x = -125.9 * step as f32 / 100_000.0;
            let want = f64::from(x).exp2();
            let error = (f64::from(exp2_scalar(x)) - want).abs() / want;
            assert!(error < 4e-7, "2^{x}: relative error {error}");
        }
        assert_eq!(exp2_scalar(0.0), 1.0);
    }

    #[test]
    fn far_below_it_is_nothing() {
        for x in [-127.0, -1e4, -3e38] {
            assert_eq!(exp2_scalar(x), 0.0, "2^{x}");
        }
        for step in 0..1000_u16 {
            let y = exp2_scalar(-126.0 - f32::from(step) / 1000.0);
            assert!((0.0..2e-38).contains(&y), "{y}");
        }
    }
}
