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
pub(super) fn packed_floats(seq_len: usize, n_heads: usize, d_head: usize) -> Count {
    let [padded_length, padded_head] = Count::all([seq_len, d_head].map(|n| n.next_multiple_of(PANEL)));
    let [length, heads, head] = Count::all([seq_len, n_heads, d_head]);
    heads * (padded_length * head + length * padded_head)
}

/// Naive attention prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    projections: Option<Projections>,
    /// `[n_heads, length, length]`.
    scores: Floats,
    /// Keys `[n_heads, panels, d_head, PANEL]`, then values `[n_heads, panels, length, PANEL]`.
    packed: Floats,
}

impl Kernel {
    pub(super) fn new(case: &Arc<Case>, memory: &Memory) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
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
            packed: memory.floats(packed_floats(length, spec.n_heads, spec.d_head()))?,
        };
        let output = memory.floats(kernel.spec.dims.sizes().stream())?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let core = Core { spec: &self.spec, scores: &mut self.scores, packed: &mut self.packed };
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

struct Core<'a> {
    spec: &'a Spec,
    scores: &'a mut [f32],
    packed: &'a mut [f32],
}

impl Core<'_> {
    fn run(mut self, q: &[f32], k: &[f32], v: &[f32], out: &mut [f32], parallel: &dyn Parallel) {
        let len = self.spec.dims.seq_len * self.spec.dims.d_model;
        for sequence in 0..self.spec.dims.batch {
            let part = sequence * len..(sequence + 1) * len;
            self.pack(&k[part.clone()], &v[part.clone()], parallel);
            self.score(&q[part.clone()], parallel);
            self.weigh(&mut out[part], parallel);
        }
    }

    fn head_floats(&self) -> (usize, usize) {
        let (length, d_head) = (self.spec.dims.seq_len, self.spec.d_head());
        (length.next_multiple_of(PANEL) * d_head, length * d_head.next_multiple_of(PANEL))
    }

    fn pack(&mut self, k: &[f32], v: &[f32], parallel: &dyn Parallel) {
        let (length, width, d_head) = (self.spec.dims.seq_len, self.spec.dims.d_model, self.spec.d_head());
        let (key_floats, value_floats) = self.head_floats();
        let (keys, values) = self.packed.split_at_mut(self.spec.n_heads * key_floats);
        let heads = keys.chunks_exact_mut(key_floats).zip(values.chunks_exact_mut(value_floats)).enumerate();
        for_each(parallel, self.spec.n_heads, heads, |(head, (keys, values)), _| {
            for position in 0..length {
                let row = position * width + head * d_head;
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
        let (length, width, d_head) = (self.spec.dims.seq_len, self.spec.dims.d_model, self.spec.d_head());
        let (key_floats, _) = self.head_floats();
        let causal = self.spec.causal;
        let scale = std::f32::consts::LOG2_E / (d_head as f32).sqrt();
        let blocks = length.div_ceil(BLOCK);
        let keys = &self.packed[..self.spec.n_heads * key_floats];
        let heads = self.scores.chunks_exact_mut(length * length);
        let parts = heads.flat_map(|head| head.chunks_mut(BLOCK * length)).enumerate();
        for_each(parallel, self.spec.n_heads * blocks, parts, |(index, scores), _| {
            let (head, first) = (index / blocks, index % blocks * BLOCK);
            let rows = scores.len() / length;
            let queries = &q[first * width + head * d_head..];
            let keys = &keys[head * key_floats..];
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
        let (length, width, d_head) = (self.spec.dims.seq_len, self.spec.dims.d_model, self.spec.d_head());
        let (key_floats, value_floats) = self.head_floats();
        let values = &self.packed[self.spec.n_heads * key_floats..];
        let (scores, n_heads) = (&*self.scores, self.spec.n_heads);
        let blocks = out.chunks_mut(BLOCK * width).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, out), _| {
            let rows = out.len() / width;
            for head in 0..n_heads {
                let scores = &scores[(head * length + block * BLOCK) * length..][..rows * length];
                let values = &values[head * value_floats..];
                let mut tile = Tile { floats: &mut out[head * d_head..], stride: width, columns: d_head };
                multiply_panels(scores, length, rows, length, values, length * PANEL, Store::Set, &mut tile);
            }
        });
    }
}
