//! Decoding of the causal form on the GPU: a step appends its key and value to a ring, and attends to the keys of each head's
//! window.

use mixer::{Case, DecodePlan, Generate, GpuTarget, MixerError};

use super::Spec;
use super::decode::ring_rows;
use super::gpu::local;
use crate::multi_head::{DecodeRows, DecodeStreams, Given, Layout};
use crate::ops::gpu::{Builder, CacheAttention, Columns, Decoding, Lengths, Ring, Window, unpack, word};

pub(super) fn plan(
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let spec = Spec::read(case)?;
    let base = spec.base;
    let (batch, width) = (base.dims.batch, base.dims.d_model);
    let lengths = Lengths::new(batch, context, base.dims.seq_len)?;
    let heads = Columns::heads(base.n_heads, base.d_head());
    let mut builder = Builder::new(target);
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let clock = decoding.clock;
    let layout = Layout { plain: Columns::plain(width), heads, kv_heads: heads };
    let streams = DecodeStreams::new(&mut builder, &decoding, layout, Given::of(&base, case)?);
    let (prompt, token) = (streams.prompt, streams.token);
    let rows = ring_rows(&spec);
    let rings = [(); 2].map(|()| Ring::new(&mut builder, lengths, [1, rows], heads));
    let dilations = spec.dilations.iter().copied().map(word).collect();
    let window = Window { reach: spec.reach, dilations: builder.upload_words("dilations", dilations) };
    let keep = |builder: &mut Builder| {
        for (ring, x) in rings.iter().zip([prompt.k, prompt.v]) {
            ring.keep(builder, 0, x);
            ring.restore(builder);
        }
    };
    let append = |builder: &mut Builder, rows: DecodeRows| {
        for (ring, x) in rings.iter().zip([rows.k, rows.v]) {
            clock.append(builder, (x, 1), (ring.stream, ring.rows), heads.stride(), true);
        }
    };
    let mut of_prompt = spec.clone();
    of_prompt.base.dims.seq_len = context;
    of_prompt.reach = spec.reach.min(context);
    of_prompt.dilations.iter_mut().for_each(|dilation| *dilation = (*dilation).min(context));
    let windows = local(&mut builder, &of_prompt, [prompt.q, prompt.k, prompt.v, prompt.core]);

    decoding.fill(&mut builder, |builder| {
        streams.project(builder, prompt, false);
        keep(builder);
    });
    decoding.prefill(&mut builder, |builder| {
        streams.project(builder, prompt, true);
        keep(builder);
        windows.record(builder);
        let (y, columns) = streams.answer(builder, prompt);
        unpack(builder, y, prompt.count, columns)
    });
    decoding.rewind(&mut builder, |builder| rings.iter().for_each(|ring| ring.restore(builder)));
    decoding.step(&mut builder, &streams.inputs, |builder| {
        streams.project(builder, token, true);
        append(builder, token);
        let [k, v] = rings.map(|ring| ring.stream);
        let attention = CacheAttention {
            heads,
            kv_heads: base.n_heads,
            capacity: rows,
            scale: 1.0 / (base.d_head() as f32).sqrt(),
            q: token.q,
            k,
            v,
            window: Some(window),
            y: token.core,
        };
        attention.record(builder, clock);
        Ok(streams.answer(builder, token))
    })?;
    decoding.finish(builder, &rings.map(|ring| ring.stream.buffer))
}
