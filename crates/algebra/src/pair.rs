//! Complex matrices as pairs of real ones.

use crate::{Algebra, Unary};

/// re + i·im.
#[derive(Debug, Clone)]
#[must_use]
pub struct Pair<T> {
    /// Real part.
    pub re: T,
    /// Imaginary part.
    pub im: T,
}

impl<T: Clone> Pair<T> {
    /// Both parts of the result are f of both parts.
    pub fn map<A: Algebra<T = T>>(&self, a: &mut A, f: impl Fn(&mut A, &T) -> T) -> Self {
        Self { re: f(a, &self.re), im: f(a, &self.im) }
    }

    /// self + other: two operations.
    pub fn plus<A: Algebra<T = T>>(&self, a: &mut A, other: &Self) -> Self {
        Self { re: a.add(&self.re, &other.re), im: a.add(&self.im, &other.im) }
    }

    /// self − other: two operations.
    pub fn minus<A: Algebra<T = T>>(&self, a: &mut A, other: &Self) -> Self {
        Self { re: a.sub(&self.re, &other.re), im: a.sub(&self.im, &other.im) }
    }

    /// self + real: one operation.
    pub fn shifted<A: Algebra<T = T>>(&self, a: &mut A, real: f64) -> Self {
        Self { re: a.affine(&self.re, 1.0, real), im: self.im.clone() }
    }

    /// factor ⊙ self, with a real factor: two operations.
    pub fn scaled<A: Algebra<T = T>>(&self, a: &mut A, factor: &T) -> Self {
        self.map(a, |a, part| a.mul(part, factor))
    }

    /// The complex conjugate: one operation.
    pub fn conjugate<A: Algebra<T = T>>(&self, a: &mut A) -> Self {
        Self { re: self.re.clone(), im: a.scale(&self.im, -1.0) }
    }

    /// self ⊙ other: six operations.
    pub fn times<A: Algebra<T = T>>(&self, a: &mut A, other: &Self) -> Self {
        let (straight, crossed) = (a.mul(&self.re, &other.im), a.mul(&self.im, &other.re));
        Self { re: self.real_product(a, other), im: a.add(&straight, &crossed) }
    }

    /// Re(self ⊙ other): three operations.
    pub fn real_product<A: Algebra<T = T>>(&self, a: &mut A, other: &Self) -> T {
        let (re, im) = (a.mul(&self.re, &other.re), a.mul(&self.im, &other.im));
        a.sub(&re, &im)
    }

    /// |self|²: three operations.
    pub fn square<A: Algebra<T = T>>(&self, a: &mut A) -> T {
        let (re, im) = (a.mul(&self.re, &self.re), a.mul(&self.im, &self.im));
        a.add(&re, &im)
    }

    /// 1 / self.
    pub fn inverse<A: Algebra<T = T>>(&self, a: &mut A) -> Self {
        let square = self.square(a);
        let inverse = a.map(&square, Unary::Recip);
        let conjugate = self.conjugate(a);
        conjugate.scaled(a, &inverse)
    }
}
