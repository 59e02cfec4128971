//! Eight f32 lanes as two vectors of four.

use std::ops::{Add, Div, Mul, Sub};

use super::{F32x4, LANES, Lanes};

/// Eight f32 lanes: the first four, then the last four.
#[derive(Debug, Clone, Copy)]
pub struct Pair(pub F32x4, pub F32x4);

macro_rules! lane_wise {
    ($($trait:ident $method:ident),+) => {
        $(impl $trait for Pair {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0), self.1.$method(other.1))
            }
        })+
    };
}

lane_wise!(Add add, Sub sub, Mul mul, Div div);

impl Lanes for Pair {
    const LANES: usize = 2 * LANES;
    const FUSED: bool = <F32x4 as Lanes>::FUSED;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(F32x4::splat(value), F32x4::splat(value))
    }
    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        Self(F32x4::load(values), F32x4::load(values.get(LANES..).unwrap_or(&[])))
    }
    #[inline(always)]
    fn store(self, values: &mut [f32]) {
        let (low, high) = values.split_at_mut(LANES.min(values.len()));
        self.0.store(low);
        self.1.store(high);
    }
    #[inline(always)]
    fn mul_add(self, a: Self, b: Self) -> Self {
        Self(self.0.mul_add(a.0, b.0), self.1.mul_add(a.1, b.1))
    }
    #[inline(always)]
    fn mul_sub(self, a: Self, b: Self) -> Self {
        Self(self.0.mul_sub(a.0, b.0), self.1.mul_sub(a.1, b.1))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.min(other.1))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(self.0.abs(), self.1.abs())
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        Self(self.0.with_sign_of(sign.0), self.1.with_sign_of(sign.1))
    }
    #[inline(always)]
    fn fold_sum(self) -> F32x4 {
        self.0 + self.1
    }
    #[inline(always)]
    fn fold_max(self) -> F32x4 {
        self.0.max(self.1)
    }
    #[inline(always)]
    fn shift_bits_left_23(self) -> Self {
        Self(self.0.shift_bits_left_23(), self.1.shift_bits_left_23())
    }
    #[inline(always)]
    fn add_bits(self, other: Self) -> Self {
        Self(self.0.add_bits(other.0), self.1.add_bits(other.1))
    }
}
