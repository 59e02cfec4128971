//! The feature map on the CPU, for blocks of queries and chunks of keys. Exponents are in units of log₂, and the factor
//! m^(−1/2), which cancels, is omitted.

use mixer::{Count, Floats, Memory, MixerError};

use super::Spec;
use crate::ops::exp::exp2;
use crate::ops::gemm::{PANEL, Store, Tile, multiply_panels};
use crate::ops::query_block::LOWEST;
use crate::ops::simd::{Lanes, Work, run_widest};

/// Largest number of keys in a chunk. Inside a chunk every query meets every key, so longer chunks cost more there and
/// save little elsewhere.
pub(super) const CHUNK: usize = 96;

/// W d^(−1/4) log₂e, packed for both sides of a product.
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
        self.project_rows(q, out);
        for (q, row) in q.chunks_exact(self.d).zip(out.chunks_exact_mut(padded(self.m))) {
            self.exponentiate_row(q, row, LOWEST, self.eps);
        }
    }

    /// p(a) of the rows of `a`, `[rows, d]`, as `[rows, padded(m)]`.
    pub(super) fn project_rows(&self, a: &[f32], out: &mut [f32]) {
        let (d, stride) = (self.d, padded(self.m));
        let mut tile = Tile { floats: out, stride, columns: stride };
        multiply_panels(a, d, a.len() / d, d, &self.panels, d * PANEL, Store::Set, &mut tile);
    }

    /// Replaces p(a) in `row` by 2^(p − n − maximum) + `eps`, where the maximum, which is returned, is the largest entry
    /// of p or `least`. Padding becomes zero.
    pub(super) fn exponentiate_row(&self, a: &[f32], row: &mut [f32], least: f32, eps: f32) -> f32 {
        row[self.m..].fill(LOWEST);
        let highest = run_widest(RowFeatures { row, norm: self.norm(a), least, eps });
        row[self.m..].fill(0.0);
        highest
    }

    /// n(a) in units of log₂.
    fn norm(&self, a: &[f32]) -> f32 {
        self.norm_scale * run_widest(Squares(a))
    }

    /// Packs the keys of a chunk; `key(t)` returns key t, `[d]`.
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
        self.maxima(keys)[..keys.len].iter().copied().fold(LOWEST, f32::max)
    }

    /// The largest entry of p(k) of each key.
    pub(super) fn maxima(&self, keys: &Keys<'_>) -> [f32; CHUNK] {
        let mut highest = [LOWEST; CHUNK];
        run_widest(Highest { features: &keys.features[..self.m * CHUNK], highest: &mut highest });
        highest
    }

    /// Replaces p(k) by 2^(p − n − maximum), plus ε if `with_eps`.
    pub(super) fn exponentiate(&self, keys: &mut Keys<'_>, maximum: f32, with_eps: bool) {
        run_widest(KeyFeatures {
            features: &mut keys.features[..self.m * CHUNK],
            norms: &keys.norms[..keys.len],
            maximum,
            eps: if with_eps { self.eps } else { 0.0 },
        });
    }

    /// Adds the sum of each feature over the keys to `totals`, `[m]`.
    pub(super) fn add_totals(&self, keys: &Keys<'_>, totals: &mut [f32]) {
        for (row, total) in keys.features.chunks_exact(CHUNK).zip(&mut totals[..self.m]) {
            *total += sum(&row[..keys.len]);
        }
    }
}

/// Implements [`FeatureMap::exponentiate_row`]. Padding is [`LOWEST`] on entry.
struct RowFeatures<'a> {
    row: &'a mut [f32],
    norm: f32,
    least: f32,
    eps: f32,
}

impl Work for RowFeatures<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        let vectors = self.row.chunks_exact(V::LANES);
        let highest = vectors.fold(V::splat(self.least), |highest, vector| V::load(vector).max(highest));
        let highest = highest.fold_max().max_lane();
        let shift = V::splat(self.norm + highest);
        let eps = V::splat(self.eps);
        for vector in self.row.chunks_exact_mut(V::LANES) {
            (exp2(V::load(vector) - shift) + eps).store(vector);
        }
        highest
    }
}

/// Sum of the squares of a row.
struct Squares<'a>(&'a [f32]);

impl Work for Squares<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        let squares = self.0.chunks(V::LANES).map(V::load);
        squares.fold(V::splat(0.0), |sum, vector| sum.mul_add(vector, vector)).fold_sum().sum()
    }
}

/// Sum of a row.
struct Total<'a>(&'a [f32]);

impl Work for Total<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        self.0.chunks(V::LANES).map(V::load).fold(V::splat(0.0), |sum, vector| sum + vector).fold_sum().sum()
    }
}

/// Largest entry of each key over all features, `[m, CHUNK]`.
struct Highest<'a> {
    features: &'a [f32],
    highest: &'a mut [f32; CHUNK],
}

impl Work for Highest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        for row in self.features.chunks_exact(CHUNK) {
            for (highest, vector) in self.highest.chunks_exact_mut(V::LANES).zip(row.chunks_exact(V::LANES)) {
                V::load(vector).max(V::load(highest)).store(highest);
            }
        }
    }
}

/// Implements [`FeatureMap::exponentiate`].
struct KeyFeatures<'a> {
    features: &'a mut [f32],
    norms: &'a [f32],
    maximum: f32,
    eps: f32,
}

impl Work for KeyFeatures<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { features, norms, maximum, eps } = self;
        let (maximum, eps) = (V::splat(maximum), V::splat(eps));
        for row in features.chunks_exact_mut(CHUNK) {
            for (vector, norms) in row.chunks_exact_mut(V::LANES).zip(norms.chunks(V::LANES)) {
                (exp2(V::load(vector) - (V::load(norms) + maximum)) + eps).store(vector);
            }
        }
    }
}

/// Sum of a row.
pub(super) fn sum(row: &[f32]) -> f32 {
    run_widest(Total(row))
}

/// Number of features, rounded up to whole panels.
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
