//! The steps of a transform over many points, each with all its factors in registers.

use super::{BUTTERFLY, ENTER, Factor, LEAVE, PRODUCT, Point, Triple};
use crate::ops::simd::{F32x4, LANES};

/// exp(iπ/8): the factor of a circle's first split, whatever its size.
const COS: f32 = 0.923_879_5;
const SIN: f32 = 0.382_683_43;
/// exp(iπ/4) is (1 + i) times this.
const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

#[cfg(test)]
thread_local! {
    static TALLY: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts operations of one lane in tests.
#[cfg(test)]
pub(super) fn tally(operations: u64) {
    TALLY.set(TALLY.get() + operations);
}

/// Nothing is counted where it is timed.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn tally(_: u64) {}

/// The operations of this thread since the last look.
#[cfg(test)]
pub(super) fn take_tally() -> u64 {
    TALLY.take()
}

/// Four complex numbers, one of each sequence.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Complex {
    pub re: F32x4,
    pub im: F32x4,
}

impl Complex {
    #[inline(always)]
    pub(in crate::ops) fn load(point: &Point) -> Self {
        Self { re: F32x4::load(point), im: F32x4::load(&point[LANES..]) }
    }
    #[inline(always)]
    pub(in crate::ops) fn splat(pair: [f32; 2]) -> Self {
        Self { re: F32x4::splat(pair[0]), im: F32x4::splat(pair[1]) }
    }
    #[inline(always)]
    pub(in crate::ops) fn store(self, point: &mut Point) {
        let (re, im) = point.split_at_mut(LANES);
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
    /// Times the other's conjugate.
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
pub(super) fn quarters(data: &mut [Point]) -> [&mut [Point]; 4] {
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
struct Factors {
    one: Complex,
    two: Complex,
    three: Complex,
}

impl Factors {
    #[inline(always)]
    fn load([one_re, one_im, two_re, two_im, three_re, three_im]: &Triple) -> Self {
        Self {
            one: Complex::splat([*one_re, *one_im]),
            two: Complex::splat([*two_re, *two_im]),
            three: Complex::splat([*three_re, *three_im]),
        }
    }
}

/// Splits blocks of 4 · Q points into four: one triple for each.
#[inline(never)]
pub(super) fn forward<const Q: usize>(data: &mut [Point], triples: &[Triple]) {
    tally(data.len() as u64 / 4 * BUTTERFLY);
    for (block, triple) in data.as_chunks_mut::<Q>().0.as_chunks_mut::<4>().0.iter_mut().zip(triples) {
        split(block, Factors::load(triple));
    }
}

/// Joins what [`forward`] split, times four.
#[inline(never)]
pub(super) fn inverse<const Q: usize>(data: &mut [Point], triples: &[Triple]) {
    tally(data.len() as u64 / 4 * BUTTERFLY);
    for (block, triple) in data.as_chunks_mut::<Q>().0.as_chunks_mut::<4>().0.iter_mut().zip(triples) {
        join(block, Factors::load(triple));
    }
}

/// The index after `j`, 0 after the last of a power of two. Compilers do not see a counter in it. Where they do, LLVM works
/// each address out anew, because a sum of its own making may wrap, instead of adding a constant to one.
#[inline(always)]
fn after<const Q: usize>(j: usize) -> usize {
    const { assert!(Q.is_power_of_two()) };
    (j + 1) % Q
}

#[inline(always)]
fn split<const Q: usize>(block: &mut [[Point; Q]; 4], w: Factors) {
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
fn weighted<const Q: usize>([p0, p1, p2, p3]: &[[Point; Q]; 4], j: usize, w: Factors) -> [Complex; 4] {
    weighted_four([&p0[j], &p1[j], &p2[j], &p3[j]], w)
}

#[inline(always)]
fn weighted_four([p0, p1, p2, p3]: [&Point; 4], w: Factors) -> [Complex; 4] {
    let y1 = Complex::load(p1).times(w.one);
    let y2 = Complex::load(p2).times(w.two);
    let y3 = Complex::load(p3).times(w.three);
    [Complex::load(p0), y1, y2, y3]
}

#[inline(always)]
fn split_four([y0, y1, y2, y3]: [Complex; 4]) -> [Complex; 4] {
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
fn join<const Q: usize>([p0, p1, p2, p3]: &mut [[Point; Q]; 4], w: Factors) {
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
fn join_four([p0, p1, p2, p3]: [&mut Point; 4], w: Factors) {
    let (x0, x1) = (Complex::load(p0), Complex::load(p1));
    let (sum01, difference01) = (x0.plus(x1), x0.minus(x1));
    let (x2, x3) = (Complex::load(p2), Complex::load(p3));
    let (sum23, difference23) = (x2.plus(x3), x2.minus(x3));
    sum01.plus(sum23).store(p0);
    sum01.minus(sum23).times_conjugate(w.two).store(p2);
    difference01.minus_turned(difference23).times_conjugate(w.one).store(p1);
    difference01.plus_turned(difference23).times_conjugate(w.three).store(p3);
}

/// Blocks of four split and multiplied, then joined.
#[inline(always)]
pub(super) fn turn4<F: Factor, const N: usize>(
    data: &mut [[Point; 4]; N],
    triples: &[Triple; N],
    factors: &[[F; 4]; N],
) {
    tally(N as u64 * (2 * BUTTERFLY + 4 * PRODUCT));
    let mut j = 0;
    let mut y = weighted_four(data[j].each_ref(), Factors::load(&triples[j]));
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
        join_four(data[j].each_mut(), Factors::load(&triples[j]));
        j = after::<N>(j);
        if j == 0 {
            return;
        }
    }
}

/// Blocks of sixteen split twice, multiplied and joined twice.
#[inline(never)]
pub(super) fn turn16<F: Factor>(data: &mut [Point], outer: &[Triple], inner: &[Triple], factors: &[F]) {
    // The inner split and joining count themselves.
    tally(data.len() as u64 / 4 * 2 * BUTTERFLY);
    let (blocks, _) = data.as_chunks_mut::<4>().0.as_chunks_mut::<4>();
    let (factors, _) = factors.as_chunks::<4>().0.as_chunks::<4>();
    for ((block, factors), (outer, inner)) in
        blocks.iter_mut().zip(factors).zip(outer.iter().zip(inner.as_chunks::<4>().0))
    {
        split(block, Factors::load(outer));
        turn4(block, inner, factors);
        join(block, Factors::load(outer));
    }
}

/// One vector of a row of eight channels.
#[inline(always)]
fn half<const H: usize>(row: &Point) -> F32x4 {
    F32x4::load(&row[H * LANES..])
}

/// The first split, of real sequences into four.
#[inline(never)]
pub(super) fn enter4<const H: usize>([r0, r1, r2, r3]: [&[Point]; 4], [q0, q1, q2, q3]: [&mut [Point]; 4]) {
    tally(q0.len() as u64 * ENTER[0]);
    let rows = r0.iter().zip(r1).zip(r2.iter().zip(r3));
    let points = q0.iter_mut().zip(q1).zip(q2.iter_mut().zip(q3));
    for (((r0, r1), (r2, r3)), ((p0, p1), (p2, p3))) in rows.zip(points) {
        let x0 = half::<H>(r0);
        let y2 = half::<H>(r2) * F32x4::splat(SQRT_HALF);
        let (sum02, difference02) = (x0 + y2, x0 - y2);
        let (x1, x3) = (half::<H>(r1), half::<H>(r3));
        let (cos, sin) = (F32x4::splat(COS), F32x4::splat(SIN));
        let (cos1, sin1) = (x1 * cos, x1 * sin);
        let sum13 = Complex { re: cos1.mul_add(x3, sin), im: sin1.mul_add(x3, cos) };
        let difference13 = Complex { re: cos1.mul_sub(x3, sin), im: sin1.mul_sub(x3, cos) };
        Complex { re: sum02 + sum13.re, im: y2 + sum13.im }.store(p0);
        Complex { re: sum02 - sum13.re, im: y2 - sum13.im }.store(p1);
        Complex { re: difference02 - difference13.im, im: difference13.re - y2 }.store(p2);
        Complex { re: difference02 + difference13.im, im: F32x4::zero() - (y2 + difference13.re) }.store(p3);
    }
}

/// Joins four, of which the real part is kept.
#[inline(never)]
pub(super) fn leave4<const H: usize>([q0, q1, q2, q3]: [&[Point]; 4], [r0, r1, r2, r3]: [&mut [Point]; 4]) {
    tally(q0.len() as u64 * LEAVE[0]);
    let rows = r0.iter_mut().zip(r1).zip(r2.iter_mut().zip(r3));
    let points = q0.iter().zip(q1).zip(q2.iter().zip(q3));
    for (((r0, r1), (r2, r3)), ((p0, p1), (p2, p3))) in rows.zip(points) {
        let (x0, x1) = (Complex::load(p0), Complex::load(p1));
        let (sum01, difference01) = (x0.plus(x1), x0.minus(x1));
        let (x2, x3) = (Complex::load(p2), Complex::load(p3));
        let (sum23, difference23) = (x2.plus(x3), x2.minus(x3));
        let y2 = sum01.minus(sum23);
        (sum01.re + sum23.re).store(&mut r0[H * LANES..]);
        ((y2.re + y2.im) * F32x4::splat(SQRT_HALF)).store(&mut r2[H * LANES..]);
        let (cos, sin) = (F32x4::splat(COS), F32x4::splat(SIN));
        let y1 = difference01.minus_turned(difference23);
        (y1.re * cos).mul_add(y1.im, sin).store(&mut r1[H * LANES..]);
        let y3 = difference01.plus_turned(difference23);
        (y3.re * sin).mul_add(y3.im, cos).store(&mut r3[H * LANES..]);
    }
}

/// The first split, of real sequences into two.
#[inline(never)]
pub(super) fn enter2<const H: usize>([r0, r1, ..]: [&[Point]; 4], [q0, q1]: [&mut [Point]; 2]) {
    tally(q0.len() as u64 * ENTER[1]);
    for ((r0, r1), (p0, p1)) in r0.iter().zip(r1).zip(q0.iter_mut().zip(q1)) {
        let x0 = half::<H>(r0);
        let y1 = half::<H>(r1) * F32x4::splat(SQRT_HALF);
        Complex { re: x0 + y1, im: y1 }.store(p0);
        Complex { re: x0 - y1, im: F32x4::zero() - y1 }.store(p1);
    }
}

/// Joins two, of which the real part is kept.
#[inline(never)]
pub(super) fn leave2<const H: usize>([q0, q1]: [&[Point]; 2], [r0, r1, ..]: [&mut [Point]; 4]) {
    tally(q0.len() as u64 * LEAVE[1]);
    for ((r0, r1), (p0, p1)) in r0.iter_mut().zip(r1).zip(q0.iter().zip(q1)) {
        let (x0, x1) = (Complex::load(p0), Complex::load(p1));
        (x0.re + x1.re).store(&mut r0[H * LANES..]);
        let y1 = x0.minus(x1);
        ((y1.re + y1.im) * F32x4::splat(SQRT_HALF)).store(&mut r1[H * LANES..]);
    }
}
