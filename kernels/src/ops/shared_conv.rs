//! Long convolution of all channels with one and the same filter: its spectrum is one number for each frequency, so
//! packed real channels need no separation.

use mixer::{Floats, Memory, MixerError};

use super::fft::{Complex, Fft, POINT};
use super::long_conv::GROUP;
use super::simd::{F32x4, LANES};

/// The spectrum of one real filter.
#[derive(Debug)]
pub struct SharedFilter {
    /// `[size]` pairs (re, im) in the transform's order, scaled by 1/size.
    spectrum: Floats,
}

impl SharedFilter {
    /// Floats that a filter keeps.
    pub fn floats(size: usize) -> usize {
        2 * size
    }

    /// Transforms the filter: `tap(position)` for each position of the circle.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, fft: &Fft, tap: impl Fn(usize) -> f32) -> Result<Self, MixerError> {
        let mut spectrum = memory.floats(Self::floats(fft.size()))?;
        let mut work = memory.floats(fft.data_floats())?;
        for (position, point) in work.chunks_exact_mut(POINT).enumerate() {
            point[0] = tap(position);
        }
        fft.forward(&mut work);
        let scale = 1.0 / fft.size() as f32;
        for (pair, point) in spectrum.chunks_exact_mut(2).zip(work.chunks_exact(POINT)) {
            pair[0] = scale * point[0];
            pair[1] = scale * point[LANES];
        }
        Ok(Self { spectrum })
    }

    /// Convolves eight real channels in place. `work`: `[size, GROUP]`, of which the first `length` ≤ ⌈size / 2⌉ rows
    /// are the input and then the result; the rest is scratch.
    pub fn convolve(&self, fft: &Fft, length: usize, work: &mut [f32]) {
        work[length * GROUP..fft.size().div_ceil(2) * GROUP].fill(0.0);
        fft.forward_padded(work);
        let (points, _) = work.as_chunks_mut::<POINT>();
        for (pair, point) in self.spectrum.as_chunks::<2>().0.iter().zip(points) {
            let (k_re, k_im) = (F32x4::splat(pair[0]), F32x4::splat(pair[1]));
            let z = Complex::load(point);
            let y = Complex { re: (z.re * k_re).mul_sub(z.im, k_im), im: (z.re * k_im).mul_add(z.im, k_re) };
            y.store(point);
        }
        fft.inverse_truncated(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::long_conv::{circular_lag, fft_size};

    #[test]
    fn agrees_with_direct_convolution_both_ways() {
        let memory = Memory::new(1 << 24);
        for length in [1, 2, 5, 64, 99] {
            let fft = Fft::new(&memory, fft_size(length)).unwrap();
            let k = |lag: Result<usize, usize>| match lag {
                Ok(s) => 1.0 - s as f32 / 40.0,
                Err(s) => s as f32 / 70.0,
            };
            let tap = |position| circular_lag(position, fft.size(), length).map_or(0.0, k);
            let filter = SharedFilter::new(&memory, &fft, tap).unwrap();
            let signal = |lane: usize, t: usize| ((t * 7 + lane * 3) % 11) as f32 / 5.0 - 1.0;
            let mut work = vec![f32::NAN; fft.data_floats()];
            for t in 0..length {
                for lane in 0..GROUP {
                    work[t * GROUP + lane] = signal(lane, t);
                }
            }
            filter.convolve(&fft, length, &mut work);
            for t in 0..length {
                for lane in 0..GROUP {
                    let want: f32 = (0..length)
                        .map(|j| signal(lane, j) * k(if j <= t { Ok(t - j) } else { Err(j - t) }))
                        .sum();
                    let got = work[t * GROUP + lane];
                    assert!((got - want).abs() < 1e-3, "L {length} t {t}: {got} {want}");
                }
            }
        }
    }
}
