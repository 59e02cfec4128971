//! GPU plans of recurrent networks: the forward pass, and decoding with a state of fixed size.

use mixer::{BufferId, DecodePlan, Generate, MixerError, Plan};

use crate::dims::Dims;
use crate::ops::gpu::{Builder, Columns, Decoding, Input, Lengths, SavedState, Stream, unpack};

/// Inputs of some steps of every sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inputs {
    /// x, `[batch, length]` rows.
    pub x: Stream,
    /// Elapsed times, rows of one column, if they are inputs.
    pub times: Option<Stream>,
}

/// The state before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The case's initial state.
    Initial,
    /// The present state.
    Present,
}

/// A recurrent network on the device.
pub(crate) trait DeviceNetwork {
    /// The buffers of some steps.
    type Steps;

    /// Columns of an answer.
    fn columns(&self) -> Columns;

    /// Floats of the states of all sequences.
    fn state_floats(&self) -> usize;

    /// The buffers of `length` steps of every sequence.
    ///
    /// # Errors
    /// [`MixerError::NeedsLimit`] where a single step is too long for the device.
    fn steps(&self, builder: &mut Builder, inputs: Inputs, length: usize) -> Result<Self::Steps, MixerError>;

    /// Records steps that change `state`. Returns the rows of answers, `[batch, length]`, which are complete only with
    /// `answers`.
    fn record(
        &self,
        builder: &mut Builder,
        steps: &Self::Steps,
        state: BufferId,
        start: Start,
        answers: bool,
    ) -> Stream;
}

/// The plan of a forward pass.
///
/// # Errors
/// As for [`DeviceNetwork::steps`] and [`Builder::finish`].
pub(crate) fn forward(
    mut builder: Builder,
    network: &impl DeviceNetwork,
    dims: Dims,
    inputs: Inputs,
) -> Result<Plan, MixerError> {
    let steps = network.steps(&mut builder, inputs, dims.seq_len)?;
    let state = builder.scratch("state", network.state_floats());
    let y = network.record(&mut builder, &steps, state, Start::Initial, true);
    let output = unpack(&mut builder, y, dims.batch * dims.seq_len, network.columns());
    builder.finish(output)
}

/// The plan of decoding, from x, `[batch, capacity, width]`, and elapsed times, `[batch, capacity]`.
///
/// # Errors
/// As for [`forward`], and [`MixerError::InvalidField`] for a context beyond the capacity.
pub(crate) fn decode(
    mut builder: Builder,
    network: &impl DeviceNetwork,
    dims: Dims,
    Generate { context, fed }: Generate,
    (x, times): (&[f32], Option<&[f32]>),
) -> Result<DecodePlan, MixerError> {
    let lengths = Lengths::new(dims.batch, context, dims.seq_len)?;
    let columns = network.columns();
    let mut decoding = Decoding::new(&mut builder, lengths, columns.len(), fed);
    let mut inputs = vec![decoding.input(&mut builder, "x", x, Columns::plain(dims.d_model), true)];
    let times = times.map(|times| decoding.input(&mut builder, "timespans", times, Columns::plain(1), false));
    inputs.extend(times);
    let rows = |of: fn(&Input) -> Stream| Inputs { x: of(&inputs[0]), times: times.as_ref().map(of) };
    let prompt = network.steps(&mut builder, rows(|input| input.prompt), context)?;
    let token = network.steps(&mut builder, rows(|input| input.next), 1)?;
    let state = SavedState::new(&mut builder, network.state_floats());

    decoding.fill(&mut builder, |builder| {
        network.record(builder, &prompt, state.buffer(), Start::Initial, false);
        state.save(builder);
    });
    decoding.prefill(&mut builder, |builder| {
        let y = network.record(builder, &prompt, state.buffer(), Start::Initial, true);
        state.save(builder);
        unpack(builder, y, dims.batch * context, columns)
    });
    decoding.rewind(&mut builder, |builder| state.restore(builder));
    decoding.step(&mut builder, &inputs, |builder| {
        Ok((network.record(builder, &token, state.buffer(), Start::Present, true), columns))
    })?;
    decoding.finish(builder, &[state.buffer()])
}
