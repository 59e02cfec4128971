//! Eight channels of a stream, a block of rows at a time: gates and short causal convolutions before and after a long
//! one.

use super::fft::Row;
use super::long_conv::GROUP;
use super::simd::{Lanes, Pair, Work, run_eight};

/// Eight channels of a stream of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// The floats from the group's first channel at time 0 on.
    pub floats: &'a [f32],
    /// Floats between successive times.
    pub stride: usize,
    /// Number of existing channels, at most [`GROUP`].
    pub columns: usize,
    /// Taps `[taps + 1, GROUP]`, the bias last; empty without a short convolution.
    pub short: &'a [f32],
}

impl<'a> Stream<'a> {
    /// Channel group `group` of row-major rows of `width` channels, `stride` floats apart; `rows` begins with the first
    /// row.
    pub fn of_rows(rows: &'a [f32], stride: usize, width: usize, group: usize) -> Self {
        let channel = group * GROUP;
        Self { floats: &rows[channel..], stride, columns: GROUP.min(width - channel), short: &[] }
    }

    /// The channel group in a panel, `[length, GROUP]`.
    pub fn of_panel(panel: &'a [f32]) -> Self {
        Self { floats: panel, stride: GROUP, columns: GROUP, short: &[] }
    }

    /// Fills rows with the stream from time `t` on.
    pub fn read(&self, t: usize, rows: &mut [Row]) {
        run_eight(Read { stream: *self, t, rows });
    }

    /// Multiplies rows by the stream from time `t` on.
    pub fn gate(&self, t: usize, rows: &mut [Row]) {
        run_eight(Gate { stream: *self, t, rows });
    }

    /// Calls `put` with each row and the stream at its time, after the short convolution if there is one.
    #[inline(always)]
    fn each<V: Lanes>(&self, t: usize, rows: &mut [Row], put: impl Fn(&mut Row, V)) {
        debug_assert!((t + rows.len() - 1) * self.stride + self.columns <= self.floats.len());
        let (short, _) = self.short.as_chunks::<GROUP>();
        if let Some((bias, taps)) = short.split_last() {
            for (t, row) in (t..).zip(rows) {
                let mut sum = V::load(bias);
                // The last tap multiplies the current input. Taps before the start multiply nothing.
                for (age, tap) in taps.iter().rev().enumerate().take(t + 1) {
                    sum = sum.mul_add(self.at(t - age), V::load(tap));
                }
                put(row, sum);
            }
        } else if self.columns == GROUP {
            // A loop of few instructions: rows are far apart, and only loads within a core's instruction window
            // overlap.
            for (row, values) in rows.iter_mut().zip(self.floats[t * self.stride..].chunks(self.stride)) {
                if let Some(values) = values.first_chunk::<GROUP>() {
                    put(row, V::load(values));
                }
            }
        } else {
            (t..).zip(rows).for_each(|(t, row)| put(row, self.at(t)));
        }
    }

    /// The stream at time `t` without the short convolution, in a vector of eight lanes.
    #[inline(always)]
    pub fn at<V: Lanes>(&self, t: usize) -> V {
        const { assert!(V::LANES == GROUP) };
        V::load(&self.floats[t * self.stride..][..self.columns])
    }
}

/// [`Stream::read`].
struct Read<'a, 'b> {
    stream: Stream<'a>,
    t: usize,
    rows: &'b mut [Row],
}

impl Work for Read<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        self.stream.each(self.t, self.rows, |row, values: V| values.store(row));
    }
}

/// [`Stream::gate`].
struct Gate<'a, 'b> {
    stream: Stream<'a>,
    t: usize,
    rows: &'b mut [Row],
}

impl Work for Gate<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        self.stream.each(self.t, self.rows, |row, values: V| (V::load(row) * values).store(row));
    }
}

/// Writes rows from time `t` on to `to(t)`, as many channels as that slice has.
#[inline(always)]
pub fn write<'a>(t: usize, rows: &[Row], to: impl Fn(usize) -> &'a mut [f32]) {
    for (t, row) in (t..).zip(rows) {
        let to = to(t);
        if let Some(to) = to.first_chunk_mut() {
            // Not an assignment, which would compile to a call of memcpy.
            Pair::load(row).store(to as &mut Row);
        } else {
            to.iter_mut().zip(row).for_each(|(to, value)| *to = *value);
        }
    }
}
