//! The GPU plan: projections; tiled attention over windows and global keys; tiled attention of the global rows; the
//! output projection. Steps have the names and the order of those in `cpu.rs`.

use mixer::{Access, Case, GpuTarget, MixerError, Plan};

use super::Spec;
use crate::multi_head::{GpuStreams, gpu_project};
use crate::ops::gpu::{
    AttentionShaders, Builder, Columns, CustomMask, KEYS, Linear, Mask, Move, QUERIES, Stream, TileAttention,
    attention_shaders, move_rows, word,
};

const READ: Access = Access::Read;

const SHADER: AttentionShaders = attention_shaders!(
    "longformer_window",
    [READ],
    "ops/gpu/mask_seen.wgsl",
    "systems/longformer/mask_window.wgsl"
);

/// Length of the header before the tables, in words.
const HEADER: usize = 8;

/// Query or key numbers per residue class in the mask file.
fn class_stride(seq_len: usize, dilation: usize) -> usize {
    seq_len.div_ceil(dilation).next_multiple_of(QUERIES)
}

/// Query numbers of the head with the most.
fn n_queries(spec: &Spec) -> usize {
    let seq_len = spec.base.dims.seq_len;
    spec.dilations
        .iter()
        .map(|&dilation| dilation * class_stride(seq_len, dilation))
        .max()
        .unwrap_or_default()
}

/// Keys after a query.
fn ahead(spec: &Spec) -> usize {
    if spec.base.causal { 0 } else { spec.reach }
}

/// The tables in the layout of the mask file.
fn tables(spec: &Spec) -> Vec<u32> {
    let (seq_len, batch) = (spec.base.dims.seq_len, spec.base.dims.batch);
    let sequences = HEADER + spec.base.n_heads;
    let bits = sequences + 2 * batch + spec.n_globals();
    let row = seq_len.div_ceil(32);
    let mut words = vec![
        word(seq_len),
        word(spec.reach),
        word(ahead(spec)),
        word(n_queries(spec)),
        word(sequences),
        word(bits),
        0,
        0,
    ];
    words.extend(spec.dilations.iter().copied().map(word));
    let mut at = sequences + 2 * batch;
    for globals in &spec.globals {
        words.extend([word(at), word(globals.len())]);
        at += globals.len();
    }
    words.extend(spec.globals.iter().flatten().copied().map(word));
    words.resize(bits + batch * row, 0);
    for (sequence, globals) in spec.globals.iter().enumerate() {
        for &position in globals {
            words[bits + sequence * row + position / 32] |= 1 << (position % 32);
        }
    }
    words
}

/// For each block of query numbers, the largest number of tiles that a head visits.
fn tiles(spec: &Spec, most_globals: usize) -> Vec<usize> {
    let (seq_len, reach) = (spec.base.dims.seq_len, spec.reach);
    (0..n_queries(spec) / QUERIES)
        .map(|block| {
            let of_head = |&dilation: &usize| {
                let stride = class_stride(seq_len, dilation);
                let (class, first) = (block * QUERIES / stride, block * QUERIES % stride);
                if class >= dilation || class + first * dilation >= seq_len {
                    return 0;
                }
                let start = first.saturating_sub(reach) / KEYS * KEYS;
                let end = (seq_len - class).div_ceil(dilation).min(first + QUERIES + ahead(spec));
                (end - start).div_ceil(KEYS) + most_globals.div_ceil(KEYS)
            };
            spec.dilations.iter().map(of_head).max().unwrap_or_default()
        })
        .collect()
}

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let base = spec.base;
    let mut builder = Builder::new(target);
    let streams = GpuStreams::new(&mut builder, &base, case)?;
    let local = local(&mut builder, &spec, [streams.q, streams.k, streams.v, streams.core]);
    local.record(&mut builder);
    if spec.n_globals() > 0 {
        global(&spec, case, &mut builder, &local, streams.x)?;
    }
    streams.finish(builder)
}

/// Attention of all rows to their windows and to the global keys.
pub(super) fn local(builder: &mut Builder, spec: &Spec, [q, k, v, o]: [Stream; 4]) -> TileAttention {
    let base = spec.base;
    let (seq_len, n_heads, d_head) = (base.dims.seq_len, base.n_heads, base.d_head());
    let most_globals = spec.globals.iter().map(Vec::len).max().unwrap_or_default();
    let numbers = n_queries(spec);
    let mask = CustomMask {
        shaders: SHADER,
        tiles: tiles(spec, most_globals),
        lists: vec![builder.upload_words("window", tables(spec))],
        query_rows: seq_len,
        key_rows: seq_len,
        state: None,
    };
    TileAttention {
        batch: base.dims.batch,
        n_queries: numbers,
        n_keys: numbers + most_globals.next_multiple_of(KEYS),
        n_heads,
        kv_heads: n_heads,
        d_head,
        mask: Mask::Custom(mask),
        scale: 1.0 / (d_head as f32).sqrt(),
        q,
        k,
        v,
        o,
    }
}

/// The global rows: attention of few queries to all positions, with projections of their own, then scattered to their
/// rows.
fn global(
    spec: &Spec,
    case: &Case,
    builder: &mut Builder,
    local: &TileAttention,
    x: Option<Stream>,
) -> Result<(), MixerError> {
    let base = spec.base;
    let (seq_len, width, n_globals) = (base.dims.seq_len, base.dims.d_model, spec.n_globals());
    let columns = Columns::heads(base.n_heads, base.d_head());
    let rows: Vec<usize> = spec
        .globals
        .iter()
        .enumerate()
        .flat_map(|(sequence, globals)| globals.iter().map(move |position| sequence * seq_len + position))
        .collect();
    let pick = |stream: &[f32]| -> Vec<f32> {
        rows.iter().flat_map(|row| &stream[row * width..][..width]).copied().collect()
    };
    let index = builder.upload_words("global positions", rows.iter().copied().map(word).collect());
    let (q, k, v) = match x {
        None => {
            let [q, k, v] = spec.global_streams(&case.tensors)?;
            let q = builder.upload("global queries", &pick(q), columns);
            (q, builder.upload("global keys", k, columns), builder.upload("global values", v, columns))
        }
        Some(x) => {
            let plain = Columns::plain(width);
            let picked = builder.stream("global x", n_globals, plain);
            let all = base.dims.batch * seq_len;
            move_rows(
                builder,
                Move::Gather,
                (x, all),
                (index, 0),
                (picked, n_globals),
                [1, n_globals, plain.stride()],
            );
            let projection = |name| base.projection(&case.tensors, name);
            let (weight, bias) = projection("query_global")?;
            let query = Linear::upload(builder, weight, bias, plain, columns);
            let q = builder.stream("global queries", n_globals, columns);
            query.apply(builder, picked, n_globals, q, 0);
            let layers = [projection("key_global")?, projection("value_global")?];
            let [k, v] = gpu_project(builder, x, all, plain, columns, &layers);
            (q, k, v)
        }
    };
    let o = builder.stream("global rows", n_globals, columns);
    let mut before = 0;
    for (sequence, globals) in spec.globals.iter().enumerate().filter(|(_, globals)| !globals.is_empty()) {
        TileAttention {
            batch: 1,
            n_queries: globals.len(),
            n_keys: seq_len,
            mask: Mask::Full,
            q: q.down(before),
            k: k.down(sequence * seq_len),
            v: v.down(sequence * seq_len),
            o: o.down(before),
            ..local.clone()
        }
        .record(builder);
        before += globals.len();
    }
    let to = (local.o, base.dims.batch * seq_len);
    move_rows(builder, Move::Scatter, (o, n_globals), (index, 0), to, [1, n_globals, columns.stride()]);
    Ok(())
}
