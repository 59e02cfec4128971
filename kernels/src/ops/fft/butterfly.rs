//! The steps of a transform over many points, each with all of its factors in registers.

use super::{BUTTERFLY, ENTER, Factor, LEAVE, PRODUCT, Point, Row, Triple};
use crate::ops::simd::{Lanes, WIDE, Work};

/// exp(iπ/8), the factor of a circle's first split for every size.
const COS: f32 = 0.923_879_5;
const SIN: f32 = 0.382_683_43;
/// exp(iπ/4) is (1 + i) times this.
const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

#[cfg(test)]
thread_local! {
    static TALLY: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts the operations of one lane, in tests.
#[cfg(test)]
pub(super) fn tally(operations: u64) {
    TALLY.set(TALLY.get() + operations);
}

/// Operations are counted in tests only.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn tally(_: u64) {}

/// The operations of this thread since the last call.
#[cfg(test)]
pub(super) fn take_tally() -> u64 {
    TALLY.take()
}

/// Complex numbers, one per sequence.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Complex<V> {
    pub re: V,
    pub im: V,
}

impl<V: Lanes> Complex<V> {
    #[inline(always)]
    pub(in crate::ops) fn load(point: &Point) -> Self {
        Self { re: V::load(point), im: V::load(&point[WIDE..]) }
    }
    #[inline(always)]
    pub(in crate::ops) fn splat(pair: [f32; 2]) -> Self {
        Self { re: V::splat(pair[0]), im: V::splat(pair[1]) }
    }
    #[inline(always)]
    pub(in crate::ops) fn store(self, point: &mut Point) {
        let (re, im) = point.split_at_mut(WIDE);
        self.re.store(re);
        self.im.store(im);
    }
    #[inline(always)]
    pub(in crate::ops) fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
    /// `self + i · other`.
    #[inline(always)]
    fn plus_turned(self, other: Self) -> Self {
        Self { re: self.re - other.im, im: self.im + other.re }
    }
    /// `self − i · other`.
    #[inline(always)]
    fn minus_turned(self, other: Self) -> Self {
        Self { re: self.re + other.im, im: self.im - other.re }
    }
    #[inline(always)]
    pub(in crate::ops) fn times(self, other: Self) -> Self {
        Self {
            re: (self.re * other.re).mul_sub(self.im, other.im),
            im: (self.im * other.re).mul_add(self.re, other.im),
        }
    }
    /// Product with the conjugate of `other`.
    #[inline(always)]
    fn times_conjugate(self, other: Self) -> Self {
        Self {
            re: (self.re * other.re).mul_add(self.im, other.im),
            im: (self.im * other.re).mul_sub(self.re, other.im),
        }
    }
}

/// The four quarters of a slice whose length is a multiple of four.
#[inline(always)]
pub(super) fn quarters<T>(data: &mut [T]) -> [&mut [T]; 4] {
    let quarter = data.len() / 4;
    let (a, rest) = data.split_at_mut(quarter);
    let (b, rest) = rest.split_at_mut(quarter);
    let (c, d) = rest.split_at_mut(quarter);
    [a, b, c, &mut d[..quarter]]
}

/// The two halves of a slice.
#[inline(always)]
pub(super) fn halves(data: &mut [Point]) -> [&mut [Point]; 2] {
    data.split_at_mut(data.len() / 2).into()
}

/// The factors of one block.
#[derive(Clone, Copy)]
struct Factors<V> {
    one: Complex<V>,
    two: Complex<V>,
    three: Complex<V>,
}

impl<V: Lanes> Factors<V> {
    #[inline(always)]
    fn load([one_re, one_im, two_re, two_im, three_re, three_im]: &Triple) -> Self {
        Self {
            one: Complex::splat([*one_re, *one_im]),
            two: Complex::splat([*two_re, *two_im]),
            three: Complex::splat([*three_re, *three_im]),
        }
    }
}

/// Splits blocks of 4 · Q points into four, with one triple of factors per block.
pub(super) struct Forward<'a, const Q: usize>(pub &'a mut [Point], pub &'a [Triple]);

impl<const Q: usize> Work for Forward<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self(data, triples) = self;
        tally(data.len() as u64 / 4 * BUTTERFLY);
        for (block, triple) in data.as_chunks_mut::<Q>().0.as_chunks_mut::<4>().0.iter_mut().zip(triples) {
            split(block, Factors::<V>::load(triple));
        }
    }
}

/// The inverse of [`Forward`], times four.
pub(super) struct Inverse<'a, const Q: usize>(pub &'a mut [Point], pub &'a [Triple]);

impl<const Q: usize> Work for Inverse<'_, Q> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self(data, triples) = self;
        tally(data.len() as u64 / 4 * BUTTERFLY);
        for (block, triple) in data.as_chunks_mut::<Q>().0.as_chunks_mut::<4>().0.iter_mut().zip(triples) {
            join(block, Factors::<V>::load(triple));
        }
    }
}

/// The index after `j`, or 0 after the last of Q, a power of two. Written so that compilers do not recognise a loop
/// counter: if they do, LLVM recomputes each address, because its own sum may wrap, instead of adding a constant.
#[inline(always)]
fn after<const Q: usize>(j: usize) -> usize {
    const { assert!(Q.is_power_of_two()) };
    (j + 1) % Q
}

#[inline(always)]
fn split<V: Lanes, const Q: usize>(block: &mut [[Point; Q]; 4], w: Factors<V>) {
    let mut j = 0;
    let mut y = weighted(block, j, w);
    loop {
        let [x0, x1, x2, x3] = split_four(y);
        let [p0, p1, p2, p3] = &mut *block;
        x0.store(&mut p0[j]);
        x1.store(&mut p1[j]);
        x2.store(&mut p2[j]);
        x3.store(&mut p3[j]);
        j = after::<Q>(j);
        if j == 0 {
            return;
        }
        y = weighted(block, j, w);
    }
}

#[inline(always)]
fn weighted<V: Lanes, const Q: usize>(
    [p0, p1, p2, p3]: &[[Point; Q]; 4],
    j: usize,
    w: Factors<V>,
) -> [Complex<V>; 4] {
    weighted_four([&p0[j], &p1[j], &p2[j], &p3[j]], w)
}

#[inline(always)]
fn weighted_four<V: Lanes>([p0, p1, p2, p3]: [&Point; 4], w: Factors<V>) -> [Complex<V>; 4] {
    let y1 = Complex::load(p1).times(w.one);
    let y2 = Complex::load(p2).times(w.two);
    let y3 = Complex::load(p3).times(w.three);
    [Complex::load(p0), y1, y2, y3]
}

#[inline(always)]
fn split_four<V: Lanes>([y0, y1, y2, y3]: [Complex<V>; 4]) -> [Complex<V>; 4] {
    let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
    let (sum13, difference13) = (y1.plus(y3), y1.minus(y3));
    [
        sum02.plus(sum13),
        sum02.minus(sum13),
        difference02.plus_turned(difference13),
        difference02.minus_turned(difference13),
    ]
}

#[inline(always)]
fn join<V: Lanes, const Q: usize>([p0, p1, p2, p3]: &mut [[Point; Q]; 4], w: Factors<V>) {
    let mut j = 0;
    loop {
        join_four([&mut p0[j], &mut p1[j], &mut p2[j], &mut p3[j]], w);
        j = after::<Q>(j);
        if j == 0 {
            return;
        }
    }
}

#[inline(always)]
fn join_four<V: Lanes>([p0, p1, p2, p3]: [&mut Point; 4], w: Factors<V>) {
    let (x0, x1) = (Complex::load(p0), Complex::load(p1));
    let (sum01, difference01) = (x0.plus(x1), x0.minus(x1));
    let (x2, x3) = (Complex::load(p2), Complex::load(p3));
    let (sum23, difference23) = (x2.plus(x3), x2.minus(x3));
    sum01.plus(sum23).store(p0);
    sum01.minus(sum23).times_conjugate(w.two).store(p2);
    difference01.minus_turned(difference23).times_conjugate(w.one).store(p1);
    difference01.plus_turned(difference23).times_conjugate(w.three).store(p3);
}

/// Splits blocks of four, multiplies and joins them.
#[inline(always)]
fn turn4<V: Lanes, F: Factor, const N: usize>(
    data: &mut [[Point; 4]; N],
    triples: &[Triple; N],
    factors: &[[F; 4]; N],
) {
    tally(N as u64 * (2 * BUTTERFLY + 4 * PRODUCT));
    let mut j = 0;
    let mut y = weighted_four(data[j].each_ref(), Factors::<V>::load(&triples[j]));
    loop {
        let [x0, x1, x2, x3] = split_four(y);
        let ([p0, p1, p2, p3], [f0, f1, f2, f3]) = (&mut data[j], &factors[j]);
        x0.times(f0.complex()).store(p0);
        x1.times(f1.complex()).store(p1);
        x2.times(f2.complex()).store(p2);
        x3.times(f3.complex()).store(p3);
        j = after::<N>(j);
        if j == 0 {
            break;
        }
        y = weighted_four(data[j].each_ref(), Factors::load(&triples[j]));
    }
    loop {
        join_four(data[j].each_mut(), Factors::<V>::load(&triples[j]));
        j = after::<N>(j);
        if j == 0 {
            return;
        }
    }
}

/// Splits blocks of sixteen twice, multiplies, and joins them twice.
pub(super) struct Turn16<'a, F> {
    pub data: &'a mut [Point],
    pub outer: &'a [Triple],
    pub inner: &'a [Triple],
    pub factors: &'a [F],
}

impl<F: Factor> Work for Turn16<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        // The inner split and join count their own operations.
        tally(self.data.len() as u64 / 4 * 2 * BUTTERFLY);
        let (blocks, _) = self.data.as_chunks_mut::<4>().0.as_chunks_mut::<4>();
        let (factors, _) = self.factors.as_chunks::<4>().0.as_chunks::<4>();
        for ((block, factors), (outer, inner)) in
            blocks.iter_mut().zip(factors).zip(self.outer.iter().zip(self.inner.as_chunks::<4>().0))
        {
            split(block, Factors::<V>::load(outer));
            turn4::<V, _, 4>(block, inner, factors);
            join(block, Factors::<V>::load(outer));
        }
    }
}

/// Splits blocks of four, multiplies and joins them.
pub(super) struct Turn4<'a, F> {
    pub data: &'a mut [Point],
    pub triples: &'a [Triple],
    pub factors: &'a [F],
}

impl<F: Factor> Work for Turn4<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let blocks = self.data.as_chunks_mut::<4>().0.as_chunks_mut::<1>().0.iter_mut();
        let factors = self.factors.as_chunks::<4>().0.as_chunks::<1>().0;
        for ((block, triple), factors) in blocks.zip(self.triples.as_chunks::<1>().0).zip(factors) {
            turn4::<V, _, 1>(block, triple, factors);
        }
    }
}

/// Multiplies single points.
pub(super) struct Multiply<'a, F>(pub &'a mut [Point], pub &'a [F]);

impl<F: Factor> Work for Multiply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self(data, factors) = self;
        tally(data.len() as u64 * PRODUCT);
        for (point, factor) in data.iter_mut().zip(factors) {
            Complex::<V>::load(point).times(factor.complex()).store(point);
        }
    }
}

/// One vector of a row of eight channels.
#[inline(always)]
fn part<V: Lanes, const PART: usize>(row: &Row) -> V {
    V::load(&row[PART * WIDE..])
}

/// The first split of real sequences into four, for vector `PART` of the rows.
pub(super) struct Enter4<'a, const PART: usize>(pub [&'a [Row]; 4], pub [&'a mut [Point]; 4]);

impl<const PART: usize> Work for Enter4<'_, PART> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self([r0, r1, r2, r3], [q0, q1, q2, q3]) = self;
        tally(q0.len() as u64 * ENTER[0]);
        let rows = r0.iter().zip(r1).zip(r2.iter().zip(r3));
        let points = q0.iter_mut().zip(q1).zip(q2.iter_mut().zip(q3));
        let zero = V::splat(0.0);
        for (((r0, r1), (r2, r3)), ((p0, p1), (p2, p3))) in rows.zip(points) {
            let x0 = part::<V, PART>(r0);
            let y2 = part::<V, PART>(r2) * V::splat(SQRT_HALF);
            let (sum02, difference02) = (x0 + y2, x0 - y2);
            let (x1, x3) = (part::<V, PART>(r1), part::<V, PART>(r3));
            let (cos, sin) = (V::splat(COS), V::splat(SIN));
            let (cos1, sin1) = (x1 * cos, x1 * sin);
            let sum13 = Complex { re: cos1.mul_add(x3, sin), im: sin1.mul_add(x3, cos) };
            let difference13 = Complex { re: cos1.mul_sub(x3, sin), im: sin1.mul_sub(x3, cos) };
            Complex { re: sum02 + sum13.re, im: y2 + sum13.im }.store(p0);
            Complex { re: sum02 - sum13.re, im: y2 - sum13.im }.store(p1);
            Complex { re: difference02 - difference13.im, im: difference13.re - y2 }.store(p2);
            Complex { re: difference02 + difference13.im, im: zero - (y2 + difference13.re) }.store(p3);
        }
    }
}

/// Joins four blocks and keeps the real part.
pub(super) struct Leave4<'a, const PART: usize>(pub [&'a [Point]; 4], pub [&'a mut [Row]; 4]);

impl<const PART: usize> Work for Leave4<'_, PART> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self([q0, q1, q2, q3], [r0, r1, r2, r3]) = self;
        tally(q0.len() as u64 * LEAVE[0]);
        let rows = r0.iter_mut().zip(r1).zip(r2.iter_mut().zip(r3));
        let points = q0.iter().zip(q1).zip(q2.iter().zip(q3));
        for (((r0, r1), (r2, r3)), ((p0, p1), (p2, p3))) in rows.zip(points) {
            let (x0, x1) = (Complex::<V>::load(p0), Complex::load(p1));
            let (sum01, difference01) = (x0.plus(x1), x0.minus(x1));
            let (x2, x3) = (Complex::load(p2), Complex::load(p3));
            let (sum23, difference23) = (x2.plus(x3), x2.minus(x3));
            let y2 = sum01.minus(sum23);
            (sum01.re + sum23.re).store(&mut r0[PART * WIDE..]);
            ((y2.re + y2.im) * V::splat(SQRT_HALF)).store(&mut r2[PART * WIDE..]);
            let (cos, sin) = (V::splat(COS), V::splat(SIN));
            let y1 = difference01.minus_turned(difference23);
            (y1.re * cos).mul_add(y1.im, sin).store(&mut r1[PART * WIDE..]);
            let y3 = difference01.plus_turned(difference23);
            (y3.re * sin).mul_add(y3.im, cos).store(&mut r3[PART * WIDE..]);
        }
    }
}

/// The first split of real sequences into two, for vector `PART` of the rows.
pub(super) struct Enter2<'a, const PART: usize>(pub [&'a [Row]; 4], pub [&'a mut [Point]; 2]);

impl<const PART: usize> Work for Enter2<'_, PART> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self([r0, r1, ..], [q0, q1]) = self;
        tally(q0.len() as u64 * ENTER[1]);
        for ((r0, r1), (p0, p1)) in r0.iter().zip(r1).zip(q0.iter_mut().zip(q1)) {
            let x0 = part::<V, PART>(r0);
            let y1 = part::<V, PART>(r1) * V::splat(SQRT_HALF);
            Complex { re: x0 + y1, im: y1 }.store(p0);
            Complex { re: x0 - y1, im: V::splat(0.0) - y1 }.store(p1);
        }
    }
}

/// Joins two blocks and keeps the real part.
pub(super) struct Leave2<'a, const PART: usize>(pub [&'a [Point]; 2], pub [&'a mut [Row]; 4]);

impl<const PART: usize> Work for Leave2<'_, PART> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self([q0, q1], [r0, r1, ..]) = self;
        tally(q0.len() as u64 * LEAVE[1]);
        for ((r0, r1), (p0, p1)) in r0.iter_mut().zip(r1).zip(q0.iter().zip(q1)) {
            let (x0, x1) = (Complex::<V>::load(p0), Complex::load(p1));
            (x0.re + x1.re).store(&mut r0[PART * WIDE..]);
            let y1 = x0.minus(x1);
            ((y1.re + y1.im) * V::splat(SQRT_HALF)).store(&mut r1[PART * WIDE..]);
        }
    }
}
