//! Long convolution by FFT, eight real channels at a time, one per lane of a transform (see [`super::fft`]).

use std::ops::Range;

use mixer::{Count, Floats, Memory, MixerError};

use super::fft::{Complex, Fft, PARTS, POINT, Row, SMALLEST};
use super::simd::{LANES, Wide};

/// Channels per group.
pub const GROUP: usize = 2 * LANES;

/// Smallest circle on which the circular convolution equals the linear one on the first `seq_len` outputs, for causal
/// and for two-sided filters.
pub fn fft_size(seq_len: usize) -> usize {
    (2 * seq_len).next_power_of_two().max(SMALLEST)
}

/// The lag at position `position` of a circular filter on `size` positions that reaches `length − 1` steps in both
/// directions: `Ok(s)` multiplies the input s steps ago, `Err(s)` the input s ≥ 1 steps ahead. `None` where the filter
/// is zero.
pub fn circular_lag(position: usize, size: usize, length: usize) -> Option<Result<usize, usize>> {
    if position < length {
        Some(Ok(position))
    } else if size - position < length {
        Some(Err(size - position))
    } else {
        None
    }
}

/// Spectra of the filters of several channel groups.
#[derive(Debug)]
pub struct FilterBank {
    /// `[groups, PARTS, size / 2]` points in the transform's order, scaled by 2/size.
    spectra: Floats,
}

impl FilterBank {
    /// Floats that [`FilterBank::new`] takes from the memory budget, including its scratch.
    pub fn floats(size: usize, groups: usize) -> Count {
        (Count::from(groups) + 1) * Fft::group_floats(size)
    }

    /// Transforms the filters. `tap(group, lane, t)` is the filter of channel `group · GROUP + lane` at position t of
    /// the circle, for t < `taps` ≤ size.
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
        let mut spectra = memory.floats(groups * fft.data_floats())?;
        let mut work = memory.floats(fft.data_floats())?;
        for (group, entries) in spectra.chunks_exact_mut(fft.data_floats()).enumerate() {
            let (entries, _) = entries.as_chunks_mut::<POINT>();
            let rows = |t: usize, rows: &mut [Row]| {
                for (t, row) in (t..).zip(rows) {
                    row.iter_mut().enumerate().for_each(|(lane, to)| *to = tap(group, lane, t));
                }
            };
            transform(fft, taps, &rows, &mut work, |index, spectrum| {
                let entry = &mut entries[index];
                Complex::load(entry).plus(spectrum).store(entry);
            });
        }
        Ok(Self { spectra })
    }

    /// Convolves groups of `length` ≤ size / 2 positions. `from(i, t, rows)` fills rows with the eight channels of the
    /// i-th group from position t on, `to(i, t, rows)` receives them; all rows are read before the first one is
    /// written. `work` is scratch of [`Fft::data_floats`] per group.
    pub fn convolve(
        &self,
        fft: &Fft,
        groups: Range<usize>,
        length: usize,
        from: &dyn Fn(usize, usize, &mut [Row]),
        to: &dyn Fn(usize, usize, &mut [Row]),
        work: &mut [f32],
    ) {
        let (entries, _) = self.spectra.as_chunks::<POINT>();
        let points = fft.size() / 2;
        let factors = |group| {
            let first = (groups.start + group) * PARTS * points;
            std::array::from_fn(|part| &entries[first + part * points..][..points])
        };
        fft.convolve(groups.len(), factors, length, from, to, work);
    }
}

/// Convolves one group with a filter whose spectrum is not kept. `filter(t, rows)` fills rows with the filter from
/// position t of the circle on, `spectrum` and `work` are scratch of [`Fft::data_floats`]; otherwise as
/// [`FilterBank::convolve`].
pub(super) fn convolve_once(
    fft: &Fft,
    length: usize,
    filter: &dyn Fn(usize, &mut [Row]),
    from: &dyn Fn(usize, usize, &mut [Row]),
    to: &dyn Fn(usize, usize, &mut [Row]),
    [spectrum, work]: [&mut [f32]; 2],
) {
    let (entries, _) = spectrum[..fft.data_floats()].as_chunks_mut::<POINT>();
    entries.fill([0.0; POINT]);
    transform(fft, fft.size(), filter, work, |index, part| {
        let entry = &mut entries[index];
        Complex::load(entry).plus(part).store(entry);
    });
    let points = fft.size() / 2;
    let factors = |_| std::array::from_fn(|part| &entries[part * points..][..points]);
    fft.convolve(1, factors, length, from, to, work);
}

/// Transforms filters on the circle, scaled by 2/size. `rows(t, rows)` fills rows with the filters from position t on, for
/// t < `taps` ≤ size. `add(index, part)` receives summands of the spectrum at `index` of `[PARTS, size / 2]`. `work` is as
/// for [`Fft::spectra`].
pub(super) fn transform(
    fft: &Fft,
    taps: usize,
    rows: &dyn Fn(usize, &mut [Row]),
    work: &mut [f32],
    mut add: impl FnMut(usize, Complex<Wide>),
) {
    let points = fft.size() / 2;
    let scale = 1.0 / points as f32;
    // A step back from position 0 leads to position N − 1 with the factor −i, so the circle's second half holds the
    // imaginary parts of the filter.
    for (first, factor) in [(0, [scale, 0.0]), (points, [0.0, -scale])] {
        let factor = Complex::splat(factor);
        if taps <= first {
            break;
        }
        let from = |t: usize, part: &mut [Row]| rows(first + t, part);
        fft.spectra((taps - first).min(points), &from, work, |part, spectrum| {
            for (index, point) in spectrum.iter().enumerate() {
                add(part * points + index, Complex::load(point).times(factor));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let from = |_: usize, t: usize, rows: &mut [Row]| {
                (t..).zip(rows).for_each(|(t, row)| *row = [signal(t); GROUP]);
            };
            let to = |_: usize, t: usize, rows: &mut [Row]| {
                for (t, [got, ..]) in (t..).zip(rows) {
                    let want: f32 = (0..length)
                        .map(|j| signal(j) * value(if j <= t { Ok(t - j) } else { Err(j - t) }))
                        .sum();
                    assert!((*got - want).abs() < 1e-4, "L {length} t {t}: {got} {want}");
                }
            };
            bank.convolve(&fft, 0..1, length, &from, &to, &mut work);
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
            let signal = |group: usize, lane: usize, t: usize| {
                ((group * 3 + lane * 5 + t * 11) % 19) as f32 / 9.0 - 1.0
            };
            for groups in [0..2, 1..2] {
                let mut work = vec![f32::NAN; groups.len() * fft.data_floats()];
                let from = |i: usize, t: usize, rows: &mut [Row]| {
                    for (t, row) in (t..).zip(rows) {
                        *row = std::array::from_fn(|lane| signal(groups.start + i, lane, t));
                    }
                };
                let to = |i: usize, t: usize, rows: &mut [Row]| {
                    let group = groups.start + i;
                    for (t, row) in (t..).zip(rows) {
                        for (lane, got) in row.iter().enumerate() {
                            let want: f64 = (0..=t)
                                .map(|s| {
                                    f64::from(tap(group, lane, s)) * f64::from(signal(group, lane, t - s))
                                })
                                .sum();
                            let got = f64::from(*got);
                            assert!((got - want).abs() < 1e-4, "L {seq_len} lane {lane} t {t}: {got} {want}");
                        }
                    }
                };
                bank.convolve(&fft, groups.clone(), seq_len, &from, &to, &mut work);
            }
        }
    }
}
