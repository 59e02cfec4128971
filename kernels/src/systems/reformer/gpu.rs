//! The GPU plan: project, hash, sort, attend in chunks round after round, merge, project back. Steps have the names and
//! the order of those in `cpu.rs`.

use mixer::{Access, BufferId, Case, GpuTarget, Level, MixerError, Plan, Shader, gather};

use super::{Hashing, Spec};
use crate::multi_head::gpu_project;
use crate::ops::gpu::{
    AttentionShaders, Builder, Columns, CustomMask, KEYS, Linear, Mask, QUERIES, Stream, TileAttention,
    attention_shaders, grid, stable_sort, unpack, vectors, word,
};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const HASH: Shader = Shader {
    label: "reformer_hash",
    source: wgsl!("systems/reformer/hash.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, READ, WRITE],
};

const KEYS_OF_QUERIES: Shader = Shader {
    label: "reformer_keys",
    source: wgsl!("ops/gpu/line.wgsl", "systems/reformer/keys.wgsl"),
    entry: "main",
    bindings: &[READ, WRITE],
};

const CHUNKS: AttentionShaders =
    attention_shaders!("reformer_chunks", [READ, READ], "systems/reformer/mask_chunks.wgsl");

const MERGE: Shader = Shader {
    label: "reformer_merge",
    source: wgsl!("ops/gpu/line.wgsl", "systems/reformer/merge.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE],
};

/// Positions hashed per workgroup.
const HASHED: usize = 64;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let (base, width) = (spec.base, spec.base.dims.d_model);
    let rows = base.dims.batch * base.dims.seq_len;
    let (columns, plain) = (Columns::heads(base.n_heads, base.d_head()), Columns::plain(width));
    let mut builder = Builder::new(target);
    let streams = streams(&spec, case, &mut builder)?;
    let core = builder.stream("core", rows, columns);
    mix(&spec, case, &mut builder, streams, core)?;
    let output = match base.level {
        Level::Core => unpack(&mut builder, core, rows, columns),
        Level::Layer => {
            let (weight, bias) = base.projection(&case.tensors, "out")?;
            let out = Linear::upload(&mut builder, weight, bias, columns, plain);
            let y = builder.stream("y", rows, plain);
            out.apply(&mut builder, core, rows, y, 0);
            unpack(&mut builder, y, rows, plain)
        }
    };
    builder.finish(output)
}

/// Queries, keys and values. Hashed keys are computed from the queries.
fn streams(spec: &Spec, case: &Case, builder: &mut Builder) -> Result<[Stream; 3], MixerError> {
    let (base, width) = (spec.base, spec.base.dims.d_model);
    let rows = base.dims.batch * base.dims.seq_len;
    let (columns, plain) = (Columns::heads(base.n_heads, base.d_head()), Columns::plain(width));
    let [query, key, value] = spec.projections();
    let (q, k, v) = match base.level {
        Level::Core => {
            let [q, k, v] = spec.streams(&case.tensors)?;
            let k = if spec.avoids_self { None } else { Some(builder.upload("k", k, columns)) };
            (builder.upload("q", q, columns), k, builder.upload("v", v, columns))
        }
        Level::Layer => {
            let x = builder.upload("x", base.input(&case.tensors)?, plain);
            let projection = |name| base.projection(&case.tensors, name);
            if spec.avoids_self {
                let layers = [projection(query)?, projection(value)?];
                let [q, v] = gpu_project(builder, x, rows, plain, columns, &layers);
                (q, None, v)
            } else {
                let layers = [projection(query)?, projection(key)?, projection(value)?];
                let [q, k, v] = gpu_project(builder, x, rows, plain, columns, &layers);
                (q, Some(k), v)
            }
        }
    };
    if let Some(k) = k {
        return Ok([q, k, v]);
    }
    let k = builder.stream("keys", rows, columns);
    let items = rows * base.n_heads;
    builder.dispatch(
        KEYS_OF_QUERIES,
        &[],
        &[
            word(items),
            word(base.n_heads),
            vectors(columns.run()),
            (base.d_head() as f32).to_bits(),
            vectors(q.offset),
            vectors(q.stride),
            vectors(k.offset),
            vectors(k.stride),
        ],
        &[q.buffer, k.buffer],
        grid(items),
        3 * (rows * width) as u64,
    );
    Ok([q, k, v])
}

/// Records the rounds and their merge into `core`.
fn mix(
    spec: &Spec,
    case: &Case,
    builder: &mut Builder,
    [q, k, v]: [Stream; 3],
    core: Stream,
) -> Result<(), MixerError> {
    let base = spec.base;
    let (batch, seq_len, n_heads, d_head) = (base.dims.batch, base.dims.seq_len, base.n_heads, base.d_head());
    let (padded, rounds, ring) = (spec.padded(), spec.rounds(), spec.rounds() * spec.padded());
    let order = match &spec.hashing {
        Some(hashing) => {
            let buckets = hash(spec, hashing, case, builder, q)?;
            Some(stable_sort(builder, buckets, [batch * n_heads * rounds, padded], hashing.buckets() + 1))
        }
        None => None,
    };
    let first_seen = spec.before * spec.chunk;
    let blocks = padded.div_ceil(QUERIES);
    let tiles: Vec<usize> = (0..blocks)
        .map(|block| {
            let last = (block * QUERIES + QUERIES).min(padded) - 1;
            let chunks = last / spec.chunk + spec.seen() - block * QUERIES / spec.chunk;
            (chunks * spec.chunk).div_ceil(KEYS)
        })
        .collect();
    // With several rounds, each writes undivided sums, which are merged.
    let rows = batch * seq_len;
    let columns = Columns::heads(n_heads, d_head);
    let o = if rounds > 1 { builder.stream("one round", rows, columns) } else { core };
    let mut state = None;
    let merged_state = builder.scratch("merged state", if rounds > 1 { 2 * rows * n_heads } else { 4 });
    for round in 0..rounds {
        let around = ring * first_seen.div_ceil(ring) - first_seen;
        let header = builder.upload_words(
            "chunks",
            vec![
                word(padded),
                word(seq_len),
                word(spec.chunk),
                word(spec.seen()),
                word((round * padded + around) % ring),
                word(ring),
                word(round * padded),
                word(n_heads),
                u32::from(order.is_some()),
                u32::from(base.causal),
                u32::from(spec.avoids_self),
            ],
        );
        let mask = CustomMask {
            shaders: CHUNKS,
            lists: vec![order.unwrap_or(header), header],
            tiles: tiles.clone(),
            query_rows: seq_len,
            key_rows: seq_len,
            state: None,
        };
        let mut attention = TileAttention {
            batch,
            n_queries: padded,
            n_keys: padded + (spec.seen() - 1) * spec.chunk,
            n_heads,
            kv_heads: n_heads,
            d_head,
            mask: Mask::Full,
            // The scale of hashed keys includes 1/√d.
            scale: if spec.avoids_self { 1.0 } else { 1.0 / (d_head as f32).sqrt() },
            q,
            k,
            v,
            o,
        };
        if rounds > 1 {
            state = state.or_else(|| Some(builder.scratch("round state", attention.state_words())));
        }
        attention.mask = Mask::Custom(CustomMask { state, ..mask });
        attention.record(builder);
        if let (Some(order), Some(state)) = (order, state) {
            let items = batch * n_heads * padded;
            let uniforms = [
                word(items),
                word(seq_len),
                word(padded),
                word(n_heads),
                vectors(columns.run()),
                word(rounds),
                word(round),
                word(attention.passes()),
                word(blocks * QUERIES / 4),
                vectors(o.offset),
                vectors(o.stride),
                vectors(core.offset),
                vectors(core.stride),
            ];
            let bindings = [o.buffer, state, order, core.buffer, merged_state];
            builder.dispatch(MERGE, &[], &uniforms, &bindings, grid(items), 3 * (items * d_head) as u64);
        }
    }
    Ok(())
}

/// Records the hash and returns the bucket numbers, `[batch, n_heads, rounds, padded]`.
fn hash(
    spec: &Spec,
    hashing: &Hashing,
    case: &Case,
    builder: &mut Builder,
    u: Stream,
) -> Result<BufferId, MixerError> {
    let base = spec.base;
    let (batch, seq_len, n_heads, d_head) = (base.dims.batch, base.dims.seq_len, base.n_heads, base.d_head());
    let (padded, rounds, columns) = (spec.padded(), hashing.rounds, hashing.columns());
    let head = Columns::plain(d_head).run();
    let source = spec.rotations(hashing, &case.tensors)?;
    let rows = rounds * columns;
    let mut packed = vec![0.0; n_heads * rows * head];
    for (row, to) in packed.chunks_exact_mut(head).enumerate() {
        let (head, row) = (row / rows, row % rows);
        for (channel, to) in to[..d_head].iter_mut().enumerate() {
            *to = source[(head * d_head + channel) * rows + row];
        }
    }
    let rotations = builder.upload_padded("rotations", packed, head).buffer;
    let factors = builder.upload_words("factors", hashing.factors.iter().copied().map(word).collect());
    let has_given = case.tensors.get("mid.buckets").is_some();
    let given = if has_given {
        let given = case.tensors.indices("mid.buckets", &spec.buckets_shape(hashing))?;
        let numbers = given.iter().map(|&bucket| u32::try_from(bucket).unwrap_or_default());
        // An invalid bucket number would break the sort's order.
        builder.upload_words(
            "given buckets",
            gather(given.len(), numbers.map(|n| n.min(word(hashing.buckets() - 1))))?,
        )
    } else {
        factors
    };
    let found = builder.scratch("buckets", batch * n_heads * rounds * padded);
    let tiles = padded.div_ceil(HASHED);
    let tile_flops = 2 * (HASHED * d_head * rows * n_heads) as u64;
    let budget =
        usize::try_from(builder.target().max_dispatch_flops / tile_flops.max(1)).unwrap_or(usize::MAX);
    let x = tiles.min(budget.max(1));
    let z = batch.min((budget / x).max(1));
    for first_sequence in (0..batch).step_by(z) {
        for first_tile in (0..tiles).step_by(x) {
            let (n_tiles, n_sequences) = (x.min(tiles - first_tile), z.min(batch - first_sequence));
            builder.dispatch(
                HASH,
                &[],
                &[
                    word(seq_len),
                    word(padded),
                    word(n_heads),
                    word(rounds),
                    word(columns),
                    vectors(head),
                    vectors(u.offset),
                    vectors(u.stride),
                    word(hashing.factors.len()),
                    word(hashing.buckets()),
                    u32::from(has_given),
                    word(first_tile),
                    word(first_sequence),
                ],
                &[u.buffer, rotations, factors, given, found],
                [n_tiles, n_heads * rounds, n_sequences],
                (n_tiles * n_sequences) as u64 * tile_flops,
            );
        }
    }
    Ok(found)
}
