//! Parts that the decoders of all systems share: positions and capacity, and states that can be marked and rewound.

use mixer::{Case, CpuDecoder, DecodeMemory, Floats, MixerError, Parallel, Tokens};

use crate::dims::Dims;

/// Most tokens of a call unless a decoder says otherwise: enough for matrix products to reach their full speed.
pub(crate) const PIECE: usize = 1024;

/// The model's width, which most systems' answers have.
///
/// # Errors
/// [`MixerError::InvalidField`].
pub(crate) fn model_width(case: &Case) -> Result<usize, MixerError> {
    Ok(Dims::read(&case.config)?.d_model)
}

/// The part of a decoder that differs from system to system.
pub(crate) trait Decoder: Send {
    /// As [`CpuDecoder::advance`], with the position of the first token. The capacity suffices.
    ///
    /// # Errors
    /// Only errors that cannot be known before a run.
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError>;

    /// Keeps the present state. A state that is a list by position needs nothing: its length is its position.
    fn mark(&mut self) {}

    /// Returns to the marked state, which was marked at `position`.
    fn rewind(&mut self, _position: usize) {}

    /// Returns to the empty state.
    fn clear(&mut self) {}

    /// As [`CpuDecoder::piece`].
    fn piece(&self) -> usize {
        PIECE
    }
}

/// A decoder with its position and its capacity.
pub(crate) struct Decoding<D> {
    decoder: D,
    capacity: usize,
    position: usize,
    marked: Option<usize>,
}

impl<D: Decoder> Decoding<D> {
    /// A decoder in the empty state, with room for `capacity` tokens.
    pub(crate) fn new(capacity: usize, decoder: D) -> Self {
        Self { decoder, capacity, position: 0, marked: None }
    }
}

impl<D: Decoder> CpuDecoder for Decoding<D> {
    fn advance(
        &mut self,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let most = (self.capacity - self.position).min(self.piece());
        if tokens.count > most {
            return Err(MixerError::invalid("tokens", format!("at most {most}"), tokens.count));
        }
        self.decoder.advance(self.position, tokens, output, parallel)?;
        self.position += tokens.count;
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }

    fn mark(&mut self) {
        self.decoder.mark();
        self.marked = Some(self.position);
    }

    fn rewind(&mut self) {
        match self.marked {
            Some(position) => self.decoder.rewind(position),
            None => self.decoder.clear(),
        }
        self.position = self.marked.unwrap_or(0);
    }

    fn clear(&mut self) {
        self.decoder.clear();
        (self.position, self.marked) = (0, None);
    }

    fn piece(&self) -> usize {
        self.decoder.piece().clamp(1, self.capacity.max(1))
    }
}

/// A state of fixed size, with its initial values and the copy to which a rewind returns.
#[derive(Debug)]
pub(crate) struct FixedState {
    /// The present state.
    pub now: Floats,
    initial: Floats,
    marked: Floats,
}

impl FixedState {
    /// A state of `len` floats, whose initial values `fill` writes over zeros.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub(crate) fn new(
        memory: &DecodeMemory,
        len: usize,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Self, MixerError> {
        let mut state = Self {
            now: memory.state.floats(len)?,
            initial: memory.work.floats(len)?,
            marked: memory.work.floats(len)?,
        };
        fill(&mut state.initial);
        state.clear();
        Ok(state)
    }

    pub(crate) fn mark(&mut self) {
        self.marked.copy_from_slice(&self.now);
    }

    pub(crate) fn rewind(&mut self) {
        self.now.copy_from_slice(&self.marked);
    }

    pub(crate) fn clear(&mut self) {
        self.now.copy_from_slice(&self.initial);
    }
}
