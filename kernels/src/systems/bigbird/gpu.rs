//! The GPU plan: projections, then tiled attention over lists of key blocks that are uploaded as data. Steps have the
//! names and the order of those in `cpu.rs`.

use mixer::{Access, Case, GpuTarget, MixerError, Plan};

use super::Spec;
use crate::multi_head::GpuStreams;
use crate::ops::gpu::{
    AttentionShaders, Builder, CustomMask, KEYS, Mask, QUERIES, TileAttention, attention_shaders, word,
};

const READ: Access = Access::Read;

const SHADER: AttentionShaders = attention_shaders!(
    "bigbird_blocks",
    [READ],
    "ops/gpu/mask_seen.wgsl",
    "systems/bigbird/mask_blocks.wgsl"
);

/// Length of the header before the lists, in words.
const HEADER: usize = 8;

/// The lists of all heads and blocks in the layout of the mask file.
fn lists(spec: &Spec, random: &[i32]) -> Vec<u32> {
    let (blocks, n_heads) = (spec.blocks, spec.base.n_heads);
    let row = 1 + 5 + blocks.n_random;
    let mut words = vec![
        word(blocks.size),
        word(blocks.size.next_multiple_of(QUERIES)),
        word(blocks.count()),
        word(blocks.seq_len),
        word(row),
    ];
    words.resize(HEADER + n_heads * blocks.count() * row, 0);
    for (index, list) in words[HEADER..].chunks_exact_mut(row).enumerate() {
        let (head, block) = (index / blocks.count(), index % blocks.count());
        if spec.is_global(block) {
            continue;
        }
        for (place, key_block) in spec.key_blocks(block, spec.random_row(random, head, block)).enumerate() {
            list[0] = word(place + 1);
            list[place + 1] = word(key_block);
        }
    }
    words
}

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let (base, blocks) = (spec.base, spec.blocks);
    let mut builder = Builder::new(target);
    let streams = GpuStreams::new(&mut builder, &base, case)?;
    let (mask, n_queries) = if blocks.full {
        (Mask::Full, blocks.seq_len)
    } else {
        let random = spec.random(&case.tensors)?;
        let parts = blocks.size.div_ceil(QUERIES);
        let listed = (0..blocks.count() * parts).map(|part| {
            let block = part / parts;
            if spec.is_global(block) {
                return blocks.seq_len.div_ceil(KEYS);
            }
            let row = spec.random_row(random, 0, block);
            spec.key_blocks(block, row).count() * blocks.size.div_ceil(KEYS)
        });
        let mask = CustomMask {
            shaders: SHADER,
            tiles: listed.collect(),
            lists: vec![builder.upload_words("key blocks", lists(&spec, random))],
            query_rows: blocks.seq_len,
            key_rows: blocks.seq_len,
            state: None,
        };
        (Mask::Custom(mask), blocks.count() * parts * QUERIES)
    };
    TileAttention {
        batch: base.dims.batch,
        n_queries,
        n_keys: blocks.seq_len,
        n_heads: base.n_heads,
        kv_heads: base.n_heads,
        d_head: base.d_head(),
        mask,
        scale: 1.0 / (base.d_head() as f32).sqrt(),
        q: streams.q,
        k: streams.k,
        v: streams.v,
        o: streams.core,
    }
    .record(&mut builder);
    streams.finish(builder)
}
