//! 2ˣ for x ≤ 0 on vectors, as an online softmax needs it once log₂e is folded into its scale.

use super::simd::{F32x4, InstructionSet, Lanes, Work};

/// Below this, the result is exactly 0: the bits of 1 minus 127 exponent steps. A masked score then has no weight, and
/// no product with it is denormal, which is a hundred times slower on some processors.
const LOWEST: f32 = -127.0;

/// Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

/// 2ᶠ on |f| ≤ ½ as 1 + c₁f + … + c₅f⁵, the polynomial with the smallest maximum relative error, 9.2·10⁻⁸ (Remez).
#[expect(clippy::approx_constant, reason = "the first coefficient is close to ln 2, and not ln 2")]
const MINIMAX: [f32; 5] = [0.693_147, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7];

/// All constants of 2ˣ, in the order of their use.
static CONSTANTS: [f32; 8] = [LOWEST, ROUND, MINIMAX[4], MINIMAX[3], MINIMAX[2], MINIMAX[1], MINIMAX[0], 1.0];

/// 2ˣ for long loops, with its constants in registers. Browsers rebuild a vector constant from integers by four
/// instructions in every iteration. A value that is unknown at compile time is loaded once.
#[derive(Debug, Clone, Copy)]
pub struct Exp2<V = F32x4>([V; CONSTANTS.len()]);

impl<V: Lanes> Exp2<V> {
    /// Must be created outside of the loop.
    #[inline(always)]
    pub fn opaque() -> Self {
        // Natively a constant is a memory operand anyway.
        let constants =
            if cfg!(target_arch = "wasm32") { std::hint::black_box(&CONSTANTS) } else { &CONSTANTS };
        Self::of_constants(constants)
    }

    #[inline(always)]
    fn of_constants(constants: &[f32; CONSTANTS.len()]) -> Self {
        Self(std::array::from_fn(|index| V::splat(constants[index])))
    }

    /// 2ˣ per lane, like [`exp2`].
    #[inline(always)]
    pub fn of(&self, x: V) -> V {
        let [lowest, round, c5, c4, c3, c2, c1, one] = self.0;
        let x = x.max(lowest);
        let shifted = x + round;
        let fraction = x - (shifted - round);
        let polynomial = c4.mul_add(c5, fraction);
        let polynomial = c3.mul_add(polynomial, fraction);
        let polynomial = c2.mul_add(polynomial, fraction);
        let polynomial = c1.mul_add(polynomial, fraction);
        one.mul_add(polynomial, fraction).add_bits(shifted.shift_bits_left_23())
    }
}

/// 2ˣ per lane for x ≤ 0 (also slightly above), with a relative error below 2.5·10⁻⁷ down to −126. Lanes below −127 are
/// 0.
#[inline(always)]
pub fn exp2<V: Lanes>(x: V) -> V {
    Exp2::of_constants(&CONSTANTS).of(x)
}

/// 2ˣ of one float, by the steps of [`exp2`].
pub fn exp2_scalar(x: f32) -> f32 {
    exp2(F32x4::splat(x)).to_array()[0]
}

/// Independent chains of exponentials: enough to hide their latency, few enough to stay in registers.
const CHAINS: usize = 6;

/// Chains of 2⁻ˣ in registers, which measure the peak rate of the kernels' exponential. The result depends on every
/// exponential and on `seed`.
#[derive(Debug, Clone, Copy)]
pub struct Exponentials {
    /// Exponentials of each chain.
    pub rounds: usize,
    /// Initial value of the chains, from 0 to 1.
    pub seed: f32,
}

impl Exponentials {
    /// Exponentials of `rounds` rounds with the vectors of `set`.
    pub fn count(rounds: usize, set: InstructionSet) -> f64 {
        (CHAINS * rounds * set.lanes()) as f64
    }
}

impl Work for Exponentials {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        let exp2 = Exp2::<V>::opaque();
        let zero = V::splat(0.0);
        let starts: [f32; CHAINS] =
            std::hint::black_box(std::array::from_fn(|chain| self.seed + chain as f32));
        let mut chains = starts.map(V::splat);
        for _ in 0..self.rounds {
            chains = chains.map(|chain| exp2.of(zero - chain));
        }
        chains.iter().map(|chain| chain.fold_sum().sum()).sum()
    }
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
            assert!(error < 2.5e-7, "2^{x}: relative error {error}");
        }
        assert_eq!(exp2_scalar(0.0), 1.0);
    }

    #[test]
    fn far_below_the_range_the_result_is_zero() {
        for x in [-127.0, -1e4, -3e38] {
            assert_eq!(exp2_scalar(x), 0.0, "2^{x}");
        }
        for step in 0..1000_u16 {
            let y = exp2_scalar(-126.0 - f32::from(step) / 1000.0);
            assert!((0.0..2e-38).contains(&y), "{y}");
        }
    }

    #[test]
    fn every_set_of_instructions_takes_the_same_exponentials() {
        let want: f64 =
            (0..CHAINS).map(|chain| (0..3).fold(0.5 + chain as f64, |x: f64, _| (-x).exp2())).sum();
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let got = f64::from(set.run(Exponentials { rounds: 3, seed: 0.5 })) / set.lanes() as f64;
            assert!((got - want).abs() < 1e-5, "{set:?}: {got}, {want}");
        }
    }
}
