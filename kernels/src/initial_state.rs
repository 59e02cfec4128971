//! The initial state of a recurrence.

use mixer::{MixerError, Tensors};

/// Vectors of a sequence's state: the neurons, and with mixed memory the memory's cells.
pub(crate) fn state_vectors(mixed_memory: bool) -> usize {
    1 + usize::from(mixed_memory)
}

/// The states of all sequences before the first step, `[batch, vectors, units]` with [`state_vectors`] vectors.
///
/// # Errors
/// [`MixerError::TensorShape`] or [`MixerError::TensorKind`].
pub(crate) fn initial_states(
    tensors: &Tensors,
    batch: usize,
    units: usize,
    mixed_memory: bool,
) -> Result<Vec<f32>, MixerError> {
    let mut states = Vec::with_capacity(batch * state_vectors(mixed_memory) * units);
    for sequence in 0..batch {
        for name in ["h0", "c0"].into_iter().take(state_vectors(mixed_memory)) {
            let values = initial_state(tensors, name, batch, units, sequence)?;
            states.extend(values.into_iter().map(|value| value as f32));
        }
    }
    Ok(states)
}

/// The state before the first step; zeros where the case has none.
pub(crate) fn initial_state(
    tensors: &Tensors,
    name: &str,
    batch: usize,
    units: usize,
    sequence: usize,
) -> Result<Vec<f64>, MixerError> {
    if tensors.get(name).is_none() {
        return Ok(vec![0.0; units]);
    }
    let all = tensors.floats(name, &[batch, units])?;
    Ok(all[sequence * units..][..units].iter().map(|&value| f64::from(value)).collect())
}
