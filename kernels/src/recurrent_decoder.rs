//! Decoders whose state has a fixed size: a recurrence that goes on from where it stopped.

use mixer::{MixerError, Parallel, TokenInput, Tokens};

use crate::decoding::{Decoder, FixedState};

/// The inputs of a network that reads x and, where its steps take different times, these times.
pub(crate) fn timed_inputs(width: usize, timespans: bool) -> Vec<TokenInput> {
    let mut inputs = vec![TokenInput { name: "x", width, fed: true }];
    if timespans {
        inputs.push(TokenInput { name: "timespans", width: 1, fed: false });
    }
    inputs
}

/// A recurrence whose state belongs to its caller.
pub(crate) trait Recurrent: Send {
    /// As [`mixer::CpuDecoder::advance`], with the position of the first token and the state before it, which becomes the
    /// state after the last token.
    ///
    /// # Errors
    /// Only errors that cannot be known before a run.
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        state: &mut [f32],
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError>;
}

/// A recurrence with its state.
pub(crate) struct RecurrentDecoder<R> {
    pub recurrent: R,
    pub state: FixedState,
}

impl<R: Recurrent> Decoder for RecurrentDecoder<R> {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        self.recurrent.advance(position, tokens, &mut self.state.now, output, parallel)
    }

    fn mark(&mut self) {
        self.state.mark();
    }

    fn rewind(&mut self, _position: usize) {
        self.state.rewind();
    }

    fn clear(&mut self) {
        self.state.clear();
    }
}
