//! Decoding on the GPU: the scan leaves the modes' state, from which each step goes on.

use mixer::{Case, DecodePlan, Generate, GpuTarget, Level, MixerError};

use super::gpu::{OutputLayer, OutputRows, Scan};
use super::spec::Spec;
use crate::ops::gpu::{Builder, Columns, Decoding, Lengths, SavedState, Stream, unpack};

pub(super) fn plan(
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let spec = Spec::read(case)?;
    let (batch, width) = (spec.dims.batch, spec.dims.d_model);
    let columns = Columns::plain(width);
    let lengths = Lengths::new(batch, context, spec.dims.seq_len)?;
    let mut builder = Builder::new(target);
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let x = decoding.input(&mut builder, "x", spec.input(&case.tensors)?, columns, true);
    let scan = Scan::upload(&mut builder, &spec, case)?;
    let steps = scan.steps(&mut builder, context);
    let token = builder.stream("s", batch, columns);
    let state = SavedState::new(&mut builder, scan.state_floats());
    let layer = match spec.level {
        Level::Core => None,
        Level::Layer => Some(OutputLayer::upload(&mut builder, &spec, case)?),
    };
    let [prompt_rows, token_rows] =
        [batch * context, batch].map(|rows| layer.as_ref().map(|layer| layer.rows(&mut builder, rows)));
    let answer = |builder: &mut Builder, s: Stream, rows: Option<OutputRows>| match (&layer, rows) {
        (Some(layer), Some(rows)) => layer.record(builder, s, rows),
        _ => s,
    };

    decoding.fill(&mut builder, |builder| {
        scan.record(builder, x.prompt, steps, state.buffer(), false);
        state.save(builder);
    });
    decoding.prefill(&mut builder, |builder| {
        let s = scan.record(builder, x.prompt, steps, state.buffer(), true);
        state.save(builder);
        let y = answer(builder, s, prompt_rows);
        unpack(builder, y, batch * context, columns)
    });
    decoding.rewind(&mut builder, |builder| state.restore(builder));
    decoding.step(&mut builder, &[x], |builder| {
        scan.step(builder, x.next, state.buffer(), token);
        Ok((answer(builder, token, token_rows), columns))
    })?;
    decoding.finish(builder, &[state.buffer()])
}
