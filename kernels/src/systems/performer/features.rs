//! The feature map on the CPU, for blocks of queries and chunks of keys. Exponents are kept in units of log₂, and the
//! factor m^(−1/2) is left out.

use mixer::{Count, Floats, Memory, MixerError};

use super::Spec;
use crate::ops::exp::exp2;
use crate::ops::gemm::{PANEL, Store, Tile, multiply_panels};
use crate::ops::query_block::LOWEST;
use crate::ops::simd::{F32x4, LANES};

/// Most keys in a chunk: inside one, queries meet keys one by one, so a longer chunk costs more there and saves
/// nothing that matters elsewhere.
pub(super) const CHUNK: usize = 96;

/// Vectors of a chunk's keys.
const VECTORS: usize = CHUNK / LANES;

/// W d^(−1/4) log₂e, as either side of a product wants it.
#[derive(Debug)]
pub(super) struct FeatureMap {
    m: usize,
    d: usize,
    /// `[m, d]`.
    rows: Floats,
    /// `⌈m / PANEL⌉` panels of `[d, PANEL]`, zero-padded.
    panels: Floats,
    /// log₂e / (2√d).
    norm_scale: f32,
    eps: f32,
}

impl FeatureMap {
    /// Floats that [`FeatureMap::new`] takes from the memory budget.
    pub(super) fn floats(spec: &Spec) -> Count {
        let [rows, padded_rows, head] = Count::all([spec.n_features, padded(spec.n_features), spec.d_head]);
        (rows + padded_rows) * head
    }

    /// Packs `projection`, `[m, d]`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub(super) fn new(memory: &Memory, spec: &Spec, projection: &[f32]) -> Result<Self, MixerError> {
        let (m, d) = (spec.n_features, spec.d_head);
        let scale = spec.projection_scale() * std::f64::consts::LOG2_E;
        let mut rows = memory.floats(m * d)?;
        let mut panels = memory.floats(padded(m) * d)?;
        for (feature, from) in projection.chunks_exact(d).enumerate() {
            let panel = &mut panels[feature / PANEL * d * PANEL + feature % PANEL..];
            for (channel, &value) in from.iter().enumerate() {
                let value = (scale * f64::from(value)) as f32;
                rows[feature * d + channel] = value;
                panel[channel * PANEL] = value;
            }
        }
        let norm_scale = (spec.norm_scale() * std::f64::consts::LOG2_E) as f32;
        Ok(Self { m, d, rows, panels, norm_scale, eps: spec.kernel_eps as f32 })
    }

    /// Query features `[rows, padded(m)]` of `q`, `[rows, d]`, each with the maximum of its own row; padding is zero.
    pub(super) fn queries(&self, q: &[f32], out: &mut [f32]) {
        let (m, d, stride) = (self.m, self.d, padded(self.m));
        let rows = q.len() / d;
        let mut tile = Tile { floats: out, stride, columns: stride };
        multiply_panels(q, d, rows, d, &self.panels, d * PANEL, Store::Set, &mut tile);
        let eps = F32x4::splat(self.eps);
        for (q, row) in q.chunks_exact(d).zip(out.chunks_exact_mut(stride)) {
            row[m..].fill(LOWEST);
            let (vectors, _) = row.as_chunks_mut::<LANES>();
            let highest = vectors.iter().fold(F32x4::splat(LOWEST), |highest, vector| {
                let vector = F32x4::from_array(vector);
                vector.max(highest)
            });
            let shift = F32x4::splat(self.norm(q) + highest.max_lane());
            for vector in vectors {
                (exp2(F32x4::from_array(vector) - shift) + eps).write_to(vector);
            }
            row[m..].fill(0.0);
        }
    }

    /// n(a) in units of log₂.
    fn norm(&self, a: &[f32]) -> f32 {
        let (vectors, rest) = a.as_chunks::<LANES>();
        let squares = vectors.iter().fold(F32x4::zero(), |sum, vector| {
            let vector = F32x4::from_array(vector);
            sum.mul_add(vector, vector)
        });
        self.norm_scale * (squares.sum() + rest.iter().map(|value| value * value).sum::<f32>())
    }

    /// Packs the keys of a chunk: `key(t)` is key t's row, `[d]`.
    pub(super) fn pack<'a>(&self, keys: &mut Keys<'_>, n_keys: usize, key: impl Fn(usize) -> &'a [f32]) {
        keys.len = n_keys;
        keys.packed[n_keys / PANEL * self.d * PANEL..].fill(0.0);
        keys.norms[n_keys..].fill(0.0);
        for t in 0..n_keys {
            let (row, panel) = (key(t), &mut keys.packed[t / PANEL * self.d * PANEL + t % PANEL..]);
            panel.iter_mut().step_by(PANEL).zip(row).for_each(|(to, from)| *to = *from);
            keys.norms[t] = self.norm(row);
        }
    }

    /// p(k) of packed keys, transposed: `[m, CHUNK]`.
    pub(super) fn project(&self, keys: &mut Keys<'_>) {
        let (m, d) = (self.m, self.d);
        let columns = keys.len.next_multiple_of(PANEL);
        let mut tile = Tile { floats: keys.features, stride: CHUNK, columns };
        multiply_panels(&self.rows, d, m, d, keys.packed, d * PANEL, Store::Set, &mut tile);
    }

    /// The largest entry of p(k).
    pub(super) fn maximum(&self, keys: &Keys<'_>) -> f32 {
        let mut highest = [F32x4::splat(LOWEST); VECTORS];
        for row in keys.features[..self.m * CHUNK].chunks_exact(CHUNK) {
            let (vectors, _) = row.as_chunks::<LANES>();
            for (highest, vector) in highest.iter_mut().zip(vectors).take(keys.len.div_ceil(LANES)) {
                *highest = F32x4::from_array(vector).max(*highest);
            }
        }
        let lanes = highest.iter().flat_map(|vector| vector.to_array());
        lanes.take(keys.len).fold(LOWEST, f32::max)
    }

    /// Turns p(k) into 2^(p − n − maximum), plus ε if `with_eps`.
    pub(super) fn exponentiate(&self, keys: &mut Keys<'_>, maximum: f32, with_eps: bool) {
        let eps = F32x4::splat(if with_eps { self.eps } else { 0.0 });
        let mut shifts = [F32x4::splat(maximum); VECTORS];
        for (shift, norms) in shifts.iter_mut().zip(keys.norms.chunks_exact(LANES)) {
            *shift = *shift + F32x4::load(norms);
        }
        let n_vectors = keys.len.div_ceil(LANES);
        for row in keys.features[..self.m * CHUNK].chunks_exact_mut(CHUNK) {
            let (vectors, _) = row.as_chunks_mut::<LANES>();
            for (vector, shift) in vectors.iter_mut().zip(&shifts).take(n_vectors) {
                (exp2(F32x4::from_array(vector) - *shift) + eps).write_to(vector);
            }
        }
    }

    /// Adds each feature's sum over the keys to `totals`, `[m]`.
    pub(super) fn add_totals(&self, keys: &Keys<'_>, totals: &mut [f32]) {
        for (row, total) in keys.features.chunks_exact(CHUNK).zip(&mut totals[..self.m]) {
            *total += sum(&row[..keys.len]);
        }
    }
}

/// Sum of a row, four lanes at a time.
pub(super) fn sum(row: &[f32]) -> f32 {
    let (vectors, rest) = row.as_chunks::<LANES>();
    let lanes = vectors.iter().fold(F32x4::zero(), |sum, vector| {
        let vector = F32x4::from_array(vector);
        sum + vector
    });
    lanes.sum() + rest.iter().sum::<f32>()
}

/// Features, rounded up to whole panels.
pub(super) fn padded(m: usize) -> usize {
    m.next_multiple_of(PANEL)
}

/// A chunk of keys and their features, in borrowed scratch.
pub(super) struct Keys<'a> {
    len: usize,
    /// `[CHUNK / PANEL, d, PANEL]`.
    packed: &'a mut [f32],
    /// n(k), `[CHUNK]`.
    norms: &'a mut [f32],
    /// `[m, CHUNK]`: p(k), then the features.
    pub features: &'a mut [f32],
}

impl<'a> Keys<'a> {
    /// Floats of scratch that [`Keys::new`] needs.
    pub(super) fn floats(m: usize, d: usize) -> usize {
        CHUNK * (d + 1 + m)
    }

    /// Borrows [`Keys::floats`].
    pub(super) fn new(scratch: &'a mut [f32], d: usize) -> Self {
        let (packed, rest) = scratch.split_at_mut(CHUNK * d);
        let (norms, features) = rest.split_at_mut(CHUNK);
        Self { len: 0, packed, norms, features }
    }
}
