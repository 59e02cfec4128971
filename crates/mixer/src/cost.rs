//! The cost of a forward pass in closed form.

use crate::Count;

/// Closed-form cost of one forward pass, set-up excluded unless a field says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating-point operations by the field's conventions, for comparing algorithms: textbook transforms, and no
    /// operations for softmax itself. A multiply-add counts as two.
    pub flops: u64,
    /// Floating-point operations that the CPU kernel executes, for judging a kernel: transforms as executed, channels
    /// rounded up to whole groups, and softmax's additions, subtractions and comparisons. A multiply-add counts as two.
    pub executed_flops: u64,
    /// Functions that take many instructions each. An exponential, a division or a square root counts as one; a
    /// logistic function, hyperbolic tangent or error function as two (an exponential and a division). Set-up is
    /// excluded.
    pub transcendentals: u64,
    /// Bytes that must be read or written at least once: input, output, weights and every intermediate that exceeds the
    /// cache.
    pub bytes: u64,
    /// Peak of the bytes held by the CPU kernel: input, weights, output and scratch.
    pub peak_bytes: u64,
    /// Bytes of state for decoding one token at position `seq_len`.
    pub decode_state_bytes: u64,
    /// Operations of the set-up that depends on weights alone, such as a materialised filter.
    pub setup_flops: u64,
    /// Whether the system's sparse pattern covers every pair of positions at this size, so that it runs full attention.
    pub full_attention: bool,
}

/// Operations counted by a reference while it runs; a multiply-add counts as two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpCount {
    /// Operations of the forward pass.
    pub flops: u64,
    /// Operations of the set-up that depends on weights alone.
    pub setup_flops: u64,
}

impl OpCount {
    /// Counts `n` operations of the forward pass.
    pub fn add(&mut self, n: impl Into<Count>) {
        self.flops = self.flops.saturating_add(n.into().get());
    }

    /// Counts `n` operations of the set-up.
    pub fn add_setup(&mut self, n: impl Into<Count>) {
        self.setup_flops = self.setup_flops.saturating_add(n.into().get());
    }
}
