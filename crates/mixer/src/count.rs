//! Counts of operations, elements and bytes.

use std::iter::{Product, Sum};
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Rem, Sub};

/// A count of operations, elements or bytes in 64 bits, even where `usize` has 32.
///
/// Arithmetic saturates: a product of 2⁶⁴ or more is [`Count::MAX`], a difference below zero is zero, a division by
/// zero gives [`Count::MAX`]. A cost beyond any machine therefore stays recognisable as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Count(u64);

impl Count {
    /// Zero.
    pub const ZERO: Self = Self(0);
    /// The saturated count, greater than any real cost.
    pub const MAX: Self = Self(u64::MAX);

    /// A count.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// Converts several sizes.
    pub fn all<const N: usize>(sizes: [usize; N]) -> [Self; N] {
        sizes.map(Self::from)
    }

    /// The count as an integer.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The count as an index or a length in memory. A count beyond `usize` becomes `usize::MAX`, which every allocator
    /// refuses.
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// The smallest multiple of `step` that is at least the count.
    #[must_use]
    pub const fn next_multiple_of(self, step: u64) -> Self {
        Self(self.0.div_ceil(if step == 0 { 1 } else { step }).saturating_mul(step))
    }

    /// The quotient, rounded up.
    #[must_use]
    pub const fn div_ceil(self, by: u64) -> Self {
        Self(if by == 0 { u64::MAX } else { self.0.div_ceil(by) })
    }

    /// ⌊log₂⌋ of the count; zero for zero.
    #[must_use]
    pub fn ilog2(self) -> Self {
        Self(u64::from(self.0.max(1).ilog2()))
    }
}

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Self(count as u64)
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

/// The sizes of an input `[batch, seq_len, d_model]`, from which closed forms are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Sequences in a batch.
    pub batch: Count,
    /// Sequence length.
    pub seq_len: Count,
    /// Model width.
    pub d_model: Count,
}

impl Sizes {
    /// Rows of all sequences together.
    pub fn rows(self) -> Count {
        self.batch * self.seq_len
    }

    /// Elements of one stream `[batch, seq_len, d_model]`.
    pub fn stream(self) -> Count {
        self.rows() * self.d_model
    }
}

/// Arithmetic with `u64`, the only integer type that mixes with counts, so that a literal needs no suffix.
macro_rules! saturating {
    ($($trait:ident $method:ident $function:expr;)*) => {$(
        impl $trait for Count {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                let function: fn(u64, u64) -> u64 = $function;
                Self(function(self.0, other.0))
            }
        }
        impl $trait<u64> for Count {
            type Output = Self;
            fn $method(self, other: u64) -> Self {
                $trait::$method(self, Self(other))
            }
        }
        impl $trait<Count> for u64 {
            type Output = Count;
            fn $method(self, other: Count) -> Count {
                $trait::$method(Count(self), other)
            }
        }
    )*};
}

saturating! {
    Add add u64::saturating_add;
    Sub sub u64::saturating_sub;
    Mul mul u64::saturating_mul;
    Div div |a, b| a.checked_div(b).unwrap_or(u64::MAX);
    Rem rem |a, b| a.checked_rem(b).unwrap_or(0);
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl MulAssign for Count {
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, |sum, count| sum + count)
    }
}

impl Product for Count {
    fn product<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self(1), |product, count| product * count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_beyond_64_bits_saturate() {
        let (tokens, parameters) = (Count::from(10_000_000), 1_800_000_000_000 * Count(1));
        // 3.6e19 operations exceed 64 bits.
        assert_eq!(2 * tokens * parameters, Count::MAX);
        assert_eq!((tokens * parameters).get(), 18_000_000_000_000_000_000);
        assert_eq!((4 * tokens * tokens).get(), 400_000_000_000_000);
    }

    #[test]
    fn nothing_wraps_or_divides_by_zero() {
        let two = Count::from(2);
        assert_eq!(two - 3, Count::ZERO);
        assert_eq!(Count::MAX + two, Count::MAX);
        assert_eq!(two / 0, Count::MAX);
        assert_eq!(two % 0, Count::ZERO);
        assert_eq!(two.div_ceil(0), Count::MAX);
        assert_eq!(Count::MAX.next_multiple_of(8), Count::MAX);
        assert_eq!(Count::from(9).next_multiple_of(8).get(), 16);
        assert_eq!(Count::from(9).div_ceil(8), two);
        assert_eq!(Count::ZERO.ilog2(), Count::ZERO);
        assert_eq!([two, Count::MAX].into_iter().sum::<Count>(), Count::MAX);
    }

    #[test]
    fn an_index_beyond_usize_saturates() {
        assert_eq!(Count::from(12).index(), 12);
        assert_eq!(Count::MAX.index(), usize::MAX);
        #[cfg(target_pointer_width = "32")]
        assert_eq!(Count(1 << 32).index(), usize::MAX);
    }
}
