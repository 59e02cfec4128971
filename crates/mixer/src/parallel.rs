//! The interface through which kernels use threads, whatever provides them.

/// Runs independent tasks, on one thread or several. `crates/compute` implements it over its thread pool.
pub trait Parallel: Sync {
    /// How many tasks may run at once; at least 1.
    fn threads(&self) -> usize;

    /// Runs `task(task_idx, worker_idx)` once for every `task_idx < n_tasks`, in any order, and returns when all are
    /// done. `worker_idx < threads()`, and two tasks that run at the same time have different ones, so it can index
    /// scratch memory. After a cancellation the remaining tasks are skipped and the caller throws the output away.
    fn run(&self, n_tasks: usize, task: &(dyn Fn(usize, usize) + Sync));
}

/// Runs all tasks on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, n_tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        for task_idx in 0..n_tasks {
            task(task_idx, 0);
        }
    }
}
