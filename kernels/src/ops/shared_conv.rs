//! Long convolution of all channels with one filter, whose spectrum is one number per frequency.

use mixer::{Count, Floats, Memory, MixerError};

use super::fft::{Fft, PARTS, Row};
use super::long_conv::transform;
use super::simd::Lanes as _;

/// The spectrum of one real filter.
#[derive(Debug)]
pub struct SharedFilter {
    /// `[size / 2]` pairs (re, im) in the transform's order, scaled by 2/size.
    spectrum: Floats,
}

impl SharedFilter {
    /// Floats of a filter.
    pub fn floats(size: usize) -> Count {
        size.into()
    }

    /// Transforms the filter `tap(position)`, given for each position of the circle.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, fft: &Fft, tap: impl Fn(usize) -> f32) -> Result<Self, MixerError> {
        let mut spectrum = memory.floats(Self::floats(fft.size()))?;
        let mut work = memory.floats(fft.data_floats())?;
        let (pairs, _) = spectrum.as_chunks_mut::<2>();
        // All lanes hold the filter.
        let rows = |position: usize, rows: &mut [Row]| {
            (position..).zip(rows).for_each(|(position, row)| row.fill(tap(position)));
        };
        transform(fft, fft.size(), &rows, &mut work, |index, part| {
            if let Some(pair) = pairs.get_mut(index) {
                pair[0] += part.re.fold_max().max_lane();
                pair[1] += part.im.fold_max().max_lane();
            }
        });
        Ok(Self { spectrum })
    }

    /// Convolves groups of eight real channels like [`super::long_conv::FilterBank::convolve`].
    pub fn convolve(
        &self,
        fft: &Fft,
        groups: usize,
        length: usize,
        from: &dyn Fn(usize, usize, &mut [Row]),
        to: &dyn Fn(usize, usize, &mut [Row]),
        work: &mut [f32],
    ) {
        let (pairs, _) = self.spectrum.as_chunks::<2>();
        fft.convolve(groups, |_| [pairs; PARTS], length, from, to, work);
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
            let from = |_: usize, t: usize, rows: &mut [Row]| {
                for (t, row) in (t..).zip(rows) {
                    *row = std::array::from_fn(|lane| signal(lane, t));
                }
            };
            let to = |_: usize, t: usize, rows: &mut [Row]| {
                for (t, row) in (t..).zip(rows) {
                    for (lane, got) in row.iter().enumerate() {
                        let want: f32 = (0..length)
                            .map(|j| signal(lane, j) * k(if j <= t { Ok(t - j) } else { Err(j - t) }))
                            .sum();
                        assert!((got - want).abs() < 1e-3, "L {length} t {t}: {got} {want}");
                    }
                }
            };
            filter.convolve(&fft, 1, length, &from, &to, &mut work);
        }
    }
}
