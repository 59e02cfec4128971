//! Decoding with a cache of all keys and values.

use std::sync::Arc;

use mixer::{
    Case, Cost, Count, DecodeMemory, MixerError, Parallel, PreparedDecoder, Problem, Sizes, Task, Tokens,
};

use super::cost::shape;
use crate::decoding::{Decoder, Decoding, PIECE};
use crate::multi_head::{Spec, TokenStreams, case_floats, kv_width, projection_flops, softmax, step_bytes};
use crate::ops::cache_attention::{CacheAttention, CacheShape, Query};
use crate::ops::kv_cache::KvCache;
use crate::ops::tile_attention::{Shape, TileAttention};

/// Fewest tokens for tiles, which first copy all keys and values; fewer tokens read the cache one by one.
const TILED: usize = 8;

fn cache_shape(shape: Shape) -> CacheShape {
    let Shape { batch, seq_len: rows, n_heads, kv_heads, d_head, .. } = shape;
    CacheShape { batch, rows, n_heads, kv_heads, d_head }
}

/// Cost of a step. A token sees the context, the tokens generated before it and itself.
pub(super) fn cost(problem: &Problem, kv_heads: usize) -> Cost {
    let whole = problem.whole();
    let tokens = match problem.task {
        Task::Forward => Count::ZERO,
        Task::Decode { tokens } => Count::from(tokens),
    };
    let Sizes { batch, seq_len: context, d_model: width } = problem.sizes();
    // Twice the mean number of keys that a token sees.
    let keys = 2 * context + tokens + 1;
    let heads = batch * Count::from(problem.n_heads);
    let flops = batch * (projection_flops(problem, kv_heads) + 2 * width * keys);
    let (more, transcendentals) = softmax(heads * keys / 2, heads);
    let shape = shape(&whole, kv_heads);
    let kv_width = kv_width(problem, kv_heads);
    let state = KvCache::floats(shape.batch, shape.seq_len, kv_width.index());
    let work = CacheAttention::floats(cache_shape(shape), 1)
        + TileAttention::floats(shape, 1)
        + TokenStreams::floats(problem, kv_heads, shape.seq_len.min(PIECE));
    Cost {
        flops: flops.get(),
        executed_flops: (flops + more).get(),
        transcendentals: transcendentals.get(),
        bytes: (step_bytes(problem, kv_heads) + 4 * batch * kv_width * keys).get(),
        peak_bytes: (4 * (case_floats(&whole, kv_heads) + state + work)).get(),
        decode_state_bytes: (4 * state).get(),
        ..Cost::default()
    }
}

struct Attention {
    streams: TokenStreams,
    cache: KvCache,
    /// Attention of few tokens, one query at a time.
    one_query: CacheAttention,
    /// Attention of many tokens, in tiles.
    tiles: TileAttention,
    n_heads: usize,
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read_grouped(case)?;
    let (shape, threads) = (spec.shape(), parallel.threads());
    let capacity = spec.dims.seq_len;
    let attention = Attention {
        cache: KvCache::new(&memory.state, shape.batch, capacity, spec.kv_width())?,
        streams: TokenStreams::new(&spec, case, &memory.work, capacity.min(PIECE))?,
        one_query: CacheAttention::new(&memory.work, cache_shape(shape), threads)?,
        tiles: TileAttention::new(&memory.work, shape, threads)?,
        n_heads: spec.n_heads,
    };
    Ok(Box::new(Decoding::new(capacity, attention)))
}

impl Decoder for Attention {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let Self { streams, cache, one_query, tiles, n_heads } = self;
        streams.remember(tokens, cache, position, parallel);
        let Some(output) = output else { return Ok(()) };
        streams.answer(tokens, output, parallel, |q| {
            if tokens.count >= TILED {
                tiles.continue_in_place(q, position, cache.keys(), cache.values(), parallel);
                return;
            }
            for token in 0..tokens.count {
                let query = Query { tokens: tokens.count, token, heads: 0..*n_heads };
                one_query.run_in_place(q, &query, cache, position + token + 1, |row| row, parallel);
            }
        });
        Ok(())
    }
}
