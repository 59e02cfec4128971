//! Decoding of the causal form with a ring of the keys and values inside the window.

use std::ops::Range;
use std::sync::Arc;

use mixer::{Case, DecodeMemory, MixerError, Parallel, PreparedDecoder, TokenInput, Tokens};

use super::Spec;
use super::cpu::Tiles;
use crate::decoding::{Decoder, Decoding, PIECE};
use crate::multi_head::{TokenStreams, token_inputs};
use crate::ops::cache_attention::{CacheAttention, CacheShape, Query};
use crate::ops::kv_cache::KvCache;

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    token_inputs(&Spec::read(case)?.base, super::INFO.id)
}

/// Rows of a sequence's ring: the largest window, or all positions.
pub(super) fn ring_rows(spec: &Spec) -> usize {
    let largest = spec.dilations.iter().copied().max().unwrap_or(1);
    spec.reach.saturating_mul(largest).saturating_add(1).min(spec.base.dims.seq_len)
}

/// Positions that the tokens of one call see together, with a ring of `rows` rows.
pub(super) fn span(rows: usize, capacity: usize) -> usize {
    (rows - 1).saturating_add(capacity.min(PIECE)).min(capacity)
}

struct Longformer {
    spec: Spec,
    /// Successive heads with one dilation.
    heads: Vec<(Range<usize>, usize)>,
    streams: TokenStreams,
    /// The latest keys and values.
    ring: KvCache,
    marked: KvCache,
    /// Keys and values of the ring before a call of many tokens, in the order of their positions, then those of the tokens.
    span: KvCache,
    one_query: CacheAttention,
    tiles: Tiles,
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read(case)?;
    let base = spec.base;
    let (batch, width, capacity) = (base.dims.batch, base.dims.d_model, base.dims.seq_len);
    let rows = ring_rows(&spec);
    let mut of_span = spec.clone();
    of_span.base.dims.seq_len = span(rows, capacity);
    let shape =
        CacheShape { batch, rows, n_heads: base.n_heads, kv_heads: base.n_heads, d_head: base.d_head() };
    let mut heads: Vec<(Range<usize>, usize)> = Vec::new();
    for (head, &dilation) in spec.dilations.iter().enumerate() {
        match heads.last_mut() {
            Some((heads, last)) if *last == dilation => heads.end = head + 1,
            _ => heads.push((head..head + 1, dilation)),
        }
    }
    let longformer = Longformer {
        heads,
        streams: TokenStreams::new(&base, case, &memory.work, capacity.min(PIECE))?,
        ring: KvCache::new(&memory.state, batch, rows, width)?,
        marked: KvCache::new(&memory.work, batch, rows, width)?,
        span: KvCache::new(&memory.work, batch, of_span.base.dims.seq_len, width)?,
        one_query: CacheAttention::new(&memory.work, shape, parallel.threads())?,
        tiles: Tiles::new(of_span, &memory.work, parallel.threads())?,
        spec,
    };
    Ok(Box::new(Decoding::new(capacity, longformer)))
}

impl Decoder for Longformer {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let Self { spec, heads, streams, ring, span, one_query, tiles, .. } = self;
        let Some(output) = output else {
            streams.remember(tokens, ring, position, parallel);
            return Ok(());
        };
        if tokens.count == 1 {
            streams.remember(tokens, ring, position, parallel);
            streams.answer(tokens, output, parallel, |q| {
                for (heads, dilation) in heads.iter() {
                    let before = spec.reach.min(position / dilation);
                    let first = (position - before * dilation) % ring.rows();
                    let row = |key: usize| {
                        let row = first + key * dilation;
                        if row < ring.rows() { row } else { row - ring.rows() }
                    };
                    let query = Query { tokens: 1, token: 0, heads: heads.clone() };
                    one_query.run_in_place(q, &query, ring, before + 1, row, parallel);
                }
            });
            return Ok(());
        }
        // The tokens would overwrite keys that the first of them see.
        let before = position.min(ring.rows() - 1);
        span.copy_latest(ring, position, before);
        streams.remember(tokens, span, before, parallel);
        streams.answer(tokens, output, parallel, |q| {
            tiles.local(q, before, span.keys(), span.values(), parallel);
        });
        ring.keep_latest(span, position + tokens.count, before + tokens.count);
        Ok(())
    }

    fn mark(&mut self) {
        self.marked.copy_all(&self.ring);
    }

    fn rewind(&mut self, _position: usize) {
        self.ring.copy_all(&self.marked);
    }
}
