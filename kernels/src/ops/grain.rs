//! Work that is too short to be shared: waking a thread pool takes 5 to 20 µs.

use mixer::{Parallel, Serial};

/// Multiply-adds from which several threads pay off: about 20 µs on one thread.
const GRAIN: usize = 1 << 18;

/// A product that saturates: `usize` has 32 bits in browsers, and a long prompt has more multiply-adds.
pub fn product<const N: usize>(factors: [usize; N]) -> usize {
    factors.into_iter().fold(1, usize::saturating_mul)
}

/// Whether several threads pay off for work of about `multiply_adds`.
pub fn is_worth(multiply_adds: usize) -> bool {
    multiply_adds >= GRAIN
}

/// `parallel` for work of about `multiply_adds`, or the calling thread alone where waking others would take longer.
pub fn worth(parallel: &dyn Parallel, multiply_adds: usize) -> &dyn Parallel {
    if is_worth(multiply_adds) { parallel } else { &Serial }
}
