//! The cache of decoding: keys and values of the present chunk of every sequence, packed as the forward pass packs them.

use std::ops::Range;

use mixer::{Count, DecodeMemory, Floats, MixerError, Tensors};

use super::attention::{self, Block, ChunkAttention};
use super::spec::AttentionSpec;
use crate::ops::query_block::QUERIES;

/// The attention over a cache.
pub(super) struct Cache {
    /// With a single chunk for each sequence.
    pub attention: ChunkAttention,
    /// Keys and values at the mark. Without chunks the cache is a list by position and needs no copy: positions after the
    /// mark are written again before they are read.
    marked: Option<(Floats, Floats)>,
}

/// Tokens that lie in one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// First token of those that are absorbed.
    pub first: usize,
    pub rows: usize,
    /// Position of the first token in its chunk.
    pub within: usize,
}

/// Floats of the state.
pub(super) fn state_floats(spec: &AttentionSpec) -> Count {
    attention::cache_floats(spec, 1)
}

/// Floats besides the state: the bias, and the copy of the mark.
pub(super) fn floats(spec: &AttentionSpec) -> Count {
    let marked = if spec.chunks() > 1 { state_floats(spec) } else { Count::ZERO };
    attention::bias_floats(spec) + marked
}

impl Cache {
    pub(super) fn new(
        spec: AttentionSpec,
        tensors: &Tensors,
        memory: &DecodeMemory,
    ) -> Result<Self, MixerError> {
        let one = AttentionSpec { seq_len: spec.chunk, ..spec };
        let attention = ChunkAttention::new(one, tensors, &memory.work, &memory.state)?;
        let copies = || -> Result<_, MixerError> {
            let (keys, values) = (attention.keys.len(), attention.values.len());
            Ok((memory.work.floats(keys)?, memory.work.floats(values)?))
        };
        let marked = if spec.chunks() > 1 { Some(copies()?) } else { None };
        Ok(Self { attention, marked })
    }

    pub(super) fn mark(&mut self) {
        if let Some((keys, values)) = &mut self.marked {
            keys.copy_from_slice(&self.attention.keys);
            values.copy_from_slice(&self.attention.values);
        }
    }

    pub(super) fn rewind(&mut self) {
        if let Some((keys, values)) = &self.marked {
            self.attention.keys.copy_from_slice(keys);
            self.attention.values.copy_from_slice(values);
        }
    }

    /// The segments of `count` tokens from position `position` on, in order.
    pub(super) fn segments(&self, position: usize, count: usize) -> impl Iterator<Item = Segment> + use<> {
        let chunk = self.attention.spec.chunk;
        let mut first = 0;
        std::iter::from_fn(move || {
            let within = (position + first) % chunk;
            let rows = (chunk - within).min(count - first);
            let segment = Segment { first, rows, within };
            first += rows;
            (rows > 0).then_some(segment)
        })
    }
}

impl Segment {
    /// Its rows among those of sequence `sequence`, of `count` tokens each.
    pub(super) fn rows_of(self, sequence: usize, count: usize) -> Range<usize> {
        let first = sequence * count + self.first;
        first..first + self.rows
    }

    /// Blocks of queries of all sequences; `row` of a block is its first among all tokens, `[batch, count]`.
    pub(super) fn blocks(self, batch: usize, count: usize) -> impl Iterator<Item = Block> + Send {
        (0..batch).flat_map(move |sequence| {
            (0..self.rows).step_by(QUERIES).map(move |first| Block {
                chunk: sequence,
                chunk_len: self.within + self.rows,
                first: self.within + first,
                rows: QUERIES.min(self.rows - first),
                row: self.rows_of(sequence, count).start + first,
            })
        })
    }

    /// The rows of each of [`Segment::blocks`] in a stream `[batch, count, width]`.
    pub(super) fn block_rows(
        self,
        rows: &mut [f32],
        count: usize,
        width: usize,
    ) -> impl Iterator<Item = &mut [f32]> + Send {
        let sequences = rows.chunks_exact_mut(count * width);
        let own = sequences.map(move |rows| &mut rows[self.first * width..][..self.rows * width]);
        own.flat_map(move |rows| rows.chunks_mut(QUERIES * width))
    }

    /// Number of [`Segment::blocks`].
    pub(super) fn n_blocks(self, batch: usize) -> usize {
        batch * self.rows.div_ceil(QUERIES)
    }
}
