//! Decoding of the forms with a recurrence: the state is that of the complex modes.

use std::sync::Arc;

use mixer::{
    Case, Count, DecodeMemory, Floats, Level, MixerError, NoDecode, Parallel, PreparedDecoder, TokenInput,
    Tokens,
};

use super::INFO;
use super::cpu::{finish, padded};
use super::scan::{self, Scan};
use super::spec::{Liquid, Mode, Spec};
use crate::decoding::{Decoding, FixedState};
use crate::dims::Dims;
use crate::ops::fft::Row;
use crate::ops::grain;
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::GROUP;
use crate::ops::parts::{Matrix, for_each};
use crate::ops::scratch::Scratch;
use crate::ops::stream::{Groups, Stream};
use crate::recurrent_decoder::{Recurrent, RecurrentDecoder};

/// Most tokens between two checks for cancellation, and of s in memory.
const CHUNK: usize = 4 * BLOCK;

/// Whether a form is a recurrence over diagonal modes.
pub(super) fn has_recurrence(spec: &Spec) -> bool {
    check(spec).is_ok()
}

/// Refuses forms that do not decode.
///
/// # Errors
/// [`MixerError::NoDecode`], or [`MixerError::Unsupported`] for the recurrence of a low-rank state matrix.
pub(super) fn check(spec: &Spec) -> Result<(), MixerError> {
    let refused = |why| Err(MixerError::NoDecode { system: INFO.id.to_owned(), why });
    if spec.bidirectional {
        return refused(NoDecode::NotCausal);
    }
    if matches!(spec.liquid, Liquid::PolyB | Liquid::Kb) {
        return refused(NoDecode::WholeSequence);
    }
    if spec.mode == Mode::Nplr {
        let what = "decoding with a low-rank state matrix (mode nplr)".to_owned();
        return Err(MixerError::Unsupported { system: INFO.id.to_owned(), what });
    }
    Ok(())
}

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    let spec = Spec::read(case)?;
    check(&spec)?;
    Ok(vec![TokenInput { name: "x", width: spec.dims.d_model, fed: true }])
}

/// Floats of the modes, `[batch, groups, modes, (re, im), GROUP]`.
pub(super) fn state_floats(spec: &Spec) -> Count {
    Count::all([spec.dims.batch, padded(spec) / GROUP, scan::state_floats(spec)]).into_iter().product()
}

/// Rows of s of a layer.
fn rows(spec: &Spec) -> usize {
    spec.dims.batch * CHUNK.min(spec.dims.seq_len)
}

/// Scratch floats of one worker: that of the scan, or a layer's outputs before their gate.
fn scratch_floats(spec: &Spec) -> usize {
    let joint = if spec.level == Level::Layer { BLOCK * 2 * spec.dims.d_model } else { 0 };
    joint.max(scan::SCRATCH)
}

/// Floats besides the state and its copies, on one thread.
pub(super) fn floats(spec: &Spec) -> Count {
    let width = spec.dims.d_model;
    let layer = match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => {
            let [rows, row] = Count::all([rows(spec), width]);
            Linear::floats(width, width.saturating_mul(2)) + rows * row
        }
    };
    let [params, padded, scratch] = Count::all([scan::floats(spec), padded(spec), scratch_floats(spec)]);
    layer + params + padded + scratch
}

/// The recurrence of all channels.
struct Modes {
    spec: Spec,
    scan: Scan,
    /// e, zero-padded to whole groups.
    skip: Floats,
    scratch: Scratch,
}

/// Liquid-S4 without its state.
struct LiquidS4 {
    modes: Modes,
    /// The output layer and s, `[batch, steps, width]`.
    layer: Option<(Linear, Floats)>,
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read(case)?;
    check(&spec)?;
    let (width, work) = (spec.dims.d_model, &memory.work);
    let mut skip = work.floats(padded(&spec))?;
    skip[..width].copy_from_slice(spec.skip(&case.tensors)?);
    let layer = match spec.level {
        Level::Core => None,
        Level::Layer => {
            let (weight, bias) = spec.output_linear(&case.tensors)?;
            let linear = Linear::new(work, width, 2 * width, weight, Some(bias))?;
            Some((linear, work.floats(rows(&spec) * width)?))
        }
    };
    let scan = Scan::new(&spec, case, work)?;
    let scratch = Scratch::new(work, parallel.threads(), scratch_floats(&spec))?;
    let state = FixedState::new(memory, state_floats(&spec).index(), |_| {})?;
    let recurrent = LiquidS4 { modes: Modes { spec, scan, skip, scratch }, layer };
    Ok(Box::new(Decoding::new(spec.dims.seq_len, RecurrentDecoder { recurrent, state })))
}

/// Rows `first..first + steps` of every sequence of `length`.
#[derive(Clone, Copy)]
struct Chunk {
    length: usize,
    first: usize,
    steps: usize,
}

impl Modes {
    /// Steps the modes of all channel groups through a chunk of x. Rows of s go to the chunk of a stream that `to` names.
    fn scan(
        &self,
        x: &[f32],
        chunk: Chunk,
        states: &mut [f32],
        to: Option<(&mut [f32], Chunk)>,
        parallel: &dyn Parallel,
    ) {
        let (spec, width) = (&self.spec, self.spec.dims.d_model);
        let groups = padded(spec) / GROUP;
        let mut columns = to.map(|(to, place)| {
            let sequences = Matrix::new(to, width).row_blocks(place.length);
            sequences.flat_map(move |mut sequence| {
                drop(sequence.take_rows(place.first));
                sequence.take_rows(place.steps).column_blocks(GROUP)
            })
        });
        let states = states.chunks_exact_mut(scan::state_floats(spec)).enumerate();
        let parts =
            states.map(move |(index, state)| (index, state, columns.as_mut().and_then(Iterator::next)));
        for_each(parallel, spec.dims.batch * groups, parts, |(index, state, to), worker| {
            let (sequence, group) = (index / groups, index % groups);
            let x = &x[(sequence * chunk.length + chunk.first) * width..];
            let x = Stream::of_rows(x, width, width, group);
            let to = to.map(Groups::of_rows);
            let emit = |t: usize, s: &mut [Row]| {
                if let Some(to) = &to {
                    to.write(0, t, s);
                }
            };
            let mut scratch = self.scratch.of(worker);
            self.scan.run(group, chunk.steps, (&x, &self.skip), state, emit, &mut scratch);
        });
    }

    /// The layer's outputs of a chunk's s, `[batch, steps, width]`.
    fn finish(
        &self,
        linear: &Linear,
        s: &mut [f32],
        (output, chunk): (&mut [f32], Chunk),
        parallel: &dyn Parallel,
    ) {
        let width = self.spec.dims.d_model;
        let Chunk { length, first, steps } = chunk;
        // One token of every sequence is one block of rows.
        let (spans, rows) =
            if steps == length { (output.len(), s.len()) } else { (length * width, steps * width) };
        let outputs = output.chunks_exact_mut(spans);
        let outputs = outputs.map(|output| &mut output[first * width..][..rows]);
        let blocks = outputs.zip(s.chunks_exact_mut(rows));
        let blocks = blocks.flat_map(|(y, s)| y.chunks_mut(BLOCK * width).zip(s.chunks_mut(BLOCK * width)));
        let n_blocks = (self.spec.dims.batch * steps * width / rows) * rows.div_ceil(BLOCK * width);
        for_each(parallel, n_blocks, blocks, |(y, s), worker| {
            let mut scratch = self.scratch.of(worker);
            let joint = &mut scratch[..2 * s.len()];
            finish(linear, width, s, joint, y);
        });
    }
}

impl Recurrent for LiquidS4 {
    fn advance(
        &mut self,
        _position: usize,
        tokens: Tokens<'_>,
        state: &mut [f32],
        mut output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let Self { modes, layer } = self;
        let Dims { batch, d_model: width, .. } = modes.spec.dims;
        let length = tokens.count;
        let x = tokens.inputs[0];
        for first in (0..length).step_by(CHUNK) {
            let chunk = Chunk { length, first, steps: CHUNK.min(length - first) };
            let own = Chunk { length: chunk.steps, first: 0, steps: chunk.steps };
            let shared =
                grain::worth(parallel, grain::product([8, batch, chunk.steps, width, modes.spec.modes]));
            let (Some(output), Some((linear, s))) = (&mut output, &mut *layer) else {
                let to = output.as_deref_mut().map(|output| (output, chunk));
                modes.scan(x, chunk, state, to, shared);
                continue;
            };
            let s = &mut s[..batch * chunk.steps * width];
            modes.scan(x, chunk, state, Some((s, own)), shared);
            let wide = grain::worth(parallel, grain::product([2, batch, chunk.steps, width, width]));
            modes.finish(linear, s, (output, chunk), wide);
        }
        Ok(())
    }
}
