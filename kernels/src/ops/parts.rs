//! Parts of one buffer that several tasks write at once.
//!
//! A matrix is cut into blocks of rows, blocks of columns, residue classes of rows or permuted rows. Every cut consumes the
//! matrix that it divides, so no element belongs to two parts. [`for_each`] then gives each part to one task. Where parts are
//! contiguous, `chunks_mut` of the standard library is enough: [`for_each`] takes any iterator.
//!
//! Systems use parts without unsafe code. The proofs are in this file, and its tests run in Miri (CONTRIBUTING.md).

#![expect(
    unsafe_code,
    reason = "the borrow checker cannot see that strided parts of a buffer do not overlap"
)]

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use mixer::Parallel;

use super::permutation::Permutation;

/// Runs `task(part, worker)` for the first `n_tasks` items of `parts`, in the iterator's order, each on the next free thread.
/// Taking a part costs an uncontended lock, tens of nanoseconds.
pub fn for_each<P>(
    parallel: &dyn Parallel,
    n_tasks: usize,
    parts: impl Iterator<Item = P> + Send,
    task: impl Fn(P, usize) + Sync,
) {
    let parts = Mutex::new(parts);
    parallel.run(n_tasks, &|_, worker| {
        let part = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
        if let Some(part) = part {
            task(part, worker);
        }
    });
}

/// A matrix `[rows, columns]` whose rows lie `stride` elements apart: the whole of a buffer or a part of one.
///
/// Invariant: for each `row < rows` the `columns` elements from `start + row · stride` lie in a buffer that is exclusively borrowed
/// for `'a`, rows do not overlap, and no other value gives access to these elements.
#[derive(Debug)]
pub struct Matrix<'a, T = f32> {
    start: NonNull<T>,
    rows: usize,
    columns: usize,
    stride: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: by the invariant this is as good as exclusive borrows of its rows, which are Send where T is.
unsafe impl<T: Send> Send for Matrix<'_, T> {}
// SAFETY: a shared `Matrix` gives shared access to its elements only.
unsafe impl<T: Sync> Sync for Matrix<'_, T> {}

impl<'a, T> Matrix<'a, T> {
    /// A row-major buffer of rows of `columns` elements; elements after the last whole row take no part.
    pub fn new(buffer: &'a mut [T], columns: usize) -> Self {
        let rows = buffer.len().checked_div(columns).unwrap_or(0);
        // The invariant: rows · columns ≤ length, and the buffer's borrow ends in this value.
        Self { start: NonNull::from(buffer).cast(), rows, columns, stride: columns, borrow: PhantomData }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row.
    ///
    /// # Panics
    /// Where `row ≥ rows`.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &[T] {
        assert!(row < self.rows, "a row outside of its part");
        // SAFETY: the row's elements lie in the buffer; the result borrows `self`, and nothing else gives access to them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(row * self.stride), self.columns) }
    }

    /// One row, to write.
    ///
    /// # Panics
    /// Where `row ≥ rows`.
    #[inline(always)]
    pub fn row_mut(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "a row outside of its part");
        // SAFETY: as in `row`; the result borrows `self` exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(row * self.stride), self.columns) }
    }

    /// The first `n` rows, or as many as there are, cut off from `self`.
    #[must_use]
    pub fn take_rows(&mut self, n: usize) -> Self {
        let nothing = self.empty();
        let whole = mem::replace(self, nothing);
        let (first, rest) = whole.split_at(Axis::Rows, n);
        *self = rest;
        first
    }

    /// Blocks of `size` rows; the last one may have fewer.
    pub fn row_blocks(self, size: usize) -> Blocks<'a, T> {
        Blocks { rest: self, axis: Axis::Rows, size: size.max(1) }
    }

    /// Blocks of `size` columns of all rows; the last one may have fewer.
    pub fn column_blocks(self, size: usize) -> Blocks<'a, T> {
        Blocks { rest: self, axis: Axis::Columns, size: size.max(1) }
    }

    /// Its rows, one by one.
    pub fn into_rows(self) -> impl ExactSizeIterator<Item = &'a mut [T]> + DoubleEndedIterator {
        self.row_blocks(1).map(|row| {
            // SAFETY: one row, which lies in the buffer; the block that alone gave access to it ends here.
            unsafe { std::slice::from_raw_parts_mut(row.start.as_ptr(), row.columns) }
        })
    }

    /// The rows 0, `step`, 2 · `step`, …, then the rows 1, 1 + `step`, … and so on: `step` classes, or as many as there are rows.
    pub fn residue_classes(self, step: usize) -> impl ExactSizeIterator<Item = Self> {
        // SAFETY: `self` ends in the iterator, which asks for each class once.
        (0..step.min(self.rows)).map(move |class| unsafe { self.residue_class(class, step) })
    }

    /// The rows `class`, `class + step`, …
    ///
    /// # Safety
    /// `class < step` and `class < rows`. `self` must not be used while the result is alive, but for other classes of this `step`.
    unsafe fn residue_class(&self, class: usize, step: usize) -> Self {
        Self {
            // SAFETY: `class < rows`, so this is the start of a row.
            start: unsafe { self.start.add(class * self.stride) },
            // Row i of the class is row class + i · step < rows of `self`. No two classes have a row in common.
            rows: (self.rows - class).div_ceil(step),
            columns: self.columns,
            stride: self.stride * step,
            borrow: PhantomData,
        }
    }

    /// The rows in the order of `order`, in blocks of `size` entries; without an order as they lie.
    pub fn permuted_blocks(
        self,
        order: Option<Permutation<'a>>,
        size: usize,
    ) -> impl ExactSizeIterator<Item = Permuted<'a, T>> {
        let size = size.max(1);
        let entries = order.map_or(self.rows, |order| order.entries().len());
        (0..entries.div_ceil(size)).map(move |block| Permuted {
            // SAFETY: `self` ends in the iterator. A permutation has no entry twice and blocks have no entry in common, so no two
            // blocks have a row in common, and `Permuted` uses no row but its own.
            matrix: unsafe { self.alias() },
            order,
            entries: block * size..entries.min((block + 1) * size),
        })
    }

    /// The same matrix once more.
    ///
    /// # Safety
    /// No row may be used through two of them.
    unsafe fn alias(&self) -> Self {
        Self { borrow: PhantomData, ..*self }
    }

    /// No rows.
    fn empty(&self) -> Self {
        Self { rows: 0, ..*self }
    }

    /// The part before `at` along `axis` and the part from there on.
    #[inline(always)]
    fn split_at(self, axis: Axis, at: usize) -> (Self, Self) {
        let at = at.min(self.len(axis));
        let (rows, columns) = match axis {
            Axis::Rows => ([at, self.rows - at], [self.columns; 2]),
            Axis::Columns => ([self.rows; 2], [at, self.columns - at]),
        };
        let offset = match axis {
            Axis::Rows if at < self.rows => at * self.stride,
            Axis::Columns => at,
            // The row after the last one may lie outside of the buffer. No element of the empty part is ever used.
            Axis::Rows => 0,
        };
        // SAFETY: either 0, or the start of a row, or at most `columns` elements into the first row. Without rows a matrix of
        // `columns` columns need not have such elements, so the pointer is not moved then.
        let second = if self.rows == 0 { self.start } else { unsafe { self.start.add(offset) } };
        // The invariant: both parts consist of elements of `self`, which ends here, and have none in common.
        let part = |index: usize, start| Self {
            start,
            rows: rows[index],
            columns: columns[index],
            stride: self.stride,
            borrow: PhantomData,
        };
        (part(0, self.start), part(1, second))
    }

    fn len(&self, axis: Axis) -> usize {
        match axis {
            Axis::Rows => self.rows,
            Axis::Columns => self.columns,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Axis {
    Rows,
    Columns,
}

/// Blocks of a matrix along one axis, from [`Matrix::row_blocks`] or [`Matrix::column_blocks`].
#[derive(Debug)]
pub struct Blocks<'a, T = f32> {
    rest: Matrix<'a, T>,
    axis: Axis,
    size: usize,
}

impl<'a, T> Blocks<'a, T> {
    fn split_at(&mut self, at: usize) -> [Matrix<'a, T>; 2] {
        let nothing = self.rest.empty();
        let whole = mem::replace(&mut self.rest, nothing);
        whole.split_at(self.axis, at).into()
    }
}

impl<'a, T> Iterator for Blocks<'a, T> {
    type Item = Matrix<'a, T>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len(self.axis) == 0 {
            return None;
        }
        let [block, rest] = self.split_at(self.size);
        self.rest = rest;
        Some(block)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let blocks = self.rest.len(self.axis).div_ceil(self.size);
        (blocks, Some(blocks))
    }
}

impl<T> DoubleEndedIterator for Blocks<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let last = self.len().checked_sub(1)?;
        let [rest, block] = self.split_at(last * self.size);
        self.rest = rest;
        Some(block)
    }
}

impl<T> ExactSizeIterator for Blocks<'_, T> {}
impl<T> FusedIterator for Blocks<'_, T> {}

/// A block of the rows of a matrix in the order of a permutation, from [`Matrix::permuted_blocks`].
///
/// Invariant: as that of [`Matrix`] for the rows of `matrix` that are entries `entries` of the order, and for no other rows.
#[derive(Debug)]
pub struct Permuted<'a, T = f32> {
    matrix: Matrix<'a, T>,
    order: Option<Permutation<'a>>,
    entries: std::ops::Range<usize>,
}

impl<T> Permuted<'_, T> {
    /// Entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The row that is entry `entry` of the block.
    ///
    /// # Panics
    /// Where the block has no such entry, or the matrix no such row: an order may name rows past the matrix's end.
    #[inline(always)]
    pub fn row(&self, entry: usize) -> &[T] {
        self.matrix.row(self.position(entry))
    }

    /// As [`Permuted::row`], to write.
    ///
    /// # Panics
    /// As [`Permuted::row`].
    #[inline(always)]
    pub fn row_mut(&mut self, entry: usize) -> &mut [T] {
        self.matrix.row_mut(self.position(entry))
    }

    /// The index of the row that is entry `entry`: among this block's own rows.
    #[inline(always)]
    fn position(&self, entry: usize) -> usize {
        assert!(entry < self.entries.len(), "an entry outside of its block");
        let index = self.entries.start + entry;
        self.order.map_or(index, |order| order.entries()[index] as usize)
    }
}

#[cfg(test)]
mod tests {
    use mixer::Serial;

    use super::*;
    use crate::ops::permutation::Permutations;
    use crate::testing::Threads;

    /// Adds 1 + `part`'s number to its elements, all the parts at once on several threads.
    fn mark<'a>(n_tasks: usize, parts: impl Iterator<Item = Matrix<'a, u32>> + Send) {
        for_each(&Threads(3), n_tasks, parts.zip(1..), |(mut part, number), _| {
            for row in 0..part.rows() {
                assert_eq!(part.row(row).len(), part.columns());
                part.row_mut(row).iter_mut().for_each(|value| *value += number);
            }
        });
    }

    #[test]
    fn blocks_of_rows_and_columns_cover_each_element_once() {
        let (rows, columns) = (5, 7);
        let mut buffer = vec![0; rows * columns + 3];
        let blocks = Matrix::new(&mut buffer, columns).row_blocks(2).flat_map(|rows| rows.column_blocks(3));
        mark(9, blocks);
        for (index, value) in buffer.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let want = if row < rows { 1 + row / 2 * 3 + column / 3 } else { 0 };
            assert_eq!(*value as usize, want, "row {row} column {column}");
        }
    }

    #[test]
    fn blocks_of_columns_are_cut_into_rows() {
        let mut buffer = vec![0; 24];
        let blocks = Matrix::new(&mut buffer, 8).column_blocks(3).rev().flat_map(|block| block.row_blocks(1));
        mark(9, blocks);
        let want = |index: usize| 1 + (2 - index % 8 / 3) * 3 + index / 8;
        assert_eq!(buffer, (0..24).map(|index| want(index) as u32).collect::<Vec<_>>());
    }

    #[test]
    fn blocks_come_from_both_ends() {
        let mut buffer: Vec<u32> = (0..11).collect();
        let mut blocks = Matrix::new(&mut buffer, 1).row_blocks(4);
        assert_eq!(blocks.len(), 3);
        let last = blocks.next_back().unwrap();
        assert_eq!((last.rows(), last.row(0)), (3, &[8][..]));
        let first = blocks.next().unwrap();
        assert_eq!((first.rows(), first.row(3)), (4, &[3][..]));
        assert_eq!(blocks.next_back().unwrap().row(0), [4]);
        assert!(blocks.next().is_none() && blocks.next_back().is_none());
        assert_eq!((last.row(2), first.row(0)), (&[10][..], &[0][..]));
    }

    #[test]
    fn rows_are_taken_off_until_none_remain() {
        let mut buffer: Vec<u32> = (0..10).collect();
        let mut rest = Matrix::new(&mut buffer, 2);
        let taken = [1, 3, 4].map(|n| rest.take_rows(n));
        assert_eq!(taken.each_ref().map(Matrix::rows), [1, 3, 1]);
        assert_eq!((taken[1].row(2), taken[2].row(0), rest.rows()), (&[6, 7][..], &[8, 9][..], 0));
    }

    #[test]
    fn residue_classes_cover_each_row_once() {
        for step in [1, 2, 3, 7, 20] {
            let mut buffer = vec![0; 3 * 11];
            let heads = Matrix::new(&mut buffer, 3).column_blocks(2);
            mark(2 * step.min(11), heads.flat_map(|head| head.residue_classes(step)));
            for (index, value) in buffer.iter().enumerate() {
                let (row, head) = (index / 3, index % 3 / 2);
                assert_eq!(*value as usize, 1 + head * step.min(11) + row % step, "step {step} row {row}");
            }
        }
    }

    #[test]
    fn permuted_blocks_cover_each_row_once() {
        let (rows, padded, size) = (10, 12, 5);
        let buckets: Vec<u32> = (0..padded).map(|row| row * 7 % 4).collect();
        let memory = mixer::Memory::new(1 << 16);
        let mut permutations = Permutations::new(&memory, padded as usize, 1_usize).unwrap();
        for_each(&Serial, 1, permutations.iter_mut(), |mut order, _| order.sort(&buckets, &mut [0; 5]));
        let order = permutations.get(0).unwrap();
        let mut buffer = vec![0_u32; rows * 2];
        let blocks = Matrix::new(&mut buffer, 2).permuted_blocks(Some(order), size);
        for_each(&Threads(3), 3, blocks.enumerate(), |(block, mut part), _| {
            for entry in 0..part.len() {
                let position = order.entries()[block * size + entry] as usize;
                if position < rows {
                    part.row_mut(entry).iter_mut().for_each(|value| *value += 1 + position as u32);
                    assert_eq!(part.row(entry)[0], 1 + position as u32);
                }
            }
        });
        assert_eq!(buffer, (0..rows as u32 * 2).map(|index| 1 + index / 2).collect::<Vec<_>>());
        let blocks = Matrix::new(&mut buffer, 2).permuted_blocks(None, 4);
        assert_eq!(blocks.map(|mut part| part.row_mut(1)[0]).collect::<Vec<_>>(), [2, 6, 10]);
    }

    #[test]
    fn matrices_without_elements_have_no_parts() {
        let mut none: [u32; 0] = [];
        assert_eq!(Matrix::new(&mut none, 4).row_blocks(2).count(), 0);
        assert_eq!(Matrix::new(&mut none, 0).column_blocks(2).count(), 0);
        let blocks = Matrix::new(&mut none, 4).column_blocks(2).map(|part| (part.rows(), part.columns()));
        assert_eq!(blocks.collect::<Vec<_>>(), [(0, 2); 2]);
        assert_eq!(Matrix::new(&mut none, 4).residue_classes(2).count(), 0);
        assert_eq!(Matrix::new(&mut none, 4).permuted_blocks(None, 2).count(), 0);
    }

    #[test]
    #[should_panic(expected = "a row outside of its part")]
    fn a_row_after_the_last_one_is_refused() {
        let mut buffer = [0; 12];
        Matrix::new(&mut buffer, 3).row_blocks(2).next().unwrap().row_mut(2).fill(1);
    }

    #[test]
    fn every_part_is_taken_once_by_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let mut buffer = vec![0_u32; 100];
            for_each(&Threads(threads), 13, buffer.chunks_mut(8).enumerate(), |(index, part), _| {
                part.iter_mut().for_each(|value| *value += index as u32);
            });
            assert_eq!(buffer, (0..100).map(|index| index / 8).collect::<Vec<_>>());
        }
    }
}
