//! Attention inside chunks on the CPU: a block of queries and the keys of its chunk, tile by tile, with one of three
//! weight functions and a bias that depends only on the distance.

use mixer::{Count, Floats, Memory, MixerError, Tensors};

use super::bias;
use super::spec::{Activation, AttentionSpec};
use crate::ops::activation::erf;
use crate::ops::gemm::{PANEL, Store, Tile, multiply_panels};
use crate::ops::parts::Matrix;
use crate::ops::query_block::{KEYS, LOWEST, QUERIES, online_softmax};
use crate::ops::simd::{Lanes, Work, run_widest};

/// μ and 1/(σ√2) of the Laplace function, with the authors' six-digit values of σ and μ.
const LAPLACE_MEAN: f32 = 707_107.0 / 1e6;
const LAPLACE_SCALE: f32 = 1.0 / (282_095.0 / 1e6 * std::f32::consts::SQRT_2);

/// A block of at most [`QUERIES`] positions of one chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    /// Index of the chunk, counted over all sequences.
    pub chunk: usize,
    /// Positions of this chunk.
    pub chunk_len: usize,
    /// First position within the chunk; in the forward pass a multiple of [`QUERIES`].
    pub first: usize,
    /// Number of positions.
    pub rows: usize,
    /// First row of the input, counted over all sequences.
    pub row: usize,
}

/// Packed keys and values of all chunks.
pub(super) struct ChunkAttention {
    pub spec: AttentionSpec,
    /// `[chunks, ⌈c / PANEL⌉, Z, PANEL]`.
    pub keys: Floats,
    /// `[chunks, ⌈H / PANEL⌉, c, PANEL]`.
    pub values: Floats,
    /// b[c − 1 + (j − i)], in units of log₂ for softmax.
    bias: Floats,
}

fn key_floats(spec: &AttentionSpec) -> Count {
    Count::from(spec.chunk.next_multiple_of(PANEL)) * Count::from(spec.z)
}

fn value_floats(spec: &AttentionSpec) -> Count {
    Count::from(spec.h.next_multiple_of(PANEL)) * Count::from(spec.chunk)
}

/// Floats of the packed keys and values of `chunks` chunks of every sequence.
pub(super) fn cache_floats(spec: &AttentionSpec, chunks: usize) -> Count {
    let [batch, chunks] = Count::all([spec.batch, chunks]);
    batch * chunks * (key_floats(spec) + value_floats(spec))
}

/// Floats of the bias.
pub(super) fn bias_floats(spec: &AttentionSpec) -> Count {
    2 * Count::from(spec.chunk) - 1
}

/// Floats that [`ChunkAttention::new`] takes from the memory budget.
pub(super) fn floats(spec: &AttentionSpec) -> Count {
    cache_floats(spec, spec.chunks()) + bias_floats(spec)
}

/// Scratch floats of one block: scores, sums, scaled queries, maxima, totals.
pub(super) fn scratch_floats(spec: &AttentionSpec) -> Count {
    Count::from(QUERIES) * Count::from(KEYS + spec.h.next_multiple_of(PANEL) + spec.z + 2)
}

/// Blocks of all sequences.
pub(super) fn blocks(spec: &AttentionSpec) -> impl Iterator<Item = Block> + Send + use<> {
    let spec = *spec;
    (0..spec.batch * spec.chunks()).flat_map(move |chunk| {
        let (sequence, within) = (chunk / spec.chunks(), chunk % spec.chunks());
        let chunk_len = spec.chunk_len(within);
        (0..chunk_len).step_by(QUERIES).map(move |first| Block {
            chunk,
            chunk_len,
            first,
            rows: QUERIES.min(chunk_len - first),
            row: sequence * spec.seq_len + within * spec.chunk + first,
        })
    })
}

/// Blocks of chunk `chunk` of all sequences. The last chunk of a sequence may have fewer.
fn blocks_of(spec: &AttentionSpec, chunk: usize) -> usize {
    spec.chunk_len(chunk % spec.chunks()).div_ceil(QUERIES)
}

/// Each block's rows of a row-major stream of `width` channels, in the order of [`blocks`].
pub(super) fn block_rows<'a>(
    spec: &AttentionSpec,
    rows: &'a mut [f32],
    width: usize,
) -> impl Iterator<Item = &'a mut [f32]> + Send + use<'a> {
    let AttentionSpec { seq_len, chunk, .. } = *spec;
    let sequences = rows.chunks_mut(seq_len * width);
    let chunks = sequences.flat_map(move |sequence| sequence.chunks_mut(chunk * width));
    chunks.flat_map(move |chunk| chunk.chunks_mut(QUERIES * width))
}

/// Each block's panels of a panel-major stream, `[groups, batch · length, PANEL]`, in the order of [`blocks`].
pub(super) fn block_panels<'a>(
    spec: &AttentionSpec,
    panels: &'a mut [f32],
) -> impl Iterator<Item = Matrix<'a>> + Send + use<'a> {
    let AttentionSpec { batch, seq_len, chunk, .. } = *spec;
    let sequences = Matrix::new(panels, batch * seq_len * PANEL).column_blocks(seq_len * PANEL);
    let chunks = sequences.flat_map(move |sequence| sequence.column_blocks(chunk * PANEL));
    chunks.flat_map(|chunk| chunk.column_blocks(QUERIES * PANEL))
}

/// A block's part of the packed keys: whole panels of its chunk, since QUERIES is a multiple of PANEL.
pub(super) struct PackedKeys<'a>(&'a mut [f32]);

impl PackedKeys<'_> {
    /// Packs `rows` keys of `z` components; `key(row, component)` returns a component.
    pub(super) fn fill(&mut self, rows: usize, z: usize, key: impl Fn(usize, usize) -> f32) {
        for row in 0..rows {
            let panel = self.0[row / PANEL * z * PANEL + row % PANEL..].iter_mut().step_by(PANEL);
            panel.take(z).enumerate().for_each(|(component, to)| *to = key(row, component));
        }
    }
}

const _: () = assert!(QUERIES.is_multiple_of(PANEL) && KEYS.is_multiple_of(PANEL));

impl ChunkAttention {
    /// The bias comes from `memory`, keys and values come from `cache`.
    pub(super) fn new(
        spec: AttentionSpec,
        tensors: &Tensors,
        memory: &Memory,
        cache: &Memory,
    ) -> Result<Self, MixerError> {
        let chunks = spec.batch * spec.chunks();
        let unit = match spec.activation {
            Activation::Softmax => std::f64::consts::LOG2_E,
            _ => 1.0,
        };
        let mut bias = memory.floats(2 * spec.chunk - 1)?;
        for (to, value) in bias.iter_mut().zip(bias::table(&spec, tensors)?) {
            *to = (unit * value) as f32;
        }
        Ok(Self {
            spec,
            keys: cache.floats(Count::from(chunks) * key_floats(&spec))?,
            values: cache.floats(Count::from(chunks) * value_floats(&spec))?,
            bias,
        })
    }

    /// Each block's part of the packed keys, and of the packed values `[⌈H / PANEL⌉, rows · PANEL]`, in the order of
    /// [`blocks`]. The last chunk of a sequence has more room for values than rows.
    pub(super) fn packing(
        &mut self,
    ) -> (impl Iterator<Item = PackedKeys<'_>> + Send, impl Iterator<Item = Matrix<'_>> + Send) {
        let spec = self.spec;
        let [key_floats, value_floats] = [key_floats(&spec), value_floats(&spec)].map(Count::index);
        let keys = self.keys.chunks_exact_mut(key_floats).enumerate().flat_map(move |(chunk, keys)| {
            keys.chunks_mut(QUERIES * spec.z).take(blocks_of(&spec, chunk)).map(PackedKeys)
        });
        let values =
            self.values.chunks_exact_mut(value_floats).enumerate().flat_map(move |(chunk, values)| {
                Matrix::new(values, spec.chunk * PANEL)
                    .column_blocks(QUERIES * PANEL)
                    .take(blocks_of(&spec, chunk))
            });
        (keys, values)
    }

    /// Packs key and value of position `at` of a chunk; `key(component)` returns a component of the key.
    pub(super) fn put(&mut self, chunk: usize, at: usize, key: impl Fn(usize) -> f32, value: &[f32]) {
        let AttentionSpec { z, chunk: c, .. } = self.spec;
        let [keys, values] = [key_floats(&self.spec), value_floats(&self.spec)].map(Count::index);
        let panel = &mut self.keys[chunk * keys + at / PANEL * z * PANEL + at % PANEL..];
        panel.iter_mut().step_by(PANEL).take(z).enumerate().for_each(|(i, to)| *to = key(i));
        let panels = self.values[chunk * values..][..values].chunks_exact_mut(c * PANEL);
        for (panel, value) in panels.zip(value.chunks(PANEL)) {
            panel[at * PANEL..][..value.len()].copy_from_slice(value);
        }
    }

    /// Attends from one block: `query(row)` returns its queries; `emit(row, a)` receives the outputs, `[H]`.
    pub(super) fn mix<'q>(
        &self,
        block: &Block,
        query: impl Fn(usize) -> &'q [f32],
        scratch: &mut [f32],
        mut emit: impl FnMut(usize, &[f32]),
    ) {
        let AttentionSpec { z, h, chunk: c, causal, activation, .. } = self.spec;
        let padded = h.next_multiple_of(PANEL);
        let (keys, values) = (key_floats(&self.spec).index(), value_floats(&self.spec).index());
        let keys = &self.keys[block.chunk * keys..][..keys];
        let values = &self.values[block.chunk * values..][..values];
        let (scores, rest) = scratch.split_at_mut(QUERIES * KEYS);
        let (sums, rest) = rest.split_at_mut(QUERIES * padded);
        let (queries, rest) = rest.split_at_mut(QUERIES * z);
        let (maxima, totals) = rest.split_at_mut(QUERIES);
        let Block { rows, first, chunk_len, .. } = *block;
        for row in 0..rows {
            let scale = match activation {
                Activation::Softmax => std::f32::consts::LOG2_E / (z as f32).sqrt(),
                _ => 1.0 / self.spec.seen(first + row, chunk_len) as f32,
            };
            let to = &mut queries[row * z..][..z];
            to.iter_mut().zip(query(row)).for_each(|(to, from)| *to = scale * from);
        }
        sums[..rows * padded].fill(0.0);
        maxima[..rows].fill(LOWEST);
        totals[..rows].fill(0.0);
        let visible = if causal { first + rows } else { chunk_len };
        for tile in (0..visible).step_by(KEYS) {
            let n_keys = KEYS.min(visible - tile);
            let columns = n_keys.next_multiple_of(PANEL);
            let mut to = Tile { floats: scores, stride: KEYS, columns };
            multiply_panels(queries, z, rows, z, &keys[tile * z..], z * PANEL, Store::Set, &mut to);
            for row in 0..rows {
                let position = first + row;
                let scores = &mut scores[row * KEYS..][..n_keys.next_multiple_of(PANEL)];
                let allowed = if causal { n_keys.min((position + 1).saturating_sub(tile)) } else { n_keys };
                // The bias of distance 0 is at c − 1.
                let bias = &self.bias[c - 1 + tile - position..];
                let bias = &bias[..allowed];
                weigh(activation, &mut scores[..allowed], bias);
                match activation {
                    Activation::Softmax => {
                        scores[allowed..].fill(LOWEST);
                        let sums = &mut sums[row * padded..][..padded];
                        online_softmax(scores, &mut maxima[row], &mut totals[row], sums);
                    }
                    _ => scores[allowed..].fill(0.0),
                }
            }
            let mut to = Tile { floats: sums, stride: padded, columns: padded };
            let tile_values = &values[tile * PANEL..];
            multiply_panels(scores, KEYS, rows, n_keys, tile_values, c * PANEL, Store::Add, &mut to);
        }
        for row in 0..rows {
            let sums = &mut sums[row * padded..][..h];
            if activation == Activation::Softmax {
                let inverse = 1.0 / totals[row];
                sums.iter_mut().for_each(|sum| *sum *= inverse);
            }
            emit(row, sums);
        }
    }
}

/// Adds the bias and, for weight functions without normalisation, replaces scores by weights.
fn weigh(activation: Activation, scores: &mut [f32], bias: &[f32]) {
    run_widest(Weigh { activation, scores, bias });
}

struct Weigh<'a> {
    activation: Activation,
    scores: &'a mut [f32],
    bias: &'a [f32],
}

impl Work for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { activation, scores, bias } = self;
        for (scores, bias) in scores.chunks_mut(V::LANES).zip(bias.chunks(V::LANES)) {
            let s = V::load(scores) + V::load(bias);
            let w = match activation {
                Activation::Softmax => s,
                Activation::Laplace => {
                    let half = V::splat(0.5);
                    half.mul_add(half, erf((s - V::splat(LAPLACE_MEAN)) * V::splat(LAPLACE_SCALE)))
                }
                Activation::Relu2 => {
                    let positive = s.max(V::splat(0.0));
                    positive * positive
                }
            };
            w.store(scores);
        }
    }
}
