//! A system's model, which `algebra` explains how to write, run on a case.

use algebra::{Exact, Load};
use mixer::{Case, MixerError};

/// A configuration with its equations.
pub(crate) trait Model: Sized {
    /// Reads the configuration.
    fn read(case: &Case) -> Result<Self, MixerError>;

    /// The outputs of all sequences of a case, `[length, width]` each.
    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError>;
}

/// The outputs of all sequences in f64, one after another.
///
/// # Errors
/// A [`MixerError`] where the case lacks a tensor or has a wrong shape or configuration.
pub(crate) fn reference<M: Model>(case: &Case) -> Result<Vec<f64>, MixerError> {
    let outputs = M::read(case)?.outputs(&mut Exact::default(), case)?;
    Ok(outputs.iter().flat_map(algebra::Tensor::to_vec).collect())
}

/// All operations of the model, those that the field's conventions leave out among them.
#[cfg(any(test, feature = "trials"))]
pub(crate) fn counted<M: Model>(case: &Case) -> Result<algebra::Count, MixerError> {
    let mut count = algebra::Count::default();
    M::read(case)?.outputs(&mut count, case)?;
    Ok(count)
}

/// Operations by the field's conventions.
#[cfg(any(test, feature = "trials"))]
pub(crate) fn operations<M: Model>(case: &Case) -> Result<mixer::OpCount, MixerError> {
    let count = counted::<M>(case)?;
    Ok(mixer::OpCount { flops: count.forward.flops, setup_flops: count.setup.flops })
}

/// Sequence `index` of values `[batch, length, width]`, as `[length, width]`.
pub(crate) fn sequence<'a, A: Load<'a>>(
    a: &mut A,
    values: &'a [f32],
    [length, width]: [usize; 2],
    index: usize,
) -> A::T {
    let len = length * width;
    a.load(&values[index * len..(index + 1) * len], [length, width])
}
