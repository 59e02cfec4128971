//! Complex FFT of four sequences at once, one to each SIMD lane: every operation is vertical, nothing is shuffled.
//!
//! Forward is radix-4 decimation in frequency from natural to bit-reversed order, inverse is its mirror image, so a
//! convolution never reorders anything. Large transforms recurse into their quarters until one fits in a core's own
//! cache: a transform of any size reads memory only a few times.

use mixer::{Floats, Memory, MixerError};

use super::simd::{F32x4, LANES};

/// Twiddle factors for transforms of one power-of-two size.
#[derive(Debug)]
pub struct Fft {
    size: usize,
    /// For each level of size n = size, size/4, …: n/4 triples (w, w², w³), w = exp(−2πi j / n), as re, im pairs.
    twiddles: Floats,
}

/// Floats that hold one triple.
const TRIPLE: usize = 6;

/// Floats of one element of all four sequences: the real parts, then the imaginary parts.
pub const POINT: usize = 2 * LANES;

/// Elements of a transform that a first-level cache holds: 16 KiB.
const CACHED: usize = 512;

type Point = [f32; POINT];
type Triple = [f32; TRIPLE];

impl Fft {
    /// Floats that [`Fft::new`] takes from the memory budget.
    pub fn floats(size: usize) -> usize {
        let mut floats = 0;
        let mut n = size;
        while n >= 4 {
            floats += n / 4 * TRIPLE;
            n /= 4;
        }
        floats
    }

    /// Tables for `size`, a power of two, computed in f64.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`]; [`MixerError::InvalidField`] where `size` is no power of two.
    pub fn new(memory: &Memory, size: usize) -> Result<Self, MixerError> {
        if !size.is_power_of_two() {
            return Err(MixerError::invalid("FFT size", "a power of two", size));
        }
        let mut twiddles = memory.floats(Self::floats(size))?;
        let mut level = &mut twiddles[..];
        let mut n = size;
        while n >= 4 {
            let (this, rest) = level.split_at_mut(n / 4 * TRIPLE);
            for (j, triple) in this.chunks_exact_mut(TRIPLE).enumerate() {
                for (power, pair) in (1_u32..).zip(triple.chunks_exact_mut(2)) {
                    let angle = -std::f64::consts::TAU * f64::from(power) * j as f64 / n as f64;
                    pair[0] = angle.cos() as f32;
                    pair[1] = angle.sin() as f32;
                }
            }
            level = rest;
            n /= 4;
        }
        Ok(Self { size, twiddles })
    }

    /// The transform's size.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Floats of the data.
    pub fn data_floats(&self) -> usize {
        self.size * POINT
    }

    fn triples(&self) -> &[Triple] {
        self.twiddles.as_chunks().0
    }

    /// In place, natural to bit-reversed order. `data`: `[size, POINT]`.
    pub fn forward(&self, data: &mut [f32]) {
        forward(&mut data.as_chunks_mut().0[..self.size], self.triples());
    }

    /// As [`Fft::forward`] where the second half of the data counts as zero, whatever is there.
    pub fn forward_padded(&self, data: &mut [f32]) {
        let data = &mut data.as_chunks_mut().0[..self.size];
        if self.size < 4 {
            data[self.size.div_ceil(2)..].fill([0.0; POINT]);
            return forward(data, self.triples());
        }
        let (level, deeper) = self.triples().split_at(self.size / 4);
        padded_level(data, level);
        for quarter in data.chunks_exact_mut(self.size / 4) {
            forward(quarter, deeper);
        }
    }

    /// In place, bit-reversed to natural order, not scaled: [`Fft::forward`] then this multiplies by `size`.
    pub fn inverse(&self, data: &mut [f32]) {
        inverse(&mut data.as_chunks_mut().0[..self.size], self.triples());
    }

    /// As [`Fft::inverse`] where only the first half of the result is wanted; the second is undefined.
    pub fn inverse_truncated(&self, data: &mut [f32]) {
        let data = &mut data.as_chunks_mut().0[..self.size];
        if self.size < 4 {
            return inverse(data, self.triples());
        }
        let (level, deeper) = self.triples().split_at(self.size / 4);
        for quarter in data.chunks_exact_mut(self.size / 4) {
            inverse(quarter, deeper);
        }
        truncated_level(data, level);
    }
}

/// Position of the conjugate frequency in bit-reversed order: each octave `[2ʲ, 2ʲ⁺¹)` is mirrored.
pub fn conjugate_position(position: usize) -> usize {
    if position < 2 {
        return position;
    }
    let octave = 1 << position.ilog2();
    3 * octave - 1 - position
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
    fn plus(self, other: Self) -> Self {
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
    fn times(self, re: f32, im: f32) -> Self {
        let (w_re, w_im) = (F32x4::splat(re), F32x4::splat(im));
        Self { re: (self.re * w_re).mul_sub(self.im, w_im), im: (self.im * w_re).mul_add(self.re, w_im) }
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

fn forward(data: &mut [Point], twiddles: &[Triple]) {
    let n = data.len();
    if n > CACHED {
        let (level, deeper) = twiddles.split_at(n / 4);
        forward_level(data, level);
        for quarter in data.chunks_exact_mut(n / 4) {
            forward(quarter, deeper);
        }
        return;
    }
    let (mut span, mut twiddles) = (n, twiddles);
    while span >= 16 {
        let (level, deeper) = twiddles.split_at(span / 4);
        for block in data.chunks_exact_mut(span) {
            forward_level(block, level);
        }
        (span, twiddles) = (span / 4, deeper);
    }
    match span {
        8 => {
            let (level, _) = twiddles.split_at(2);
            for block in data.as_chunks_mut::<8>().0 {
                forward_level(block, level);
                block.as_chunks_mut().0.iter_mut().for_each(radix2);
            }
        }
        4 => data.as_chunks_mut().0.iter_mut().for_each(forward4),
        2 => data.as_chunks_mut().0.iter_mut().for_each(radix2),
        _ => {}
    }
}

fn inverse(data: &mut [Point], twiddles: &[Triple]) {
    let n = data.len();
    if n > CACHED {
        let (level, deeper) = twiddles.split_at(n / 4);
        for quarter in data.chunks_exact_mut(n / 4) {
            inverse(quarter, deeper);
        }
        inverse_level(data, level);
        return;
    }
    // Levels lie from large to small in the table, and are wanted from small to large.
    let mut span = if n.ilog2().is_multiple_of(2) { 4 } else { 2 };
    if span == 4 && n >= 4 {
        data.as_chunks_mut().0.iter_mut().for_each(inverse4);
    } else {
        data.as_chunks_mut().0.iter_mut().for_each(radix2);
    }
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

#[inline(never)]
fn forward_level(data: &mut [Point], level: &[Triple]) {
    let [q0, q1, q2, q3] = quarters(data);
    for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
        let (x0, x1, x2, x3) = (Complex::load(p0), Complex::load(p1), Complex::load(p2), Complex::load(p3));
        let (sum02, difference02) = (x0.plus(x2), x0.minus(x2));
        let (sum13, difference13) = (x1.plus(x3), x1.minus(x3));
        sum02.plus(sum13).store(p0);
        // Frequencies 2 mod 4 before 1 mod 4: that is what makes the order bit-reversed, not digit-reversed.
        sum02.minus(sum13).times(w[2], w[3]).store(p1);
        difference02.plus_turned(difference13).times(w[0], w[1]).store(p2);
        difference02.minus_turned(difference13).times(w[4], w[5]).store(p3);
    }
}

/// [`forward_level`] where the second half of the data is zero.
#[inline(never)]
fn padded_level(data: &mut [Point], level: &[Triple]) {
    let [q0, q1, q2, q3] = quarters(data);
    for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
        let (x0, x1) = (Complex::load(p0), Complex::load(p1));
        x0.plus(x1).store(p0);
        x0.minus(x1).times(w[2], w[3]).store(p1);
        x0.plus_turned(x1).times(w[0], w[1]).store(p2);
        x0.minus_turned(x1).times(w[4], w[5]).store(p3);
    }
}

#[inline(never)]
fn inverse_level(data: &mut [Point], level: &[Triple]) {
    let [q0, q1, q2, q3] = quarters(data);
    for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
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
}

/// [`inverse_level`] where only the first half of the result is wanted.
#[inline(never)]
fn truncated_level(data: &mut [Point], level: &[Triple]) {
    let [q0, q1, q2, q3] = quarters(data);
    for ((((p0, p1), p2), p3), w) in q0.iter_mut().zip(q1).zip(q2).zip(q3).zip(level) {
        let y0 = Complex::load(p0);
        let y2 = Complex::load(p1).times_conjugate(w[2], w[3]);
        let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
        let y1 = Complex::load(p2).times_conjugate(w[0], w[1]);
        let y3 = Complex::load(p3).times_conjugate(w[4], w[5]);
        sum02.plus(y1.plus(y3)).store(p0);
        difference02.minus_turned(y1.minus(y3)).store(p1);
    }
}

/// The whole transform of four elements, whose factors are all 1.
#[inline(always)]
fn forward4(data: &mut [Point; 4]) {
    let [p0, p1, p2, p3] = data;
    let (x0, x1, x2, x3) = (Complex::load(p0), Complex::load(p1), Complex::load(p2), Complex::load(p3));
    let (sum02, difference02) = (x0.plus(x2), x0.minus(x2));
    let (sum13, difference13) = (x1.plus(x3), x1.minus(x3));
    sum02.plus(sum13).store(p0);
    sum02.minus(sum13).store(p1);
    difference02.plus_turned(difference13).store(p2);
    difference02.minus_turned(difference13).store(p3);
}

#[inline(always)]
fn inverse4(data: &mut [Point; 4]) {
    let [p0, p1, p2, p3] = data;
    let (y0, y2, y1, y3) = (Complex::load(p0), Complex::load(p1), Complex::load(p2), Complex::load(p3));
    let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
    let (sum13, difference13) = (y1.plus(y3), y1.minus(y3));
    sum02.plus(sum13).store(p0);
    difference02.minus_turned(difference13).store(p1);
    sum02.minus(sum13).store(p2);
    difference02.plus_turned(difference13).store(p3);
}

#[inline(always)]
fn radix2(data: &mut [Point; 2]) {
    let [p0, p1] = data;
    let (x0, x1) = (Complex::load(p0), Complex::load(p1));
    x0.plus(x1).store(p0);
    x0.minus(x1).store(p1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit_reversed(index: usize, size: usize) -> usize {
        if size == 1 { 0 } else { index.reverse_bits() >> (usize::BITS - size.ilog2()) }
    }

    #[test]
    fn agrees_with_the_definition_and_inverts() {
        let memory = Memory::new(1 << 24);
        for log in 0..=9 {
            let size = 1 << log;
            let fft = Fft::new(&memory, size).unwrap();
            let data: Vec<f32> =
                (0..fft.data_floats()).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
            let mut got = data.clone();
            fft.forward(&mut got);
            for lane in 0..LANES {
                for frequency in 0..size {
                    let (mut want_re, mut want_im) = (0.0_f64, 0.0_f64);
                    for t in 0..size {
                        let angle = -std::f64::consts::TAU * (frequency * t % size) as f64 / size as f64;
                        let (x, y) =
                            (f64::from(data[t * POINT + lane]), f64::from(data[t * POINT + LANES + lane]));
                        want_re += x * angle.cos() - y * angle.sin();
                        want_im += x * angle.sin() + y * angle.cos();
                    }
                    let at = bit_reversed(frequency, size) * POINT + lane;
                    assert!((f64::from(got[at]) - want_re).abs() < 1e-4 * (size as f64).sqrt());
                    assert!((f64::from(got[at + LANES]) - want_im).abs() < 1e-4 * (size as f64).sqrt());
                }
            }
            fft.inverse(&mut got);
            for (got, want) in got.iter().zip(&data) {
                assert!((got / size as f32 - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn half_a_signal_gives_what_a_padded_one_gives() {
        let memory = Memory::new(1 << 24);
        for log in 0..=12 {
            let fft = Fft::new(&memory, 1 << log).unwrap();
            let kept = fft.size().div_ceil(2) * POINT;
            let mut padded: Vec<f32> = (0..fft.data_floats()).map(|i| ((i * 17) % 19) as f32 - 9.0).collect();
            padded[kept..].fill(0.0);
            let mut half = padded.clone();
            half[kept..].fill(f32::NAN);
            let want = padded.clone();
            fft.forward(&mut padded);
            fft.forward_padded(&mut half);
            assert!(half.iter().zip(&padded).all(|(got, want)| (got - want).abs() < 1e-2));
            fft.inverse_truncated(&mut half);
            for (got, want) in half.iter().zip(&want).take(kept) {
                assert!((got / fft.size() as f32 - want).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn conjugate_frequencies_mirror_within_octaves() {
        for size in [2, 8, 64, 512] {
            for frequency in 0..size {
                let partner = (size - frequency) % size;
                assert_eq!(conjugate_position(bit_reversed(frequency, size)), bit_reversed(partner, size));
            }
        }
    }

    #[test]
    fn refuses_a_size_that_is_no_power_of_two() {
        assert!(Fft::new(&Memory::new(1 << 20), 12).is_err());
    }
}
