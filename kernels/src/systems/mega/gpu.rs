//! The GPU plan: normalisation; the average as a scan over chunks of time, or as an FFT convolution if it is truncated;
//! then runs of whole chunks of one sequence from their projections to the output, so that scores and wide streams stay
//! small. Steps have the names and the order of those in the CPU files.

mod attention;
mod average;
mod layer;
mod window;

use mixer::{Case, GpuTarget, MixerError, Plan};

pub(super) use self::attention::{Attention, Heads, Run, runs};
pub(super) use self::average::{Average, Steps};
pub(super) use self::layer::{Layer, LayerRows};
use super::spec::{AttentionSpec, LayerSpec, Spec};
use crate::ops::gpu::{Builder, Columns, Stream, unpack};

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let mut builder = Builder::new(target);
    match Spec::read(case)? {
        Spec::Ema(spec) => {
            let columns = Columns::plain(spec.dims.d_model);
            let x = builder.upload("x", spec.input(&case.tensors)?, columns);
            let average = Average::upload(&mut builder, spec, case)?;
            let steps = average.steps(&mut builder, spec.dims.seq_len)?;
            let e = average.record(&mut builder, x, &steps, true);
            let output = unpack(&mut builder, e, spec.rows(), columns);
            builder.finish(output)
        }
        Spec::Attention(spec) => {
            let [q, k, v] = spec.streams(&case.tensors)?;
            let q = builder.upload("q", q, Columns::plain(spec.z));
            let k = builder.upload("k", k, Columns::plain(spec.z));
            let v = builder.upload("v", v, Columns::plain(spec.h));
            let a = builder.stream("a", spec.batch * spec.seq_len, Columns::plain(spec.h));
            let attention = Attention::upload(&mut builder, spec, case)?;
            attend(&mut builder, &attention, &spec, Heads { q, k, v, a });
            let output = unpack(&mut builder, a, spec.batch * spec.seq_len, Columns::plain(spec.h));
            builder.finish(output)
        }
        Spec::Layer(spec) => {
            let (rows, columns) = (spec.ema.rows(), Columns::plain(spec.width()));
            let x = builder.upload("x", spec.ema.input(&case.tensors)?, columns);
            let parts = Parts::upload(&mut builder, &spec, case)?;
            let rooms = parts.rooms(&mut builder, spec.ema.dims.seq_len, longest(&spec.attention))?;
            let y = parts.record(&mut builder, &spec, x, &rooms, |_, _, _| {});
            let output = unpack(&mut builder, y, rows, columns);
            builder.finish(output)
        }
    }
}

/// Most rows of a run.
pub(super) fn longest(spec: &AttentionSpec) -> usize {
    runs(spec).into_iter().map(Run::rows).max().unwrap_or(1)
}

/// Records the attention of all chunks.
pub(super) fn attend(builder: &mut Builder, attention: &Attention, spec: &AttentionSpec, heads: Heads) {
    let scores = attention.scores(builder, longest(spec));
    for run in runs(spec) {
        attention.record(builder, run, heads.down(run.first), None, scores);
    }
}

/// The parts of a layer.
pub(super) struct Parts {
    pub layer: Layer,
    pub average: Average,
    pub attention: Attention,
}

/// Streams of all positions and of a run.
pub(super) struct Rooms {
    pub steps: Steps,
    /// Rows of x̂, or of the normalised output.
    pub normalized: Stream,
    pub y: Stream,
    pub run: LayerRows,
    pub scores: Stream,
}

impl Parts {
    pub fn upload(builder: &mut Builder, spec: &LayerSpec, case: &Case) -> Result<Self, MixerError> {
        Ok(Self {
            layer: Layer::upload(builder, spec, case)?,
            average: Average::upload(builder, spec.ema, case)?,
            attention: Attention::upload(builder, spec.attention, case)?,
        })
    }

    /// Streams of `length` positions of every sequence, and of runs of up to `most` rows.
    ///
    /// # Errors
    /// As for [`Average::steps`].
    pub fn rooms(&self, builder: &mut Builder, length: usize, most: usize) -> Result<Rooms, MixerError> {
        let spec = &self.layer.spec;
        let (rows, columns) = (spec.ema.dims.batch * length, Columns::plain(spec.width()));
        Ok(Rooms {
            steps: self.average.steps(builder, length)?,
            normalized: builder.stream("normalized", rows, columns),
            y: builder.stream("y", rows, columns),
            run: self.layer.rows(builder, most),
            scores: self.attention.scores(builder, most),
        })
    }

    /// Records all outputs from x. `after_keys` may record work with the keys and values of a run.
    pub fn record(
        &self,
        builder: &mut Builder,
        spec: &LayerSpec,
        x: Stream,
        rooms: &Rooms,
        after_keys: impl Fn(&mut Builder, Run, Heads),
    ) -> Stream {
        let (layer, rows, Rooms { run: streams, .. }) = (&self.layer, spec.ema.rows(), rooms);
        let normalized = layer.normalize_input(builder, x, rooms.normalized, rows);
        let e = self.average.record(builder, normalized, &rooms.steps, true);
        for run in runs(&spec.attention) {
            let n = run.rows();
            let [x, normalized, e, y] = [x, normalized, e, rooms.y].map(|stream| stream.down(run.first));
            layer.keys(builder, n, [normalized, e], streams);
            after_keys(builder, run, streams.heads);
            layer.queries(builder, n, e, streams);
            self.attention.record(builder, run, streams.heads, Some(streams.r), rooms.scores);
            layer.finish(builder, n, [x, y], streams);
        }
        layer.normalize_output(builder, rooms.y, rooms.normalized, rows)
    }
}
