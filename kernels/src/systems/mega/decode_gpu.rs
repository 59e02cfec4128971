//! Decoding on the GPU: the average's state or last inputs, and a cache of the present chunk's keys and values.

use mixer::{Case, DecodePlan, Generate, GpuTarget, MixerError};

use super::gpu::{Attention, Average, Heads, Parts, Run, attend, longest, runs};
use super::spec::{AttentionSpec, EmaSpec, LayerSpec, Spec};
use crate::dims::Dims;
use crate::ops::gpu::{Builder, Clock, Columns, Decoding, Lengths, Stream, copy, unpack};

pub(super) fn plan(case: &Case, generate: Generate, target: &GpuTarget) -> Result<DecodePlan, MixerError> {
    let builder = Builder::new(target);
    match Spec::read(case)? {
        Spec::Ema(spec) => average(builder, spec, case, generate),
        Spec::Attention(spec) => attention(builder, spec, case, generate),
        Spec::Layer(spec) => layer(builder, spec, case, generate),
    }
}

fn average(
    mut builder: Builder,
    spec: EmaSpec,
    case: &Case,
    Generate { context, fed }: Generate,
) -> Result<DecodePlan, MixerError> {
    let Dims { batch, seq_len, d_model: width } = spec.dims;
    let columns = Columns::plain(width);
    let mut decoding = Decoding::new(&mut builder, Lengths::new(batch, context, seq_len)?, width, fed);
    let clock = decoding.clock;
    let x = decoding.input(&mut builder, "x", spec.input(&case.tensors)?, columns, true);
    let average = Average::upload(&mut builder, spec, case)?;
    let steps = average.steps(&mut builder, context)?;
    let state = average.state(&mut builder, &steps)?;
    let token = builder.stream("token", batch, columns);

    decoding.fill(&mut builder, |builder| {
        average.record(builder, x.prompt, &steps, false);
        state.save(builder, x.prompt, &steps);
    });
    decoding.prefill(&mut builder, |builder| {
        let e = average.record(builder, x.prompt, &steps, true);
        state.save(builder, x.prompt, &steps);
        unpack(builder, e, batch * context, columns)
    });
    decoding.rewind(&mut builder, |builder| state.restore(builder));
    decoding.step(&mut builder, &[x], |builder| {
        average.step(builder, clock, x.next, &state, token);
        Ok((token, columns))
    })?;
    decoding.finish(builder, &[state.now.buffer])
}

/// Keys and values of the present chunk of every sequence, `[batch, c]` rows.
struct Cache {
    batch: usize,
    chunk: usize,
    context: usize,
    k: Stream,
    v: Stream,
    /// Copies from the end of the context. Without chunks, positions after the context are written again before they are
    /// read, and there is nothing to restore.
    saved: Option<[Stream; 2]>,
}

impl Cache {
    fn new(builder: &mut Builder, spec: &AttentionSpec, context: usize) -> Self {
        let (batch, chunk) = (spec.batch, spec.chunk);
        let mut room = |label, width| builder.stream(label, batch * chunk, Columns::plain(width));
        let (k, v) = (room("keys", spec.z), room("values", spec.h));
        let saved = (spec.chunks() > 1).then(|| [room("saved keys", spec.z), room("saved values", spec.h)]);
        Self { batch, chunk, context, k, v, saved }
    }

    /// Records the copy of a run's keys and values where the context leaves their chunk incomplete.
    fn put(&self, builder: &mut Builder, run: Run, heads: Heads) {
        if run.chunk == self.chunk {
            return;
        }
        let first = run.first / self.context * self.chunk;
        for (x, cache) in [(heads.k, self.k), (heads.v, self.v)] {
            copy(builder, x, cache.down(first), [run.chunk, cache.stride]);
        }
    }

    /// Records the storing of a token's key and value.
    fn append(&self, builder: &mut Builder, clock: Clock, heads: Heads) {
        for (x, cache) in [(heads.k, self.k), (heads.v, self.v)] {
            clock.append(builder, (x, 1), (cache, self.chunk), cache.stride, true);
        }
    }

    /// A token's inputs of the attention, with the cache.
    fn heads(&self, heads: Heads) -> Heads {
        Heads { k: self.k, v: self.v, ..heads }
    }

    fn save(&self, builder: &mut Builder) {
        if let Some(saved) = self.saved {
            self.copy(builder, [self.k, self.v], saved);
        }
    }

    fn restore(&self, builder: &mut Builder) {
        if let Some(saved) = self.saved {
            self.copy(builder, saved, [self.k, self.v]);
        }
    }

    fn copy(&self, builder: &mut Builder, x: [Stream; 2], y: [Stream; 2]) {
        for (x, y) in x.into_iter().zip(y) {
            copy(builder, x, y, [self.batch * self.chunk, x.stride]);
        }
    }
}

fn attention(
    mut builder: Builder,
    spec: AttentionSpec,
    case: &Case,
    Generate { context, fed }: Generate,
) -> Result<DecodePlan, MixerError> {
    let AttentionSpec { batch, seq_len, z, h, .. } = spec;
    let columns = Columns::plain(h);
    let mut decoding = Decoding::new(&mut builder, Lengths::new(batch, context, seq_len)?, h, fed);
    let clock = decoding.clock;
    let [q, k, v] = spec.streams(&case.tensors)?;
    let [q, k, v] = [("q", q, z), ("k", k, z), ("v", v, h)]
        .map(|(name, data, width)| decoding.input(&mut builder, name, data, Columns::plain(width), true));
    let attention = Attention::upload(&mut builder, spec, case)?;
    let cache = Cache::new(&mut builder, &spec, context);
    let prompt = AttentionSpec { seq_len: context, ..spec };
    let [a, token] = [batch * context, batch].map(|rows| builder.stream("a", rows, columns));
    let scores = attention.scores(&mut builder, batch);
    let heads = Heads { q: q.prompt, k: k.prompt, v: v.prompt, a };
    let fill = |builder: &mut Builder| {
        runs(&prompt).into_iter().for_each(|run| cache.put(builder, run, heads.down(run.first)));
        cache.save(builder);
    };

    decoding.fill(&mut builder, fill);
    decoding.prefill(&mut builder, |builder| {
        fill(builder);
        attend(builder, &attention, &prompt, heads);
        unpack(builder, a, batch * context, columns)
    });
    decoding.rewind(&mut builder, |builder| cache.restore(builder));
    decoding.step(&mut builder, &[q, k, v], |builder| {
        let heads = Heads { q: q.next, k: k.next, v: v.next, a: token };
        cache.append(builder, clock, heads);
        attention.step(builder, clock, cache.heads(heads), None, scores);
        Ok((token, columns))
    })?;
    decoding.finish(builder, &[cache.k.buffer, cache.v.buffer])
}

fn layer(
    mut builder: Builder,
    spec: LayerSpec,
    case: &Case,
    Generate { context, fed }: Generate,
) -> Result<DecodePlan, MixerError> {
    let Dims { batch, seq_len, d_model: width } = spec.ema.dims;
    let columns = Columns::plain(width);
    let mut decoding = Decoding::new(&mut builder, Lengths::new(batch, context, seq_len)?, width, fed);
    let clock = decoding.clock;
    let x = decoding.input(&mut builder, "x", spec.ema.input(&case.tensors)?, columns, true);
    let parts = Parts::upload(&mut builder, &spec, case)?;
    let Parts { layer, average, attention } = &parts;
    let prompt = LayerSpec {
        ema: EmaSpec { dims: Dims { seq_len: context, ..spec.ema.dims }, ..spec.ema },
        attention: AttentionSpec { seq_len: context, ..spec.attention },
        ..spec
    };
    let rooms = parts.rooms(&mut builder, context, longest(&prompt.attention))?;
    let token = parts.rooms(&mut builder, 1, batch)?;
    let state = average.state(&mut builder, &rooms.steps)?;
    let cache = Cache::new(&mut builder, &spec.attention, context);
    let save = |builder: &mut Builder| {
        let normalized = layer.input(x.prompt, rooms.normalized);
        state.save(builder, normalized, &rooms.steps);
        cache.save(builder);
    };

    decoding.fill(&mut builder, |builder| {
        let normalized = layer.normalize_input(builder, x.prompt, rooms.normalized, prompt.ema.rows());
        // Keys of complete chunks are never read again.
        let incomplete = runs(&prompt.attention).into_iter().filter(|run| run.chunk < spec.attention.chunk);
        let incomplete: Vec<Run> = incomplete.collect();
        let e = average.record(builder, normalized, &rooms.steps, !incomplete.is_empty());
        for run in incomplete {
            let rows = [normalized, e].map(|stream| stream.down(run.first));
            layer.keys(builder, run.rows(), rows, &rooms.run);
            cache.put(builder, run, rooms.run.heads);
        }
        save(builder);
    });
    decoding.prefill(&mut builder, |builder| {
        let y = parts.record(builder, &prompt, x.prompt, &rooms, |builder, run, heads| {
            cache.put(builder, run, heads);
        });
        save(builder);
        unpack(builder, y, prompt.ema.rows(), columns)
    });
    decoding.rewind(&mut builder, |builder| {
        state.restore(builder);
        cache.restore(builder);
    });
    decoding.step(&mut builder, &[x], |builder| {
        let (rows, streams) = (batch, &token.run);
        let normalized = layer.normalize_input(builder, x.next, token.normalized, rows);
        let e = token.steps.y;
        average.step(builder, clock, normalized, &state, e);
        layer.keys(builder, rows, [normalized, e], streams);
        layer.queries(builder, rows, e, streams);
        cache.append(builder, clock, streams.heads);
        attention.step(builder, clock, cache.heads(streams.heads), Some(streams.r), token.scores);
        layer.finish(builder, rows, [x.next, token.y], streams);
        Ok((layer.normalize_output(builder, token.y, token.normalized, rows), columns))
    })?;
    decoding.finish(builder, &[state.now.buffer, cache.k.buffer, cache.v.buffer])
}
