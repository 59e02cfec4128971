//! Eight f32 lanes of x86's AVX2 with fused multiply-adds.

#![expect(
    unsafe_code,
    reason = "code for an instruction set may only be entered where the processor has it, and vector loads and stores \
              take raw pointers, each from a reference to 8 floats"
)]

use std::arch::x86_64 as x;
use std::ops::{Add, Div, Mul, Sub};

use super::lanes::{Lanes, Work};
use super::{F32x4, LANES};

/// Lanes per vector.
const WIDTH: usize = 2 * LANES;

/// Eight f32 lanes. Private to this module, so that no value exists outside of [`enter`], which runs only where the
/// processor has AVX2 and FMA. This makes each intrinsic below sound.
#[derive(Clone, Copy)]
struct F32x8(x::__m256);

/// Whether the processor has the instruction sets of [`run`].
#[inline]
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Runs `work` eight lanes at a time. Returns the work where the processor cannot run it.
#[inline]
pub(super) fn run<W: Work>(work: W) -> Result<W::Output, W> {
    // SAFETY: the processor has both instruction sets.
    if is_available() { Ok(unsafe { enter(work) }) } else { Err(work) }
}

#[target_feature(enable = "avx2,fma")]
fn enter<W: Work>(work: W) -> W::Output {
    work.run::<F32x8>()
}

impl Add for F32x8 {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_add_ps(self.0, other.0) })
    }
}

impl Sub for F32x8 {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_sub_ps(self.0, other.0) })
    }
}

impl Mul for F32x8 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_mul_ps(self.0, other.0) })
    }
}

impl Div for F32x8 {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_div_ps(self.0, other.0) })
    }
}

impl Lanes for F32x8 {
    const LANES: usize = WIDTH;
    const FUSED: bool = true;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_set1_ps(value) })
    }
    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        let mut padded = [0.0; WIDTH];
        let full = values.first_chunk().unwrap_or_else(|| {
            padded.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            &padded
        });
        // SAFETY: see `F32x8`; the reference covers 32 readable bytes, and the load has no alignment requirement.
        Self(unsafe { x::_mm256_loadu_ps(full.as_ptr()) })
    }
    #[inline(always)]
    fn store(self, values: &mut [f32]) {
        // SAFETY: see `F32x8`; the reference covers 32 writable bytes, and the store has no alignment requirement.
        let write = |full: &mut [f32; WIDTH]| unsafe { x::_mm256_storeu_ps(full.as_mut_ptr(), self.0) };
        if let Some(full) = values.first_chunk_mut() {
            write(full);
        } else {
            let mut full = [0.0; WIDTH];
            write(&mut full);
            values.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        }
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_fmadd_ps(a.0, b.0, self.0) })
    }
    #[inline(always)]
    fn mul_sub(self, a: Self, b: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_fnmadd_ps(a.0, b.0, self.0) })
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: see `F32x8`. If an operand is NaN, the instruction returns its second operand, so a NaN in `self` stays.
        Self(unsafe { x::_mm256_max_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: see `F32x8`. Where an operand is NaN, the instruction returns its second one.
        Self(unsafe { x::_mm256_min_ps(other.0, self.0) })
    }
    #[inline(always)]
    fn abs(self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_andnot_ps(x::_mm256_set1_ps(-0.0), self.0) })
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe {
            let bit = x::_mm256_set1_ps(-0.0);
            x::_mm256_or_ps(x::_mm256_andnot_ps(bit, self.0), x::_mm256_and_ps(bit, sign.0))
        })
    }
    #[inline(always)]
    fn fold_sum(self) -> F32x4 {
        let [low, high] = self.halves();
        low + high
    }
    #[inline(always)]
    fn fold_max(self) -> F32x4 {
        let [low, high] = self.halves();
        low.max(high)
    }
    #[inline(always)]
    fn shift_bits_left_23(self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe { x::_mm256_castsi256_ps(x::_mm256_slli_epi32::<23>(x::_mm256_castps_si256(self.0))) })
    }
    #[inline(always)]
    fn add_bits(self, other: Self) -> Self {
        // SAFETY: see `F32x8`.
        Self(unsafe {
            let (a, b) = (x::_mm256_castps_si256(self.0), x::_mm256_castps_si256(other.0));
            x::_mm256_castsi256_ps(x::_mm256_add_epi32(a, b))
        })
    }
}

impl F32x8 {
    #[inline(always)]
    fn halves(self) -> [F32x4; 2] {
        let mut floats = [0.0; WIDTH];
        self.store(&mut floats);
        [F32x4::load(&floats[..LANES]), F32x4::load(&floats[LANES..])]
    }
}
