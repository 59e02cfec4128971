//! The CPU kernel. The sequence of each head is cut into enough parts to occupy the threads:
//!
//! 1. each part computes its largest key projection and, if other parts need them, its sums over the keys, relative to
//!    that projection;
//! 2. the sums of the parts are rescaled to the head's maximum and added: over all parts, or in the causal form over
//!    the parts before each part;
//! 3. outputs: in the bidirectional form by blocks of queries; in the causal form chunk by chunk, with running sums
//!    over the part's earlier chunks and a masked square of scores inside the chunk.
//!
//! Features exist for one chunk at a time. Step 3 repeats the key projections of step 1, which costs less than keeping
//! the features: they are m/d times as large as the keys.

use std::sync::Arc;

use mixer::{Case, Count, Floats, Level, Memory, MixerError, Parallel};

use super::Spec;
use super::block::{Block, QUERIES, Sums};
use super::features::{CHUNK, FeatureMap, padded};
use crate::ops::exp::exp2_scalar;
use crate::ops::gemm::PANEL;
use crate::ops::linear::Linear;
use crate::ops::parts::{Matrix, for_each};
use crate::ops::query_block::LOWEST;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Lanes, Work, run_widest};
use crate::ready::{self, Ready};

/// Tasks per thread where the heads cannot be divided evenly among the threads.
const TASKS: usize = 4;

/// Scratch floats of one thread.
pub(super) fn floats(spec: &Spec) -> Count {
    let (width, inner) = (spec.dims.d_model, spec.inner());
    let (rows, inner_width) = (spec.dims.sizes().rows(), Count::from(inner));
    let layer = match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => {
            3 * Linear::floats(width, inner)
                + Linear::floats(inner, width)
                + rows * (2 * inner_width + Count::from(width))
        }
    };
    let parts: Count = Count::all([parts(spec, 1), spec.dims.batch, spec.n_heads]).into_iter().product();
    let [sums, block] = Count::all([Sums::floats(spec), Block::floats(spec)]);
    layer + rows * inner_width + FeatureMap::floats(spec) + parts * (sums + 1) + block
}

/// Parts of each head's sequence: one if whole heads divide evenly among the threads, otherwise enough for [`TASKS`]
/// tasks per thread.
fn parts(spec: &Spec, threads: usize) -> usize {
    let heads = spec.dims.batch * spec.n_heads;
    if heads.is_multiple_of(threads.max(1)) {
        return 1;
    }
    (TASKS * threads).div_ceil(heads).min(spec.dims.seq_len.div_ceil(CHUNK))
}

/// Weights and buffers that only a layer has.
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    /// q, k and v, `[batch, length, inner]` each.
    k: Floats,
    v: Floats,
    /// Queries, then the core's output over them: `[batch, length, inner]`.
    core: Floats,
}

/// Performer prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    layer: Option<Layer>,
    map: FeatureMap,
    parts: usize,
    /// `[batch, n_heads, parts]` of [`Sums`].
    sums: Floats,
    /// Largest key projections in units of log₂, `[batch, n_heads, parts]`; from step 2 on every part has the head's
    /// maximum.
    maxima: Floats,
    scratch: Scratch,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        let (tensors, dims) = (&case.tensors, spec.dims);
        let (width, inner, rows) = (dims.d_model, spec.inner(), dims.batch * dims.seq_len);
        let layer = match spec.level {
            Level::Core => {
                spec.streams(tensors)?;
                None
            }
            Level::Layer => {
                spec.input(tensors)?;
                let linear = |name: &str, inputs: usize, outputs: usize| {
                    let (weight, bias) = spec.linear(tensors, name)?;
                    Linear::new(memory, inputs, outputs, weight, bias)
                };
                Some(Layer {
                    query: linear("query", width, inner)?,
                    key: linear("key", width, inner)?,
                    value: linear("value", width, inner)?,
                    out: linear("out", inner, width)?,
                    k: memory.floats(rows * inner)?,
                    v: memory.floats(rows * inner)?,
                    core: memory.floats(rows * inner)?,
                })
            }
        };
        let parts = parts(&spec, parallel.threads());
        let all_parts = dims.batch * spec.n_heads * parts;
        let output = memory.floats(rows * if spec.level == Level::Layer { width } else { inner })?;
        let kernel = Self {
            layer,
            map: FeatureMap::new(memory, &spec, spec.projection(tensors)?)?,
            parts,
            sums: memory.floats(all_parts * Sums::floats(&spec))?,
            maxima: memory.floats(all_parts)?,
            scratch: Scratch::new(memory, parallel.threads(), Block::floats(&spec))?,
            spec,
        };
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = self.spec;
        let (q, k, v): (&mut [f32], &[f32], &[f32]) = match &mut self.layer {
            None => {
                let [q, k, v] = spec.streams(&case.tensors)?;
                output.copy_from_slice(q);
                (&mut *output, k, v)
            }
            Some(layer) => {
                let x = spec.input(&case.tensors)?;
                layer.query.apply(x, &mut layer.core, parallel);
                layer.key.apply(x, &mut layer.k, parallel);
                layer.value.apply(x, &mut layer.v, parallel);
                (&mut layer.core, &layer.k, &layer.v)
            }
        };
        let core = Core { spec, map: &self.map, scratch: &self.scratch, parts: self.parts, k, v };
        core.sum_parts(&mut self.sums, &mut self.maxima, parallel);
        core.combine_parts(&mut self.sums, &mut self.maxima, parallel);
        if spec.causal {
            core.causal(&mut self.sums, &self.maxima, q, parallel);
        } else {
            core.bidirectional(&self.sums, q, parallel);
        }
        if let Some(layer) = &self.layer {
            layer.out.apply(&layer.core, output, parallel);
        }
        Ok(())
    }
}

/// Values that all steps use.
pub(super) struct Core<'a> {
    pub spec: Spec,
    pub map: &'a FeatureMap,
    pub scratch: &'a Scratch,
    pub parts: usize,
    pub k: &'a [f32],
    pub v: &'a [f32],
}

impl Core<'_> {
    /// Offset in a stream of position `t` of head `head_idx`, counted over all sequences.
    pub(super) fn at(&self, head_idx: usize, t: usize) -> usize {
        let Spec { dims, n_heads, d_head, .. } = self.spec;
        (head_idx / n_heads * dims.seq_len + t) * self.spec.inner() + head_idx % n_heads * d_head
    }

    pub(super) fn heads(&self) -> usize {
        self.spec.dims.batch * self.spec.n_heads
    }

    /// Chunks of a part, as first key and number of keys.
    fn chunks(&self, part: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let length = self.spec.dims.seq_len;
        let (chunks, parts) = (length.div_ceil(CHUNK), self.parts);
        let own = part * chunks / parts..(part + 1) * chunks / parts;
        own.map(move |chunk| (chunk * CHUNK, CHUNK.min(length - chunk * CHUNK)))
    }

    /// First position of a part. For `part` equal to the number of parts, the length.
    fn border(&self, part: usize) -> usize {
        let length = self.spec.dims.seq_len;
        (part * length.div_ceil(CHUNK) / self.parts * CHUNK).min(length)
    }

    /// Keys of a part.
    fn n_keys(&self, part: usize) -> f32 {
        (self.border(part + 1) - self.border(part)) as f32
    }

    /// The columns of each head of each sequence in a stream.
    pub(super) fn head_columns<'c>(
        &self,
        stream: &'c mut [f32],
    ) -> impl Iterator<Item = Matrix<'c>> + Send + use<'c> {
        let Spec { dims, d_head, .. } = self.spec;
        let sequences = Matrix::new(stream, self.spec.inner()).row_blocks(dims.seq_len);
        sequences.flat_map(move |sequence| sequence.column_blocks(d_head))
    }

    /// Whether the sums of a part are read: no in the causal form with a single part, which starts from zero.
    fn needs_sums(&self) -> bool {
        self.parts > 1 || !self.spec.causal
    }

    /// Step 1: the largest key projection of each part, and its sums relative to it without ε.
    fn sum_parts(&self, sums: &mut [f32], maxima: &mut [f32], parallel: &dyn Parallel) {
        let (spec, d_head) = (&self.spec, self.spec.d_head);
        let size = Sums::floats(spec);
        let parts = sums.chunks_exact_mut(size).zip(maxima).enumerate();
        for_each(parallel, self.heads() * self.parts, parts, |(index, (floats, maximum)), worker| {
            let (head_idx, part) = (index / self.parts, index % self.parts);
            let mut scratch = self.scratch.of(worker);
            let mut block = Block::new(&mut scratch, spec);
            floats.fill(0.0);
            let mut sums = Sums::new(floats, spec);
            let mut highest = LOWEST;
            for (first, n_keys) in self.chunks(part) {
                let row = |t: usize| self.at(head_idx, first + t);
                self.map.pack(&mut block.keys, n_keys, |t| &self.k[row(t)..][..d_head]);
                self.map.project(&mut block.keys);
                let next = highest.max(self.map.maximum(&block.keys));
                if self.needs_sums() {
                    if next > highest {
                        let factor = exp2_scalar(highest - next);
                        sums.products.iter_mut().for_each(|value| *value *= factor);
                        sums.totals.iter_mut().for_each(|value| *value *= factor);
                    }
                    self.map.exponentiate(&mut block.keys, next, false);
                    self.map.add_totals(&block.keys, sums.totals);
                    block.pack_values(n_keys, |t| &self.v[row(t)..][..d_head]);
                    sums.add_products(spec.n_features, block.keys.features, block.values, n_keys);
                    for (to, panel) in
                        sums.values.chunks_exact_mut(PANEL).zip(block.values.chunks_exact(CHUNK * PANEL))
                    {
                        for value in panel[..n_keys * PANEL].chunks_exact(PANEL) {
                            to.iter_mut().zip(value).for_each(|(to, from)| *to += from);
                        }
                    }
                }
                highest = next;
            }
            *maximum = highest;
        });
    }

    /// Step 2: sums with ε, relative to the head's maximum: in the causal form for each part the sums of the parts
    /// before it, else in the first part the sums of all parts.
    fn combine_parts(&self, sums: &mut [f32], maxima: &mut [f32], parallel: &dyn Parallel) {
        let (spec, parts) = (&self.spec, self.parts);
        let (m, eps) = (spec.n_features, spec.kernel_eps as f32);
        let size = Sums::floats(spec);
        let heads = sums.chunks_exact_mut(parts * size).zip(maxima.chunks_exact_mut(parts));
        for_each(parallel, self.heads(), heads, |(sums, maxima), _| {
            let maximum = maxima.iter().copied().fold(LOWEST, f32::max);
            maxima.iter_mut().for_each(|own| *own = exp2_scalar(*own - maximum));
            let totals = m * padded(spec.d_head);
            let values = totals + padded(m);
            for at in 0..totals + m {
                // ε multiplies the sum of values in S and the number of keys in z.
                let column = (at < totals).then(|| values + at / (m * PANEL) * PANEL + at % PANEL);
                let mut running = 0.0;
                for (part, factor) in maxima.iter().enumerate() {
                    let own = &mut sums[part * size..][..size];
                    let beside = column.map_or_else(|| self.n_keys(part), |column| own[column]);
                    let next = running + own[at] * factor + eps * beside;
                    own[at] = running;
                    running = next;
                }
                if !spec.causal {
                    sums[at] = running;
                }
            }
            maxima.fill(maximum);
        });
    }

    /// Outputs of the causal form, written over the queries.
    fn causal(&self, sums: &mut [f32], maxima: &[f32], core: &mut [f32], parallel: &dyn Parallel) {
        let (spec, d_head, m) = (&self.spec, self.spec.d_head, self.spec.n_features);
        let size = Sums::floats(spec);
        let parts = self.head_columns(core).flat_map(|mut head| {
            let border = |part: usize| self.border(part);
            (0..self.parts).map(move |part| head.take_rows(border(part + 1) - border(part)))
        });
        let parts = parts.zip(sums.chunks_exact_mut(size)).enumerate();
        for_each(parallel, self.heads() * self.parts, parts, |(index, (mut core, sums)), worker| {
            let (head_idx, part) = (index / self.parts, index % self.parts);
            let mut scratch = self.scratch.of(worker);
            let mut block = Block::new(&mut scratch, spec);
            let mut sums = Sums::new(sums, spec);
            for (first, n_keys) in self.chunks(part) {
                let row = |t: usize| self.at(head_idx, first + t);
                self.map.pack(&mut block.keys, n_keys, |t| &self.k[row(t)..][..d_head]);
                self.map.project(&mut block.keys);
                self.map.exponentiate(&mut block.keys, maxima[index], true);
                block.pack_key_panels(m, n_keys);
                block.pack_values(n_keys, |t| &self.v[row(t)..][..d_head]);
                for first_query in (0..n_keys).step_by(QUERIES) {
                    let rows = QUERIES.min(n_keys - first_query);
                    let own_row = first + first_query - self.border(part);
                    self.set_queries(&mut block, rows, |t| core.row(own_row + t));
                    block.read_products(spec, sums.products, rows);
                    let mut own = [0.0; QUERIES];
                    block.add_square(spec, first_query, rows, &mut own);
                    self.finish(&block, sums.totals, &own[..rows], &mut core, own_row);
                }
                sums.add_products(m, block.keys.features, block.values, n_keys);
                self.map.add_totals(&block.keys, sums.totals);
            }
        });
    }

    /// Outputs of the bidirectional form, written over the queries.
    fn bidirectional(&self, sums: &[f32], core: &mut [f32], parallel: &dyn Parallel) {
        let spec = &self.spec;
        let size = self.parts * Sums::floats(spec);
        let blocks = spec.dims.seq_len.div_ceil(QUERIES);
        let parts = self.head_columns(core).flat_map(|head| head.row_blocks(QUERIES)).enumerate();
        for_each(parallel, self.heads() * blocks, parts, |(index, mut core), worker| {
            let rows = core.rows();
            let mut scratch = self.scratch.of(worker);
            let mut block = Block::new(&mut scratch, spec);
            self.set_queries(&mut block, rows, |t| core.row(t));
            let (products, totals) = Sums::read(&sums[index / blocks * size..], spec);
            block.read_products(spec, products, rows);
            self.finish(&block, totals, &[0.0; QUERIES][..rows], &mut core, 0);
        });
    }

    /// Features of the queries of a block.
    pub(super) fn set_queries<'q>(
        &self,
        block: &mut Block<'_>,
        rows: usize,
        query: impl Fn(usize) -> &'q [f32],
    ) {
        for (t, to) in block.queries.chunks_exact_mut(self.spec.d_head).take(rows).enumerate() {
            to.copy_from_slice(query(t));
        }
        self.map.queries(&block.queries[..rows * self.spec.d_head], block.query_features);
    }

    /// Divides the outputs of a block by q′·(z + η) plus `own`, the total weight of each query inside its chunk, and
    /// writes them to the rows of `core` from `first` on.
    fn finish(&self, block: &Block<'_>, totals: &[f32], own: &[f32], core: &mut Matrix<'_>, first: usize) {
        let (padded_head, padded_features) = (padded(self.spec.d_head), padded(self.spec.n_features));
        let eta = self.spec.unscaled_eta() as f32;
        let outputs = block.outputs.chunks_exact(padded_head);
        let features = block.query_features.chunks_exact(padded_features);
        for (t, ((output, features), own)) in outputs.zip(features).zip(own).enumerate() {
            let inverse = 1.0 / (run_widest(Weight { features, totals, eta }) + own);
            for (to, from) in core.row_mut(first + t).iter_mut().zip(output) {
                *to = inverse * from;
            }
        }
    }
}

/// q′·(z + η) of one query. The padding of q′ is zero.
pub(super) struct Weight<'a> {
    pub features: &'a [f32],
    pub totals: &'a [f32],
    pub eta: f32,
}

impl Work for Weight<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        let eta = V::splat(self.eta);
        let vectors = self.features.chunks_exact(V::LANES).zip(self.totals.chunks_exact(V::LANES));
        let sums = vectors.fold(V::splat(0.0), |sum, (q, z)| sum.mul_add(V::load(q), V::load(z) + eta));
        sums.fold_sum().sum()
    }
}
