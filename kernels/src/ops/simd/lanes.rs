//! Vectors of any width: work is written once over [`Lanes`] and run with the widest instructions of the processor. A
//! native program detects them at run time; a wasm module is compiled for one instruction set.

use std::ops::{Add, Div, Mul, Sub};

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::{F32x4, LANES, Pair};

/// A vector of f32.
pub trait Lanes:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Number of lanes.
    const LANES: usize;

    /// Whether a multiply-add is one instruction.
    const FUSED: bool;

    /// All lanes `value`.
    fn splat(value: f32) -> Self;

    /// The first [`Lanes::LANES`] floats of `values`; missing ones are zero.
    fn load(values: &[f32]) -> Self;

    /// Writes to the first [`Lanes::LANES`] floats of `values`, or to all where there are fewer.
    fn store(self, values: &mut [f32]);

    /// `self + a · b`, rounded once where [`Lanes::FUSED`].
    #[must_use]
    fn mul_add(self, a: Self, b: Self) -> Self;

    /// `self − a · b`, rounded once where [`Lanes::FUSED`].
    #[must_use]
    fn mul_sub(self, a: Self, b: Self) -> Self;

    /// Lane-wise maximum. The result is unspecified where an operand is NaN.
    #[must_use]
    fn max(self, other: Self) -> Self;

    /// Lane-wise minimum. The result is NaN where `self` is NaN.
    #[must_use]
    fn min(self, other: Self) -> Self;

    /// Each lane's magnitude.
    #[must_use]
    fn abs(self) -> Self;

    /// Magnitudes of `self` with the signs of `sign`.
    #[must_use]
    fn with_sign_of(self, sign: Self) -> Self;

    /// The first lane.
    #[inline(always)]
    fn first(self) -> f32 {
        let mut first = [0.0];
        self.store(&mut first);
        first[0]
    }

    /// Sums of the lanes that are four apart.
    fn fold_sum(self) -> F32x4;

    /// Maxima of the lanes that are four apart.
    fn fold_max(self) -> F32x4;

    /// Each lane's bits shifted left by 23, which turns the integer in the low mantissa bits into an exponent.
    #[must_use]
    fn shift_bits_left_23(self) -> Self;

    /// Adds the lanes' bits as integers.
    #[must_use]
    fn add_bits(self, other: Self) -> Self;
}

impl Lanes for F32x4 {
    const LANES: usize = LANES;
    const FUSED: bool = cfg!(target_feature = "relaxed-simd");

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self::splat(value)
    }
    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self::load(values)
    }
    #[inline(always)]
    fn store(self, values: &mut [f32]) {
        self.store(values);
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }
    #[inline(always)]
    fn mul_sub(self, a: Self, b: Self) -> Self {
        self.mul_sub(a, b)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.max(other)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.min(other)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        self.with_sign_of(sign)
    }
    #[inline(always)]
    fn fold_sum(self) -> F32x4 {
        self
    }
    #[inline(always)]
    fn fold_max(self) -> F32x4 {
        self
    }
    #[inline(always)]
    fn shift_bits_left_23(self) -> Self {
        self.shift_bits_left_23()
    }
    #[inline(always)]
    fn add_bits(self, other: Self) -> Self {
        self.add_bits(other)
    }
}

/// Work on vectors of any width.
pub trait Work {
    /// Result type.
    type Output;

    /// Runs the work with vectors of type `V`. Must be `#[inline(always)]`, with all functions that it calls: only code
    /// that is inlined into the entry function of an instruction set is compiled for it.
    fn run<V: Lanes>(self) -> Self::Output;
}

/// An instruction set for kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// [`F32x4`] with the instructions for which the whole program is compiled.
    Compiled,
    /// 256-bit vectors and fused multiply-adds of x86.
    Avx2,
}

impl InstructionSet {
    /// All instruction sets, the widest first.
    pub const ALL: [Self; 2] = [Self::Avx2, Self::Compiled];

    /// The widest instruction set of this processor.
    #[inline]
    pub fn widest() -> Self {
        if Self::Avx2.is_available() { Self::Avx2 } else { Self::Compiled }
    }

    /// Whether this processor has it.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            Self::Compiled => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 => false,
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx2 => "avx2-fma",
            Self::Compiled if cfg!(all(target_arch = "wasm32", target_feature = "relaxed-simd")) => {
                "relaxed-simd"
            }
            Self::Compiled if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) => "simd128",
            Self::Compiled if cfg!(target_feature = "sse2") => "sse2",
            Self::Compiled if cfg!(target_feature = "neon") => "neon",
            Self::Compiled => "plain",
        }
    }

    /// Lanes of its vectors.
    pub fn lanes(self) -> usize {
        match self {
            Self::Compiled => LANES,
            Self::Avx2 => 2 * LANES,
        }
    }

    /// Runs `work` with it, or with [`InstructionSet::Compiled`] where the processor lacks it.
    #[inline(always)]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::run(work).unwrap_or_else(W::run::<F32x4>),
            _ => work.run::<F32x4>(),
        }
    }
}

/// Lanes of the vectors of [`run_wide`].
pub const WIDE: usize = if cfg!(target_arch = "wasm32") { LANES } else { 2 * LANES };

/// A vector of [`WIDE`] lanes with the instructions for which the whole program is compiled.
#[cfg(target_arch = "wasm32")]
pub type Wide = F32x4;
/// A vector of [`WIDE`] lanes with the instructions for which the whole program is compiled.
#[cfg(not(target_arch = "wasm32"))]
pub type Wide = Pair;

/// Runs `work` with vectors of exactly [`WIDE`] lanes, for data with that layout.
#[inline(always)]
pub fn run_wide<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "wasm32")]
    return work.run::<Wide>();
    #[cfg(not(target_arch = "wasm32"))]
    run_eight(work)
}

/// Runs `work` with vectors of exactly eight lanes, the channels of a group.
#[inline(always)]
pub fn run_eight<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    return avx2::run(work).unwrap_or_else(W::run::<Pair>);
    #[cfg(not(target_arch = "x86_64"))]
    work.run::<Pair>()
}

/// Runs `work` with the widest vectors of the processor.
#[inline(always)]
pub fn run_widest<W: Work>(work: W) -> W::Output {
    InstructionSet::widest().run(work)
}
