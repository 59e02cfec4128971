//! Work that is too short to be shared: waking a thread pool takes 5 to 20 µs.

use mixer::{Parallel, Serial};

/// Multiply-adds from which several threads pay off: about 20 µs on one thread.
const GRAIN: usize = 1 << 18;

/// Whether several threads pay off for work of about `multiply_adds`.
pub fn is_worth(multiply_adds: usize) -> bool {
    multiply_adds >= GRAIN
}

/// `parallel` for work of about `multiply_adds`, or the calling thread alone where waking others would take longer.
pub fn worth(parallel: &dyn Parallel, multiply_adds: usize) -> &dyn Parallel {
    if is_worth(multiply_adds) { parallel } else { &Serial }
}
