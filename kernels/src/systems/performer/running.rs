//! The causal form with the running maximum, from one state of the sums to a later one: token by token, or chunk by chunk.
//!
//! Features are relative to the largest key projection so far, and ε is kept apart from the sums: with V = Σ v,
//! y = (qᵀS + ε Σq V) / (qᵀz + ε Σq t + η Σq), where S and z are sums without ε.

use mixer::{Count, Parallel};

use super::Spec;
use super::block::{Block, QUERIES, Sums};
use super::cpu::{Core, Weight};
use super::features::{CHUNK, FeatureMap, padded, sum};
use crate::ops::exp::exp2_scalar;
use crate::ops::gemm::PANEL;
use crate::ops::parts::{Matrix, for_each};
use crate::ops::query_block::LOWEST;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Lanes, Work, run_widest};

/// Most doublings of the maximum inside a chunk. The chunk's features are relative to its last maximum, and those of its
/// first rows are scaled up by the difference.
const DOUBLINGS: f32 = 40.0;

/// Heads of a task of a step, whose queries and keys are projected together.
const TOGETHER: usize = 8;

/// Panels of S that a step passes at once, so that their chains of sums overlap.
const PANELS: usize = 4;

/// Floats of a head's state: S, z and Σ v, then the largest key projection, in units of log₂.
pub(super) fn head_floats(spec: &Spec) -> usize {
    Sums::floats(spec) + 1
}

/// Floats of all states, `[batch, n_heads]` of [`head_floats`].
pub(super) fn floats(spec: &Spec) -> Count {
    Count::all([spec.dims.batch, spec.n_heads, head_floats(spec)]).into_iter().product()
}

/// The empty states.
pub(super) fn clear(spec: &Spec, states: &mut [f32]) {
    states.fill(0.0);
    states.chunks_exact_mut(head_floats(spec)).for_each(|state| state[head_floats(spec) - 1] = LOWEST);
}

/// A head's state.
struct Head<'a> {
    sums: Sums<'a>,
    maximum: &'a mut f32,
}

impl<'a> Head<'a> {
    fn new(state: &'a mut [f32], spec: &Spec) -> Option<Self> {
        let (maximum, sums) = state.split_last_mut()?;
        Some(Self { sums: Sums::new(sums, spec), maximum })
    }

    /// Makes the sums relative to `maximum`.
    fn raise(&mut self, maximum: f32) {
        if maximum > *self.maximum {
            let factor = exp2_scalar(*self.maximum - maximum);
            self.sums.products.iter_mut().for_each(|value| *value *= factor);
            self.sums.totals.iter_mut().for_each(|value| *value *= factor);
            *self.maximum = maximum;
        }
    }
}

/// Makes the maxima of a chunk's keys running ones from `maximum` on, and counts the keys whose maximum does not exceed that
/// of the first by more than [`DOUBLINGS`].
fn running(maxima: &mut [f32], maximum: f32) -> usize {
    let mut highest = maximum;
    for value in &mut *maxima {
        highest = highest.max(*value);
        *value = highest;
    }
    maxima.iter().take_while(|&&value| value - maxima[0] <= DOUBLINGS).count()
}

impl Core<'_> {
    /// Absorbs all keys and values into `states`, which hold those of `position` tokens. Outputs are written over the
    /// queries in `core`, `[batch, length, inner]`.
    pub(super) fn go_on(
        &self,
        position: usize,
        states: &mut [f32],
        core: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) {
        let (spec, length) = (&self.spec, self.spec.dims.seq_len);
        let mut columns = core.map(|core| self.head_columns(core));
        let states = states.chunks_exact_mut(head_floats(spec)).enumerate();
        let parts = states.map(move |(head, state)| (head, state, columns.as_mut().and_then(Iterator::next)));
        for_each(parallel, self.heads(), parts, |(head_idx, state, mut core), worker| {
            let Some(mut head) = Head::new(state, spec) else { return };
            let mut scratch = self.scratch.of(worker);
            let mut block = Block::new(&mut scratch, spec);
            let mut first = 0;
            while first < length {
                let (n_keys, maxima) = self.key_chunk(&mut block, head_idx, first, *head.maximum);
                let queries = core.as_mut().map(|core| (core, position + first));
                self.absorb(&mut block, &mut head, (head_idx, first), &maxima[..n_keys], queries);
                first += n_keys;
            }
        });
    }

    /// Packs and projects keys from position `first` on: as many as a chunk has and the maximum allows.
    fn key_chunk(
        &self,
        block: &mut Block<'_>,
        head_idx: usize,
        first: usize,
        maximum: f32,
    ) -> (usize, [f32; CHUNK]) {
        let mut n_keys = CHUNK.min(self.spec.dims.seq_len - first);
        loop {
            let key = |t: usize| &self.k[self.at(head_idx, first + t)..][..self.spec.d_head];
            self.map.pack(&mut block.keys, n_keys, key);
            self.map.project(&mut block.keys);
            let mut maxima = self.map.maxima(&block.keys);
            let fits = running(&mut maxima[..n_keys], maximum);
            // A NaN fits nowhere, and must reach the output.
            if fits == n_keys || n_keys == 1 {
                return (n_keys, maxima);
            }
            n_keys = fits.max(1);
        }
    }

    /// Absorbs a projected chunk and, with `queries` and the number of tokens before the chunk, answers its queries.
    fn absorb(
        &self,
        block: &mut Block<'_>,
        head: &mut Head<'_>,
        (head_idx, first): (usize, usize),
        maxima: &[f32],
        queries: Option<(&mut Matrix<'_>, usize)>,
    ) {
        let (spec, m, n_keys) = (&self.spec, self.spec.n_features, maxima.len());
        let value = |t: usize| &self.v[self.at(head_idx, first + t)..][..spec.d_head];
        let highest = maxima[n_keys - 1];
        head.raise(highest);
        self.map.exponentiate(&mut block.keys, highest, false);
        block.pack_values(n_keys, value);
        match queries {
            None => (0..n_keys).for_each(|t| add(head.sums.values, value(t))),
            Some((core, before)) => {
                block.pack_key_panels(m, n_keys);
                for first_query in (0..n_keys).step_by(QUERIES) {
                    let rows = QUERIES.min(n_keys - first_query);
                    self.set_queries(block, rows, |t| core.row(first + first_query + t));
                    block.read_products(spec, head.sums.products, rows);
                    let mut own = [0.0; QUERIES];
                    block.add_square(spec, first_query, rows, &mut own);
                    for row in 0..rows {
                        let t = first_query + row;
                        add(head.sums.values, value(t));
                        let features = &block.query_features[row * padded(m)..][..padded(m)];
                        let read = Weight { features, totals: head.sums.totals, eta: 0.0 };
                        let answer = Answer {
                            scale: exp2_scalar(highest - maxima[t]),
                            weight: run_widest(read) + own[row],
                            query: sum(features),
                            keys: before + t + 1,
                        };
                        let outputs = &block.outputs[row * padded(spec.d_head)..];
                        answer.write(spec, outputs, head.sums.values, core.row_mut(first + t));
                    }
                }
            }
        }
        head.sums.add_products(m, block.keys.features, block.values, n_keys);
        self.map.add_totals(&block.keys, head.sums.totals);
    }
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// What an output needs beside qᵀS and Σ v.
struct Answer {
    /// Factor of qᵀS and of the weight.
    scale: f32,
    /// qᵀz.
    weight: f32,
    /// Σ q.
    query: f32,
    keys: usize,
}

impl Answer {
    fn write(&self, spec: &Spec, products: &[f32], values: &[f32], to: &mut [f32]) {
        let (eps, eta) = (spec.kernel_eps as f32, spec.unscaled_eta() as f32);
        let plain = eps * self.query;
        let denominator = self.scale * self.weight + plain * self.keys as f32 + eta * self.query;
        let (scale, plain) = (self.scale / denominator, plain / denominator);
        for ((to, product), value) in to.iter_mut().zip(products).zip(values) {
            *to = scale * product + plain * value;
        }
    }
}

/// One token of every sequence.
pub(super) struct Token<'a> {
    pub spec: &'a Spec,
    pub map: &'a FeatureMap,
    pub scratch: &'a Scratch,
    /// `[batch, inner]` each.
    pub k: &'a [f32],
    pub v: &'a [f32],
}

impl Token<'_> {
    /// The step: absorbs a token as the one after `position` others and writes its outputs over the queries in `core`,
    /// `[batch, inner]`.
    pub(super) fn step(
        &self,
        position: usize,
        states: &mut [f32],
        core: &mut [f32],
        parallel: &dyn Parallel,
    ) {
        let (spec, d) = (self.spec, self.spec.d_head);
        let heads = spec.dims.batch * spec.n_heads;
        let together = heads.div_ceil(parallel.threads().max(1)).min(TOGETHER);
        let states = states.chunks_mut(together * head_floats(spec));
        let streams = self.k.chunks(together * d).zip(self.v.chunks(together * d));
        let parts = states.zip(core.chunks_mut(together * d)).zip(streams);
        for_each(parallel, heads.div_ceil(together), parts, |((states, core), (k, v)), worker| {
            let mut scratch = self.scratch.of(worker);
            self.step_heads(position, states, core, [k, v], &mut scratch);
        });
    }

    /// The step of some heads.
    fn step_heads(
        &self,
        position: usize,
        states: &mut [f32],
        core: &mut [f32],
        [k, v]: [&[f32]; 2],
        scratch: &mut [f32],
    ) {
        let (spec, d, width) = (self.spec, self.spec.d_head, padded(self.spec.n_features));
        let n_heads = core.len() / d;
        let (keys, rest) = scratch.split_at_mut(n_heads * width);
        let (queries, rest) = rest.split_at_mut(n_heads * width);
        let (value, rest) = rest.split_at_mut(padded(d));
        let products = &mut rest[..padded(d)];
        self.map.project_rows(k, keys);
        self.map.queries(core, queries);
        let streams = k.chunks_exact(d).zip(v.chunks_exact(d)).zip(core.chunks_exact_mut(d));
        let features = keys.chunks_exact_mut(width).zip(queries.chunks_exact(width));
        let states = states.chunks_exact_mut(head_floats(spec)).filter_map(|state| Head::new(state, spec));
        for ((head, ((k, v), to)), (key, query)) in states.zip(streams).zip(features) {
            let Head { sums, maximum } = head;
            let highest = self.map.exponentiate_row(k, key, *maximum, 0.0);
            let factor = exp2_scalar(*maximum - highest);
            *maximum = highest;
            add(sums.values, v);
            value[..d].copy_from_slice(v);
            value[d..].fill(0.0);
            let m = spec.n_features;
            run_widest(Absorb { m, products: sums.products, key, query, value, factor, to: products });
            let weight = run_widest(AbsorbTotals { totals: sums.totals, key, query, factor });
            let answer = Answer { scale: 1.0, weight, query: sum(query), keys: position + 1 };
            answer.write(spec, products, sums.values, to);
        }
    }
}

/// S ← factor · S + k′ vᵀ and then q′ᵀS, in one pass over S.
struct Absorb<'a> {
    m: usize,
    /// `⌈d / PANEL⌉` panels of `[m, PANEL]`.
    products: &'a mut [f32],
    key: &'a [f32],
    query: &'a [f32],
    /// `[padded d]` each.
    value: &'a [f32],
    to: &'a mut [f32],
    factor: f32,
}

impl Work for Absorb<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { m, products, key, query, value, to, factor } = self;
        let features = || key[..m].iter().zip(&query[..m]);
        let mut groups = products.chunks_exact_mut(PANELS * m * PANEL);
        let whole = groups.len() * PANELS * PANEL;
        let columns = value.chunks_exact(PANELS * PANEL).zip(to[..whole].chunks_exact_mut(PANELS * PANEL));
        for (group, (value, to)) in groups.by_ref().zip(columns) {
            let (ab, cd) = group.split_at_mut(2 * m * PANEL);
            let [(a, b), (c, d)] = [ab, cd].map(|two| two.split_at_mut(m * PANEL));
            let rows = panel(a).zip(panel(b)).zip(panel(c).zip(panel(d)));
            let rows = rows.map(|((a, b), (c, d))| [a, b, c, d]).zip(features());
            absorb::<V, PANELS>(rows, value, to, factor);
        }
        let rest = groups.into_remainder().chunks_exact_mut(m * PANEL);
        let columns = value[whole..].chunks_exact(PANEL).zip(to[whole..].chunks_exact_mut(PANEL));
        for (rows, (value, to)) in rest.zip(columns) {
            absorb::<V, 1>(panel(rows).map(|row| [row]).zip(features()), value, to, factor);
        }
    }
}

/// The rows of a panel.
#[inline(always)]
fn panel(floats: &mut [f32]) -> impl Iterator<Item = &mut [f32; PANEL]> {
    floats.as_chunks_mut::<PANEL>().0.iter_mut()
}

/// [`Absorb`] for `P` panels.
#[inline(always)]
fn absorb<'a, V: Lanes, const P: usize>(
    rows: impl Iterator<Item = ([&'a mut [f32; PANEL]; P], (&'a f32, &'a f32))>,
    value: &[f32],
    to: &mut [f32],
    factor: f32,
) {
    // A vector of eight lanes is a whole panel, one of four half of one.
    let vectors = PANEL / V::LANES;
    let factor = V::splat(factor);
    let mut sums = [[V::splat(0.0); 2]; P];
    let mut values = [[V::splat(0.0); 2]; P];
    for (panel, values) in values.iter_mut().enumerate() {
        for (vector, value_vector) in values.iter_mut().enumerate().take(vectors) {
            *value_vector = V::load(&value[panel * PANEL + vector * V::LANES..]);
        }
    }
    for (rows, (key, query)) in rows {
        let (key, query) = (V::splat(*key), V::splat(*query));
        for ((row, sums), values) in rows.into_iter().zip(&mut sums).zip(&values) {
            for vector in 0..vectors {
                let at = &mut row[vector * V::LANES..];
                let next = (V::load(at) * factor).mul_add(key, values[vector]);
                next.store(at);
                sums[vector] = sums[vector].mul_add(query, next);
            }
        }
    }
    for (panel, sums) in sums.iter().enumerate() {
        for (vector, sum) in sums.iter().enumerate().take(vectors) {
            sum.store(&mut to[panel * PANEL + vector * V::LANES..]);
        }
    }
}

/// z ← factor · z + k′ and then q′ᵀz.
struct AbsorbTotals<'a> {
    totals: &'a mut [f32],
    key: &'a [f32],
    query: &'a [f32],
    factor: f32,
}

impl Work for AbsorbTotals<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<V: Lanes>(self) -> f32 {
        let Self { totals, key, query, factor } = self;
        let factor = V::splat(factor);
        let mut sum = V::splat(0.0);
        let features = key.chunks_exact(V::LANES).zip(query.chunks_exact(V::LANES));
        for (totals, (key, query)) in totals.chunks_exact_mut(V::LANES).zip(features) {
            let next = V::load(key).mul_add(factor, V::load(totals));
            next.store(totals);
            sum = sum.mul_add(V::load(query), next);
        }
        sum.fold_sum().sum()
    }
}
