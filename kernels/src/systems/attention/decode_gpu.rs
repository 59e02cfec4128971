//! Decoding on the GPU: the projections of the context fill the cache; a step appends one key and one value and attends to the
//! cache.

use mixer::{Case, DecodePlan, Generate, GpuTarget, Level, MixerError};

use crate::multi_head::Spec;
use crate::ops::gpu::{
    Builder, CacheAttention, Columns, Decoding, Input, Lengths, Linear, Mask, Stream, TileAttention, unpack,
};

/// Projections of a layer.
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Layer {
    fn upload(
        builder: &mut Builder,
        spec: &Spec,
        case: &Case,
        [heads, kv_heads]: [Columns; 2],
    ) -> Result<Self, MixerError> {
        let plain = Columns::plain(spec.dims.d_model);
        let mut linear = |name: &str, inputs, outputs| {
            let (weight, bias) = spec.projection(&case.tensors, name)?;
            Ok(Linear::upload(builder, weight, bias, inputs, outputs))
        };
        Ok(Self {
            query: linear("query", plain, heads)?,
            key: linear("key", plain, kv_heads)?,
            value: linear("value", plain, kv_heads)?,
            out: linear("out", heads, plain)?,
        })
    }
}

/// Queries, keys and values of some rows, and the core's output.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    x: Option<Stream>,
    q: Stream,
    k: Stream,
    v: Stream,
    core: Stream,
}

pub(super) fn plan(
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let spec = Spec::read_grouped(case)?;
    let (batch, width) = (spec.dims.batch, spec.dims.d_model);
    let lengths = Lengths::new(batch, context, spec.dims.seq_len)?;
    let [heads, kv_heads] = [spec.n_heads, spec.kv_heads].map(|heads| Columns::heads(heads, spec.d_head()));
    let plain = Columns::plain(width);
    let mut builder = Builder::new(target);
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let clock = decoding.clock;
    let (inputs, layer): (Vec<Input>, _) = match spec.level {
        Level::Core => {
            let streams = spec.streams(&case.tensors)?;
            let streams = [("q", heads), ("k", kv_heads), ("v", kv_heads)].into_iter().zip(streams);
            let inputs = streams
                .map(|((name, columns), data)| decoding.input(&mut builder, name, data, columns, true));
            (inputs.collect(), None)
        }
        Level::Layer => {
            let x = decoding.input(&mut builder, "x", spec.input(&case.tensors)?, plain, true);
            (vec![x], Some(Layer::upload(&mut builder, &spec, case, [heads, kv_heads])?))
        }
    };
    let mut rows = |count: usize, of: fn(&Input) -> Stream| match inputs.as_slice() {
        [q, k, v] => {
            let core = builder.stream("core", count, heads);
            Rows { count, x: None, q: of(q), k: of(k), v: of(v), core }
        }
        inputs => {
            let x = inputs.first().map(of);
            let [q, core] = ["q", "core"].map(|name| builder.stream(name, count, heads));
            let [k, v] = ["k", "v"].map(|name| builder.stream(name, count, kv_heads));
            Rows { count, x, q, k, v, core }
        }
    };
    let prompt = rows(batch * context, |input| input.prompt);
    let token = rows(batch, |input| input.next);
    let cache = ["keys", "values"].map(|name| builder.stream(name, batch * lengths.capacity(), kv_heads));
    let stride = kv_heads.stride();
    let project = |builder: &mut Builder, rows: Rows, with_query: bool| {
        if let (Some(layer), Some(x)) = (&layer, rows.x) {
            if with_query {
                layer.query.apply(builder, x, rows.count, rows.q, 0);
            }
            layer.key.apply(builder, x, rows.count, rows.k, 0);
            layer.value.apply(builder, x, rows.count, rows.v, 0);
        }
    };
    let append = |builder: &mut Builder, rows: Rows, from_clock: bool| {
        for (x, cache) in [rows.k, rows.v].into_iter().zip(cache) {
            let (x, cache) = ((x, rows.count / batch), (cache, lengths.capacity()));
            clock.append(builder, x, cache, stride, from_clock);
        }
    };
    let y = layer.as_ref().map(|_| ["prompt output", "output"]);
    let [prompt_y, token_y] = [(0, prompt), (1, token)]
        .map(|(index, rows)| y.map(|names| builder.stream(names[index], rows.count, plain)));
    let answer = |builder: &mut Builder, rows: Rows, y: Option<Stream>| match (&layer, y) {
        (Some(layer), Some(y)) => {
            layer.out.apply(builder, rows.core, rows.count, y, 0);
            (y, plain)
        }
        _ => (rows.core, heads),
    };
    let scale = 1.0 / (spec.d_head() as f32).sqrt();

    decoding.fill(&mut builder, |builder| {
        project(builder, prompt, false);
        append(builder, prompt, false);
    });
    decoding.prefill(&mut builder, |builder| {
        project(builder, prompt, true);
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
        let (y, columns) = answer(builder, prompt, prompt_y);
        unpack(builder, y, prompt.count, columns)
    });
    decoding.rewind(&mut builder, |_| {});
    decoding.step(&mut builder, &inputs, |builder| {
        project(builder, token, true);
        append(builder, token, true);
        let attention = CacheAttention {
            heads,
            kv_heads: spec.kv_heads,
            capacity: lengths.capacity(),
            scale,
            q: token.q,
            k: cache[0],
            v: cache[1],
            y: token.core,
        };
        attention.record(builder, clock);
        Ok(answer(builder, token, token_y))
    })?;
    decoding.finish(builder, &cache.map(|cache| cache.buffer))
}
