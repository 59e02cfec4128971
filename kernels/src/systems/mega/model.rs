//! The equations of Mega (Ma et al., arXiv 2209.10655): the moving average (equations 5 to 7), gated attention (9 to 16) and
//! its Laplace function (17), in chunks (section 3.5).

use std::f64::consts::SQRT_2;
use std::ops::Range;

use algebra::{Algebra, Load, Mask, Reach, Scope, Unary};
use mixer::{Case, MixerError, Tensors};

use super::spec::{self, Activation, AttentionSpec, BiasKind, EPS, EmaSpec, LayerSpec, Spec};
use crate::model::{Model, sequence};

/// The moving average in one direction.
pub(super) enum Direction<T> {
    /// h ← d ⊙ h + i x, m = o · h: `[width, n]` each.
    Recurrence {
        /// 1 − α ⊙ δ.
        decay: T,
        /// α ⊙ β.
        input: T,
        /// η / √n.
        output: T,
    },
    /// As a convolution with k\[s\] = Σ o i dˢ, `[lags, width]`.
    Kernel(T),
}

/// The moving average.
pub(super) struct Ema<T> {
    pub forward: Direction<T>,
    pub backward: Option<Direction<T>>,
    /// ω, `[1, width]`.
    pub residual: T,
}

impl<T: Clone> Ema<T> {
    /// As the recurrence or, if `lags` are given, as a convolution with that many lags.
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &EmaSpec,
        tensors: &'a Tensors,
        lags: Option<usize>,
    ) -> Result<Self, MixerError> {
        let (width, n) = (spec.dims.d_model, spec.n);
        let params = spec.params(tensors)?;
        let mut direction = |index: usize| {
            let of_direction = |values: &'a [f32]| &values[index * width * n..(index + 1) * width * n];
            let [damping, decay, expansion, projection] =
                params.map(|values| a.load(of_direction(values), [width, n]));
            a.scoped(Scope::SetUp, |a| {
                let (decay, input, output) = a.scoped(Scope::Uncounted, |a| {
                    let alpha = a.map(&damping, Unary::Sigmoid);
                    let delta = a.map(&decay, Unary::Sigmoid);
                    let decay = a.mul(&alpha, &delta);
                    let decay = a.affine(&decay, -1.0, 1.0);
                    let input = a.mul(&alpha, &expansion);
                    (decay, input, a.scale(&projection, 1.0 / (n as f64).sqrt()))
                });
                let Some(lags) = lags else { return Direction::Recurrence { decay, input, output } };
                let gain = a.scoped(Scope::Uncounted, |a| a.mul(&input, &output));
                Direction::Kernel(a.vandermonde(&gain, &decay, lags))
            })
        };
        let (forward, backward) = (direction(0), spec.bidirectional.then(|| direction(1)));
        Ok(Self { forward, backward, residual: a.load(spec.residual(tensors)?, [1, width]) })
    }
}

/// SiLU(m + ω ⊙ x) at `rows`, m being the sum of both directions; `x` is `[length, width]`.
pub(super) fn average<A: Algebra>(a: &mut A, ema: &Ema<A::T>, x: &A::T, rows: Range<usize>) -> A::T {
    let mut m = one_way(a, &ema.forward, x, Reach::Past, rows.clone());
    if let Some(backward) = &ema.backward {
        let backward = one_way(a, backward, x, Reach::Future, rows.clone());
        m = a.add(&m, &backward);
    }
    let x = a.rows(x, rows);
    let kept = a.mul(&x, &ema.residual);
    let sum = a.add(&m, &kept);
    a.map(&sum, Unary::Silu)
}

fn one_way<A: Algebra>(
    a: &mut A,
    direction: &Direction<A::T>,
    x: &A::T,
    reach: Reach,
    rows: Range<usize>,
) -> A::T {
    match direction {
        Direction::Kernel(kernel) => a.convolve(kernel, x, reach, rows),
        Direction::Recurrence { decay, input, output } if reach == Reach::Past => {
            let m = a.recurrence(decay, input, output, x);
            a.rows(&m, rows)
        }
        Direction::Recurrence { decay, input, output } => {
            let backwards: Vec<usize> = (0..a.shape(x)[0]).rev().collect();
            let x = a.gather(x, &backwards);
            let m = a.recurrence(decay, input, output, &x);
            let m = a.gather(&m, &backwards);
            a.rows(&m, rows)
        }
    }
}

/// The relative position bias, `[1, 2c − 1]`: entry c − 1 + (j − i) for query i and key j of a chunk.
pub(super) fn bias<'a, A: Load<'a>>(
    a: &mut A,
    spec: &AttentionSpec,
    tensors: &'a Tensors,
) -> Result<A::T, MixerError> {
    let distances = 2 * spec.chunk - 1;
    match spec.bias {
        BiasKind::Simple(positions) => {
            let bias = tensors.floats("param.rel_pos_bias.rel_pos_bias", &[2 * positions - 1])?;
            Ok(a.load(&bias[positions - spec.chunk..][..distances], [1, distances]))
        }
        BiasKind::Rotary => {
            let half = spec.z / 2;
            let mut halves = |name: &str| {
                let values = tensors.floats(&format!("param.rel_pos_bias.{name}"), &[1, spec.z])?;
                Ok::<_, MixerError>(
                    [&values[..half], &values[half..]].map(|values| a.load(values, [1, half])),
                )
            };
            let ([a1, a2], [b1, b2]) = (halves("alpha")?, halves("b_param")?);
            // Rotating α by −iθ and β by −jθ leaves waves of the distance i − j.
            let wave = |f: fn(f64) -> f64| {
                let angle = move |m: usize, index: usize| {
                    let theta = (-(m as f64) / half as f64 * 10_000_f64.ln()).exp();
                    f(((spec.chunk - 1) as f64 - index as f64) * theta)
                };
                (0..half).flat_map(|m| (0..distances).map(move |index| angle(m, index))).collect()
            };
            Ok(a.scoped(Scope::SetUp, |a| {
                let (of_cosine, of_sine) = a.scoped(Scope::Uncounted, |a| {
                    let mut product = |x: &A::T, y: &A::T| a.mul(x, y);
                    let products =
                        [product(&a1, &b1), product(&a2, &b2), product(&a2, &b1), product(&a1, &b2)];
                    let [p11, p22, p21, p12] = products;
                    (a.add(&p11, &p22), a.sub(&p21, &p12))
                });
                let cosines = a.constant([half, distances], wave(f64::cos));
                let sines = a.constant([half, distances], wave(f64::sin));
                let even = a.matmul(&of_cosine, &cosines);
                let odd = a.matmul(&of_sine, &sines);
                a.scoped(Scope::Uncounted, |a| a.sub(&even, &odd))
            }))
        }
    }
}

/// f(q kᵀ / s + b) v of queries at the `positions` of a chunk. s is √z for softmax, and the number of keys that a query
/// sees for functions without normalisation (equations 14 and 17).
pub(super) fn attend<A: Algebra>(
    a: &mut A,
    spec: &AttentionSpec,
    bias: &A::T,
    [q, k, v]: [&A::T; 3],
    positions: &[usize],
) -> A::T {
    let mask = if spec.causal { Mask::Causal(positions.to_vec()) } else { Mask::All };
    let [keys, _] = a.shape(k);
    let scores = a.scores(q, k, &mask);
    let weights = a.scoped(Scope::Uncounted, |a| {
        let scores = if spec.activation == Activation::Softmax {
            a.scale(&scores, 1.0 / (spec.z as f64).sqrt())
        } else {
            let seen = |row| 1.0 / mask.seen(row, keys) as f64;
            let shares = a.constant([positions.len(), 1], (0..positions.len()).map(seen).collect());
            a.mul(&scores, &shares)
        };
        let bias = a.toeplitz(bias, positions, keys, spec.chunk - 1);
        let scores = a.add(&scores, &bias);
        match spec.activation {
            Activation::Softmax => a.softmax(&scores),
            Activation::Laplace => {
                // ½(1 + erf((x − μ) / (σ√2))) with the authors' six digits of μ and σ.
                let (mean, deviation) = (707_107.0 / 1e6, 282_095.0 / 1e6);
                let scale = 1.0 / (deviation * SQRT_2);
                let x = a.affine(&scores, scale, -mean * scale);
                let x = a.map(&x, Unary::Erf);
                a.affine(&x, 0.5, 0.5)
            }
            Activation::Relu2 => {
                let x = a.map(&scores, Unary::Relu);
                a.mul(&x, &x)
            }
        }
    });
    a.matmul(&weights, v)
}

/// Parameters of a layer.
pub(super) struct Weights<T> {
    norm: Norm<T>,
    value: (T, T),
    joint: (T, T),
    out: (T, T),
    /// κ and μ of queries, then of keys, `[2, z]`.
    kappa: T,
    mu: T,
    bias: T,
}

enum Norm<T> {
    Scale(T),
    Layer(T, T),
}

impl<T: Clone> Weights<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &LayerSpec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let (width, z, h) = (spec.width(), spec.attention.z, spec.attention.h);
        let params = spec.params(tensors)?;
        let bias = bias(a, &spec.attention, tensors)?;
        let mut linear = |(weight, bias): (&'a [f32], &'a [f32]), inputs: usize| {
            (a.load(weight, [bias.len(), inputs]), a.load(bias, [1, bias.len()]))
        };
        Ok(Self {
            value: linear(params.value, width),
            joint: linear(params.joint, width),
            out: linear(params.out, h),
            kappa: a.load(params.qk_weight, [2, z]),
            mu: a.load(params.qk_bias, [2, z]),
            norm: match params.norm {
                spec::Norm::Scale(g) => Norm::Scale(a.constant([1, 1], vec![f64::from(g)])),
                spec::Norm::Layer(weight, bias) => {
                    Norm::Layer(a.load(weight, [1, width]), a.load(bias, [1, width]))
                }
            },
            bias,
        })
    }

    pub(super) fn normalize<A: Algebra<T = T>>(&self, a: &mut A, x: &T) -> T {
        match &self.norm {
            Norm::Scale(g) => a.scale_norm(x, g, EPS),
            Norm::Layer(weight, bias) => a.layer_norm(x, weight, bias, EPS),
        }
    }

    /// Input of the average and of the projections.
    pub(super) fn prepared<A: Algebra<T = T>>(&self, a: &mut A, spec: &LayerSpec, x: &T) -> T {
        if spec.pre_norm { self.normalize(a, x) } else { x.clone() }
    }
}

/// Outputs of a layer at the `positions` of a chunk. `x`, `prepared` and the average `e` are rows of the chunk, at
/// least up to the last key that these positions see.
pub(super) fn chunk<A: Algebra>(
    a: &mut A,
    spec: &LayerSpec,
    w: &Weights<A::T>,
    [x, prepared, e]: [&A::T; 3],
    positions: &[usize],
) -> A::T {
    let (width, z, h) = (spec.width(), spec.attention.z, spec.attention.h);
    let v = a.linear(prepared, &w.value.0, Some(&w.value.1));
    let v = a.map(&v, Unary::Silu);
    let joint = a.linear(e, &w.joint.0, Some(&w.joint.1));
    let shared = a.columns(&joint, width..width + z);
    let shared = a.map(&shared, Unary::Silu);
    // q and k share one representation: κ ⊙ s + μ.
    let affine = |a: &mut A, s: &A::T, which: usize| {
        let (kappa, mu) = (a.rows(&w.kappa, which..which + 1), a.rows(&w.mu, which..which + 1));
        let scaled = a.mul(s, &kappa);
        a.add(&scaled, &mu)
    };
    let own = a.gather(&shared, positions);
    let (q, k) = (affine(a, &own, 0), affine(a, &shared, 1));
    let mixed = attend(a, &spec.attention, &w.bias, [&q, &k, &v], positions);

    let gates = a.gather(&joint, positions);
    let part = |a: &mut A, range: Range<usize>| a.columns(&gates, range);
    let (update, reset) = (part(a, 0..width), part(a, width + z..width + z + h));
    let direct = part(a, width + z + h..spec.joint());
    // ŷ = SiLU(H (r ⊙ o) + h), y = x + u ⊙ (ŷ − x).
    let reset = a.map(&reset, Unary::Silu);
    let gated = a.mul(&mixed, &reset);
    let hidden = a.linear(&gated, &w.out.0, Some(&w.out.1));
    let candidate = a.add(&hidden, &direct);
    let candidate = a.map(&candidate, Unary::Silu);
    let update = a.map(&update, Unary::Sigmoid);
    let x = a.gather(x, positions);
    let change = a.sub(&candidate, &x);
    let change = a.mul(&update, &change);
    let y = a.add(&x, &change);
    if spec.pre_norm { y } else { w.normalize(a, &y) }
}

/// The chunks of a sequence: the first position of each, and its positions relative to that one.
fn chunks(spec: &AttentionSpec) -> impl Iterator<Item = (Range<usize>, Vec<usize>)> {
    let spec = *spec;
    (0..spec.chunks()).map(move |index| {
        let (start, len) = (index * spec.chunk, spec.chunk_len(index));
        (start..start + len, (0..len).collect())
    })
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let tensors = &case.tensors;
        match self {
            Self::Ema(spec) => {
                let (length, width) = (spec.dims.seq_len, spec.dims.d_model);
                let ema = Ema::read(a, spec, tensors, spec.truncation)?;
                let x = spec.input(tensors)?;
                let outputs = (0..spec.dims.batch).map(|index| {
                    let x = sequence(a, x, [length, width], index);
                    average(a, &ema, &x, 0..length)
                });
                Ok(outputs.collect())
            }
            Self::Attention(spec) => {
                let bias = bias(a, spec, tensors)?;
                let streams = spec.streams(tensors)?;
                let outputs = (0..spec.batch).map(|index| {
                    let mut widths = [spec.z, spec.z, spec.h].into_iter();
                    let streams = streams.map(|stream| {
                        let width = widths.next().unwrap_or_default();
                        sequence(a, stream, [spec.seq_len, width], index)
                    });
                    let parts: Vec<_> = chunks(spec)
                        .map(|(rows, positions)| {
                            let [q, k, v] = streams.each_ref().map(|stream| a.rows(stream, rows.clone()));
                            attend(a, spec, &bias, [&q, &k, &v], &positions)
                        })
                        .collect();
                    a.stack(&parts)
                });
                Ok(outputs.collect())
            }
            Self::Layer(spec) => {
                let (length, width) = (spec.ema.dims.seq_len, spec.width());
                let weights = Weights::read(a, spec, tensors)?;
                let ema = Ema::read(a, &spec.ema, tensors, spec.ema.truncation)?;
                let x = spec.ema.input(tensors)?;
                let outputs = (0..spec.ema.dims.batch).map(|index| {
                    let x = sequence(a, x, [length, width], index);
                    let prepared = weights.prepared(a, spec, &x);
                    let e = average(a, &ema, &prepared, 0..length);
                    let parts: Vec<_> = chunks(&spec.attention)
                        .map(|(rows, positions)| {
                            let [x, prepared, e] =
                                [&x, &prepared, &e].map(|stream| a.rows(stream, rows.clone()));
                            chunk(a, spec, &weights, [&x, &prepared, &e], &positions)
                        })
                        .collect();
                    a.stack(&parts)
                });
                Ok(outputs.collect())
            }
        }
    }
}
