//! Eight channels of a stream, a block of rows at a time: gates and short causal convolutions on the way to and from a long
//! one.

use super::fft::Row;
use super::long_conv::GROUP;
use super::simd::{F32x4, LANES};

/// Eight channels of one stream of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// From the group's first float at time 0 on.
    pub floats: &'a [f32],
    /// Floats between one time and the next.
    pub stride: usize,
    /// Channels that exist, at most [`GROUP`].
    pub columns: usize,
    /// `[taps + 1, GROUP]`, the bias last; empty where the stream is used as it is.
    pub short: &'a [f32],
}

impl<'a> Stream<'a> {
    /// Channel group `group` of row-major rows of `width` channels, `stride` floats apart, the first of which begins `rows`.
    pub fn of_rows(rows: &'a [f32], stride: usize, width: usize, group: usize) -> Self {
        let channel = group * GROUP;
        Self { floats: &rows[channel..], stride, columns: GROUP.min(width - channel), short: &[] }
    }

    /// Channel group that is a panel, `[length, GROUP]`.
    pub fn of_panel(panel: &'a [f32]) -> Self {
        Self { floats: panel, stride: GROUP, columns: GROUP, short: &[] }
    }

    /// Fills rows with the stream from time `t` on.
    pub fn read(&self, t: usize, rows: &mut [Row]) {
        self.each(t, rows, store);
    }

    /// Multiplies rows with the stream from time `t` on.
    pub fn gate(&self, t: usize, rows: &mut [Row]) {
        self.each(t, rows, |row, [low, high]| {
            let [row_low, row_high] = load(row);
            store(row, [row_low * low, row_high * high]);
        });
    }

    /// Calls `put` with each row and the stream at its time, through the short convolution if there is one.
    #[inline(always)]
    fn each(&self, t: usize, rows: &mut [Row], put: impl Fn(&mut Row, [F32x4; 2])) {
        debug_assert!((t + rows.len() - 1) * self.stride + self.columns <= self.floats.len());
        let (short, _) = self.short.as_chunks::<GROUP>();
        if let Some((bias, taps)) = short.split_last() {
            for (t, row) in (t..).zip(rows) {
                let mut sum = load(bias);
                // The last tap multiplies the present; taps that would reach before the start see nothing.
                for (age, tap) in taps.iter().rev().enumerate().take(t + 1) {
                    let (values, tap) = (self.at(t - age), load(tap));
                    sum = [sum[0].mul_add(values[0], tap[0]), sum[1].mul_add(values[1], tap[1])];
                }
                put(row, sum);
            }
        } else if self.columns == GROUP {
            // A loop of few instructions: rows lie far apart, and only loads that a core sees at once wait together.
            for (row, values) in rows.iter_mut().zip(self.floats[t * self.stride..].chunks(self.stride)) {
                if let Some(values) = values.first_chunk::<GROUP>() {
                    put(row, load(values));
                }
            }
        } else {
            (t..).zip(rows).for_each(|(t, row)| put(row, self.at(t)));
        }
    }

    /// The stream at time `t` as it lies.
    #[inline(always)]
    pub fn at(&self, t: usize) -> [F32x4; 2] {
        load(&self.floats[t * self.stride..][..self.columns])
    }
}

/// Up to eight channels, missing ones as zero.
#[inline(always)]
pub fn load(row: &[f32]) -> [F32x4; 2] {
    [F32x4::load(row), F32x4::load(row.get(LANES..).unwrap_or(&[]))]
}

/// Eight channels.
#[inline(always)]
pub fn store(row: &mut Row, values: [F32x4; 2]) {
    let (low, high) = row.split_at_mut(LANES);
    values[0].store(low);
    values[1].store(high);
}

/// Writes rows from time `t` on to where `to(t)` says: as many channels as that has room for.
#[inline(always)]
pub fn write<'a>(t: usize, rows: &[Row], to: impl Fn(usize) -> &'a mut [f32]) {
    for (t, row) in (t..).zip(rows) {
        let to = to(t);
        if let Some(to) = to.first_chunk_mut() {
            // Not an assignment, which is a call to copy memory.
            store(to, load(row));
        } else {
            to.iter_mut().zip(row).for_each(|(to, value)| *to = *value);
        }
    }
}
