//! Decoding: the interface of systems that generate token by token from a state.
//!
//! A decoder absorbs tokens and answers each as the forward pass over all tokens so far would. One call may bring one
//! token (a step), a whole prompt (prefill into an empty state) or several tokens after others (a continuation).

use std::sync::Arc;

use crate::{Case, Cost, DecodePlan, GpuTarget, Memory, MixerError, Parallel, Params, Problem};

/// One input of a token, named as the tensor of a case that holds it for all positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenInput {
    /// The tensor's name, e.g. `x` or `q`.
    pub name: &'static str,
    /// Numbers for each token: the tensor is `[batch, length, width]`.
    pub width: usize,
    /// Whether generation feeds the previous token's output back into this input. Inputs such as time spans are given
    /// for every position instead.
    pub fed: bool,
}

/// Tokens for a decoder.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Tokens for each sequence of the batch.
    pub count: usize,
    /// One slice for each [`TokenInput`], `[batch, count, width]`.
    pub inputs: &'a [&'a [f32]],
}

/// Budgets of a decoder's buffers. The state's own count is the measured size of the state.
#[derive(Debug, Clone)]
pub struct DecodeMemory {
    /// For weights, scratch and copies: everything but the state.
    pub work: Memory,
    /// For the state: what a server would have to keep for each sequence between two tokens. A part of the same budget.
    pub state: Memory,
}

impl DecodeMemory {
    /// Both parts of one budget.
    pub fn new(memory: &Memory) -> Self {
        Self { work: memory.clone(), state: memory.part() }
    }
}

/// A decoder prepared for one case: weights packed, and a state of fixed capacity allocated, which is the case's length.
pub trait CpuDecoder: Send {
    /// Absorbs tokens at the positions that follow, as if they had come one by one. With `output`, `[batch, count, width]`,
    /// every token is answered as by the forward pass over all tokens up to it; without, only the state changes. A step of
    /// one token allocates no buffer.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] `tokens`, before the state changes, for more tokens than [`CpuDecoder::piece`] or than
    /// the capacity has room for.
    fn advance(
        &mut self,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError>;

    /// Number of tokens absorbed.
    fn position(&self) -> usize;

    /// Keeps the present state as the one to which [`CpuDecoder::rewind`] returns.
    fn mark(&mut self);

    /// Returns to the marked state; to the empty one where no state was marked.
    fn rewind(&mut self);

    /// Forgets all tokens and the mark.
    fn clear(&mut self);

    /// Most tokens of a call. A longer prompt comes in pieces of this size.
    fn piece(&self) -> usize;
}

/// The result of [`Decode::cpu`].
pub type PreparedDecoder = Result<Box<dyn CpuDecoder>, MixerError>;

/// The extent of a generation on the GPU: it covers the positions of a case from the end of its context to its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generate {
    /// Tokens of the context, at least 1.
    pub context: usize,
    /// Whether the answer to a token is fed back into the next one ([`TokenInput::fed`]). Otherwise tokens are the case's own.
    pub fed: bool,
}

/// Describes the GPU work of generating.
pub type PlanDecoding = fn(&Case, Generate, &GpuTarget) -> Result<DecodePlan, MixerError>;

/// A system's decoding. The folder that defines the system fills in the fields.
#[derive(Debug, Clone, Copy)]
pub struct Decode {
    /// The inputs of a token of a case with this configuration. A case whose form cannot decode is refused.
    pub inputs: fn(&Case) -> Result<Vec<TokenInput>, MixerError>,
    /// Columns of an answer to a token of such a case.
    pub width: fn(&Case) -> Result<usize, MixerError>,
    /// Cost of one step of the whole batch, as the mean over the generated tokens of a [`crate::Task::Decode`]. Its
    /// `peak_bytes` is that of the decoder with its case, its `decode_state_bytes` that of the state's capacity, as the
    /// decoder allocates it.
    pub cost: fn(&Problem, &Params) -> Result<Cost, MixerError>,
    /// Prepares the CPU decoder of a case.
    pub cpu: fn(&Arc<Case>, &DecodeMemory, &dyn Parallel) -> PreparedDecoder,
    /// Whether the answer to each token is its row of the published forward pass over the whole sequence. Otherwise it is the last
    /// row of the forward pass over the tokens up to it, and a case with the configuration key `decode` has these rows as
    /// its reference.
    pub rows_of_forward: bool,
    /// The GPU's decoder; `None` where the decoder runs on the CPU only.
    pub gpu: Option<PlanDecoding>,
}
