//! Keys and values of all heads, packed once for the microkernel, in any order of positions.
//!
//! A slot is a place in the packed order. The caller maps slots to positions, and slots may be empty. Natural order
//! serves full and windowed attention, residue classes serve dilated windows, padded blocks serve lists of blocks.

use mixer::{Count, Floats, Memory, MixerError, Parallel};

use super::gemm::PANEL;
use super::parts::{Matrix, for_each};
use super::prefetch::prefetch;
use super::query_block::{KEYS, KeyTile};
use super::simd::{F32x4, LANES, Lanes as _, Pair};

/// Sizes of a packed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedShape {
    /// Sequences.
    pub batch: usize,
    /// Heads.
    pub n_heads: usize,
    /// Head dimension.
    pub d_head: usize,
    /// Slots per head.
    pub slots: usize,
}

impl PackedShape {
    /// Number of slots, rounded up to whole panels.
    fn padded_slots(self) -> usize {
        self.slots.next_multiple_of(PANEL)
    }

    /// Head dimension, rounded up to whole panels.
    fn padded_head(self) -> usize {
        self.d_head.next_multiple_of(PANEL)
    }

    fn heads(self) -> Count {
        Count::from(self.batch) * Count::from(self.n_heads)
    }

    fn key_floats(self) -> Count {
        self.heads() * Count::from(self.d_head) * Count::from(self.padded_slots())
    }

    fn value_floats(self) -> Count {
        self.heads() * Count::from(self.padded_head()) * Count::from(self.slots)
    }

    /// Number of chunks of slots, one per task.
    fn chunks(self) -> usize {
        self.slots.div_ceil(KEYS)
    }

    fn length_floats(self) -> Count {
        self.heads() * Count::from(self.chunks())
    }

    /// Floats of a packed set.
    pub fn floats(self) -> Count {
        self.key_floats() + self.value_floats() + self.length_floats()
    }
}

/// Packed keys and values.
#[derive(Debug)]
pub struct PackedKeys {
    shape: PackedShape,
    /// `[batch, n_heads, padded_slots / PANEL, d_head, PANEL]`.
    keys: Floats,
    /// `[batch, n_heads, padded_head / PANEL, slots, PANEL]`.
    values: Floats,
    /// The squared length of each chunk's longest key, `[batch, n_heads, chunks]`.
    longest: Floats,
    /// Slots that the last packing filled.
    packed: usize,
}

impl PackedKeys {
    /// Allocates the buffers for `shape`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, shape: PackedShape) -> Result<Self, MixerError> {
        Ok(Self {
            shape,
            keys: memory.floats(shape.key_floats())?,
            values: memory.floats(shape.value_floats())?,
            longest: memory.floats(shape.length_floats())?,
            packed: 0,
        })
    }

    /// The sizes.
    pub fn shape(&self) -> PackedShape {
        self.shape
    }

    /// Packs `k` and `v`, `[batch, seq_len, n_heads · d_head]`, in natural order. `seq_len` is the number of slots.
    pub fn pack(&mut self, k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        self.pack_first(k, v, self.shape.slots, parallel);
    }

    /// Packs the first `n` positions of `k` and `v`, as [`PackedKeys::pack`] packs all of them. The rest of the slots must not
    /// be read then.
    pub fn pack_first(&mut self, k: &[f32], v: &[f32], n: usize, parallel: &dyn Parallel) {
        self.pack_slots(k, v, self.shape.slots, n, |_, _, slot| Some(slot), parallel);
    }

    /// Packs `k` and `v`, `[batch, seq_len, n_heads · d_head]`. `position(sequence, head, slot)` is the position in
    /// that slot; empty slots become zero.
    pub fn pack_by<'a>(
        &mut self,
        k: &'a [f32],
        v: &'a [f32],
        seq_len: usize,
        position: impl Fn(usize, usize, usize) -> Option<usize> + Sync,
        parallel: &dyn Parallel,
    ) {
        self.pack_slots(k, v, seq_len, self.shape.slots, position, parallel);
    }

    /// [`PackedKeys::pack_by`] for the first `n` slots of each head.
    fn pack_slots<'a>(
        &mut self,
        k: &'a [f32],
        v: &'a [f32],
        seq_len: usize,
        n: usize,
        position: impl Fn(usize, usize, usize) -> Option<usize> + Sync,
        parallel: &dyn Parallel,
    ) {
        let shape = self.shape;
        let PackedShape { n_heads, d_head, slots, .. } = shape;
        let (padded_slots, padded_head, d_model) =
            (shape.padded_slots(), shape.padded_head(), n_heads * d_head);
        self.packed = n;
        if n == 0 {
            return;
        }
        let chunks = n.div_ceil(KEYS);
        // Chunks of slots of one head after another. KEYS is a multiple of PANEL.
        let keys = self.keys.chunks_mut(padded_slots * d_head);
        let keys = keys.flat_map(|head| head.chunks_mut(KEYS * d_head).take(chunks));
        let values = self.values.chunks_mut(padded_head * slots);
        let values =
            values.flat_map(|head| Matrix::new(head, slots * PANEL).column_blocks(KEYS * PANEL).take(chunks));
        let longest = self.longest.chunks_mut(shape.chunks()).flat_map(|head| head.iter_mut().take(chunks));
        let parts = keys.zip(values).zip(longest).enumerate();
        for_each(
            parallel,
            shape.batch * n_heads * chunks,
            parts,
            |(index, ((keys, mut values), longest)), _| {
                let (head_idx, first) = (index / chunks, index % chunks * KEYS);
                let (sequence, head) = (head_idx / n_heads, head_idx % n_heads);
                let n_slots = KEYS.min(n - first);
                // One panel of slots at a time, so that both the reads of a position's channels and the writes of a panel are
                // contiguous.
                for (offset, panel) in (0..n_slots).step_by(PANEL).zip(keys.chunks_exact_mut(PANEL * d_head))
                {
                    let n = PANEL.min(n_slots - offset);
                    let start: [Option<usize>; PANEL] = std::array::from_fn(|slot| {
                        let position = (slot < n).then(|| position(sequence, head, first + offset + slot));
                        position
                            .flatten()
                            .map(|position| (sequence * seq_len + position) * d_model + head * d_head)
                    });
                    let rows = |floats: &'a [f32]| {
                        start.map(|start| start.map_or(&[][..], |start| &floats[start..][..d_head]))
                    };
                    let (key_rows, value_rows): ([&[f32]; PANEL], [&[f32]; PANEL]) = (rows(k), rows(v));
                    prefetch(key_rows.into_iter().chain(value_rows));
                    write_keys(key_rows, panel);
                    for channels in 0..padded_head / PANEL {
                        let to = &mut values.row_mut(channels)[offset * PANEL..][..n * PANEL];
                        write_values(value_rows, channels, to);
                    }
                }
                *longest = longest_key(keys, d_head);
            },
        );
    }

    /// The squared length of one head's longest key.
    pub fn longest(&self, sequence: usize, head: usize) -> f32 {
        let head_idx = sequence * self.shape.n_heads + head;
        let chunks = &self.longest[head_idx * self.shape.chunks()..][..self.packed.div_ceil(KEYS)];
        chunks.iter().copied().fold(0.0, f32::max)
    }

    /// The tile of `n_keys` slots of one head from slot `first`, a multiple of `PANEL`.
    pub fn tile(&self, sequence: usize, head: usize, first: usize, n_keys: usize) -> KeyTile<'_> {
        let PackedShape { n_heads, d_head, slots, .. } = self.shape;
        let head_idx = sequence * n_heads + head;
        KeyTile {
            keys: &self.keys[(head_idx * self.shape.padded_slots() + first) * d_head..],
            values: &self.values[head_idx * slots * self.shape.padded_head() + first * PANEL..],
            values_stride: slots * PANEL,
            n_keys,
        }
    }
}

/// Writes a panel of keys, `[d_head, PANEL]`, from `rows` of `d_head` channels; empty rows become zero.
fn write_keys(rows: [&[f32]; PANEL], panel: &mut [f32]) {
    for (block, channels) in panel.as_chunks_mut::<PANEL>().0.chunks_mut(LANES).enumerate() {
        let [a, b, c, d, e, f, g, h] =
            rows.map(|row| F32x4::load(row.get(block * LANES..).unwrap_or_default()));
        let (low, high) = (F32x4::transpose([a, b, c, d]), F32x4::transpose([e, f, g, h]));
        for (channel, halves) in channels.iter_mut().zip(low.into_iter().zip(high)) {
            Pair(halves.0, halves.1).store(channel);
        }
    }
}

/// Writes the values of up to [`PANEL`] slots for panel `channels` of the channels, `[n, PANEL]`; missing values become
/// zero.
fn write_values(rows: [&[f32]; PANEL], channels: usize, to: &mut [f32]) {
    for (to, row) in to.as_chunks_mut().0.iter_mut().zip(rows) {
        let to: &mut [f32; PANEL] = to;
        Pair::load(row.get(channels * PANEL..).unwrap_or_default()).store(to);
    }
}

/// The squared length of the longest packed key. A key with a NaN may be skipped, since its scores are NaN.
fn longest_key(panels: &[f32], d_head: usize) -> f32 {
    let squares = |panel: &[f32]| {
        let start = [F32x4::zero(); PANEL / LANES];
        let [low, high] = panel.as_chunks::<PANEL>().0.iter().fold(start, |[low, high], channel| {
            let (a, b) = (F32x4::load(channel), F32x4::load(&channel[LANES..]));
            [low.mul_add(a, a), high.mul_add(b, b)]
        });
        low.max(high)
    };
    let panels = panels.chunks_exact(d_head * PANEL);
    panels.fold(F32x4::zero(), |longest, panel| longest.max(squares(panel))).max_lane()
}
