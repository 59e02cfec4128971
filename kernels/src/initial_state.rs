//! The initial state of a recurrence.

use mixer::{MixerError, Tensors};

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
