//! Sums over keys, and the products of a block of queries with them and with the keys of a chunk.

use super::Spec;
use super::features::{CHUNK, Keys, padded, sum};
use crate::ops::gemm::{PANEL, Store, Tile, multiply, multiply_panels};

/// Queries per block.
pub(super) const QUERIES: usize = 48;

/// S, z and the sum of values over some keys, in borrowed memory.
pub(super) struct Sums<'a> {
    /// S, `⌈d / PANEL⌉` panels of `[m, PANEL]`.
    pub products: &'a mut [f32],
    /// z, `[padded m]`.
    pub totals: &'a mut [f32],
    /// Σ v, `[padded d]`.
    pub values: &'a mut [f32],
}

impl<'a> Sums<'a> {
    pub(super) fn floats(spec: &Spec) -> usize {
        let (m, padded_head) = (spec.n_features, padded(spec.d_head));
        m * padded_head + padded(m) + padded_head
    }

    pub(super) fn new(floats: &'a mut [f32], spec: &Spec) -> Self {
        let (products, rest) = floats.split_at_mut(spec.n_features * padded(spec.d_head));
        let (totals, values) = rest.split_at_mut(padded(spec.n_features));
        Self { products, totals, values }
    }

    /// Read-only S and z.
    pub(super) fn read(floats: &'a [f32], spec: &Spec) -> (&'a [f32], &'a [f32]) {
        let (products, rest) = floats.split_at(spec.n_features * padded(spec.d_head));
        (products, &rest[..padded(spec.n_features)])
    }

    /// Adds K′ᵀV of a chunk to S.
    pub(super) fn add_products(&mut self, m: usize, features: &[f32], values: &[f32], n_keys: usize) {
        let panels = self.products.chunks_exact_mut(m * PANEL).zip(values.chunks_exact(CHUNK * PANEL));
        for (products, values) in panels {
            let mut tile = Tile { floats: products, stride: PANEL, columns: PANEL };
            multiply(features, CHUNK, m, n_keys, &values[..n_keys * PANEL], Store::Add, &mut tile);
        }
    }
}

/// Scratch of one task.
pub(super) struct Block<'a> {
    pub keys: Keys<'a>,
    /// Values of a chunk, `⌈d / PANEL⌉` panels of `[CHUNK, PANEL]`.
    pub values: &'a mut [f32],
    /// Queries `[QUERIES, d]`.
    pub queries: &'a mut [f32],
    /// Features of the queries, `[QUERIES, padded m]`.
    pub query_features: &'a mut [f32],
    /// Outputs of the queries, `[QUERIES, padded d]`.
    pub outputs: &'a mut [f32],
    /// Key features by panels, `[CHUNK / PANEL, m, PANEL]`; empty if not causal.
    key_panels: &'a mut [f32],
    /// q′·k′ inside a chunk, `[QUERIES, CHUNK]`; empty if not causal.
    scores: &'a mut [f32],
}

impl<'a> Block<'a> {
    pub(super) fn floats(spec: &Spec) -> usize {
        let (m, d) = (spec.n_features, spec.d_head);
        let square = if spec.causal { CHUNK * (m + QUERIES) } else { 0 };
        let queries = QUERIES * (d + padded(m) + padded(d));
        Keys::floats(m, d) + CHUNK * padded(d) + queries + square
    }

    pub(super) fn new(scratch: &'a mut [f32], spec: &Spec) -> Self {
        let (m, d) = (spec.n_features, spec.d_head);
        let (keys, rest) = scratch.split_at_mut(Keys::floats(m, d));
        let (values, rest) = rest.split_at_mut(CHUNK * padded(d));
        let (queries, rest) = rest.split_at_mut(QUERIES * d);
        let (query_features, rest) = rest.split_at_mut(QUERIES * padded(m));
        let (outputs, rest) = rest.split_at_mut(QUERIES * padded(d));
        let (key_panels, scores) = rest.split_at_mut(if spec.causal { CHUNK * m } else { 0 });
        Self { keys: Keys::new(keys, d), values, queries, query_features, outputs, key_panels, scores }
    }

    /// Packs the values of a chunk; `value(t)` returns value t, `[d]`.
    pub(super) fn pack_values<'v>(&mut self, n_keys: usize, value: impl Fn(usize) -> &'v [f32]) {
        for t in 0..n_keys {
            for (panel, from) in value(t).chunks(PANEL).enumerate() {
                let to = &mut self.values[(panel * CHUNK + t) * PANEL..][..PANEL];
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        }
    }

    /// Copies the key features into panels of keys.
    pub(super) fn pack_key_panels(&mut self, m: usize, n_keys: usize) {
        let panels = self.key_panels.chunks_exact_mut(m * PANEL).take(n_keys.div_ceil(PANEL));
        for (panel, to) in panels.enumerate() {
            let rows = self.keys.features.chunks_exact(CHUNK);
            for (to, from) in to.chunks_exact_mut(PANEL).zip(rows) {
                to.copy_from_slice(&from[panel * PANEL..][..PANEL]);
            }
        }
    }

    /// Outputs = Q′S for `rows` queries.
    pub(super) fn read_products(&mut self, spec: &Spec, products: &[f32], rows: usize) {
        let (m, stride) = (spec.n_features, padded(spec.d_head));
        let mut tile = Tile { floats: self.outputs, stride, columns: stride };
        multiply_panels(self.query_features, padded(m), rows, m, products, m * PANEL, Store::Set, &mut tile);
    }

    /// Adds the masked square of queries `first ..` of the chunk and the chunk's keys. Writes the total weight of each
    /// query to `totals`.
    pub(super) fn add_square(&mut self, spec: &Spec, first: usize, rows: usize, totals: &mut [f32; QUERIES]) {
        let (m, stride) = (spec.n_features, padded(spec.d_head));
        let visible = first + rows;
        let n_panels = visible.div_ceil(PANEL);
        let (queries, keys) = (&*self.query_features, &*self.key_panels);
        let mut tile = Tile { floats: self.scores, stride: CHUNK, columns: n_panels * PANEL };
        multiply_panels(queries, padded(m), rows, m, keys, m * PANEL, Store::Set, &mut tile);
        for (row, total) in totals.iter_mut().enumerate().take(rows) {
            let scores = &mut self.scores[row * CHUNK..][..n_panels * PANEL];
            scores[first + row + 1..].fill(0.0);
            *total = sum(scores);
        }
        let mut tile = Tile { floats: self.outputs, stride, columns: stride };
        multiply_panels(self.scores, CHUNK, rows, visible, self.values, CHUNK * PANEL, Store::Add, &mut tile);
    }
}
