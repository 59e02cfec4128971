//! The sizes that every case states, read from its configuration with the ranges that races use.

use mixer::{MixerError, Params, Problem};

/// `batch`, `length`, `d_model` of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    pub batch: usize,
    pub seq_len: usize,
    pub d_model: usize,
}

impl Dims {
    /// Reads the three sizes.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where one is absent or out of range.
    pub fn read(config: &Params) -> Result<Self, MixerError> {
        let dims = Self {
            batch: config.count("batch", 1, Problem::MAX_BATCH)?,
            seq_len: config.count("length", 1, Problem::MAX_SEQ_LEN)?,
            d_model: config.count("d_model", 1, Problem::MAX_D_MODEL)?,
        };
        let elements = dims.batch as u64 * dims.seq_len as u64 * dims.d_model as u64;
        if elements > Problem::MAX_ELEMENTS {
            return Err(MixerError::invalid(
                "batch · length · d_model",
                format!("at most {}", Problem::MAX_ELEMENTS),
                elements,
            ));
        }
        Ok(dims)
    }

    /// `[batch, length, width]`.
    pub fn shape(&self, width: usize) -> [usize; 3] {
        [self.batch, self.seq_len, width]
    }
}

/// The head count of a case: a divisor of its width.
///
/// # Errors
/// [`MixerError::InvalidField`].
pub fn heads(config: &Params, d_model: usize) -> Result<usize, MixerError> {
    let heads = config.count("heads", 1, d_model)?;
    if d_model.is_multiple_of(heads) {
        Ok(heads)
    } else {
        Err(MixerError::invalid("heads", format!("a divisor of the width ({d_model})"), heads))
    }
}
