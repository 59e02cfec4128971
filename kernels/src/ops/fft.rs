//! Convolutions of four real sequences at once, one to each SIMD lane: every operation is vertical, nothing is shuffled.
//!
//! The transform is of N points for sequences of up to N: a right-angle convolution (Crandall and Fagin, *Discrete weighted
//! transforms and large-integer arithmetic*, 1994). Weighted by t(n) = exp(iπn / 2N), so that N positions on stands a
//! factor i, a cyclic convolution of N points leaves what wraps around in the imaginary part, and the real part is
//! the linear convolution; padding to 2N is not needed, and no two sequences share a complex one.
//!
//! Forward is radix-4 decimation in frequency from natural to bit-reversed order, inverse is its mirror image, so nothing is
//! ever reordered. Every point is multiplied where the last forward and the first inverse level meet, in registers.
//! Large transforms recurse into their quarters until one fits in a core's own cache, and go both ways there: a
//! convolution of any size reads memory only a few times.

use mixer::{Floats, Memory, MixerError};

use super::simd::{F32x4, LANES};

/// Factors for convolutions on a circle of one power-of-two size.
#[derive(Debug)]
pub struct Fft {
    size: usize,
    /// For the first level, of N = size / 2 points: N/4 quadruples (t, tw, tw², tw³), w = exp(−2πi j / N). Then for each
    /// level of n = N/4, N/16, …: n/4 triples (w, w², w³), w = exp(−2πi j / n). As re, im pairs.
    twiddles: Floats,
}

/// Floats that hold one triple, and one quadruple.
const TRIPLE: usize = 6;
const QUADRUPLE: usize = 8;

/// Floats of one element of all four sequences: the real parts, then the imaginary parts; and of eight real channels.
pub const POINT: usize = 2 * LANES;

/// Smallest circle.
pub const SMALLEST: usize = 8;

/// Elements of a transform that a first-level cache holds: 16 KiB.
const CACHED: usize = 512;

/// exp(iπk/8) for k = 1 and 2: what t gains from one quarter of the points to the next.
const COS: f32 = 0.923_879_5;
const SIN: f32 = 0.382_683_43;
const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

pub(super) type Point = [f32; POINT];
type Triple = [f32; TRIPLE];
type Quadruple = [f32; QUADRUPLE];

/// What a frequency is multiplied by.
pub(super) trait Factor {
    fn complex(&self) -> Complex;
}

/// One factor for each sequence.
impl Factor for Point {
    #[inline(always)]
    fn complex(&self) -> Complex {
        Complex::load(self)
    }
}

/// One for all.
impl Factor for [f32; 2] {
    #[inline(always)]
    fn complex(&self) -> Complex {
        Complex { re: F32x4::splat(self[0]), im: F32x4::splat(self[1]) }
    }
}

impl Fft {
    /// Floats that [`Fft::new`] takes from the memory budget.
    pub fn floats(size: usize) -> usize {
        let points = size / 2;
        let mut floats = points / 4 * QUADRUPLE;
        let mut n = points / 4;
        while n >= 4 {
            floats += n / 4 * TRIPLE;
            n /= 4;
        }
        floats
    }

    /// Tables for a circle of `size` positions, computed in f64.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`]; [`MixerError::InvalidField`] where `size` is no power of two from [`SMALLEST`] on.
    pub fn new(memory: &Memory, size: usize) -> Result<Self, MixerError> {
        if !size.is_power_of_two() || size < SMALLEST {
            return Err(MixerError::invalid("FFT size", "a power of two from 8 on", size));
        }
        let mut twiddles = memory.floats(Self::floats(size))?;
        let points = size / 2;
        let (first, mut level) = twiddles.split_at_mut(points / 4 * QUADRUPLE);
        for (j, quadruple) in first.chunks_exact_mut(QUADRUPLE).enumerate() {
            for (power, pair) in quadruple.chunks_exact_mut(2).enumerate() {
                // t(j) w(j)^power.
                let turns = (0.25 - power as f64) * j as f64 / points as f64;
                set_unit(pair, turns);
            }
        }
        let mut n = points / 4;
        while n >= 4 {
            let (this, rest) = level.split_at_mut(n / 4 * TRIPLE);
            for (j, triple) in this.chunks_exact_mut(TRIPLE).enumerate() {
                for (power, pair) in (1_u32..).zip(triple.chunks_exact_mut(2)) {
                    set_unit(pair, -f64::from(power) * j as f64 / n as f64);
                }
            }
            level = rest;
            n /= 4;
        }
        Ok(Self { size, twiddles })
    }

    /// Positions of the circle: twice the points of the transform.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Floats of eight real channels and of what convolving them needs.
    pub fn data_floats(&self) -> usize {
        self.size * POINT
    }

    fn tables(&self) -> (&[Quadruple], &[Triple]) {
        let (first, rest) = self.twiddles.split_at(self.size / 8 * QUADRUPLE);
        (first.as_chunks().0, rest.as_chunks().0)
    }

    /// Transforms rows of eight real channels: `emit(half, spectrum)` takes the weighted transform, in bit-reversed order, of
    /// the first four, then of the others. `work`: `[size, POINT]`, of which the first half are the rows.
    pub(super) fn spectra(&self, work: &mut [f32], mut emit: impl FnMut(usize, &[Point])) {
        let (first, deeper) = self.tables();
        let (rows, points) = work.as_chunks_mut::<POINT>().0[..self.size].split_at_mut(self.size / 2);
        for half in 0..2 {
            if half == 0 {
                weigh::<0>(rows, points, first);
            } else {
                weigh::<1>(rows, points, first);
            }
            for quarter in points.chunks_exact_mut(self.size / 8) {
                forward(quarter, deeper);
            }
            emit(half, points);
        }
    }

    /// Convolves eight real channels in place; `factors` are the filters' spectra over N of the first four and of the
    /// others. `work` as in [`Fft::spectra`].
    pub(super) fn convolve<F: Factor>(&self, factors: [&[F]; 2], work: &mut [f32]) {
        let (first, deeper) = self.tables();
        let (rows, points) = work.as_chunks_mut::<POINT>().0[..self.size].split_at_mut(self.size / 2);
        let quarter = self.size / 8;
        let both = |points: &mut [Point], factors: &[F]| {
            for (points, factors) in points.chunks_exact_mut(quarter).zip(factors.chunks_exact(quarter)) {
                convolve(points, deeper, factors);
            }
        };
        weigh::<0>(rows, points, first);
        both(points, factors[0]);
        unweigh::<0>(points, rows, first);
        weigh::<1>(rows, points, first);
        both(points, factors[1]);
        unweigh::<1>(points, rows, first);
    }
}

/// exp(2πi · turns) as re, im.
fn set_unit(pair: &mut [f32], turns: f64) {
    let (im, re) = (std::f64::consts::TAU * turns).sin_cos();
    pair[0] = re as f32;
    pair[1] = im as f32;
}

/// Four complex numbers, one of each sequence.
#[derive(Clone, Copy)]
pub(super) struct Complex {
    pub re: F32x4,
    pub im: F32x4,
}

impl Complex {
    #[inline(always)]
    pub(super) fn load(point: &Point) -> Self {
        Self { re: F32x4::load(point), im: F32x4::load(&point[LANES..]) }
    }
    #[inline(always)]
    pub(super) fn store(self, point: &mut Point) {
        let (re, im) = point.split_at_mut(LANES);
        self.re.store(re);
        self.im.store(im);
    }
    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
    /// `self − i · other`.
    #[inline(always)]
    fn plus_turned(self, other: Self) -> Self {
        Self { re: self.re + other.im, im: self.im - other.re }
    }
    /// `self + i · other`.
    #[inline(always)]
    fn minus_turned(self, other: Self) -> Self {
        Self { re: self.re - other.im, im: self.im + other.re }
    }
    #[inline(always)]
    pub(super) fn times(self, re: f32, im: f32) -> Self {
        let (w_re, w_im) = (F32x4::splat(re), F32x4::splat(im));
        Self { re: (self.re * w_re).mul_sub(self.im, w_im), im: (self.im * w_re).mul_add(self.re, w_im) }
    }
    #[inline(always)]
    fn product(self, other: Self) -> Self {
        Self {
            re: (self.re * other.re).mul_sub(self.im, other.im),
            im: (self.im * other.re).mul_add(self.re, other.im),
        }
    }
    /// Times the factor's conjugate.
    #[inline(always)]
    fn times_conjugate(self, re: f32, im: f32) -> Self {
        let (w_re, w_im) = (F32x4::splat(re), F32x4::splat(im));
        Self { re: (self.re * w_re).mul_add(self.im, w_im), im: (self.im * w_re).mul_sub(self.re, w_im) }
    }
}

/// The four quarters of a slice whose length is a multiple of four.
#[inline(always)]
fn quarters(data: &mut [Point]) -> [&mut [Point]; 4] {
    let quarter = data.len() / 4;
    let (a, rest) = data.split_at_mut(quarter);
    let (b, rest) = rest.split_at_mut(quarter);
    let (c, d) = rest.split_at_mut(quarter);
    [a, b, c, &mut d[..quarter]]
}

/// One vector of a row of eight channels.
#[inline(always)]
fn half<const HALF_INDEX: usize>(row: &Point) -> F32x4 {
    F32x4::load(&row[HALF_INDEX * LANES..])
}

/// The first level, from four real sequences, t included.
#[inline(never)]
fn weigh<const H: usize>(rows: &[Point], points: &mut [Point], level: &[Quadruple]) {
    let quarter = rows.len() / 4;
    let (r0, rest) = rows.split_at(quarter);
    let (r1, rest) = rest.split_at(quarter);
    let (r2, r3) = rest.split_at(quarter);
    let [p0, p1, p2, p3] = quarters(points);
    let rows = r0.iter().zip(r1).zip(r2.iter().zip(r3));
    let points = p0.iter_mut().zip(p1).zip(p2.iter_mut().zip(p3));
    for ((((r0, r1), (r2, r3)), ((p0, p1), (p2, p3))), w) in rows.zip(points).zip(level) {
        let x0 = half::<H>(r0);
        let turned = half::<H>(r2) * F32x4::splat(HALF);
        let (sum02, difference02) = (
            Complex { re: x0 + turned, im: turned },
            Complex { re: x0 - turned, im: F32x4::zero() - turned },
        );
        let (x1, x3) = (half::<H>(r1), half::<H>(r3));
        let (cos, sin) = (F32x4::splat(COS), F32x4::splat(SIN));
        let (cos1, sin1) = (x1 * cos, x1 * sin);
        let sum13 = Complex { re: cos1.mul_add(x3, sin), im: sin1.mul_add(x3, cos) };
        let difference13 = Complex { re: cos1.mul_sub(x3, sin), im: sin1.mul_sub(x3, cos) };
        sum02.plus(sum13).times(w[0], w[1]).store(p0);
        sum02.minus(sum13).times(w[4], w[5]).store(p1);
        difference02.plus_turned(difference13).times(w[2], w[3]).store(p2);
        difference02.minus_turned(difference13).times(w[6], w[7]).store(p3);
    }
}

/// The last level of the inverse, t taken out, of which the real part is kept.
#[inline(never)]
fn unweigh<const H: usize>(points: &[Point], rows: &mut [Point], level: &[Quadruple]) {
    let quarter = points.len() / 4;
    let (p0, rest) = points.split_at(quarter);
    let (p1, rest) = rest.split_at(quarter);
    let (p2, p3) = rest.split_at(quarter);
    let [r0, r1, r2, r3] = quarters(rows);
    let rows = r0.iter_mut().zip(r1).zip(r2.iter_mut().zip(r3));
    let points = p0.iter().zip(p1).zip(p2.iter().zip(p3));
    for ((((r0, r1), (r2, r3)), ((p0, p1), (p2, p3))), w) in rows.zip(points).zip(level) {
        let y0 = Complex::load(p0).times_conjugate(w[0], w[1]);
        let y2 = Complex::load(p1).times_conjugate(w[4], w[5]);
        let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
        let y1 = Complex::load(p2).times_conjugate(w[2], w[3]);
        let y3 = Complex::load(p3).times_conjugate(w[6], w[7]);
        let (sum13, difference13) = (y1.plus(y3), y1.minus(y3));
        (sum02.re + sum13.re).store(&mut r0[H * LANES..]);
        let z2 = sum02.minus(sum13);
        ((z2.re + z2.im) * F32x4::splat(HALF)).store(&mut r2[H * LANES..]);
        let (cos, sin) = (F32x4::splat(COS), F32x4::splat(SIN));
        let z1 = difference02.minus_turned(difference13);
        (z1.re * cos).mul_add(z1.im, sin).store(&mut r1[H * LANES..]);
        let z3 = difference02.plus_turned(difference13);
        (z3.re * sin).mul_add(z3.im, cos).store(&mut r3[H * LANES..]);
    }
}

/// Natural to bit-reversed order.
fn forward(data: &mut [Point], twiddles: &[Triple]) {
    let n = data.len();
    match n {
        0 | 1 => {}
        2 => {
            let (x0, x1) = (Complex::load(&data[0]), Complex::load(&data[1]));
            x0.plus(x1).store(&mut data[0]);
            x0.minus(x1).store(&mut data[1]);
        }
        _ => {
            let (level, deeper) = twiddles.split_at(n / 4);
            forward_level(data, level);
            for quarter in data.chunks_exact_mut(n / 4) {
                forward(quarter, deeper);
            }
        }
    }
}

/// Forward, multiplied, and back: natural order before and after. The result is times `data.len()`.
fn convolve<F: Factor>(data: &mut [Point], twiddles: &[Triple], factors: &[F]) {
    let n = data.len();
    if n > CACHED {
        let (level, deeper) = twiddles.split_at(n / 4);
        forward_level(data, level);
        for (quarter, factors) in data.chunks_exact_mut(n / 4).zip(factors.chunks_exact(n / 4)) {
            convolve(quarter, deeper, factors);
        }
        inverse_level(data, level);
        return;
    }
    let (mut span, mut deeper) = (n, twiddles);
    while span >= 32 {
        let (level, rest) = deeper.split_at(span / 4);
        for block in data.chunks_exact_mut(span) {
            forward_level(block, level);
        }
        (span, deeper) = (span / 4, rest);
    }
    match span {
        16 => turn::<F, 16, 4>(data, deeper, factors),
        8 => turn::<F, 8, 2>(data, deeper, factors),
        _ => turn_small(data, factors),
    }
    // Levels lie from large to small in the table, and are wanted from small to large.
    while span < n {
        span *= 4;
        let level = &twiddles[levels_above(n, span)..][..span / 4];
        for block in data.chunks_exact_mut(span) {
            inverse_level(block, level);
        }
    }
}

/// Triples in the table of a transform of `n` before the level of `span`.
fn levels_above(n: usize, span: usize) -> usize {
    // n/4 + n/16 + … + span.
    (n - span) / 3
}

/// The last forward levels, the product and the first inverse levels of blocks of `SPAN` = 4 · `QUARTER` elements.
#[inline(never)]
fn turn<F: Factor, const SPAN: usize, const QUARTER: usize>(
    data: &mut [Point],
    level: &[Triple],
    factors: &[F],
) {
    let Some(level) = level.first_chunk::<QUARTER>() else { return };
    let (blocks, _) = data.as_chunks_mut::<SPAN>();
    for (block, factors) in blocks.iter_mut().zip(factors.as_chunks::<SPAN>().0) {
        let [q0, q1, q2, q3] = quarters(block);
        for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
            forward_butterfly([p0, p1, p2, p3], w);
        }
        let quarters_of = block.as_chunks_mut::<QUARTER>().0.iter_mut();
        for (quarter, factors) in quarters_of.zip(factors.as_chunks::<QUARTER>().0) {
            turn_small(quarter, factors);
        }
        let [q0, q1, q2, q3] = quarters(block);
        for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
            inverse_butterfly([p0, p1, p2, p3], w);
        }
    }
}

/// The whole of up to four elements, whose twiddle factors are all 1.
#[inline(always)]
fn turn_small<F: Factor>(data: &mut [Point], factors: &[F]) {
    match (data, factors) {
        ([p0, p1, p2, p3], [f0, f1, f2, f3]) => {
            let (x0, x1, x2, x3) =
                (Complex::load(p0), Complex::load(p1), Complex::load(p2), Complex::load(p3));
            let (sum02, difference02) = (x0.plus(x2), x0.minus(x2));
            let (sum13, difference13) = (x1.plus(x3), x1.minus(x3));
            let y0 = sum02.plus(sum13).product(f0.complex());
            let y2 = sum02.minus(sum13).product(f1.complex());
            let y1 = difference02.plus_turned(difference13).product(f2.complex());
            let y3 = difference02.minus_turned(difference13).product(f3.complex());
            let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
            let (sum13, difference13) = (y1.plus(y3), y1.minus(y3));
            sum02.plus(sum13).store(p0);
            difference02.minus_turned(difference13).store(p1);
            sum02.minus(sum13).store(p2);
            difference02.plus_turned(difference13).store(p3);
        }
        ([p0, p1], [f0, f1]) => {
            let (x0, x1) = (Complex::load(p0), Complex::load(p1));
            let y0 = x0.plus(x1).product(f0.complex());
            let y1 = x0.minus(x1).product(f1.complex());
            y0.plus(y1).store(p0);
            y0.minus(y1).store(p1);
        }
        ([p0], [f0]) => Complex::load(p0).product(f0.complex()).store(p0),
        _ => {}
    }
}

#[inline(never)]
fn forward_level(data: &mut [Point], level: &[Triple]) {
    let [q0, q1, q2, q3] = quarters(data);
    for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
        forward_butterfly([p0, p1, p2, p3], w);
    }
}

#[inline(always)]
fn forward_butterfly([p0, p1, p2, p3]: [&mut Point; 4], w: &Triple) {
    let (x0, x1, x2, x3) = (Complex::load(p0), Complex::load(p1), Complex::load(p2), Complex::load(p3));
    let (sum02, difference02) = (x0.plus(x2), x0.minus(x2));
    let (sum13, difference13) = (x1.plus(x3), x1.minus(x3));
    sum02.plus(sum13).store(p0);
    // Frequencies 2 mod 4 before 1 mod 4: that is what makes the order bit-reversed, not digit-reversed.
    sum02.minus(sum13).times(w[2], w[3]).store(p1);
    difference02.plus_turned(difference13).times(w[0], w[1]).store(p2);
    difference02.minus_turned(difference13).times(w[4], w[5]).store(p3);
}

#[inline(never)]
fn inverse_level(data: &mut [Point], level: &[Triple]) {
    let [q0, q1, q2, q3] = quarters(data);
    for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
        inverse_butterfly([p0, p1, p2, p3], w);
    }
}

#[inline(always)]
fn inverse_butterfly([p0, p1, p2, p3]: [&mut Point; 4], w: &Triple) {
    let y0 = Complex::load(p0);
    let y2 = Complex::load(p1).times_conjugate(w[2], w[3]);
    let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
    let y1 = Complex::load(p2).times_conjugate(w[0], w[1]);
    let y3 = Complex::load(p3).times_conjugate(w[4], w[5]);
    let (sum13, difference13) = (y1.plus(y3), y1.minus(y3));
    sum02.plus(sum13).store(p0);
    difference02.minus_turned(difference13).store(p1);
    sum02.minus(sum13).store(p2);
    difference02.plus_turned(difference13).store(p3);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit_reversed(index: usize, size: usize) -> usize {
        if size == 1 { 0 } else { index.reverse_bits() >> (usize::BITS - size.ilog2()) }
    }

    #[test]
    fn spectra_agree_with_the_definition() {
        let memory = Memory::new(1 << 24);
        for log in 2..=9 {
            let points = 1 << log;
            let fft = Fft::new(&memory, 2 * points).unwrap();
            let mut work: Vec<f32> =
                (0..fft.data_floats()).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
            let rows = work.clone();
            fft.spectra(&mut work, |half, spectrum| {
                for lane in 0..LANES {
                    for frequency in 0..points {
                        let (mut want_re, mut want_im) = (0.0_f64, 0.0_f64);
                        for n in 0..points {
                            let turns = (0.25 - frequency as f64) * n as f64 / points as f64;
                            let x = f64::from(rows[n * POINT + half * LANES + lane]);
                            want_re += x * (std::f64::consts::TAU * turns).cos();
                            want_im += x * (std::f64::consts::TAU * turns).sin();
                        }
                        let got = &spectrum[bit_reversed(frequency, points)];
                        assert!((f64::from(got[lane]) - want_re).abs() < 1e-4 * (points as f64).sqrt());
                        assert!(
                            (f64::from(got[LANES + lane]) - want_im).abs() < 1e-4 * (points as f64).sqrt()
                        );
                    }
                }
            });
        }
    }

    #[test]
    fn a_factor_of_one_gives_the_input_back() {
        let memory = Memory::new(1 << 24);
        for log in 2..=12 {
            let points = 1 << log;
            let fft = Fft::new(&memory, 2 * points).unwrap();
            let mut work: Vec<f32> = (0..fft.data_floats()).map(|i| ((i * 17) % 19) as f32 - 9.0).collect();
            work[points * POINT..].fill(f32::NAN);
            let want = work.clone();
            let one = vec![[1.0 / points as f32, 0.0]; points];
            fft.convolve([&one, &one], &mut work);
            for (got, want) in work.iter().zip(&want).take(points * POINT) {
                assert!((got - want).abs() < 1e-4, "{points} points: {got} {want}");
            }
        }
    }

    #[test]
    fn refuses_a_size_that_is_no_power_of_two() {
        for size in [0, 4, 12] {
            assert!(Fft::new(&Memory::new(1 << 20), size).is_err());
        }
    }
}
