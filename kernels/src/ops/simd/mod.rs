//! Four f32 lanes: `v128` in wasm, elsewhere an array that the compiler vectorises; and wider vectors natively, on
//! request. Only this module depends on the instruction set; kernels are written once.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod lanes;
mod pair;
mod peak;

pub use lanes::{InstructionSet, Lanes, WIDE, Wide, Work, run_eight, run_wide, run_widest};
pub use pair::Pair;
pub use peak::MultiplyAdds;

use std::ops::{Add, Div, Mul, Sub};

/// Four f32 lanes.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct F32x4(imp::Repr);

/// Number of lanes.
pub const LANES: usize = 4;

impl F32x4 {
    /// All lanes `value`.
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(imp::splat(value))
    }

    /// All lanes zero.
    #[inline(always)]
    pub fn zero() -> Self {
        Self::splat(0.0)
    }

    /// From four floats.
    #[inline(always)]
    pub fn from_array(values: &[f32; LANES]) -> Self {
        Self(imp::load(values))
    }

    /// To four floats.
    #[inline(always)]
    pub fn write_to(self, values: &mut [f32; LANES]) {
        imp::store(self.0, values);
    }

    /// The first four floats of `values`; missing ones are zero.
    #[inline(always)]
    pub fn load(values: &[f32]) -> Self {
        if let Some(chunk) = values.first_chunk() {
            Self::from_array(chunk)
        } else {
            let mut padded = [0.0; LANES];
            padded.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            Self::from_array(&padded)
        }
    }

    /// Writes to the first four floats of `values`, or to all where there are fewer.
    #[inline(always)]
    pub fn store(self, values: &mut [f32]) {
        if let Some(chunk) = values.first_chunk_mut() {
            self.write_to(chunk);
        } else {
            values.iter_mut().zip(self.to_array()).for_each(|(to, from)| *to = from);
        }
    }

    /// The lanes.
    #[inline(always)]
    pub fn to_array(self) -> [f32; LANES] {
        let mut values = [0.0; LANES];
        self.write_to(&mut values);
        values
    }

    /// `self + a · b`, rounded once where relaxed SIMD is compiled in and twice elsewhere.
    #[inline(always)]
    #[must_use]
    pub fn mul_add(self, a: Self, b: Self) -> Self {
        Self(imp::mul_add(self.0, a.0, b.0))
    }

    /// `self − a · b`, rounded once where relaxed SIMD is compiled in and twice elsewhere.
    #[inline(always)]
    #[must_use]
    pub fn mul_sub(self, a: Self, b: Self) -> Self {
        Self(imp::mul_sub(self.0, a.0, b.0))
    }

    /// Lane-wise maximum. The result is unspecified where an operand is NaN.
    #[inline(always)]
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(imp::max(self.0, other.0))
    }

    /// Lane-wise minimum. The result is NaN where `self` is NaN.
    #[inline(always)]
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(imp::min(self.0, other.0))
    }

    /// Each lane's magnitude.
    #[inline(always)]
    #[must_use]
    pub fn abs(self) -> Self {
        Self(imp::abs(self.0))
    }

    /// Magnitudes of `self` with the signs of `sign`.
    #[inline(always)]
    #[must_use]
    pub fn with_sign_of(self, sign: Self) -> Self {
        Self(imp::with_sign_of(self.0, sign.0))
    }

    /// Sum of the lanes.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + c) + (b + d)
    }

    /// The largest lane.
    #[inline(always)]
    pub fn max_lane(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        a.max(c).max(b.max(d))
    }

    /// The transposed matrix.
    #[inline(always)]
    pub fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        let [a, b, c, d] = rows.map(|row| row.0);
        let (even_low, even_high) = (imp::interleave_low(a, c), imp::interleave_high(a, c));
        let (odd_low, odd_high) = (imp::interleave_low(b, d), imp::interleave_high(b, d));
        [
            imp::interleave_low(even_low, odd_low),
            imp::interleave_high(even_low, odd_low),
            imp::interleave_low(even_high, odd_high),
            imp::interleave_high(even_high, odd_high),
        ]
        .map(Self)
    }

    /// Each lane's bits shifted left by 23, which turns the integer in the low mantissa bits into an exponent.
    #[inline(always)]
    pub(in crate::ops) fn shift_bits_left_23(self) -> Self {
        Self(imp::shl23(self.0))
    }

    /// Adds the lanes' bits as integers.
    #[inline(always)]
    pub(in crate::ops) fn add_bits(self, other: Self) -> Self {
        Self(imp::add_bits(self.0, other.0))
    }
}

impl Add for F32x4 {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(imp::add(self.0, other.0))
    }
}

impl Sub for F32x4 {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(imp::sub(self.0, other.0))
    }
}

impl Mul for F32x4 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(imp::mul(self.0, other.0))
    }
}

impl Div for F32x4 {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(imp::div(self.0, other.0))
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod imp {
    #![expect(
        unsafe_code,
        reason = "v128 loads and stores take raw pointers; each comes from a reference to 4 floats"
    )]

    use core::arch::wasm32 as w;

    pub(super) type Repr = w::v128;

    #[inline(always)]
    pub(super) fn splat(value: f32) -> Repr {
        w::f32x4_splat(value)
    }
    #[inline(always)]
    pub(super) fn load(values: &[f32; 4]) -> Repr {
        // SAFETY: the reference covers 16 readable bytes, and v128.load has no alignment requirement.
        unsafe { w::v128_load(values.as_ptr().cast()) }
    }
    #[inline(always)]
    pub(super) fn store(lanes: Repr, values: &mut [f32; 4]) {
        // SAFETY: the reference covers 16 writable bytes, and v128.store has no alignment requirement.
        unsafe { w::v128_store(values.as_mut_ptr().cast(), lanes) }
    }
    #[inline(always)]
    pub(super) fn mul_add(c: Repr, a: Repr, b: Repr) -> Repr {
        #[cfg(all(feature = "relaxed-simd", target_feature = "relaxed-simd"))]
        {
            w::f32x4_relaxed_madd(a, b, c)
        }
        #[cfg(not(all(feature = "relaxed-simd", target_feature = "relaxed-simd")))]
        {
            w::f32x4_add(w::f32x4_mul(a, b), c)
        }
    }
    #[inline(always)]
    pub(super) fn mul_sub(c: Repr, a: Repr, b: Repr) -> Repr {
        #[cfg(all(feature = "relaxed-simd", target_feature = "relaxed-simd"))]
        {
            w::f32x4_relaxed_nmadd(a, b, c)
        }
        #[cfg(not(all(feature = "relaxed-simd", target_feature = "relaxed-simd")))]
        {
            w::f32x4_sub(c, w::f32x4_mul(a, b))
        }
    }
    #[inline(always)]
    pub(super) fn max(a: Repr, b: Repr) -> Repr {
        w::f32x4_pmax(a, b)
    }
    #[inline(always)]
    pub(super) fn add(a: Repr, b: Repr) -> Repr {
        w::f32x4_add(a, b)
    }
    #[inline(always)]
    pub(super) fn sub(a: Repr, b: Repr) -> Repr {
        w::f32x4_sub(a, b)
    }
    #[inline(always)]
    pub(super) fn mul(a: Repr, b: Repr) -> Repr {
        w::f32x4_mul(a, b)
    }
    #[inline(always)]
    pub(super) fn div(a: Repr, b: Repr) -> Repr {
        w::f32x4_div(a, b)
    }
    #[inline(always)]
    pub(super) fn min(a: Repr, b: Repr) -> Repr {
        w::f32x4_pmin(a, b)
    }
    #[inline(always)]
    pub(super) fn abs(a: Repr) -> Repr {
        w::f32x4_abs(a)
    }
    #[inline(always)]
    pub(super) fn with_sign_of(a: Repr, sign: Repr) -> Repr {
        w::v128_bitselect(sign, a, w::u32x4_splat(1 << 31))
    }
    #[inline(always)]
    pub(super) fn interleave_low(a: Repr, b: Repr) -> Repr {
        w::i32x4_shuffle::<0, 4, 1, 5>(a, b)
    }
    #[inline(always)]
    pub(super) fn interleave_high(a: Repr, b: Repr) -> Repr {
        w::i32x4_shuffle::<2, 6, 3, 7>(a, b)
    }
    #[inline(always)]
    pub(super) fn shl23(a: Repr) -> Repr {
        w::i32x4_shl(a, 23)
    }
    #[inline(always)]
    pub(super) fn add_bits(a: Repr, b: Repr) -> Repr {
        w::i32x4_add(a, b)
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod imp {
    #[derive(Debug, Clone, Copy)]
    #[repr(align(16))]
    pub(super) struct Repr([f32; 4]);

    #[inline(always)]
    fn zip(a: Repr, b: Repr, op: impl Fn(f32, f32) -> f32) -> Repr {
        Repr([op(a.0[0], b.0[0]), op(a.0[1], b.0[1]), op(a.0[2], b.0[2]), op(a.0[3], b.0[3])])
    }
    #[inline(always)]
    pub(super) fn splat(value: f32) -> Repr {
        Repr([value; 4])
    }
    #[inline(always)]
    pub(super) fn load(values: &[f32; 4]) -> Repr {
        Repr(*values)
    }
    #[inline(always)]
    pub(super) fn store(lanes: Repr, values: &mut [f32; 4]) {
        *values = lanes.0;
    }
    #[inline(always)]
    pub(super) fn mul_add(c: Repr, a: Repr, b: Repr) -> Repr {
        add(mul(a, b), c)
    }
    #[inline(always)]
    pub(super) fn mul_sub(c: Repr, a: Repr, b: Repr) -> Repr {
        sub(c, mul(a, b))
    }
    #[inline(always)]
    pub(super) fn max(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| if a < b { b } else { a })
    }
    #[inline(always)]
    pub(super) fn add(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    pub(super) fn sub(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    pub(super) fn mul(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    pub(super) fn div(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    pub(super) fn min(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| if b < a { b } else { a })
    }
    #[inline(always)]
    pub(super) fn abs(a: Repr) -> Repr {
        Repr(a.0.map(f32::abs))
    }
    #[inline(always)]
    pub(super) fn with_sign_of(a: Repr, sign: Repr) -> Repr {
        zip(a, sign, f32::copysign)
    }
    #[inline(always)]
    pub(super) fn interleave_low(a: Repr, b: Repr) -> Repr {
        Repr([a.0[0], b.0[0], a.0[1], b.0[1]])
    }
    #[inline(always)]
    pub(super) fn interleave_high(a: Repr, b: Repr) -> Repr {
        Repr([a.0[2], b.0[2], a.0[3], b.0[3]])
    }
    #[inline(always)]
    pub(super) fn shl23(a: Repr) -> Repr {
        Repr(a.0.map(|lane| f32::from_bits(lane.to_bits() << 23)))
    }
    #[inline(always)]
    pub(super) fn add_bits(a: Repr, b: Repr) -> Repr {
        zip(a, b, |a, b| f32::from_bits(a.to_bits().wrapping_add(b.to_bits())))
    }
}
