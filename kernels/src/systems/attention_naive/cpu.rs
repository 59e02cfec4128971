//! The CPU kernel: scores `[heads, length, length]` of one sequence in memory, softmax over their rows, then the
//! product with V.

use std::sync::Arc;

use mixer::{Case, Count, Floats, Level, Memory, MixerError, Parallel};

use crate::multi_head::{Projections, Spec};
use crate::ops::exp::exp2_scalar;
use crate::ops::gemm::{PANEL, Store, Tile, multiply_panels};
use crate::ops::parts::for_each;
use crate::ready::{self, Ready};

/// Query rows per task.
const BLOCK: usize = 48;

/// Score of a masked pair, instead of −∞.
const LOWEST: f32 = -1e30;

/// Floats of the packed keys and values of one sequence.
pub(super) fn packed_floats(seq_len: usize, kv_heads: usize, d_head: usize) -> Count {
    let [padded_length, padded_head] = Count::all([seq_len, d_head].map(|n| n.next_multiple_of(PANEL)));
    let [length, heads, head] = Count::all([seq_len, kv_heads, d_head]);
    heads * (padded_length * head + length * padded_head)
}

/// Naive attention prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    projections: Option<Projections>,
    /// `[n_heads, length, length]`.
    scores: Floats,
    /// Keys `[kv_heads, panels, d_head, PANEL]`, then values `[kv_heads, panels, length, PANEL]`.
    packed: Floats,
}

impl Kernel {
    pub(super) fn new(case: &Arc<Case>, memory: &Memory) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read_grouped(case)?;
        let length = spec.dims.seq_len;
        let [positions, heads] = Count::all([length, spec.n_heads]);
        // Allocate the scores first: they hit the memory limit first.
        let scores = memory.floats(heads * positions * positions)?;
        let projections = match spec.level {
            Level::Core => {
                spec.streams(&case.tensors)?;
                None
            }
            Level::Layer => {
                spec.input(&case.tensors)?;
                Some(Projections::new(&spec, case, memory)?)
            }
        };
        let kernel = Self {
            spec,
            projections,
            scores,
            packed: memory.floats(packed_floats(length, spec.kv_heads, spec.d_head()))?,
        };
        let output = memory.floats(kernel.spec.dims.sizes().stream())?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let length = self.spec.dims.seq_len;
        let mut core = Core { spec: &self.spec, length, scores: &mut self.scores, packed: &mut self.packed };
        match &mut self.projections {
            None => {
                let [q, k, v] = self.spec.streams(&case.tensors)?;
                core.run(q, k, v, output, parallel);
            }
            Some(projections) => {
                projections.project(self.spec.input(&case.tensors)?, parallel);
                let Projections { q, k, v, out, .. } = projections;
                core.run(q, k, v, output, parallel);
                // The queries are no longer needed: their buffer takes the core's output while the layer's output is
                // written.
                q.copy_from_slice(output);
                out.apply(q, output, parallel);
            }
        }
        Ok(())
    }
}

/// Attention over `length` positions, in buffers for at least as many.
pub(super) struct Core<'a> {
    pub spec: &'a Spec,
    pub length: usize,
    /// `[n_heads, length, length]`.
    pub scores: &'a mut [f32],
    /// As [`Kernel`]'s.
    pub packed: &'a mut [f32],
}

impl Core<'_> {
    /// Mixes q, k and v of any number of sequences into `out`; q and out are `[.., length, width]`, k and v
    /// `[.., length, kv_heads · d_head]`.
    pub(super) fn run(&mut self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], parallel: &dyn Parallel) {
        let (len, kv_len) = (self.length * self.spec.dims.d_model, self.length * self.spec.kv_width());
        let keys_and_values = k.chunks_exact(kv_len).zip(v.chunks_exact(kv_len));
        for ((q, out), (k, v)) in q.chunks_exact(len).zip(out.chunks_exact_mut(len)).zip(keys_and_values) {
            self.pack(k, v, parallel);
            self.score(q, parallel);
            self.weigh(out, parallel);
        }
    }

    /// Floats of a head's packed keys, and of its packed values.
    fn head_floats(&self) -> [usize; 2] {
        let (length, d_head) = (self.length, self.spec.d_head());
        [length.next_multiple_of(PANEL) * d_head, length * d_head.next_multiple_of(PANEL)]
    }

    /// Heads of the queries for each head of the keys and values.
    fn group(&self) -> usize {
        self.spec.n_heads / self.spec.kv_heads
    }

    fn pack(&mut self, k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        let (length, kv_width, d_head) = (self.length, self.spec.kv_width(), self.spec.d_head());
        let [key_floats, value_floats] = self.head_floats();
        let (keys, values) = self.packed.split_at_mut(self.spec.kv_heads * key_floats);
        let heads = keys.chunks_exact_mut(key_floats).zip(values.chunks_exact_mut(value_floats)).enumerate();
        for_each(parallel, self.spec.kv_heads, heads, |(head, (keys, values)), _| {
            for position in 0..length {
                let row = position * kv_width + head * d_head;
                for channel in 0..d_head {
                    let key = (position / PANEL * d_head + channel) * PANEL + position % PANEL;
                    keys[key] = k[row + channel];
                    values[(channel / PANEL * length + position) * PANEL + channel % PANEL] =
                        v[row + channel];
                }
            }
        });
    }

    fn score(&mut self, q: &[f32], parallel: &dyn Parallel) {
        let (length, width, d_head) = (self.length, self.spec.dims.d_model, self.spec.d_head());
        let [key_floats, _] = self.head_floats();
        let (causal, group) = (self.spec.causal, self.group());
        let scale = std::f32::consts::LOG2_E / (d_head as f32).sqrt();
        let blocks = length.div_ceil(BLOCK);
        let keys = &self.packed[..self.spec.kv_heads * key_floats];
        let heads = self.scores.chunks_exact_mut(length * length);
        let parts = heads.flat_map(|head| head.chunks_mut(BLOCK * length)).enumerate();
        for_each(parallel, self.spec.n_heads * blocks, parts, |(index, scores), _| {
            let (head, first) = (index / blocks, index % blocks * BLOCK);
            let rows = scores.len() / length;
            let queries = &q[first * width + head * d_head..];
            let keys = &keys[head / group * key_floats..];
            let mut tile = Tile { floats: scores, stride: length, columns: length };
            multiply_panels(queries, width, rows, d_head, keys, d_head * PANEL, Store::Set, &mut tile);
            for (row, scores) in scores.chunks_exact_mut(length).enumerate() {
                if causal {
                    scores[first + row + 1..].fill(LOWEST);
                }
                let highest = scores.iter().copied().fold(LOWEST, f32::max);
                let mut total = 0.0;
                for score in scores.iter_mut() {
                    *score = exp2_scalar((*score - highest) * scale);
                    total += *score;
                }
                let inverse = 1.0 / total;
                scores.iter_mut().for_each(|score| *score *= inverse);
            }
        });
    }

    fn weigh(&mut self, out: &mut [f32], parallel: &dyn Parallel) {
        let (length, width, d_head) = (self.length, self.spec.dims.d_model, self.spec.d_head());
        let [key_floats, value_floats] = self.head_floats();
        let values = &self.packed[self.spec.kv_heads * key_floats..];
        let (scores, n_heads, group) = (&*self.scores, self.spec.n_heads, self.group());
        let blocks = out.chunks_mut(BLOCK * width).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, out), _| {
            let rows = out.len() / width;
            for head in 0..n_heads {
                let scores = &scores[(head * length + block * BLOCK) * length..][..rows * length];
                let values = &values[head / group * value_floats..];
                let mut tile = Tile { floats: &mut out[head * d_head..], stride: width, columns: d_head };
                multiply_panels(scores, length, rows, length, values, length * PANEL, Store::Set, &mut tile);
            }
        });
    }
}
