//! Long convolution of all channels with one and the same filter: its spectrum is one number for each frequency, so
//! packed real channels need no separation.

use mixer::{Floats, Memory, MixerError};

use super::fft::Fft;
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
        let mut work = memory.floats(2 * fft.half())?;
        let (re, im) = work.split_at_mut(fft.half());
        for (position, lanes) in re.chunks_exact_mut(LANES).enumerate() {
            lanes[0] = tap(position);
        }
        fft.forward(re, im);
        let scale = 1.0 / fft.size() as f32;
        let lanes = re.chunks_exact(LANES).zip(im.chunks_exact(LANES));
        for (pair, (re, im)) in spectrum.chunks_exact_mut(2).zip(lanes) {
            pair[0] = scale * re[0];
            pair[1] = scale * im[0];
        }
        Ok(Self { spectrum })
    }

    /// Convolves eight real channels in place, four in `re` and four in `im`, `[size, LANES]` each.
    pub fn convolve(&self, fft: &Fft, re: &mut [f32], im: &mut [f32]) {
        fft.forward(re, im);
        let (re_lanes, _) = re.as_chunks_mut::<LANES>();
        let (im_lanes, _) = im.as_chunks_mut::<LANES>();
        for ((pair, re), im) in self.spectrum.chunks_exact(2).zip(re_lanes).zip(im_lanes) {
            let (k_re, k_im) = (F32x4::splat(pair[0]), F32x4::splat(pair[1]));
            let (z_re, z_im) = (F32x4::from_array(re), F32x4::from_array(im));
            (z_re * k_re - z_im * k_im).write_to(re);
            (z_re * k_im + z_im * k_re).write_to(im);
        }
        fft.inverse(re, im);
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
            let (mut re, mut im) = (vec![0.0; fft.half()], vec![0.0; fft.half()]);
            for t in 0..length {
                for lane in 0..LANES {
                    re[t * LANES + lane] = signal(lane, t);
                    im[t * LANES + lane] = signal(lane + LANES, t);
                }
            }
            filter.convolve(&fft, &mut re, &mut im);
            for t in 0..length {
                for lane in 0..2 * LANES {
                    let want: f32 = (0..length)
                        .map(|j| signal(lane, j) * k(if j <= t { Ok(t - j) } else { Err(j - t) }))
                        .sum();
                    let got = if lane < LANES { re[t * LANES + lane] } else { im[t * LANES + lane - LANES] };
                    assert!((got - want).abs() < 1e-3, "L {length} t {t}: {got} {want}");
                }
            }
        }
    }
}
