//! The GPU plan: summaries of the input, their projections, then attention of all queries to the rows of the summaries.
//! Steps have the names and the order of those in `cpu.rs`.

use mixer::{Case, GpuTarget, Level, MixerError, Plan};

use super::Spec;
use crate::ops::gpu::{
    Axis, Batches, Builder, Columns, Gemm, Linear, Mask, Operand, Stream, TileAttention, prefix_sum, unpack,
};

/// Smallest number of positions in a part of a summary. The sequence is cut into parts because one reduction over all
/// positions would leave most of the device idle.
const PART: usize = 2048;

/// Largest number of parts, so that their sums stay small compared with the input.
const MOST_PARTS: usize = 64;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let mut builder = Builder::new(target);
    let Spec { dims, n_heads, d_head, rank, .. } = spec;
    let (rows, plain) = (dims.batch * dims.seq_len, Columns::plain(dims.d_model));
    let queries = Columns::heads(n_heads, d_head);
    let keys = Columns::heads(spec.kv_heads(), d_head);
    let maps = spec.sequence_maps(tensors)?.into_iter().take(spec.maps());
    let (q, kv): (Stream, Vec<Stream>) = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(tensors)?;
            let q = builder.upload("q", q, queries);
            let kv = maps.zip([k, v]).map(|(map, stream)| {
                let stream = builder.upload("kv", stream, keys);
                summary(&mut builder, &spec, map, stream)
            });
            (q, kv.collect())
        }
        Level::Layer => {
            let x = builder.upload("x", spec.input(tensors)?, plain);
            let q = builder.stream("q", rows, queries);
            let query =
                Linear::upload(&mut builder, spec.projection(tensors, "query")?, None, plain, queries);
            query.apply(&mut builder, x, rows, q, 0);
            let kv = maps.zip(["key", "value"]).map(|(map, name)| {
                let mapped = summary(&mut builder, &spec, map, x);
                let linear = Linear::upload(&mut builder, spec.projection(tensors, name)?, None, plain, keys);
                let kv = builder.stream("kv", dims.batch * rank, keys);
                linear.apply(&mut builder, mapped, dims.batch * rank, kv, 0);
                Ok(kv)
            });
            (q, kv.collect::<Result<_, MixerError>>()?)
        }
    };
    let (Some(&k), Some(&v)) = (kv.first(), kv.last()) else {
        return Err(MixerError::MissingTensor { name: "proj_k".to_owned() });
    };
    let core = builder.stream("core", rows, queries);
    TileAttention {
        batch: dims.batch,
        n_queries: dims.seq_len,
        n_keys: rank,
        n_heads,
        kv_heads: spec.kv_heads(),
        d_head,
        mask: Mask::Full,
        scale: 1.0 / (d_head as f32).sqrt(),
        q,
        k,
        v,
        o: core,
    }
    .record(&mut builder);
    let (result, columns) = match spec.level {
        Level::Core => (core, queries),
        Level::Layer => {
            let (weight, bias) = spec.out(tensors)?;
            let out = Linear::upload(&mut builder, weight, Some(bias), queries, plain);
            let y = builder.stream("y", rows, plain);
            out.apply(&mut builder, core, rows, y, 0);
            (y, plain)
        }
    };
    let output = unpack(&mut builder, result, rows, columns);
    builder.finish(output)
}

/// Eᵀ x of each sequence, as `[batch, rank]` rows like those of x: first sums over parts of the sequence, then their
/// total.
fn summary(builder: &mut Builder, spec: &Spec, map: &[f32], x: Stream) -> Stream {
    let (batch, length, rank) = (spec.dims.batch, spec.dims.seq_len, spec.rank);
    let columns = Columns::plain(rank);
    let map = builder.upload("map", &map[..length * rank], columns);
    let part = PART.max(length.div_ceil(MOST_PARTS));
    let (whole, rest) = (length / part, length % part);
    let parts = length.div_ceil(part);
    // `[parts, batch, rank]` rows.
    let rows = Columns::plain(x.stride);
    let sums = builder.stream("partial summaries", parts * batch * rank, rows);
    for (first, parts, positions) in [(0, whole, part), (whole, usize::from(rest > 0), rest)] {
        if parts == 0 {
            continue;
        }
        let step = |stream: Stream, outer: usize| Operand {
            stream: stream.down(first * part),
            outer,
            inner: part * stream.stride,
        };
        let y = Operand {
            stream: sums.down(first * batch * rank),
            outer: rank * x.stride,
            inner: batch * rank * x.stride,
        };
        let gemm = Gemm::new(step(map, 0), step(x, length * x.stride), y, [rank, x.stride, positions]);
        Gemm { batches: Batches { outer: batch, inner: parts }, transpose_a: true, ..gemm }.record(builder);
    }
    if parts == 1 {
        return sums;
    }
    let all = builder.stream("summaries", parts * batch * rank, rows);
    let steps = |stream: Stream| Axis {
        stream: Stream { stride: batch * rank * x.stride, ..stream },
        outer: rank * x.stride,
    };
    prefix_sum(builder, steps(sums), steps(all), false, [batch, parts, rank * x.stride]);
    all.down((parts - 1) * batch * rank)
}
