//! What the processor can do at most with the instructions that kernels use.

use std::hint::black_box;

use kernels::ops::simd::{F32x4, LANES};

/// Independent chains: enough to hide a multiply-add's latency, few enough to stay in registers.
const CHAINS: usize = 12;

/// Multiply-adds of each chain.
const ROUNDS: usize = 20_000;

/// Operations of one [`registers`].
pub const FLOPS: f64 = (2 * CHAINS * ROUNDS * LANES) as f64;

/// Multiply-adds that touch nothing but registers. Every lane's result depends on `seed`.
#[inline(never)]
pub fn registers(seed: f32) -> f32 {
    let factor = F32x4::splat(black_box(0.999));
    let term = F32x4::splat(black_box(1e-3));
    let mut starts = [0.0; CHAINS * LANES];
    starts.iter_mut().enumerate().for_each(|(i, start)| *start = seed + i as f32);
    let starts = black_box(starts);
    let mut chains: [F32x4; CHAINS] = std::array::from_fn(|i| F32x4::load(&starts[LANES * i..]));
    for _ in 0..ROUNDS {
        // By value, so that the chains stay in registers.
        chains = chains.map(|chain| term.mul_add(chain, factor));
    }
    chains.iter().map(|chain| chain.sum()).sum()
}
