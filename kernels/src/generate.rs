//! Seeded inputs and weights: equal numbers on every platform and for every system that uses an equal tensor name.

use mixer::{Count, MixerError, Tensors, gather};

/// Generates an independent stream of pseudo-random numbers for each tensor name.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    seed: u64,
}

impl Generator {
    /// A generator with the race's seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Adds `name` with values uniform in `[-bound, bound)`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn uniform(
        &self,
        tensors: &mut Tensors,
        name: &str,
        shape: &[usize],
        bound: f32,
    ) -> Result<(), MixerError> {
        let mut state = self.state(name);
        let len: Count = shape.iter().map(|&size| Count::from(size)).product();
        let data = gather(len, std::iter::repeat_with(|| bound * symmetric(&mut state)))?;
        tensors.insert(name, shape, data);
        Ok(())
    }

    /// Adds `name` with values of mean 0 and variance 1. They are uniform, since Gaussian values need a logarithm,
    /// which depends on the platform's mathematical library.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn unit(&self, tensors: &mut Tensors, name: &str, shape: &[usize]) -> Result<(), MixerError> {
        self.uniform(tensors, name, shape, 3.0_f32.sqrt())
    }

    /// FNV-1a of the name, mixed with the seed.
    fn state(&self, name: &str) -> u64 {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        hash ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The next number of SplitMix64 (Steele, Lea and Flood 2014), as 24 bits in `[-1, 1)`.
fn symmetric(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, name: &str) -> Vec<f32> {
        let mut tensors = Tensors::new();
        Generator::new(seed).unit(&mut tensors, name, &[10_000]).unwrap();
        tensors.floats(name, &[10_000]).unwrap().to_vec()
    }

    #[test]
    fn has_mean_zero_and_variance_one() {
        let values = draw(7, "x");
        let mean = values.iter().sum::<f32>() / 1e4;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn a_tensor_that_no_memory_holds_is_refused() {
        let mut tensors = Tensors::new();
        // Where `usize` has 32 bits, the product itself wraps to zero.
        let shape = [1 << 16, 1 << 16, 1 << 16];
        let refused = Generator::new(1).unit(&mut tensors, "x", &shape);
        assert!(
            matches!(refused, Err(MixerError::OutOfMemory { needed_bytes, .. }) if needed_bytes == 1 << 50)
        );
        assert!(tensors.get("x").is_none());
    }

    #[test]
    fn depends_on_seed_and_name_alone() {
        assert_eq!(draw(1, "x"), draw(1, "x"));
        assert_ne!(draw(1, "x"), draw(2, "x"));
        assert_ne!(draw(1, "x"), draw(1, "q"));
    }
}
