//! Peak throughput of the processor with the instructions of the kernels.

use std::hint::black_box;

use kernels::ops::simd::{InstructionSet, MultiplyAdds, run_widest};

/// Multiply-adds per chain.
const ROUNDS: usize = 20_000;

/// Operations per call of [`registers`].
pub fn flops() -> f64 {
    MultiplyAdds::flops(ROUNDS, InstructionSet::widest())
}

/// Multiply-adds on registers only. The result depends on `seed`.
#[inline(never)]
pub fn registers(seed: f32) -> f32 {
    run_widest(MultiplyAdds { rounds: ROUNDS, seed: black_box(seed) })
}
