//! Work that is too short to be shared: waking a thread pool takes 5 to 20 µs.

use mixer::{Parallel, Serial};

/// Multiply-adds from which several threads pay off: about 20 µs on one thread.
const GRAIN: usize = 1 << 18;

/// `parallel` for work of about `multiply_adds`, or the calling thread alone where waking others would take longer.
pub fn worth(parallel: &dyn Parallel, multiply_adds: usize) -> &dyn Parallel {
    if multiply_adds < GRAIN { &Serial } else { parallel }
}
