//! Complex FFT of four sequences at once, one to each SIMD lane: every operation is vertical, nothing is shuffled.
//!
//! Forward is radix-4 decimation in frequency from natural to bit-reversed order, inverse is its mirror image, so a
//! convolution never reorders anything. Both recurse into their quarters, which then fit in cache: a transform of any
//! size reads memory only a few times.

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

    /// Floats of one half (real or imaginary) of the data: [`LANES`] for each element.
    pub fn half(&self) -> usize {
        self.size * LANES
    }

    /// In place, natural to bit-reversed order. `re`, `im`: `[size, LANES]`.
    pub fn forward(&self, re: &mut [f32], im: &mut [f32]) {
        let (re, _) = re.as_chunks_mut::<LANES>();
        let (im, _) = im.as_chunks_mut::<LANES>();
        forward(re, im, &self.twiddles);
    }

    /// In place, bit-reversed to natural order, not scaled: [`Fft::forward`] then this multiplies by `size`.
    pub fn inverse(&self, re: &mut [f32], im: &mut [f32]) {
        let (re, _) = re.as_chunks_mut::<LANES>();
        let (im, _) = im.as_chunks_mut::<LANES>();
        inverse(re, im, &self.twiddles);
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

#[derive(Clone, Copy)]
struct Complex {
    re: F32x4,
    im: F32x4,
}

impl Complex {
    #[inline(always)]
    fn load(re: &[f32; LANES], im: &[f32; LANES]) -> Self {
        Self { re: F32x4::from_array(re), im: F32x4::from_array(im) }
    }
    #[inline(always)]
    fn store(self, re: &mut [f32; LANES], im: &mut [f32; LANES]) {
        self.re.write_to(re);
        self.im.write_to(im);
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
    /// Multiplied by −i.
    #[inline(always)]
    fn turned(self) -> Self {
        Self { re: self.im, im: F32x4::zero() - self.re }
    }
    #[inline(always)]
    fn times(self, re: f32, im: f32) -> Self {
        let (w_re, w_im) = (F32x4::splat(re), F32x4::splat(im));
        Self {
            re: (self.re * w_re).mul_add(F32x4::zero() - self.im, w_im),
            im: (self.im * w_re).mul_add(self.re, w_im),
        }
    }
}

type Lanes = [f32; LANES];

/// The four quarters of a slice whose length is a multiple of four.
#[inline(always)]
fn quarters(data: &mut [Lanes]) -> [&mut [Lanes]; 4] {
    let quarter = data.len() / 4;
    let (a, rest) = data.split_at_mut(quarter);
    let (b, rest) = rest.split_at_mut(quarter);
    let (c, d) = rest.split_at_mut(quarter);
    [a, b, c, &mut d[..quarter]]
}

fn forward(re: &mut [Lanes], im: &mut [Lanes], twiddles: &[f32]) {
    let n = re.len();
    if n == 2 {
        radix2(re, im);
    }
    if n < 4 {
        return;
    }
    let (level, deeper) = twiddles.split_at(n / 4 * TRIPLE);
    {
        let [re0, re1, re2, re3] = quarters(re);
        let [im0, im1, im2, im3] = quarters(im);
        let (triples, _) = level.as_chunks::<TRIPLE>();
        let left = re0.iter_mut().zip(im0).zip(re1.iter_mut().zip(im1));
        let right = re2.iter_mut().zip(im2).zip(re3.iter_mut().zip(im3));
        for ((((r0, i0), (r1, i1)), ((r2, i2), (r3, i3))), w) in left.zip(right).zip(triples) {
            let (x0, x1) = (Complex::load(r0, i0), Complex::load(r1, i1));
            let (x2, x3) = (Complex::load(r2, i2), Complex::load(r3, i3));
            let (sum02, difference02) = (x0.plus(x2), x0.minus(x2));
            let (sum13, turned13) = (x1.plus(x3), x1.minus(x3).turned());
            sum02.plus(sum13).store(r0, i0);
            // Frequencies 2 mod 4 before 1 mod 4: that is what makes the order bit-reversed, not digit-reversed.
            sum02.minus(sum13).times(w[2], w[3]).store(r1, i1);
            difference02.plus(turned13).times(w[0], w[1]).store(r2, i2);
            difference02.minus(turned13).times(w[4], w[5]).store(r3, i3);
        }
    }
    for (re, im) in re.chunks_exact_mut(n / 4).zip(im.chunks_exact_mut(n / 4)) {
        forward(re, im, deeper);
    }
}

fn inverse(re: &mut [Lanes], im: &mut [Lanes], twiddles: &[f32]) {
    let n = re.len();
    if n == 2 {
        radix2(re, im);
    }
    if n < 4 {
        return;
    }
    let (level, deeper) = twiddles.split_at(n / 4 * TRIPLE);
    for (re, im) in re.chunks_exact_mut(n / 4).zip(im.chunks_exact_mut(n / 4)) {
        inverse(re, im, deeper);
    }
    let [re0, re1, re2, re3] = quarters(re);
    let [im0, im1, im2, im3] = quarters(im);
    let (triples, _) = level.as_chunks::<TRIPLE>();
    let left = re0.iter_mut().zip(im0).zip(re1.iter_mut().zip(im1));
    let right = re2.iter_mut().zip(im2).zip(re3.iter_mut().zip(im3));
    for ((((r0, i0), (r1, i1)), ((r2, i2), (r3, i3))), w) in left.zip(right).zip(triples) {
        let y0 = Complex::load(r0, i0);
        let y2 = Complex::load(r1, i1).times(w[2], -w[3]);
        let y1 = Complex::load(r2, i2).times(w[0], -w[1]);
        let y3 = Complex::load(r3, i3).times(w[4], -w[5]);
        let (sum02, difference02) = (y0.plus(y2), y0.minus(y2));
        let (sum13, turned13) = (y1.plus(y3), y1.minus(y3).turned());
        sum02.plus(sum13).store(r0, i0);
        difference02.minus(turned13).store(r1, i1);
        sum02.minus(sum13).store(r2, i2);
        difference02.plus(turned13).store(r3, i3);
    }
}

#[inline(always)]
fn radix2(re: &mut [Lanes], im: &mut [Lanes]) {
    if let ([r0, r1], [i0, i1]) = (re, im) {
        let (x0, x1) = (Complex::load(r0, i0), Complex::load(r1, i1));
        x0.plus(x1).store(r0, i0);
        x0.minus(x1).store(r1, i1);
    }
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
            let re: Vec<f32> = (0..fft.half()).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
            let im: Vec<f32> = (0..fft.half()).map(|i| ((i * 17) % 19) as f32 / 9.0 - 1.0).collect();
            let (mut got_re, mut got_im) = (re.clone(), im.clone());
            fft.forward(&mut got_re, &mut got_im);
            for lane in 0..LANES {
                for frequency in 0..size {
                    let (mut want_re, mut want_im) = (0.0_f64, 0.0_f64);
                    for t in 0..size {
                        let angle = -std::f64::consts::TAU * (frequency * t % size) as f64 / size as f64;
                        let (x, y) = (f64::from(re[t * LANES + lane]), f64::from(im[t * LANES + lane]));
                        want_re += x * angle.cos() - y * angle.sin();
                        want_im += x * angle.sin() + y * angle.cos();
                    }
                    let at = bit_reversed(frequency, size) * LANES + lane;
                    assert!((f64::from(got_re[at]) - want_re).abs() < 1e-4 * (size as f64).sqrt());
                    assert!((f64::from(got_im[at]) - want_im).abs() < 1e-4 * (size as f64).sqrt());
                }
            }
            fft.inverse(&mut got_re, &mut got_im);
            for (got, want) in got_re.iter().chain(&got_im).zip(re.iter().chain(&im)) {
                assert!((got / size as f32 - want).abs() < 1e-5);
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
