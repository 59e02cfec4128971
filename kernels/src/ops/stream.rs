//! Eight channels of a stream, a block of rows at a time: gates and short causal convolutions before and after a long
//! one.

use std::cell::RefCell;

use super::fft::Row;
use super::long_conv::GROUP;
use super::parts::Matrix;
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

/// Neighbouring channel groups of one sequence, which one task writes.
///
/// The closures that read and write a convolution's rows share it, one row at a time.
#[derive(Debug)]
pub struct Groups<'a> {
    floats: RefCell<Matrix<'a>>,
    /// Whether a row is a group, `[length, GROUP]`, and not a time.
    is_paneled: bool,
}

impl<'a> Groups<'a> {
    /// Groups that are columns of row-major rows, a row for each time; the last group may have fewer than [`GROUP`] columns.
    pub fn of_rows(columns: Matrix<'a>) -> Self {
        Self { floats: RefCell::new(columns), is_paneled: false }
    }

    /// Groups that are panels: each row of `panels` is `[length, GROUP]`.
    pub fn of_panels(panels: Matrix<'a>) -> Self {
        Self { floats: RefCell::new(panels), is_paneled: true }
    }

    /// Writes rows of the `i`-th group from time `t` on.
    #[inline(always)]
    pub fn write(&self, i: usize, t: usize, rows: &[Row]) {
        let mut floats = self.floats.borrow_mut();
        if self.is_paneled {
            let (panel, _) = floats.row_mut(i)[t * GROUP..].as_chunks_mut::<GROUP>();
            for (to, row) in panel.iter_mut().zip(rows) {
                // Not an assignment, which is a call to copy memory.
                Pair::load(row).store(to);
            }
            return;
        }
        for (t, row) in (t..).zip(rows) {
            let to = &mut floats.row_mut(t)[i * GROUP..];
            if let Some(to) = to.first_chunk_mut::<GROUP>() {
                Pair::load(row).store(to);
            } else {
                to.iter_mut().zip(row).for_each(|(to, value)| *to = *value);
            }
        }
    }

    /// Adds rows to those of the `i`-th group from time `t` on.
    #[inline(always)]
    pub fn add(&self, i: usize, t: usize, rows: &[Row]) {
        for (t, row) in (t..).zip(rows) {
            self.with(i, t, |to| to.iter_mut().zip(row).for_each(|(to, value)| *to += *value));
        }
    }

    /// Fills rows from the `i`-th group, from time `t` on; channels that do not exist as zeros.
    #[inline(always)]
    pub fn read(&self, i: usize, t: usize, rows: &mut [Row]) {
        for (t, row) in (t..).zip(rows) {
            self.with(i, t, |from| Pair::load(from).store(row));
        }
    }

    /// Calls `read` with the `i`-th group, which is a panel, as a stream.
    #[inline(always)]
    pub fn with_panel(&self, i: usize, read: impl FnOnce(Stream<'_>)) {
        debug_assert!(self.is_paneled);
        read(Stream::of_panel(self.floats.borrow().row(i)));
    }

    /// Calls `use_row` with the channels of the `i`-th group at time `t`.
    #[inline(always)]
    fn with(&self, i: usize, t: usize, use_row: impl FnOnce(&mut [f32])) {
        let mut floats = self.floats.borrow_mut();
        let (row, first) = if self.is_paneled { (i, t * GROUP) } else { (t, i * GROUP) };
        let row = &mut floats.row_mut(row)[first..];
        let columns = GROUP.min(row.len());
        use_row(&mut row[..columns]);
    }
}
