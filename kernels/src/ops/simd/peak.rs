//! Multiply-adds in registers, which measure the processor's peak rate with the kernels' instructions.

use std::hint::black_box;

use super::{InstructionSet, Lanes, Work};

/// Independent chains: enough to hide a multiply-add's latency, few enough to stay in registers.
const CHAINS: usize = 12;

/// Chains of multiply-adds in registers. The result depends on every multiply-add and on `seed`.
#[derive(Debug, Clone, Copy)]
pub struct MultiplyAdds {
    /// Multiply-adds per chain.
    pub rounds: usize,
    /// Initial value of the chains.
    pub seed: f32,
}

impl MultiplyAdds {
    /// Operations of `rounds` rounds with the vectors of `set`, a multiply-add counting as two.
    pub fn flops(rounds: usize, set: InstructionSet) -> f64 {
        (2 * CHAINS * rounds * set.lanes()) as f64
    }
}

impl Work for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        let (factor, term) = (V::splat(black_box(0.999)), V::splat(black_box(1e-3)));
        let starts: [f32; CHAINS] = black_box(std::array::from_fn(|chain| self.seed + chain as f32));
        let mut chains = starts.map(V::splat);
        for _ in 0..self.rounds {
            // By value, so that the chains stay in registers.
            chains = chains.map(|chain| term.mul_add(chain, factor));
        }
        chains.iter().map(|chain| chain.fold_sum().sum()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_instructions_does_the_same_work() {
        let want: f64 =
            (0..CHAINS).map(|chain| (0..3).fold(chain as f64 + 2.0, |x, _| x * 0.999 + 1e-3)).sum();
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_available()) {
            let got = f64::from(set.run(MultiplyAdds { rounds: 3, seed: 2.0 })) / set.lanes() as f64;
            assert!((got - want).abs() < 1e-3, "{set:?}: {got}, {want}");
        }
    }
}
