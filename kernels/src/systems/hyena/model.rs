//! The equations of the Hyena operator (Poli et al., arXiv 2302.10866, definition 3.1) and of its implicit filters
//! (section 3.3).

use std::ops::Range;

use algebra::{Algebra, Load, Reach, Reduction, Scope, Unary};
use mixer::{Case, MixerError, Tensors};

use super::Spec;
use super::filter::FilterSpec;
use crate::model::{Model, sequence};

/// The network that generates filters.
pub(super) struct Filter<T> {
    /// Positional encodings, `[l_max, features]`.
    features: T,
    /// Normalised times, `[l_max, 1]`.
    times: T,
    /// Weight and bias of each hidden layer.
    layers: Vec<(T, T)>,
    /// Frequencies of the sines, `[1, width of the network]`.
    freq: T,
    /// The output layer, `[filters, width of the network]`; filter o of channel c is number c · (N − 1) + o.
    pub out: T,
    /// Decays of the window, `[filters, 1]`.
    pub deltas: T,
}

impl<T: Clone> Filter<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &FilterSpec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let mut get = |name: &str, shape: &[usize], [rows, columns]: [usize; 2]| {
            let values = tensors.floats(&format!("param.filter_fn.{name}"), shape)?;
            Ok::<_, MixerError>(a.load(values, [rows, columns]))
        };
        let FilterSpec { l_max, emb_dim, width, channels, .. } = *spec;
        let mut layers = Vec::new();
        for layer in 0..=spec.inner {
            let weight = [width, if layer == 0 { emb_dim } else { width }];
            layers.push((
                get(&format!("mlp.{layer}.weight"), &weight, weight)?,
                get(&format!("mlp.{layer}.bias"), &[width], [1, width])?,
            ));
        }
        Ok(Self {
            features: get("pos_emb.z", &[1, l_max, emb_dim], [l_max, emb_dim])?,
            times: get("pos_emb.t", &[1, l_max, 1], [l_max, 1])?,
            layers,
            freq: get("freq", &[1, width], [1, width])?,
            out: get("mlp.out.weight", &[channels, width], [channels, width])?,
            deltas: get("modulation.deltas", &[1, 1, channels], [channels, 1])?,
        })
    }
}

/// h_t = Window(t) · (FFN ∘ PositionalEncoding)(t) at `positions`, `[positions, filters]`. Sines, the window and the
/// normalisation are not counted.
pub(super) fn filter<A: Algebra>(
    a: &mut A,
    spec: &FilterSpec,
    filter: &Filter<A::T>,
    positions: Range<usize>,
) -> A::T {
    let mut h = a.rows(&filter.features, positions.clone());
    for (weight, bias) in &filter.layers {
        let sum = a.linear(&h, weight, Some(bias));
        h = a.scoped(Scope::Uncounted, |a| {
            let phase = a.mul(&sum, &filter.freq);
            a.map(&phase, Unary::Sin)
        });
    }
    let mut h = a.linear(&h, &filter.out, None);
    a.scoped(Scope::Uncounted, |a| {
        if spec.modulate {
            // Window(t) = e^(−|δ|t) + shift.
            let times = a.rows(&filter.times, positions);
            let rates = a.map(&filter.deltas, Unary::Abs);
            let exponent = a.scores(&times, &rates, &algebra::Mask::All);
            let exponent = a.scale(&exponent, -1.0);
            let window = a.map(&exponent, Unary::Exp);
            let window = a.affine(&window, 1.0, spec.shift);
            h = a.mul(&h, &window);
        }
        if spec.normalized {
            let sizes = a.map(&h, Unary::Abs);
            let norm = a.reduce(&sizes, Reduction::Sum);
            let inverse = a.map(&norm, Unary::Recip);
            h = a.mul(&h, &inverse);
        }
        h
    })
}

/// The parameters of the operator.
pub(super) struct Filters<T> {
    /// For each convolution its filters, `[length, width]`.
    pub k: Vec<T>,
    /// For each convolution its skips β, `[1, width]`.
    pub skip: Vec<T>,
}

/// The operator of order N on `z`, `[length, (N + 1) · width]`, the streams x_0, …, x_{N−1} and v. Returns the outputs
/// at `rows`.
pub(super) fn operator<A: Algebra>(a: &mut A, z: &A::T, filters: &Filters<A::T>, rows: Range<usize>) -> A::T {
    let order = filters.k.len() + 1;
    let [length, columns] = a.shape(z);
    let width = columns / (order + 1);
    let stream = |a: &mut A, index: usize| a.columns(z, index * width..(index + 1) * width);
    let mut v = stream(a, order);
    for (o, (k, skip)) in filters.k.iter().zip(&filters.skip).enumerate() {
        // u = x_{N−1−o} ⊙ v; v ← k_o ∗ u + β_o ⊙ u.
        let gate = stream(a, order - 1 - o);
        let u = a.mul(&v, &gate);
        let wanted = if o + 2 == order { rows.clone() } else { 0..length };
        let convolved = a.convolve(k, &u, Reach::Past, wanted.clone());
        let u = a.rows(&u, wanted);
        let skipped = a.mul(&u, skip);
        v = a.add(&convolved, &skipped);
    }
    let gate = stream(a, 0);
    let gate = a.rows(&gate, rows);
    a.mul(&v, &gate)
}

/// Projections and short convolution of a layer.
pub(super) struct Projections<T> {
    /// Weight `[(N + 1) · width, width]` and bias `[(N + 1) · width, 1]`.
    pub input: (T, T),
    /// Weight `[(N + 1) · width, taps]` and bias `[(N + 1) · width, 1]`, the last tap that of the present.
    pub short: (T, T),
    /// Weight `[width, width]` and bias `[1, width]`.
    pub output: (T, T),
}

impl<T: Clone> Projections<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &Spec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let channels = (spec.order + 1) * width;
        let input = spec.projection(tensors, "in_proj")?;
        let short = spec.short_filter(tensors)?;
        let output = spec.projection(tensors, "out_proj")?;
        Ok(Self {
            input: (a.load(input.0, [channels, width]), a.load(input.1, [channels, 1])),
            short: (a.load(short.0, [channels, spec.taps]), a.load(short.1, [channels, 1])),
            output: (a.load(output.0, [width, width]), a.load(output.1, [1, width])),
        })
    }
}

/// The streams x_0, …, x_{N−1} and v: a linear layer, then s\[t\] = b + Σ_j w_j p[t − (S − 1) + j] with p zero at negative
/// times.
pub(super) fn project<A: Algebra>(a: &mut A, projections: &Projections<A::T>, x: &A::T) -> A::T {
    let bias = a.transpose(&projections.input.1);
    let p = a.linear(x, &projections.input.0, Some(&bias));
    let [length, channels] = a.shape(&p);
    let [_, taps] = a.shape(&projections.short.0);
    let before = a.constant([taps - 1, channels], vec![0.0; (taps - 1) * channels]);
    let p = a.stack(&[before, p]);
    let kernel = a.transpose(&projections.short.0);
    let latest_first: Vec<usize> = (0..taps).rev().collect();
    let kernel = a.gather(&kernel, &latest_first);
    let s = a.convolve(&kernel, &p, Reach::Past, taps - 1..taps - 1 + length);
    a.scoped(Scope::Uncounted, |a| {
        let bias = a.transpose(&projections.short.1);
        a.add(&s, &bias)
    })
}

/// Skips of a case for each convolution.
pub(super) fn skips<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    tensors: &'a Tensors,
) -> Result<Vec<A::T>, MixerError> {
    let (width, convolutions) = (spec.dims.d_model, spec.convolutions());
    let skips = match &spec.filter {
        None => {
            let (_, bias) = spec.core_filter(tensors)?;
            a.load(bias, [convolutions, width])
        }
        Some(filter) if filter.bias => {
            let bias = tensors.floats("param.filter_fn.bias", &[width * convolutions])?;
            let bias = a.load(bias, [width, convolutions]);
            a.transpose(&bias)
        }
        Some(_) => a.constant([convolutions, width], vec![0.0; convolutions * width]),
    };
    Ok((0..convolutions).map(|o| a.rows(&skips, o..o + 1)).collect())
}

/// The filters of a case at the first `length` positions.
pub(super) fn filters<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    tensors: &'a Tensors,
    length: usize,
) -> Result<Filters<A::T>, MixerError> {
    let (width, convolutions, positions) = (spec.dims.d_model, spec.convolutions(), spec.dims.seq_len);
    let k = match &spec.filter {
        None => {
            let (k, _) = spec.core_filter(tensors)?;
            let of_convolution = |k| {
                let k = a.load(k, [width, positions]);
                let k = a.transpose(&k);
                a.rows(&k, 0..length)
            };
            k.chunks_exact(width * positions).map(of_convolution).collect()
        }
        Some(filter_spec) => {
            let network = Filter::read(a, filter_spec, tensors)?;
            let h = a.scoped(Scope::SetUp, |a| filter(a, filter_spec, &network, 0..length));
            let h = a.transpose(&h);
            (0..convolutions)
                .map(|o| {
                    let own: Vec<usize> = (0..width).map(|channel| channel * convolutions + o).collect();
                    let k = a.gather(&h, &own);
                    a.transpose(&k)
                })
                .collect()
        }
    };
    Ok(Filters { k, skip: skips(a, spec, tensors)? })
}

/// The first outputs of one sequence, which depend only on inputs up to them: as many as the length of `filters`.
pub(super) fn prefix<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    tensors: &'a Tensors,
    filters: &Filters<A::T>,
    index: usize,
) -> Result<A::T, MixerError> {
    let (width, [length, _]) = (spec.dims.d_model, a.shape(&filters.k[0]));
    if spec.filter.is_none() {
        let shape = [spec.dims.seq_len, (spec.order + 1) * width];
        let z = sequence(a, spec.streams(tensors)?, shape, index);
        let z = a.rows(&z, 0..length);
        return Ok(operator(a, &z, filters, 0..length));
    }
    let projections = Projections::read(a, spec, tensors)?;
    let x = sequence(a, spec.input(tensors)?, [spec.dims.seq_len, width], index);
    let x = a.rows(&x, 0..length);
    let z = project(a, &projections, &x);
    let y = operator(a, &z, filters, 0..length);
    let (weight, bias) = &projections.output;
    Ok(a.linear(&y, weight, Some(bias)))
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let filters = filters(a, self, &case.tensors, self.out_len())?;
        (0..self.dims.batch).map(|index| prefix(a, self, &case.tensors, &filters, index)).collect()
    }
}
