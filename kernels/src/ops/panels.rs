//! Panel-major streams `[groups, rows, PANEL]`, the layout of [`super::linear::Linear::apply_paneled`]: a group of
//! eight channels is contiguous over time.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use mixer::{Count, Parallel};

use super::gemm::PANEL;
use super::parts::Matrix;
use super::stream::Groups;

/// Floats of a stream with `rows` rows of `width` channels.
pub fn floats(rows: impl Into<Count>, width: usize) -> Count {
    rows.into() * Count::from(width.next_multiple_of(PANEL))
}

/// Copies rows from `first` on of a panel-major stream of `rows` rows to row-major `to`, `[n, width]`.
pub fn gather(stream: &[f32], rows: usize, first: usize, width: usize, to: &mut [f32]) {
    for (group, panel) in stream.chunks_exact(rows * PANEL).enumerate() {
        let columns = PANEL.min(width.saturating_sub(group * PANEL));
        let from = panel[first * PANEL..].chunks_exact(PANEL);
        for (to, from) in to.chunks_exact_mut(width).zip(from) {
            to[group * PANEL..][..columns].copy_from_slice(&from[..columns]);
        }
    }
}

/// Copies group `group` of row-major `from`, `[n, width]`, to the panel `to`, `[n, PANEL]`; missing channels become
/// zero.
pub fn scatter(from: &[f32], width: usize, group: usize, to: &mut [f32]) {
    let columns = PANEL.min(width - group * PANEL);
    for (to, from) in to.chunks_exact_mut(PANEL).zip(from.chunks_exact(width)) {
        to[..columns].copy_from_slice(&from[group * PANEL..][..columns]);
        to[columns..].fill(0.0);
    }
}

/// Most channel groups per task: as many as share a cache line of a row-major stream.
pub const TOGETHER: usize = 2;

/// Division of the channel groups of several sequences among tasks.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    /// Groups per sequence.
    groups: usize,
    together: usize,
    tasks: usize,
    threads: usize,
}

impl Shares {
    /// [`TOGETHER`] groups per task, or one where tasks of several groups would leave threads idle.
    pub fn new(batch: usize, width: usize, threads: usize) -> Self {
        let (groups, threads) = (width.div_ceil(PANEL), threads.max(1));
        let tasks = |together: usize| batch * groups.div_ceil(together);
        let rounds = |together: usize| tasks(together).div_ceil(threads) * together;
        let together = if threads == 1 || rounds(TOGETHER) <= rounds(1) { TOGETHER } else { 1 };
        Self { groups, together, tasks: tasks(together), threads }
    }

    /// The parts of row-major rows of `width` channels that tasks write: those of sequences of `length` rows.
    pub fn of_rows<'a>(
        &self,
        rows: &'a mut [f32],
        length: usize,
        width: usize,
    ) -> impl Iterator<Item = Groups<'a>> + Send + use<'a> {
        let shares = *self;
        Matrix::new(rows, width).row_blocks(length).flat_map(move |sequence| shares.of_columns(sequence))
    }

    /// The parts of a panel-major stream of sequences of `length` rows, `rows` in all, that tasks write.
    pub fn of_panels<'a>(
        &self,
        stream: &'a mut [f32],
        length: usize,
        rows: usize,
    ) -> impl Iterator<Item = Groups<'a>> + Send + use<'a> {
        let shares = *self;
        let sequences = Matrix::new(stream, rows * PANEL).column_blocks(length * PANEL);
        sequences.flat_map(move |sequence| shares.of_sequence(sequence))
    }

    /// The parts of one sequence of row-major rows.
    pub fn of_columns<'a>(&self, rows: Matrix<'a>) -> impl Iterator<Item = Groups<'a>> + Send + use<'a> {
        rows.column_blocks(self.together * PANEL).map(Groups::of_rows)
    }

    /// The parts of one sequence of a panel-major stream, `[groups, length · PANEL]`.
    pub fn of_sequence<'a>(&self, panels: Matrix<'a>) -> impl Iterator<Item = Groups<'a>> + Send + use<'a> {
        panels.row_blocks(self.together).map(Groups::of_panels)
    }

    /// Runs `task(sequence, groups, part, worker)` for every share: `parts` are those of the first sequence's groups, then those
    /// of the second sequence's, and so on.
    pub fn for_each<P: Send>(
        &self,
        parallel: &dyn Parallel,
        parts: impl Iterator<Item = P>,
        task: impl Fn(usize, Range<usize>, P, usize) + Sync,
    ) {
        // Tasks take shares out of their order. There are few: some for each thread, or one for every sixteen channels.
        let parts: Vec<Mutex<Option<P>>> = parts.map(|part| Mutex::new(Some(part))).collect();
        parallel.run(self.tasks, &|task_idx, worker| {
            let share = self.share(task_idx);
            let part =
                parts.get(share).and_then(|part| part.lock().unwrap_or_else(PoisonError::into_inner).take());
            if let Some(part) = part {
                let (sequence, groups) = self.of(share);
                task(sequence, groups, part, worker);
            }
        });
    }

    /// The channel groups of task `task`. Consecutive tasks of a thread get neighbouring groups.
    /// Groups that are neighbours share cache lines of row-major streams: two threads that wrote them at once would take
    /// the lines from each other at every row, and one thread that takes both in turn finds them in its cache.
    fn share(&self, task: usize) -> usize {
        let (n, threads) = (self.tasks, self.threads);
        let (thread, turn) = (task % threads, task / threads);
        thread * (n / threads) + thread.min(n % threads) + turn
    }

    /// The sequence and the groups of share number `share`.
    fn of(&self, share: usize) -> (usize, Range<usize>) {
        let per_sequence = self.groups.div_ceil(self.together);
        let first = share % per_sequence * self.together;
        (share / per_sequence, first..self.groups.min(first + self.together))
    }
}

/// The values of `of` for each of a task's groups. Fewer than [`TOGETHER`] groups are padded by the last value.
pub fn of_each<T>(groups: &Range<usize>, of: impl Fn(usize) -> T) -> [T; TOGETHER] {
    std::array::from_fn(|i| of((groups.start + i).min(groups.end - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_taken_once_with_its_neighbour() {
        for (batch, width, threads) in [
            (1, 256, 1),
            (1, 256, 2),
            (3, 88, 4),
            (1, 20, 8),
            (1, 50, 3),
            (2, 256, 12),
            (1, 24, 1),
            (1, 24, 2),
        ] {
            let shares = Shares::new(batch, width, threads);
            let taken: Vec<(usize, usize)> = (0..threads)
                .flat_map(|thread| (thread..shares.tasks).step_by(threads))
                .flat_map(|task| {
                    let (sequence, groups) = shares.of(shares.share(task));
                    groups.map(move |group| (sequence, group))
                })
                .collect();
            let all = (0..batch)
                .flat_map(|sequence| (0..width.div_ceil(PANEL)).map(move |group| (sequence, group)));
            assert_eq!(taken, all.collect::<Vec<_>>(), "{batch} of {width} channels, {threads} threads");
        }
    }

    #[test]
    fn no_thread_waits_for_groups_that_are_taken_together() {
        let tasks = |threads| Shares::new(1, 256, threads).tasks;
        assert_eq!([1, 2, 8, 10, 16].map(tasks), [16; 5]);
        assert_eq!([12, 32].map(tasks), [32; 2]);
        assert_eq!(Shares::new(1, 24, 1).tasks, 2);
    }

    #[test]
    fn scatters_what_it_gathers() {
        let (rows, width) = (7, 19);
        let from: Vec<f32> = (0..rows * width).map(|i| i as f32).collect();
        let mut stream = vec![f32::NAN; floats(rows, width).index()];
        for (group, panel) in stream.chunks_exact_mut(rows * PANEL).enumerate() {
            scatter(&from, width, group, panel);
        }
        assert!(stream.iter().all(|value| value.is_finite()));
        let mut back = vec![0.0; rows * width];
        gather(&stream, rows, 0, width, &mut back);
        assert_eq!(back, from);
    }

    #[test]
    fn gathers_any_rows_of_any_width() {
        for width in [1, 8, 13, 24] {
            let rows = 10;
            let mut stream = vec![f32::NAN; floats(rows, width).index()];
            for row in 0..rows {
                for channel in 0..width {
                    stream[(channel / PANEL * rows + row) * PANEL + channel % PANEL] =
                        (row * 100 + channel) as f32;
                }
            }
            let mut got = vec![0.0; 3 * width];
            gather(&stream, rows, 4, width, &mut got);
            for (index, value) in got.iter().enumerate() {
                assert_eq!(*value, ((4 + index / width) * 100 + index % width) as f32);
            }
        }
    }
}
