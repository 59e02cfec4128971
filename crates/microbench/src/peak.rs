//! What the processor can do at most with the instructions that kernels use.

use std::hint::black_box;

use kernels::ops::simd::{InstructionSet, MultiplyAdds, run_widest};

/// Multiply-adds of each chain.
const ROUNDS: usize = 20_000;

/// Operations of one [`registers`].
pub fn flops() -> f64 {
    MultiplyAdds::flops(ROUNDS, InstructionSet::widest())
}

/// Multiply-adds that touch nothing but registers. The result depends on `seed`.
#[inline(never)]
pub fn registers(seed: f32) -> f32 {
    run_widest(MultiplyAdds { rounds: ROUNDS, seed: black_box(seed) })
}
