//! The equations of Liquid-S4 (Hasani et al., arXiv 2209.12951, section 3), with the kernels of the authors' code.

use std::ops::Range;

use algebra::{Algebra, Load, Pair, Reach, Reduction, Scope, Unary};
use mixer::{Case, Level, MixerError, Tensors};

use super::liquid::Tuples;
use super::spec::{Contraction, Liquid, Mode, Spec};
use crate::model::{Model, sequence};

/// The parameters of all channels, one row per channel.
#[derive(Clone)]
pub(super) struct Weights<T> {
    /// log Δ, `[width, 1]`.
    log_step: T,
    /// Diagonal of A in continuous time, `[width, modes]`.
    w: Pair<T>,
    /// p, `[width, modes]`, where A = diag(w) − p pᴴ.
    p: Option<Pair<T>>,
    b: Pair<T>,
    /// C of each direction.
    c: Vec<Pair<T>>,
    /// e, `[width, 1]`.
    skip: T,
    /// Parameters of the liquid terms.
    liquid: Option<Terms<T>>,
}

#[derive(Clone)]
struct Terms<T> {
    log_step: T,
    w: Pair<T>,
    b: Pair<T>,
    c: Vec<Pair<T>>,
}

/// Complex numbers as pairs of floats, `[rows, columns]` pairs.
fn pair<'a, A: Load<'a>>(a: &mut A, values: &'a [f32], shape: [usize; 2]) -> Pair<A::T> {
    let values = a.load(values, [shape[0] * shape[1], 2]);
    let [re, im] = [0, 1].map(|part| {
        let part = a.columns(&values, part..part + 1);
        a.reshape(&part, shape)
    });
    Pair { re, im }
}

impl<T: Clone> Weights<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &Spec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let (width, modes, directions) = (spec.dims.d_model, spec.modes, spec.directions());
        let shape = [width, modes];
        let of_directions = |a: &mut A, name: &str| {
            let c = tensors.floats(name, &[directions, width, modes, 2])?;
            Ok::<_, MixerError>(c.chunks_exact(2 * width * modes).map(|c| pair(a, c, shape)).collect())
        };
        let (real, imag) = match spec.mode {
            Mode::Diag => ("param.inv_A_real", "param.A_imag"),
            Mode::Nplr => ("param.inv_w_real", "param.w_imag"),
        };
        let real = a.load(tensors.floats(real, &shape)?, shape);
        let w = prepared(a, |a| {
            let real = a.map(&real, Unary::Exp);
            a.scale(&real, -1.0)
        });
        let liquid = if spec.degree > 1 {
            Some(Terms {
                log_step: a.load(tensors.floats("param.liquid_log_dt", &[width])?, [width, 1]),
                w: pair(a, tensors.floats("param.liquid_w", &[width, modes, 2])?, shape),
                b: pair(a, tensors.floats("param.liquid_B", &[width, modes, 2])?, shape),
                c: of_directions(a, "param.liquid_C")?,
            })
        } else {
            None
        };
        Ok(Self {
            log_step: a.load(tensors.floats("param.log_dt", &[width])?, [width, 1]),
            w: Pair { re: w, im: a.load(tensors.floats(imag, &shape)?, shape) },
            p: match spec.mode {
                Mode::Diag => None,
                Mode::Nplr => Some(pair(a, tensors.floats("param.P", &[1, width, modes, 2])?, shape)),
            },
            b: pair(a, tensors.floats("param.B", &[width, modes, 2])?, shape),
            c: of_directions(a, "param.C")?,
            skip: a.load(spec.skip(tensors)?, [width, 1]),
            liquid,
        })
    }

    /// The parameters of some channels.
    pub(super) fn channels<A: Algebra<T = T>>(&self, a: &mut A, channels: Range<usize>) -> Self {
        let mut all = self.clone();
        let mut cut = |part: &mut T| *part = a.rows(part, channels.clone());
        let mut pairs = vec![&mut all.w, &mut all.b];
        pairs.extend(&mut all.p);
        pairs.extend(&mut all.c);
        if let Some(liquid) = &mut all.liquid {
            cut(&mut liquid.log_step);
            pairs.extend([&mut liquid.w, &mut liquid.b]);
            pairs.extend(&mut liquid.c);
        }
        for pair in pairs {
            cut(&mut pair.re);
            cut(&mut pair.im);
        }
        cut(&mut all.log_step);
        cut(&mut all.skip);
        all
    }
}

/// Runs `f` as set-up that is not counted, as is customary; only the lags of kernels count.
fn prepared<A: Algebra, R>(a: &mut A, f: impl FnOnce(&mut A) -> R) -> R {
    a.scoped(Scope::SetUp, |a| a.scoped(Scope::Uncounted, f))
}

/// Ā = (1 + Δw/2)/(1 − Δw/2) and B̄ = ΔB/(1 − Δw/2).
fn discretise<A: Algebra>(a: &mut A, log_step: &A::T, w: &Pair<A::T>, b: &Pair<A::T>) -> [Pair<A::T>; 2] {
    prepared(a, |a| {
        let step = a.map(log_step, Unary::Exp);
        let half = a.scale(&step, 0.5);
        let half = w.scaled(a, &half);
        let below = half.map(a, |a, part| a.scale(part, -1.0)).shifted(a, 1.0);
        let inverse = below.inverse(a);
        let above = half.shifted(a, 1.0);
        let input = b.scaled(a, &step);
        [above.times(a, &inverse), input.times(a, &inverse)]
    })
}

/// k\[l\] = 2·Re Σ C Āˡ B̄ of one direction at `lags` lags, `[lags, width]`: conjugate pairs are stored once.
pub(super) fn kernel<A: Algebra>(a: &mut A, weights: &Weights<A::T>, direction: usize, lags: usize) -> A::T {
    a.scoped(Scope::SetUp, |a| {
        let c = prepared(a, |a| weights.c[direction].map(a, |a, part| a.scale(part, 2.0)));
        match &weights.p {
            None => {
                let [decay, input] = discretise(a, &weights.log_step, &weights.w, &weights.b);
                let gain = a.scoped(Scope::Uncounted, |a| c.times(a, &input));
                a.complex_vandermonde(&gain, &decay, lags)
            }
            Some(p) => low_rank_kernel(a, weights, p, &c, lags),
        }
    })
}

/// [`kernel`] for A = diag(w) − p pᴴ: (1 − ΔA/2)⁻¹ is applied to a state by the Sherman–Morrison formula.
fn low_rank_kernel<A: Algebra>(
    a: &mut A,
    weights: &Weights<A::T>,
    p: &Pair<A::T>,
    c: &Pair<A::T>,
    lags: usize,
) -> A::T {
    // pᴴ v is 2·Re Σ p̄ v; `project` holds all factors of the sum.
    let sum = |a: &mut A, project: &Pair<A::T>, v: &Pair<A::T>| {
        let products = project.real_product(a, v);
        a.reduce(&products, Reduction::Sum)
    };
    let (inverse, solved, correct, grown, project, mut v) = a.scoped(Scope::Uncounted, |a| {
        let step = a.map(&weights.log_step, Unary::Exp);
        let half = a.scale(&step, 0.5);
        let half_w = weights.w.scaled(a, &half);
        let grown = half_w.shifted(a, 1.0);
        let inverse = half_w.map(a, |a, part| a.scale(part, -1.0)).shifted(a, 1.0).inverse(a);
        // q = pᴴ (1 − Δw/2)⁻¹ p.
        let square = p.square(a);
        let q = a.mul(&inverse.re, &square);
        let q = a.reduce(&q, Reduction::Sum);
        // The correction is Δ/2 / (1 + Δ/2 q) · (1 − Δw/2)⁻¹ p pᴴ.
        let below = a.mul(&half, &q);
        let below = a.affine(&below, 2.0, 1.0);
        let factor = a.map(&below, Unary::Recip);
        let factor = a.mul(&half, &factor);
        let twice = p.conjugate(a).map(a, |a, part| a.scale(part, 2.0));
        let correct = twice.scaled(a, &factor);
        let project = twice.scaled(a, &half);
        let solved = p.times(a, &inverse);
        let v = weights.b.scaled(a, &step);
        let v = solve(a, &inverse, &solved, &correct, &v);
        (inverse, solved, correct, grown, project, v)
    });
    let mut k = Vec::with_capacity(lags);
    for _ in 0..lags {
        k.push(sum(a, c, &v));
        // v ← (1 − ΔA/2)⁻¹ (1 + ΔA/2) v.
        let shared = sum(a, &project, &v);
        let removed = p.scaled(a, &shared);
        v = v.times(a, &grown).minus(a, &removed);
        v = solve(a, &inverse, &solved, &correct, &v);
    }
    let k = a.concat(&k);
    a.transpose(&k)
}

/// (1 − ΔA/2)⁻¹ v = d v − d p (f pᴴ d v) with d = (1 − Δw/2)⁻¹, `solved` d p and `correct` the factors of f pᴴ.
fn solve<A: Algebra>(
    a: &mut A,
    inverse: &Pair<A::T>,
    solved: &Pair<A::T>,
    correct: &Pair<A::T>,
    v: &Pair<A::T>,
) -> Pair<A::T> {
    let v = v.times(a, inverse);
    let products = correct.real_product(a, &v);
    let shared = a.reduce(&products, Reduction::Sum);
    let removed = solved.scaled(a, &shared);
    v.minus(a, &removed)
}

/// s of one sequence without the output layer; `x` is `[length, channels]`, and the result has the rows `rows`.
/// `kernels` holds one kernel per direction, with as many lags as the end of `rows` or, if outputs depend on all
/// inputs, as the sequence.
pub(super) fn core<A: Algebra>(
    a: &mut A,
    spec: &Spec,
    weights: &Weights<A::T>,
    kernels: &[A::T],
    x: &A::T,
    rows: Range<usize>,
) -> A::T {
    let [length, _] = a.shape(x);
    let present = a.rows(x, rows.clone());
    let mut s = if spec.liquid == Liquid::Recurrence {
        // h ← (Ā + B̄x) h + B̄x, s = 2·Re Σ C h.
        let [decay, input] = discretise(a, &weights.log_step, &weights.w, &weights.b);
        let c = prepared(a, |a| weights.c[0].map(a, |a, part| a.scale(part, 2.0)));
        let past = a.rows(x, 0..rows.end);
        let s = a.bilinear_recurrence(&decay, &input, &c, &past);
        a.rows(&s, rows.clone())
    } else {
        // Σ_j k₀[j] x[t − j] + Σ_j k₁[j] x[t + 1 + j].
        let past = a.convolve(&kernels[0], x, Reach::Past, rows.clone());
        match kernels.get(1) {
            None => past,
            Some(ahead) => {
                let ahead = a.convolve(ahead, x, Reach::Ahead, rows.clone());
                a.scoped(Scope::Uncounted, |a| a.add(&past, &ahead))
            }
        }
    };
    let skip = a.transpose(&weights.skip);
    let skipped = a.mul(&present, &skip);
    s = a.add(&s, &skipped);
    let Some(terms) = &weights.liquid else { return s };
    let gains = prepared(a, |a| gains(a, spec, terms));
    // Products are indexed from the end of the sequence; the KB filter reads all of them.
    let wanted = if spec.liquid == Liquid::Kb { 0..length } else { rows.clone() };
    let mut liquid: Option<A::T> = None;
    for q in 2..=spec.degree {
        let products = contracted(a, spec, x, q, length - wanted.end..length - wanted.start);
        let from_the_end: Vec<usize> = (0..wanted.len()).rev().collect();
        let reversed = a.gather(&products, &from_the_end);
        let term = a.mul(&reversed, &gains.reversed[q - 2]);
        liquid = Some(match liquid {
            None => term,
            Some(sum) => a.add(&sum, &term),
        });
        if let Some(gain) = gains.straight.get(q - 2) {
            let products = a.scoped(Scope::Uncounted, |a| contracted(a, spec, x, q, rows.clone()));
            let term = a.mul(&products, gain);
            s = a.add(&s, &term);
        }
    }
    match (liquid, spec.liquid) {
        (None, _) => s,
        (Some(liquid), Liquid::Kb) => {
            let [past, ahead] = circular_kernels(a, &kernels[0]);
            let past = a.convolve(&past, &liquid, Reach::Past, rows.clone());
            let ahead = a.convolve(&ahead, &liquid, Reach::Ahead, rows);
            let sum = a.scoped(Scope::Uncounted, |a| a.add(&past, &ahead));
            a.add(&s, &sum)
        }
        (Some(liquid), _) => a.add(&s, &liquid),
    }
}

/// The circular filter v = irfft₂ₗ(FFT_{L+1}(k)) as coded: L + 1 bins of a transform of length L + 1 are used as the bins of a
/// real one of length 2L. v\[t − j\] for j ≤ t, and v\[2L − 1 − s\] for j = t + 1 + s.
fn circular_kernels<A: Algebra>(a: &mut A, k: &A::T) -> [A::T; 2] {
    prepared(a, |a| {
        let [length, channels] = a.shape(k);
        let last = a.constant([1, channels], vec![0.0; channels]);
        let re = a.stack(&[k.clone(), last]);
        let im = a.scale(&re, 0.0);
        let bins = a.transform(&Pair { re, im }, false);
        // The inverse real transform drops the imaginary parts of the first and the last bin.
        let mirrored: Vec<usize> = (0..2 * length).map(|bin| bin.min(2 * length - bin)).collect();
        let signs = (0..2 * length).map(|bin| match bin {
            0 => 0.0,
            bin if bin == length => 0.0,
            bin if bin < length => 1.0,
            _ => -1.0,
        });
        let signs = a.constant([2 * length, 1], signs.collect());
        let spectrum = bins.map(a, |a, part| a.gather(part, &mirrored));
        let spectrum = Pair { im: a.mul(&spectrum.im, &signs), re: spectrum.re };
        let filter = a.transform(&spectrum, true).re;
        let filter = a.scale(&filter, 1.0 / (2 * length) as f64);
        let from_the_end: Vec<usize> = (length..2 * length).rev().collect();
        [a.rows(&filter, 0..length), a.gather(&filter, &from_the_end)]
    })
}

/// The gain of each degree 2 … P, `[1, channels]` each.
struct Gains<T> {
    /// Gains of the products from the end.
    reversed: Vec<T>,
    /// Gains of the products in their own order; empty unless the model is bidirectional.
    straight: Vec<T>,
}

/// PB: β S^(2^(q−1) − 1). KB: S^(q−1). S and β are 2·Re Σ B̄ and 2·Re Σ C B̄ of the liquid parameters.
fn gains<A: Algebra>(a: &mut A, spec: &Spec, terms: &Terms<A::T>) -> Gains<A::T> {
    let [_, input] = discretise(a, &terms.log_step, &terms.w, &terms.b);
    let total = |a: &mut A, values: &A::T| {
        let sum = a.reduce(values, Reduction::Sum);
        let sum = a.scale(&sum, 2.0);
        a.transpose(&sum)
    };
    let s = total(a, &input.re);
    let beta: Vec<A::T> = terms
        .c
        .iter()
        .map(|c| {
            let products = c.real_product(a, &input);
            total(a, &products)
        })
        .collect();
    let power = |a: &mut A, factors: usize, first: &A::T| {
        (0..factors).fold(first.clone(), |product, _| a.mul(&product, &s))
    };
    let degrees = 2..=spec.degree;
    if spec.liquid == Liquid::Kb {
        return Gains { reversed: degrees.map(|q| power(a, q - 2, &s)).collect(), straight: Vec::new() };
    }
    let mut of_direction =
        |beta: &A::T| degrees.clone().map(|q| power(a, (1 << (q - 1)) - 1, beta)).collect();
    let reversed = of_direction(&beta[0]);
    Gains { reversed, straight: beta.get(1).map(&mut of_direction).unwrap_or_default() }
}

/// φ(c_q\[t\]) at `positions`. Counts q − 1 multiplications for each, however they are computed.
fn contracted<A: Algebra>(a: &mut A, spec: &Spec, x: &A::T, q: usize, positions: Range<usize>) -> A::T {
    let [_, channels] = a.shape(x);
    let price = ((q - 1) * positions.len() * channels) as u64;
    let products = a.counted_as(price, |a| {
        if spec.allcombs { combinations(a, x, q, positions) } else { consecutive(a, x, q, positions) }
    });
    a.scoped(Scope::Uncounted, |a| match spec.contraction {
        Contraction::None => products,
        Contraction::Tanh => a.map(&products, Unary::Tanh),
        // 1.7159 tanh(0.666 c).
        Contraction::Lecun => {
            let products = a.scale(&products, 0.666);
            let products = a.map(&products, Unary::Tanh);
            a.scale(&products, 1.7159)
        }
    })
}

/// c_q: the products over the last increasing q-tuples of the last positions; their number is the sequence's length.
fn combinations<A: Algebra>(a: &mut A, x: &A::T, q: usize, positions: Range<usize>) -> A::T {
    let [length, _] = a.shape(x);
    let places = Tuples::places(length, q, positions);
    let factors: Vec<A::T> = places.iter().map(|place| a.gather(x, place)).collect();
    product(a, &factors)
}

fn product<A: Algebra>(a: &mut A, factors: &[A::T]) -> A::T {
    let (first, others) = (factors[0].clone(), &factors[1..]);
    others.iter().fold(first, |product, factor| a.mul(&product, factor))
}

/// c_q\[t\] = c_{q−1}[t] c_{q−1}[t − 1], c₁ = x, zero before the start.
fn consecutive<A: Algebra>(a: &mut A, x: &A::T, q: usize, positions: Range<usize>) -> A::T {
    let [_, channels] = a.shape(x);
    let first = positions.start.saturating_sub(q - 1);
    let missing = q - 1 - (positions.start - first);
    let before = a.constant([missing, channels], vec![0.0; missing * channels]);
    let x = a.rows(x, first..positions.end);
    let mut c = a.stack(&[before, x]);
    for _ in 1..q {
        let [n, _] = a.shape(&c);
        let (earlier, later) = (a.rows(&c, 0..n - 1), a.rows(&c, 1..n));
        c = a.mul(&earlier, &later);
    }
    c
}

/// GLU(W gelu(s) + b) of rows.
pub(super) fn output<'a, A: Load<'a>>(
    a: &mut A,
    spec: &Spec,
    tensors: &'a Tensors,
    s: &A::T,
) -> Result<A::T, MixerError> {
    let width = spec.dims.d_model;
    let (weight, bias) = spec.output_linear(tensors)?;
    let (weight, bias) = (a.load(weight, [2 * width, width]), a.load(bias, [1, 2 * width]));
    let activated = a.map(s, Unary::Gelu);
    let joint = a.linear(&activated, &weight, Some(&bias));
    let (value, gate) = (a.columns(&joint, 0..width), a.columns(&joint, width..2 * width));
    let gate = a.map(&gate, Unary::Sigmoid);
    Ok(a.mul(&value, &gate))
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let (tensors, length) = (&case.tensors, self.dims.seq_len);
        let weights = Weights::read(a, self, tensors)?;
        let kernels: Vec<A::T> =
            (0..self.kernels()).map(|direction| kernel(a, &weights, direction, length)).collect();
        let x = self.input(tensors)?;
        let outputs = (0..self.dims.batch).map(|index| {
            let x = sequence(a, x, [length, self.dims.d_model], index);
            let s = core(a, self, &weights, &kernels, &x, 0..length);
            if self.level == Level::Core { Ok(s) } else { output(a, self, tensors, &s) }
        });
        outputs.collect()
    }
}
