//! A system's model, which `algebra` explains how to write, run on a case.

use algebra::{Count, Exact, Load};
use mixer::{Case, MixerError, OpCount};

/// A configuration with its equations.
pub(crate) trait Model: Sized {
    /// Reads the configuration.
    fn read(case: &Case) -> Result<Self, MixerError>;

    /// The outputs of all sequences of a case, `[length, width]` each.
    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError>;
}

/// The outputs of all sequences in f64, one after another, and how many operations the equations take.
///
/// # Errors
/// What is wrong with the case.
pub(crate) fn reference<M: Model>(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let counted = counted::<M>(case)?;
    count.add(mixer::Count::new(counted.forward.flops));
    count.add_setup(mixer::Count::new(counted.setup.flops));
    let outputs = M::read(case)?.outputs(&mut Exact::default(), case)?;
    Ok(outputs.iter().flat_map(algebra::Tensor::to_vec).collect())
}

/// All operations of the model, those that the field's conventions leave out among them.
///
/// # Errors
/// What is wrong with the case.
pub(crate) fn counted<M: Model>(case: &Case) -> Result<Count, MixerError> {
    let mut count = Count::default();
    M::read(case)?.outputs(&mut count, case)?;
    Ok(count)
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
