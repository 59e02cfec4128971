//! The equations of BiGS (Wang et al., arXiv 2212.10544, section 3): two state-space models, one from each end of the
//! sequence, as convolutions between gates.

use std::ops::Range;

use algebra::{Algebra, Load, Pair, Reach, Scope, Unary};
use mixer::{Case, Level, MixerError, Tensors};

use super::ssm::Direction;
use super::{Gelu, Linears, Spec};
use crate::model::{Model, sequence};

/// The state-space model of one direction.
pub(super) struct Ssm<T> {
    /// `[lags, 1]`.
    pub kernel: T,
    /// D, `[1, 1]`.
    pub skip: T,
    pub reach: Reach,
}

/// The models of both directions, with their first `lags` lags.
pub(super) fn ssms<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    tensors: &'a Tensors,
    lags: [usize; 2],
) -> Result<[Ssm<A::T>; 2], MixerError> {
    let mut of = |direction: Direction, lags: usize| {
        let ssm = spec.ssm(tensors, direction)?;
        let shape = [1, ssm.modes.len()];
        let mut part = |f: fn(&super::ssm::Mode) -> f64| a.constant(shape, ssm.modes.iter().map(f).collect());
        let gain = Pair { re: part(|mode| mode.c[0]), im: part(|mode| mode.c[1]) };
        let base = Pair { re: part(|mode| mode.a[0]), im: part(|mode| mode.a[1]) };
        let kernel = a.scoped(Scope::SetUp, |a| a.complex_vandermonde(&gain, &base, lags));
        let reach = match direction {
            Direction::Forward => Reach::Past,
            Direction::Backward => Reach::Future,
        };
        Ok::<_, MixerError>(Ssm { kernel, skip: a.constant([1, 1], vec![ssm.skip]), reach })
    };
    Ok([of(Direction::Forward, lags[0])?, of(Direction::Backward, lags[1])?])
}

/// s = K ∗ u + D u at `rows`.
pub(super) fn convolve<A: Algebra>(a: &mut A, ssm: &Ssm<A::T>, u: &A::T, rows: Range<usize>) -> A::T {
    let s = a.convolve(&ssm.kernel, u, ssm.reach, rows.clone());
    let u = a.rows(u, rows);
    let skipped = a.mul(&u, &ssm.skip);
    a.add(&s, &skipped)
}

/// Weights of a layer.
pub(super) struct Weights<T> {
    spec: Spec,
    norm: (T, T),
    linears: [(T, T); 7],
}

impl<T: Clone> Weights<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &Spec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let norm = spec.norm(tensors)?;
        let mut linear = |which: Linears| {
            let (weight, bias) = spec.linear(tensors, which)?;
            let (inputs, outputs) = which.sizes(spec);
            Ok::<_, MixerError>((a.load(weight, [outputs, inputs]), a.load(bias, [1, outputs])))
        };
        let [value, forward, backward, merge_forward, merge_backward, widen, out] =
            Linears::ALL.map(&mut linear);
        Ok(Self {
            spec: *spec,
            linears: [value?, forward?, backward?, merge_forward?, merge_backward?, widen?, out?],
            norm: (a.load(norm.0, [1, width]), a.load(norm.1, [1, width])),
        })
    }

    fn linear<A: Algebra<T = T>>(&self, a: &mut A, which: Linears, x: &T) -> T {
        let (weight, bias) = &self.linears[which as usize];
        a.linear(x, weight, Some(bias))
    }

    fn activate<A: Algebra<T = T>>(&self, a: &mut A, x: &T) -> T {
        a.map(x, if self.spec.gelu == Gelu::Erf { Unary::Gelu } else { Unary::GeluTanh })
    }

    fn normalize<A: Algebra<T = T>>(&self, a: &mut A, x: &T) -> T {
        a.layer_norm(x, &self.norm.0, &self.norm.1, self.spec.eps)
    }

    /// Input of the projections.
    pub(super) fn prepared<A: Algebra<T = T>>(&self, a: &mut A, x: &T) -> T {
        if self.spec.pre_norm { self.normalize(a, x) } else { x.clone() }
    }

    /// W_m SSM(GELU(W_u x̂)) of one direction at `rows`.
    pub(super) fn direction<A: Algebra<T = T>>(
        &self,
        a: &mut A,
        ssm: &Ssm<T>,
        prepared: &T,
        rows: Range<usize>,
    ) -> T {
        let (project, merge) = match ssm.reach {
            Reach::Past => (Linears::Forward, Linears::MergeForward),
            _ => (Linears::Backward, Linears::MergeBackward),
        };
        let u = self.linear(a, project, prepared);
        let u = self.activate(a, &u);
        let s = convolve(a, ssm, &u, rows);
        self.linear(a, merge, &s)
    }

    /// x + W_o (GELU(W (m_f ⊙ m_b)) ⊙ GELU(W_v x̂)) of rows; `merged` holds m_f and m_b.
    pub(super) fn gate<A: Algebra<T = T>>(&self, a: &mut A, [x, prepared]: [&T; 2], merged: [&T; 2]) -> T {
        let merged = a.mul(merged[0], merged[1]);
        let v = self.linear(a, Linears::Value, prepared);
        let v = self.activate(a, &v);
        let o = self.linear(a, Linears::Widen, &merged);
        let o = self.activate(a, &o);
        let gated = a.mul(&o, &v);
        let y = self.linear(a, Linears::Out, &gated);
        let y = a.add(&y, x);
        if self.spec.pre_norm { y } else { self.normalize(a, &y) }
    }
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let (width, length) = (self.dims.d_model, self.dims.seq_len);
        let [forward, backward] = ssms(a, self, &case.tensors, [length; 2])?;
        let x = self.input(&case.tensors)?;
        let sequences = 0..self.dims.batch;
        if self.level == Level::Core {
            let outputs = sequences.map(|index| {
                let x = sequence(a, x, [length, 2 * width], index);
                let (u_forward, u_backward) = (a.columns(&x, 0..width), a.columns(&x, width..2 * width));
                let s_forward = convolve(a, &forward, &u_forward, 0..length);
                let s_backward = convolve(a, &backward, &u_backward, 0..length);
                a.concat(&[s_forward, s_backward])
            });
            return Ok(outputs.collect());
        }
        let weights = Weights::read(a, self, &case.tensors)?;
        let outputs = sequences.map(|index| {
            let x = sequence(a, x, [length, width], index);
            let prepared = weights.prepared(a, &x);
            let merged = [&forward, &backward].map(|ssm| weights.direction(a, ssm, &prepared, 0..length));
            weights.gate(a, [&x, &prepared], merged.each_ref())
        });
        Ok(outputs.collect())
    }
}
