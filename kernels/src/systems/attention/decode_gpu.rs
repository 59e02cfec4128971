//! Decoding on the GPU: the projections of the context fill the cache; a step appends one key and one value and attends to the
//! cache.

use mixer::{Case, DecodePlan, Generate, GpuTarget, MixerError};

use crate::multi_head::{DecodeRows, DecodeStreams, Given, Layout, Spec};
use crate::ops::gpu::{Builder, CacheAttention, Columns, Decoding, Lengths, Mask, TileAttention, unpack};

pub(super) fn plan(
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let spec = Spec::read_grouped(case)?;
    let (batch, width) = (spec.dims.batch, spec.dims.d_model);
    let lengths = Lengths::new(batch, context, spec.dims.seq_len)?;
    let [heads, kv_heads] = [spec.n_heads, spec.kv_heads].map(|heads| Columns::heads(heads, spec.d_head()));
    let mut builder = Builder::new(target);
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let clock = decoding.clock;
    let layout = Layout { plain: Columns::plain(width), heads, kv_heads };
    let streams = DecodeStreams::new(&mut builder, &decoding, layout, Given::of(&spec, case)?);
    let (prompt, token) = (streams.prompt, streams.token);
    let cache = ["keys", "values"].map(|name| builder.stream(name, batch * lengths.capacity(), kv_heads));
    let append = |builder: &mut Builder, rows: DecodeRows, from_clock: bool| {
        for (x, cache) in [rows.k, rows.v].into_iter().zip(cache) {
            let (x, cache) = ((x, rows.count / batch), (cache, lengths.capacity()));
            clock.append(builder, x, cache, kv_heads.stride(), from_clock);
        }
    };
    let scale = 1.0 / (spec.d_head() as f32).sqrt();

    decoding.fill(&mut builder, |builder| {
        streams.project(builder, prompt, false);
        append(builder, prompt, false);
    });
    decoding.prefill(&mut builder, |builder| {
        streams.project(builder, prompt, true);
        append(builder, prompt, false);
        TileAttention {
            batch,
            n_queries: context,
            n_keys: context,
            n_heads: spec.n_heads,
            d_head: spec.d_head(),
            kv_heads: spec.kv_heads,
            mask: Mask::Causal,
            scale,
            q: prompt.q,
            k: prompt.k,
            v: prompt.v,
            o: prompt.core,
        }
        .record(builder);
        let (y, columns) = streams.answer(builder, prompt);
        unpack(builder, y, prompt.count, columns)
    });
    decoding.rewind(&mut builder, |_| {});
    decoding.step(&mut builder, &streams.inputs, |builder| {
        streams.project(builder, token, true);
        append(builder, token, true);
        let attention = CacheAttention {
            heads,
            kv_heads: spec.kv_heads,
            capacity: lengths.capacity(),
            scale,
            q: token.q,
            k: cache[0],
            v: cache[1],
            window: None,
            y: token.core,
        };
        attention.record(builder, clock);
        Ok(streams.answer(builder, token))
    })?;
    decoding.finish(builder, &cache.map(|cache| cache.buffer))
}
