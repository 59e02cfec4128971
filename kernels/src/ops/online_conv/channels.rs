//! The convolutions of one group of channels.

use std::cell::RefCell;

use super::Span;
use super::plan::{LAST_BLOCK, Plan, far_part, is_transform_cheaper};
use crate::ops::fft::Row;
use crate::ops::long_conv::{GROUP, convolve_once};
use crate::ops::toeplitz::{add_products, add_triangle};

/// Inputs that are multiplied by their taps for one sequence after another: 16 KiB of taps stay in the first-level cache.
const SHARED: usize = 512;

/// One group's convolutions with their state, for the tokens of one call.
#[derive(Debug)]
pub struct Channels<'a> {
    plan: &'a Plan,
    group: usize,
    /// `[sets, batch, capacity]` rows.
    history: &'a mut [Row],
    /// As `history`; empty for [`Method::Direct`].
    sums: &'a mut [Row],
    base: usize,
    span: Span,
    scratch: &'a mut [f32],
}

/// What a convolution of one set reads: its filter and where its spectra are.
#[derive(Clone, Copy)]
struct Filter<'a> {
    plan: &'a Plan,
    /// By falling lags.
    taps: &'a [Row],
    /// Number of the filter in the banks.
    index: usize,
}

impl<'a> Channels<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        group: usize,
        [history, sums]: [&'a mut [f32]; 2],
        base: usize,
        span: Span,
        scratch: &'a mut [f32],
    ) -> Self {
        let (history, _) = history.as_chunks_mut();
        let (sums, _) = sums.as_chunks_mut();
        Self { plan, group, history, sums, base, span, scratch }
    }

    /// Replaces the inputs of set `set`, `[batch, count]` rows, by the outputs at their positions. Where `is_answered` is
    /// false, only the state changes and the rows are left undefined.
    pub fn convolve(&mut self, set: usize, rows: &mut [Row], is_answered: bool) {
        let Self { plan, group, ref mut history, ref mut sums, base, span, ref mut scratch } = *self;
        let (capacity, batch) = (plan.shape.capacity, plan.shape.batch);
        let filter = Filter { plan, taps: plan.taps(group, set), index: group * plan.shape.sets + set };
        let own = set * batch * capacity..(set + 1) * batch * capacity;
        let history = &mut history[own.clone()];
        for (history, rows) in history.chunks_exact_mut(capacity).zip(rows.chunks_exact(span.count)) {
            history[span.position..][..span.count].copy_from_slice(rows);
        }
        let Some(sums) = sums.get_mut(own) else {
            if is_answered {
                filter.answer(history, rows, span, scratch);
            }
            return;
        };
        let sequences = history.chunks_exact(capacity).zip(sums.chunks_exact_mut(capacity));
        for ((history, sums), rows) in sequences.zip(rows.chunks_exact_mut(span.count)) {
            if span.count > 1 && plan.is_prompt(span) {
                if is_answered {
                    filter.answer(history, rows, span, scratch);
                }
                filter.restart(&history[..span.position + span.count], sums, scratch);
            } else {
                filter.steps(history, sums, rows, [span.position, base], scratch);
            }
        }
    }
}

impl Filter<'_> {
    /// Outputs at the positions of `span`, `[batch, count]` rows, from the inputs, `[batch, capacity]` rows.
    fn answer(&self, history: &[Row], rows: &mut [Row], Span { position, count }: Span, scratch: &mut [f32]) {
        let capacity = self.taps.len();
        rows.fill([0.0; GROUP]);
        if count == 1 {
            // The taps are read once for all sequences.
            let taps = &self.taps[capacity - 1 - position..];
            for (block, taps) in taps.chunks(SHARED).enumerate() {
                for (history, row) in history.chunks_exact(capacity).zip(&mut *rows) {
                    add_products(&history[block * SHARED..][..taps.len()], taps, std::slice::from_mut(row));
                }
            }
            return;
        }
        for (history, rows) in history.chunks_exact(capacity).zip(rows.chunks_exact_mut(count)) {
            let (before, own) = history[..position + count].split_at(position);
            if self.plan.is_transformed(count) {
                let (bank, fft) = self.plan.causal();
                let rows = RefCell::new(&mut *rows);
                let group = self.index..self.index + 1;
                bank.convolve(
                    fft,
                    group,
                    count,
                    &|_, t, to| fill(own, t, to),
                    &|_, t, from| add(&rows, t, from),
                    scratch,
                );
            } else {
                add_triangle(own, &self.taps[capacity - count..], rows);
            }
            self.add_far(before, position, rows, scratch);
        }
    }

    /// Computes all later sums from the inputs so far.
    fn restart(&self, inputs: &[Row], sums: &mut [Row], scratch: &mut [f32]) {
        let later = &mut sums[inputs.len()..];
        later.fill([0.0; GROUP]);
        self.add_far(inputs, inputs.len(), later, scratch);
    }

    /// Answers tokens one by one.
    fn steps(
        &self,
        history: &[Row],
        sums: &mut [Row],
        rows: &mut [Row],
        [position, mut base]: [usize; 2],
        scratch: &mut [f32],
    ) {
        let present = self.taps[self.taps.len() - 1];
        for (t, row) in (position..).zip(rows) {
            for ((value, sum), tap) in row.iter_mut().zip(&sums[t]).zip(&present) {
                *value = sum + tap * *value;
            }
            let (end, done) = (t + 1, t + 1 - base);
            if done.is_multiple_of(2 * LAST_BLOCK) {
                self.restart(&history[..end], sums, scratch);
                base = end;
                continue;
            }
            let size = 1 << done.trailing_zeros();
            let rows = &mut sums[end..];
            let n = size.min(rows.len());
            self.add_block(&history[end - size..end], &mut rows[..n], scratch);
        }
    }

    /// Adds the contributions of a block to the rows that follow it, at most as many as its inputs.
    fn add_block(&self, inputs: &[Row], rows: &mut [Row], scratch: &mut [f32]) {
        let size = inputs.len();
        match self.plan.block(size) {
            Some((bank, fft)) if is_transform_cheaper(size, 1, size, rows.len()) => {
                let rows = RefCell::new(rows);
                let group = self.index..self.index + 1;
                bank.convolve(
                    fft,
                    group,
                    size,
                    &|_, t, to| fill(inputs, t, to),
                    &|_, t, from| add(&rows, t, from),
                    scratch,
                );
            }
            _ => self.add_directly(inputs, size, rows),
        }
    }

    /// Adds the contributions of the inputs at the first positions to rows from position `first` on, after all of them.
    fn add_far(&self, inputs: &[Row], first: usize, rows: &mut [Row], scratch: &mut [f32]) {
        let part = far_part(self.plan.shape, inputs.len(), rows.len());
        for (row, rows) in rows.chunks_mut(part).enumerate() {
            for (input, inputs) in inputs.chunks(part).enumerate() {
                let lag = first + row * part - input * part;
                if is_transform_cheaper(part, 2, inputs.len(), rows.len()) {
                    self.add_transformed(inputs, lag, rows, scratch);
                } else {
                    self.add_directly(inputs, lag, rows);
                }
            }
        }
    }

    /// Adds the contributions of inputs to rows, the first of which is `lag` after the first input.
    fn add_directly(&self, inputs: &[Row], lag: usize, rows: &mut [Row]) {
        if !inputs.is_empty() && !rows.is_empty() {
            let first = self.taps.len() - lag - rows.len();
            add_products(inputs, &self.taps[first..][..inputs.len() + rows.len() - 1], rows);
        }
    }

    /// As [`Filter::add_directly`], by transforms of the inputs and of their part of the filter.
    fn add_transformed(&self, inputs: &[Row], lag: usize, rows: &mut [Row], scratch: &mut [f32]) {
        let length = inputs.len().max(rows.len());
        let fft = self.plan.fft(length);
        let filter = |position: usize, rows: &mut [Row]| {
            for (position, row) in (position..).zip(rows) {
                // The second half of the circle holds the smaller lags.
                let wrapped = if position < fft.size() / 2 { 0 } else { fft.size() };
                let lag = (lag + position).checked_sub(wrapped).filter(|&lag| lag < self.taps.len());
                *row = lag.map_or([0.0; GROUP], |lag| self.taps[self.taps.len() - 1 - lag]);
            }
        };
        let rows = RefCell::new(rows);
        let (spectrum, work) = scratch.split_at_mut(fft.data_floats());
        convolve_once(
            fft,
            length,
            &filter,
            &|_, t, to| fill(inputs, t, to),
            &|_, t, from| add(&rows, t, from),
            [spectrum, work],
        );
    }
}

/// Fills rows with inputs from position `t` on, and with zeros after the last one.
fn fill(inputs: &[Row], t: usize, rows: &mut [Row]) {
    let present = inputs.get(t..).unwrap_or_default();
    let (with, without) = rows.split_at_mut(present.len().min(rows.len()));
    with.copy_from_slice(&present[..with.len()]);
    without.fill([0.0; GROUP]);
}

/// Adds `from` to the rows from position `t` on, as far as there are any.
fn add(rows: &RefCell<&mut [Row]>, t: usize, from: &[Row]) {
    let mut rows = rows.borrow_mut();
    for (row, from) in rows.iter_mut().skip(t).zip(from) {
        row.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
    }
}
