//! Panel-major streams `[groups, rows, PANEL]`, as [`super::linear::Linear::apply_paneled`] writes them: a group of
//! eight channels is one contiguous stream over time.

use super::gemm::PANEL;

/// Floats of a stream of `rows` rows of `width` channels.
pub fn floats(rows: usize, width: usize) -> usize {
    rows * width.next_multiple_of(PANEL)
}

/// Rows `first ..` of a panel-major stream of `rows` rows, into row-major `to`, `[n, width]`.
pub fn gather(stream: &[f32], rows: usize, first: usize, width: usize, to: &mut [f32]) {
    for (group, panel) in stream.chunks_exact(rows * PANEL).enumerate() {
        let columns = PANEL.min(width.saturating_sub(group * PANEL));
        let from = panel[first * PANEL..].chunks_exact(PANEL);
        for (to, from) in to.chunks_exact_mut(width).zip(from) {
            to[group * PANEL..][..columns].copy_from_slice(&from[..columns]);
        }
    }
}

/// The panel of group `group` of row-major `from`, `[n, width]`, into `to`, `[n, PANEL]`; missing channels are zero.
pub fn scatter(from: &[f32], width: usize, group: usize, to: &mut [f32]) {
    let columns = PANEL.min(width - group * PANEL);
    for (to, from) in to.chunks_exact_mut(PANEL).zip(from.chunks_exact(width)) {
        to[..columns].copy_from_slice(&from[group * PANEL..][..columns]);
        to[columns..].fill(0.0);
    }
}

/// Which of `n` channel groups task `task` takes, so that each of `threads` that take tasks by turns walks neighbours. Groups
/// that are neighbours share cache lines of row-major streams: two threads that wrote them at once would take the
/// lines from each other at every row, and one thread that takes both in turn finds them in its cache.
pub fn spread(task: usize, n: usize, threads: usize) -> usize {
    let threads = threads.max(1);
    let (thread, turn) = (task % threads, task / threads);
    thread * (n / threads) + thread.min(n % threads) + turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_taken_once_and_neighbours_by_the_same_thread() {
        for (n, threads) in [(32, 1), (32, 2), (33, 4), (3, 8), (7, 3)] {
            let taken: Vec<usize> = (0..n).map(|task| spread(task, n, threads)).collect();
            let mut sorted = taken.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "{n} groups, {threads} threads");
            for task in threads..n {
                assert_eq!(taken[task], taken[task - threads] + 1);
            }
        }
    }

    #[test]
    fn scatters_what_it_gathers() {
        let (rows, width) = (7, 19);
        let from: Vec<f32> = (0..rows * width).map(|i| i as f32).collect();
        let mut stream = vec![f32::NAN; floats(rows, width)];
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
            let mut stream = vec![f32::NAN; floats(rows, width)];
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
