//! What a forward pass costs, as closed forms of the problem.

use crate::Count;

/// Closed-form cost of one forward pass, set-up excluded unless a field says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating-point operations by the field's conventions, to compare algorithms: textbook transforms, softmax without
    /// its own operations. A multiply-add counts as two.
    pub flops: u64,
    /// Floating-point operations that the CPU kernel executes, to judge a kernel: transforms as they run, channels rounded
    /// up to whole groups, what softmax adds, subtracts and compares. A multiply-add counts as two.
    pub executed_flops: u64,
    /// Functions that take many instructions each: an exponential, a division or a square root counts as one, a logistic
    /// function, hyperbolic tangent or error function as two (an exponential and a division). Set-up is left out.
    pub transcendentals: u64,
    /// Bytes read and written at least once: input, output, weights and every intermediate that does not fit in cache.
    pub bytes: u64,
    /// Most bytes held at once by the CPU kernel: input, weights, output and scratch.
    pub peak_bytes: u64,
    /// Bytes of state that decoding one token at position `seq_len` carries.
    pub decode_state_bytes: u64,
    /// Operations of the set-up that depends on weights alone (a materialised filter, say).
    pub setup_flops: u64,
    /// Whether, at this size, the system's sparse pattern covers every pair of positions, so that it runs full attention.
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
