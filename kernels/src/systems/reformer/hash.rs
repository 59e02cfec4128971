//! The hash and the sort: the bucket of each position, and the order in which chunks are cut.

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel, Words};

use super::{Hashing, Spec};
use crate::ops::gemm::{PANEL, Store, Tile, multiply};
use crate::ops::parts::{Matrix, for_each};
use crate::ops::permutation::Permutations;
use crate::ops::scratch::Scratch;

/// Positions hashed per task.
const BLOCK: usize = 16 * PANEL;

/// Rotations packed for the microkernel, bucket numbers and orders.
pub(super) struct Hasher {
    spec: Spec,
    hashing: Hashing,
    /// `[n_heads, rounds · columns, d_head]`.
    rotations: Floats,
    /// `[batch, n_heads, rounds, padded]`.
    buckets: Words,
    /// Positions of each round sorted by (bucket, position), `[batch, n_heads, rounds, padded]`.
    order: Permutations,
    /// For each worker: the channels of eight positions, then their products with all rotations.
    scratch: Scratch,
    counts: Scratch<u32>,
}

/// Scratch floats per worker.
fn scratch_floats(d_head: usize, hashing: &Hashing) -> usize {
    PANEL * (d_head + hashing.rounds * hashing.columns())
}

impl Hasher {
    /// 32-bit elements that [`Hasher::new`] takes from the memory budget.
    pub(super) fn words(spec: &Spec, threads: usize) -> Count {
        let Some(hashing) = &spec.hashing else { return Count::ZERO };
        let d_head = spec.base.d_head();
        let own = scratch_floats(d_head, hashing) + hashing.buckets() + 1;
        let [heads, head, rounds] = Count::all([spec.base.n_heads, d_head, hashing.rounds]);
        let [batch, padded, columns] = Count::all([spec.base.dims.batch, spec.padded(), hashing.columns()]);
        let rotations = heads * rounds * columns * head;
        let positions = batch * heads * rounds * padded;
        rotations + 2 * positions + Count::from(threads) * Count::from(own)
    }

    /// Packs the rotations; none if positions stay in natural order.
    pub(super) fn new(
        spec: &Spec,
        case: &Case,
        memory: &Memory,
        threads: usize,
    ) -> Result<Option<Self>, MixerError> {
        let Some(hashing) = spec.hashing.clone() else { return Ok(None) };
        let source = spec.rotations(&hashing, &case.tensors)?;
        let (n_heads, d_head) = (spec.base.n_heads, spec.base.d_head());
        let rows = hashing.rounds * hashing.columns();
        let mut rotations = memory.floats(n_heads * rows * d_head)?;
        for (row, to) in rotations.chunks_exact_mut(d_head).enumerate() {
            let (head, row) = (row / rows, row % rows);
            for (channel, to) in to.iter_mut().enumerate() {
                *to = source[(head * d_head + channel) * rows + row];
            }
        }
        let lists = spec.base.dims.batch * n_heads * hashing.rounds;
        Ok(Some(Self {
            rotations,
            buckets: memory.words(lists * spec.padded())?,
            order: Permutations::new(memory, spec.padded(), lists)?,
            scratch: Scratch::new(memory, threads, scratch_floats(d_head, &hashing))?,
            counts: Scratch::words(memory, threads, hashing.buckets() + 1)?,
            spec: spec.clone(),
            hashing,
        }))
    }

    /// Bucket numbers, `[batch, n_heads, rounds, padded]`. The bucket of padding is the number of buckets.
    pub(super) fn buckets(&self) -> &[u32] {
        &self.buckets
    }

    /// Positions of each round in sorted order, `[batch, n_heads, rounds]` of `padded`.
    pub(super) fn order(&self) -> &Permutations {
        &self.order
    }

    /// Hashes u, `[batch, length, width]`.
    pub(super) fn hash(&mut self, u: &[f32], parallel: &dyn Parallel) {
        let Self { spec, hashing, rotations: packed, buckets, scratch, .. } = self;
        let (seq_len, padded) = (spec.base.dims.seq_len, spec.padded());
        let (width, n_heads, d_head) = (spec.base.dims.d_model, spec.base.n_heads, spec.base.d_head());
        let (rounds, columns) = (hashing.rounds, hashing.columns());
        let rows = rounds * columns;
        let blocks = padded.div_ceil(BLOCK);
        let heads = buckets.chunks_exact_mut(rounds * padded);
        let parts = heads.flat_map(|head| Matrix::new(head, padded).column_blocks(BLOCK)).enumerate();
        for_each(parallel, spec.base.dims.batch * n_heads * blocks, parts, |(index, mut buckets), worker| {
            let (head_idx, block) = (index / blocks, index % blocks);
            let (sequence, head) = (head_idx / n_heads, head_idx % n_heads);
            let rotations = &packed[head * rows * d_head..][..rows * d_head];
            let mut scratch = scratch.of(worker);
            let (panel, products) = scratch.split_at_mut(d_head * PANEL);
            for first in (block * BLOCK..padded.min((block + 1) * BLOCK)).step_by(PANEL) {
                let n = PANEL.min(padded - first);
                for lane in 0..n.min(seq_len.saturating_sub(first)) {
                    let from = &u[(sequence * seq_len + first + lane) * width + head * d_head..][..d_head];
                    panel.iter_mut().skip(lane).step_by(PANEL).zip(from).for_each(|(to, from)| *to = *from);
                }
                let mut tile = Tile { floats: products, stride: PANEL, columns: PANEL };
                multiply(rotations, d_head, rows, d_head, panel, Store::Set, &mut tile);
                for round in 0..rounds {
                    let products = &products[round * columns * PANEL..][..columns * PANEL];
                    let found = bucket_of(products, &hashing.factors);
                    let to = &mut buckets.row_mut(round)[first - block * BLOCK..][..n];
                    for (lane, (to, found)) in to.iter_mut().zip(found).enumerate() {
                        *to = if first + lane < seq_len { found } else { hashing.buckets() as u32 };
                    }
                }
            }
        });
    }

    /// Sorts every round by (bucket, position).
    pub(super) fn sort(&mut self, parallel: &dyn Parallel) {
        let padded = self.spec.padded();
        let (buckets, counts) = (&self.buckets, &self.counts);
        let rounds = buckets.chunks_exact(padded).zip(self.order.iter_mut());
        for_each(parallel, buckets.len() / padded, rounds, |(buckets, mut order), worker| {
            order.sort(buckets, &mut counts.of(worker));
        });
    }
}

/// Buckets of eight positions from their products with one round's rotations, `[columns, PANEL]`: for each factor f the
/// largest of f/2 products and their negatives, the first one in a tie.
fn bucket_of(products: &[f32], factors: &[usize]) -> [u32; PANEL] {
    let (products, _) = products.as_chunks::<PANEL>();
    let mut buckets = [0; PANEL];
    let (mut first, mut weight) = (0, 1);
    for &factor in factors {
        let half = factor / 2;
        let run = &products[first..first + half];
        let mut best = [f32::NEG_INFINITY; PANEL];
        let mut index = [0; PANEL];
        for (sign, offset) in [(1.0, 0), (-1.0, half)] {
            for (column, products) in run.iter().enumerate() {
                let number = (offset + column) as u32;
                for lane in 0..PANEL {
                    let value = sign * products[lane];
                    let is_better = value > best[lane];
                    best[lane] = if is_better { value } else { best[lane] };
                    index[lane] = if is_better { number } else { index[lane] };
                }
            }
        }
        for lane in 0..PANEL {
            buckets[lane] += weight * index[lane];
        }
        first += half;
        weight *= factor as u32;
    }
    buckets
}
