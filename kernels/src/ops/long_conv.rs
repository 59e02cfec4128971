//! Causal long convolution by FFT, eight real channels at a time.
//!
//! Channels c … c+3 travel as the real parts and c+4 … c+7 as the imaginary parts of one four-lane complex transform.
//! With Z the transform of the packed signal, A and B the filters' spectra of the two halves, S = (A + B)/2 and
//! T = (A − B)/2, the packed product is Y[f] = Z[f]·S[f] + conj(Z[−f])·T[f].

use mixer::{Floats, Memory, MixerError};

use super::fft::{Complex, Fft, POINT, conjugate_position};
use super::simd::{F32x4, LANES};

/// Channels in a group.
pub const GROUP: usize = 2 * LANES;

/// Smallest transform whose circular convolution equals the linear one on the first `seq_len` outputs.
pub fn fft_size(seq_len: usize) -> usize {
    (2 * seq_len).saturating_sub(1).next_power_of_two()
}

/// The lag of position `position` of a circular filter of `size` positions that reaches `length − 1` steps both ways:
/// `Ok(s)` multiplies the input s steps ago, `Err(s)` the input s ≥ 1 steps ahead; `None` where the filter is zero.
pub fn circular_lag(position: usize, size: usize, length: usize) -> Option<Result<usize, usize>> {
    if position < length {
        Some(Ok(position))
    } else if size - position < length {
        Some(Err(size - position))
    } else {
        None
    }
}

/// Spectra of the filters of several channel groups, ready to multiply.
#[derive(Debug)]
pub struct FilterBank {
    /// `[groups, positions, (S re, S im, T re, T im), LANES]`, scaled by 1/size; one entry for each pair of conjugate
    /// positions.
    spectra: Floats,
}

/// Floats for each pair of conjugate positions.
const ENTRY: usize = 4 * LANES;

impl FilterBank {
    /// Pairs of conjugate positions of a transform: the lower half of every octave, and the two that pair with
    /// themselves.
    fn pairs(size: usize) -> usize {
        if size <= 2 { size } else { size / 2 + 1 }
    }

    /// Floats that [`FilterBank::new`] takes from the memory budget, its own scratch included.
    pub fn floats(size: usize, groups: usize) -> usize {
        Self::kept(size, groups) + 2 * size * LANES
    }

    fn kept(size: usize, groups: usize) -> usize {
        groups * Self::pairs(size) * ENTRY
    }

    /// Transforms the filters. `tap(group, lane, t)` is the filter of channel `group · GROUP + lane` at time t, for
    /// t < `taps` ≤ size.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(
        memory: &Memory,
        fft: &Fft,
        groups: usize,
        taps: usize,
        tap: impl Fn(usize, usize, usize) -> f32,
    ) -> Result<Self, MixerError> {
        let size = fft.size();
        let mut spectra = memory.floats(Self::kept(size, groups))?;
        let mut work = memory.floats(fft.data_floats())?;
        let scale = 1.0 / size as f32;
        for (group, entries) in spectra.chunks_exact_mut(Self::pairs(size) * ENTRY).enumerate() {
            work.fill(0.0);
            for (t, point) in work.chunks_exact_mut(GROUP).take(taps).enumerate() {
                point.iter_mut().enumerate().for_each(|(lane, to)| *to = tap(group, lane, t));
            }
            fft.forward(&mut work);
            for (entry, position) in entries.chunks_exact_mut(ENTRY).zip(representatives(size)) {
                let partner = conjugate_position(position);
                for lane in 0..LANES {
                    let at = |position: usize, part: usize| work[position * POINT + part * LANES + lane];
                    let (zr, zi) = (at(position, 0), at(position, 1));
                    let (pr, pi) = (at(partner, 0), at(partner, 1));
                    // A = (Z + conj Z')/2 and B = (Z − conj Z')/(2i).
                    let (a_re, a_im) = (0.5 * (zr + pr), 0.5 * (zi - pi));
                    let (b_re, b_im) = (0.5 * (zi + pi), 0.5 * (pr - zr));
                    entry[lane] = 0.5 * scale * (a_re + b_re);
                    entry[LANES + lane] = 0.5 * scale * (a_im + b_im);
                    entry[2 * LANES + lane] = 0.5 * scale * (a_re - b_re);
                    entry[3 * LANES + lane] = 0.5 * scale * (a_im - b_im);
                }
            }
        }
        Ok(Self { spectra })
    }

    /// Convolves one group in place. `work`: `[size, GROUP]`, of which the first `length` ≤ ⌈size / 2⌉ rows are the
    /// input and then the result; the rest is scratch.
    pub fn convolve(&self, fft: &Fft, group: usize, length: usize, work: &mut [f32]) {
        let size = fft.size();
        work[length * GROUP..size.div_ceil(2) * GROUP].fill(0.0);
        fft.forward_padded(work);
        let (entries, _) = self.spectra[group * Self::pairs(size) * ENTRY..].as_chunks::<ENTRY>();
        let (points, _) = work.as_chunks_mut::<POINT>();
        let (own, pairs) = entries.split_at(size.min(2));
        for (entry, point) in own.iter().zip(&mut *points) {
            let z = Complex::load(point);
            multiply(entry, z, z).0.store(point);
        }
        // Each octave's lower half ascends while its upper half descends.
        let (mut rest, mut entries) = (&mut points[size.min(2)..size], pairs);
        let mut half = 1;
        while !rest.is_empty() {
            let (octave, after) = rest.split_at_mut(2 * half);
            let (these, others) = entries.split_at(half);
            let (low, high) = octave.split_at_mut(half);
            for ((entry, low), high) in these.iter().zip(low).zip(high.iter_mut().rev()) {
                let (y, conjugate) = multiply(entry, Complex::load(low), Complex::load(high));
                y.store(low);
                conjugate.store(high);
            }
            (rest, entries, half) = (after, others, 2 * half);
        }
        fft.inverse_truncated(work);
    }
}

/// Y = Z·S + conj(Z')·T and Y' = Z'·conj(S) + conj(Z)·conj(T).
#[inline(always)]
fn multiply(entry: &[f32; ENTRY], z: Complex, p: Complex) -> (Complex, Complex) {
    let [s_re, s_im, t_re, t_im] = std::array::from_fn(|part| F32x4::load(&entry[part * LANES..]));
    let y = Complex {
        re: (z.re * s_re).mul_sub(z.im, s_im).mul_add(p.re, t_re).mul_add(p.im, t_im),
        im: (z.re * s_im).mul_add(z.im, s_re).mul_add(p.re, t_im).mul_sub(p.im, t_re),
    };
    let conjugate = Complex {
        re: (p.re * s_re).mul_add(p.im, s_im).mul_add(z.re, t_re).mul_sub(z.im, t_im),
        im: (p.im * s_re).mul_sub(p.re, s_im).mul_sub(z.im, t_re).mul_sub(z.re, t_im),
    };
    (y, conjugate)
}

/// One position of each conjugate pair, in order.
fn representatives(size: usize) -> impl Iterator<Item = usize> {
    let octaves = (1..size.ilog2()).flat_map(|log| (1 << log)..((1 << log) + (1 << (log - 1))));
    (0..size.min(2)).chain(octaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_represented_once() {
        for size in [1, 2, 4, 8, 64, 1024] {
            let mut seen = vec![0; size];
            for position in representatives(size) {
                seen[position] += 1;
                if conjugate_position(position) != position {
                    seen[conjugate_position(position)] += 1;
                }
            }
            assert!(seen.iter().all(|&count| count == 1), "size {size}: {seen:?}");
            assert_eq!(representatives(size).count(), FilterBank::pairs(size));
        }
    }

    #[test]
    fn a_circular_filter_reaches_both_ways() {
        let memory = Memory::new(1 << 26);
        for length in [1, 2, 3, 8, 45] {
            let fft = Fft::new(&memory, fft_size(length)).unwrap();
            let value = |lag: Result<usize, usize>| match lag {
                Ok(s) => s as f32 / 7.0 - 1.0,
                Err(s) => 0.3 - s as f32 / 9.0,
            };
            let bank = FilterBank::new(&memory, &fft, 1, fft.size(), |_, _, position| {
                circular_lag(position, fft.size(), length).map_or(0.0, value)
            })
            .unwrap();
            let signal = |t: usize| ((t * 11) % 19) as f32 / 9.0 - 1.0;
            let mut work = vec![f32::NAN; fft.data_floats()];
            for t in 0..length {
                work[t * GROUP..][..GROUP].fill(signal(t));
            }
            bank.convolve(&fft, 0, length, &mut work);
            for t in 0..length {
                let want: f32 =
                    (0..length).map(|j| signal(j) * value(if j <= t { Ok(t - j) } else { Err(j - t) })).sum();
                assert!(
                    (work[t * GROUP] - want).abs() < 1e-4,
                    "L {length} t {t}: {} {want}",
                    work[t * GROUP]
                );
            }
        }
    }

    #[test]
    fn agrees_with_direct_convolution_at_any_length() {
        let memory = Memory::new(1 << 26);
        for seq_len in [1, 2, 3, 5, 16, 17, 100, 257] {
            let fft = Fft::new(&memory, fft_size(seq_len)).unwrap();
            let tap = |group: usize, lane: usize, t: usize| {
                ((group * 31 + lane * 7 + t * 13) % 17) as f32 / 8.0 - 1.0
            };
            let bank = FilterBank::new(&memory, &fft, 2, seq_len, tap).unwrap();
            for group in 0..2 {
                let signal = |lane: usize, t: usize| ((lane * 5 + t * 11) % 19) as f32 / 9.0 - 1.0;
                let mut work = vec![f32::NAN; fft.data_floats()];
                for t in 0..seq_len {
                    for lane in 0..GROUP {
                        work[t * GROUP + lane] = signal(lane, t);
                    }
                }
                bank.convolve(&fft, group, seq_len, &mut work);
                for lane in 0..GROUP {
                    for t in 0..seq_len {
                        let want: f64 = (0..=t)
                            .map(|s| f64::from(tap(group, lane, s)) * f64::from(signal(lane, t - s)))
                            .sum();
                        let got = f64::from(work[t * GROUP + lane]);
                        assert!((got - want).abs() < 1e-4, "L {seq_len} lane {lane} t {t}: {got} {want}");
                    }
                }
            }
        }
    }
}
