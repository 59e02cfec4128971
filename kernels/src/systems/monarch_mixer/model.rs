//! The equations of Monarch Mixer (Fu et al., arXiv 2310.12109, sections 3 and 4.1), of its block-diagonal MLP and of the
//! Monarch matrix of order 2.

use std::ops::Range;

use algebra::{Algebra, Load, Mask, Pair, Reach, Scope, Unary};
use mixer::{Case, MixerError, Tensors};

use super::filter::FilterSpec;
use super::{BlockDiagonalSpec, MlpSpec, MonarchSpec, NORM_EPS, SequenceSpec, Spec, TAPS};
use crate::model::{Model, sequence};
use crate::ops::block_diagonal::BlockShape;

/// One network of a set of filters.
pub(super) struct Network<T> {
    /// Weight and bias of each hidden layer.
    layers: Vec<(T, T)>,
    /// `[channels, width of the network]`.
    out: T,
}

/// The filters of one convolution.
pub(super) struct FilterSet<T> {
    /// Positional encodings, `[l_max, features]`.
    features: T,
    /// Normalised times, `[l_max, 1]`.
    times: T,
    /// Frequencies of the sines, `[1, width of the network]`.
    freq: T,
    /// Decays of the window, `[channels, 1]`.
    deltas: T,
    /// k and, in a bidirectional mixer, k_rev.
    pub networks: Vec<Network<T>>,
    /// β, `[channels, 1]`.
    skip: T,
}

impl<T: Clone> FilterSet<T> {
    fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &FilterSpec,
        tensors: &'a Tensors,
        (set, networks): (&str, usize),
    ) -> Result<Self, MixerError> {
        let mut get = |name: &str, shape: &[usize], [rows, columns]: [usize; 2]| {
            let values = tensors.floats(&format!("param.{set}.{name}"), shape)?;
            Ok::<_, MixerError>(a.load(values, [rows, columns]))
        };
        let FilterSpec { l_max, emb_dim, width, channels, w_mod, .. } = *spec;
        let mut all = Vec::new();
        for name in ["implicit_filter", "implicit_filter_rev"].into_iter().take(networks) {
            let mut layers = Vec::new();
            for layer in 0..spec.layers() {
                let weight = [width, if layer == 0 { emb_dim } else { width }];
                layers.push((
                    get(&format!("{name}.{layer}.weight"), &weight, weight)?,
                    get(&format!("{name}.{layer}.bias"), &[width], [1, width])?,
                ));
            }
            let out = get(&format!("{name}.out.weight"), &[channels, width], [channels, width])?;
            all.push(Network { layers, out });
        }
        let features = get("pos_emb.z", &[1, l_max, emb_dim], [l_max, emb_dim])?;
        let times = get("pos_emb.t", &[1, l_max, 1], [l_max, 1])?;
        let deltas = get("modulation.deltas", &[1, 1, channels], [channels, 1])?;
        let skip = get("bias", &[channels], [channels, 1])?;
        let freq = get("freq", &[1, width], [1, width])?;
        let freq = a.scoped(Scope::SetUp, |a| a.scoped(Scope::Uncounted, |a| a.scale(&freq, w_mod)));
        Ok(Self { features, times, freq, deltas, networks: all, skip })
    }

    /// The last hidden layer at `positions`, sin(ω ⊙ (W h + b)) layer by layer, shared by all channels. Sines are not
    /// counted.
    pub(super) fn hidden<A: Algebra<T = T>>(
        &self,
        a: &mut A,
        network: &Network<T>,
        positions: Range<usize>,
    ) -> T {
        a.scoped(Scope::SetUp, |a| {
            let mut h = a.rows(&self.features, positions);
            for (weight, bias) in &network.layers {
                let sum = a.linear(&h, weight, Some(bias));
                h = a.scoped(Scope::Uncounted, |a| {
                    let phase = a.mul(&sum, &self.freq);
                    a.map(&phase, Unary::Sin)
                });
            }
            h
        })
    }

    /// k of some channels, `[positions, channels]`, from the hidden layer at these positions: its output times
    /// e^(−t|δ|).
    pub(super) fn taps<A: Algebra<T = T>>(
        &self,
        a: &mut A,
        network: &Network<T>,
        hidden: &T,
        positions: Range<usize>,
        channels: Range<usize>,
    ) -> T {
        a.scoped(Scope::SetUp, |a| {
            let out = a.rows(&network.out, channels.clone());
            let h = a.linear(hidden, &out, None);
            a.scoped(Scope::Uncounted, |a| {
                let times = a.rows(&self.times, positions);
                let rates = a.rows(&self.deltas, channels);
                let rates = a.map(&rates, Unary::Abs);
                let exponent = a.scores(&times, &rates, &Mask::All);
                let exponent = a.scale(&exponent, -1.0);
                let window = a.map(&exponent, Unary::Exp);
                a.mul(&h, &window)
            })
        })
    }

    pub(super) fn convolution<A: Algebra<T = T>>(
        &self,
        a: &mut A,
        taps: Vec<T>,
        channels: Range<usize>,
    ) -> Convolution<T> {
        let skip = a.rows(&self.skip, channels);
        Convolution { taps, skip: a.transpose(&skip) }
    }
}

/// A long convolution.
pub(super) struct Convolution<T> {
    /// k and, in a bidirectional mixer, k_rev, `[lags, channels]`.
    pub taps: Vec<T>,
    /// β, `[1, channels]`.
    pub skip: T,
}

impl<T: Clone> Convolution<T> {
    /// c\[t\] = Σ_{s ≤ t} k\[s\] w\[t − s\] + Σ_s k_rev[s] w\[t + 1 + s\] + β w\[t\] at all of `rows`.
    fn apply<A: Algebra<T = T>>(&self, a: &mut A, w: &T, rows: &[Range<usize>]) -> T {
        let parts: Vec<T> = rows.iter().map(|rows| self.apply_at(a, w, rows.clone())).collect();
        a.stack(&parts)
    }

    fn apply_at<A: Algebra<T = T>>(&self, a: &mut A, w: &T, rows: Range<usize>) -> T {
        let mut c = a.convolve(&self.taps[0], w, Reach::Past, rows.clone());
        if let Some(reverse) = self.taps.get(1) {
            let ahead = a.convolve(reverse, w, Reach::Ahead, rows.clone());
            c = a.scoped(Scope::Uncounted, |a| a.add(&c, &ahead));
        }
        let present = a.rows(w, rows);
        let skipped = a.mul(&present, &self.skip);
        a.add(&c, &skipped)
    }
}

/// g at all of `rows` from the streams x₁ | x₂ | v, `[length, 3 · channels]`, and from the input u if there is a
/// residual convolution: g = c ⊙ x₂ with c the convolution of v ⊙ x₁.
pub(super) fn core<A: Algebra>(
    a: &mut A,
    streams: &A::T,
    u: Option<&A::T>,
    convolutions: &[Convolution<A::T>],
    rows: &[Range<usize>],
) -> A::T {
    let [_, columns] = a.shape(streams);
    let [x1, x2, v] =
        [0, 1, 2].map(|index| a.columns(streams, index * columns / 3..(index + 1) * columns / 3));
    let w = a.mul(&v, &x1);
    let c = convolutions[0].apply(a, &w, rows);
    let x2: Vec<_> = rows.iter().map(|rows| a.rows(&x2, rows.clone())).collect();
    let x2 = a.stack(&x2);
    let g = a.mul(&c, &x2);
    match (u, convolutions.get(1)) {
        (Some(u), Some(convolution)) => {
            let residual = convolution.apply(a, u, rows);
            a.add(&g, &residual)
        }
        _ => g,
    }
}

/// The convolutions of some channels of a core, whose filters are inputs.
pub(super) fn core_convolutions<'a, A: Load<'a>>(
    a: &mut A,
    spec: &SequenceSpec,
    tensors: &'a Tensors,
    channels: Range<usize>,
) -> Result<Vec<Convolution<A::T>>, MixerError> {
    let shape = [spec.dims.d_model, spec.dims.seq_len];
    let mut convolution = |index: usize| {
        let filters = spec.core_filters(tensors, index)?;
        let mut cut = |values, shape| {
            let values = a.load(values, shape);
            let values = a.rows(&values, channels.clone());
            a.transpose(&values)
        };
        let taps = [Some(filters.forward), filters.reverse].into_iter().flatten();
        let taps = taps.map(|filter| cut(filter, shape)).collect();
        Ok(Convolution { taps, skip: cut(filters.skip, [shape[0], 1]) })
    };
    (0..spec.convolutions()).map(&mut convolution).collect()
}

/// Weights that only a layer has.
pub(super) struct Layer<T> {
    /// Weight and bias of the input's normalisation.
    norm: Option<(T, T)>,
    /// Weight `[3 · width, width]` and bias `[3 · width, 1]`.
    input: (T, T),
    /// Weight `[3 · width, taps]`, the last tap that of the present, and bias `[3 · width, 1]`.
    short: (T, T),
    /// Weight `[width, width]` and bias `[1, width]`.
    output: (T, T),
    pub sets: Vec<FilterSet<T>>,
}

impl<T: Clone> Layer<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &SequenceSpec,
        filter: &FilterSpec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let (input, output) =
            (spec.projection(tensors, "in_linear")?, spec.projection(tensors, "out_linear")?);
        let short = spec.short_filter(tensors)?;
        let sets =
            spec.filter_sets().iter().map(|set| FilterSet::read(a, filter, tensors, (set, spec.networks())));
        let sets = sets.collect::<Result<_, _>>()?;
        let norm = spec.norm(tensors)?;
        Ok(Self {
            norm: norm.map(|(weight, bias)| (a.load(weight, [1, width]), a.load(bias, [1, width]))),
            input: (a.load(input.0, [3 * width, width]), a.load(input.1, [3 * width, 1])),
            short: (a.load(short.0, [3 * width, TAPS]), a.load(short.1, [3 * width, 1])),
            output: (a.load(output.0, [width, width]), a.load(output.1, [1, width])),
            sets,
        })
    }

    /// u: the input, normalised if the layer normalises it.
    pub(super) fn prepare<A: Algebra<T = T>>(&self, a: &mut A, x: &T) -> T {
        match &self.norm {
            None => x.clone(),
            Some((weight, bias)) => a.layer_norm(x, weight, bias, NORM_EPS),
        }
    }

    /// x₁ | x₂ | v of some channels: a linear layer, then s\[t\] = b + Σ_j w_j p\[t − 2 + j\] with p zero at negative times.
    pub(super) fn streams<A: Algebra<T = T>>(&self, a: &mut A, u: &T, channels: &Range<usize>) -> T {
        let [_, width] = a.shape(u);
        let mut own = |part: &T| {
            if *channels == (0..width) {
                return part.clone();
            }
            let streams = [0, 1, 2]
                .map(|index| a.rows(part, index * width + channels.start..index * width + channels.end));
            a.stack(&streams)
        };
        let [weight, bias, taps, tap_bias] =
            [&self.input.0, &self.input.1, &self.short.0, &self.short.1].map(&mut own);
        let bias = a.transpose(&bias);
        let p = a.linear(u, &weight, Some(&bias));
        let [length, columns] = a.shape(&p);
        let before = a.constant([TAPS - 1, columns], vec![0.0; (TAPS - 1) * columns]);
        let p = a.stack(&[before, p]);
        let taps = a.transpose(&taps);
        let latest_first: Vec<usize> = (0..TAPS).rev().collect();
        let taps = a.gather(&taps, &latest_first);
        let s = a.convolve(&taps, &p, Reach::Past, TAPS - 1..TAPS - 1 + length);
        a.scoped(Scope::Uncounted, |a| {
            let bias = a.transpose(&tap_bias);
            a.add(&s, &bias)
        })
    }

    /// y = g W_outᵀ + b_out.
    pub(super) fn project<A: Algebra<T = T>>(&self, a: &mut A, g: &T) -> T {
        a.linear(g, &self.output.0, Some(&self.output.1))
    }
}

/// The tensors of the MLP.
pub(super) struct Mlp<T> {
    up: T,
    down: T,
    bias: T,
    norm: (T, T),
}

impl<T: Clone> Mlp<T> {
    pub(super) fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &MlpSpec,
        tensors: &'a Tensors,
        prefix: &str,
    ) -> Result<Self, MixerError> {
        let (params, width) = (spec.params(tensors, prefix)?, spec.dims.d_model);
        Ok(Self {
            up: load_blocks(a, spec.up(), params.up),
            down: load_blocks(a, spec.down(), params.down),
            bias: a.load(params.bias, [1, width]),
            norm: (a.load(params.norm.0, [1, width]), a.load(params.norm.1, [1, width])),
        })
    }

    /// y = LN(x + W₂ h) with h = GELU(W₁ x), or GELU(a) ⊙ b with (a | b) = W₁ x.
    pub(super) fn apply<A: Algebra<T = T>>(&self, a: &mut A, spec: &MlpSpec, x: &T) -> T {
        let up = block_diagonal(a, spec.up(), x, &self.up, None);
        let h = if spec.glu {
            let [gate, value] =
                [0, 1].map(|half| a.columns(&up, half * spec.intermediate..(half + 1) * spec.intermediate));
            let gate = a.map(&gate, Unary::Gelu);
            a.mul(&gate, &value)
        } else {
            a.map(&up, Unary::Gelu)
        };
        let o = block_diagonal(a, spec.down(), &h, &self.down, Some(&self.bias));
        let sum = a.add(x, &o);
        a.layer_norm(&sum, &self.norm.0, &self.norm.1, spec.eps)
    }
}

fn load_blocks<'a, A: Load<'a>>(a: &mut A, shape: BlockShape, weight: &'a [f32]) -> A::T {
    a.load(weight, [shape.blocks * shape.block_outputs(), shape.block_inputs()])
}

/// Multiplies each block of columns of `x` by its own matrix; `weight` is `[blocks · outputs, inputs]` with the inputs
/// of one block. Inputs beyond the last column are zero, outputs beyond the last are dropped; whole blocks are counted.
fn block_diagonal<A: Algebra>(
    a: &mut A,
    shape: BlockShape,
    x: &A::T,
    weight: &A::T,
    bias: Option<&A::T>,
) -> A::T {
    let (p, q, [rows, _]) = (shape.block_inputs(), shape.block_outputs(), a.shape(x));
    let price = (rows as u64 * shape.flops()).get();
    a.counted_as(price, |a| {
        let blocks = (0..shape.outputs).step_by(q).enumerate().map(|(block, first)| {
            let outputs = first..shape.outputs.min(first + q);
            let inputs = (block * p).min(shape.inputs)..((block + 1) * p).min(shape.inputs);
            let bias = bias.map(|bias| a.columns(bias, outputs.clone()));
            if inputs.is_empty() {
                let none = a.constant([rows, outputs.len()], vec![0.0; rows * outputs.len()]);
                return bias.map_or_else(|| none.clone(), |bias| a.add(&none, &bias));
            }
            let weight = a.rows(weight, outputs);
            let weight = a.columns(&weight, 0..inputs.len());
            let x = a.columns(x, inputs);
            a.linear(&x, &weight, bias.as_ref())
        });
        let blocks: Vec<A::T> = blocks.collect();
        a.concat(&blocks)
    })
}

/// Column `from[j]` of x as column j.
fn permute<A: Algebra>(a: &mut A, x: &A::T, from: &[usize]) -> A::T {
    let x = a.transpose(x);
    let x = a.gather(&x, from);
    a.transpose(&x)
}

/// The columns seen as `[rows, columns]` and transposed.
fn transposition(rows: usize, columns: usize) -> Vec<usize> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column)).collect()
}

/// Some rows of a block-diagonal layer.
pub(super) fn block_diagonal_rows<'a, A: Load<'a>>(
    a: &mut A,
    spec: &BlockDiagonalSpec,
    tensors: &'a Tensors,
    rows: &[usize],
) -> Result<A::T, MixerError> {
    let shape = spec.shape;
    let x = a.load(spec.input(tensors)?, [spec.rows, shape.inputs]);
    let mut x = a.gather(&x, rows);
    if spec.shuffle {
        x = permute(a, &x, &transposition(shape.blocks, shape.inputs / shape.blocks));
    }
    let (weight, bias) = spec.params(tensors)?;
    let (weight, bias) = (load_blocks(a, shape, weight), a.load(bias, [1, shape.outputs]));
    Ok(block_diagonal(a, shape, &x, &weight, Some(&bias)))
}

/// Some rows times the Monarch matrix P L P R, or P L P R P; complex results as re, im pairs.
pub(super) fn monarch<'a, A: Load<'a>>(
    a: &mut A,
    spec: &MonarchSpec,
    tensors: &'a Tensors,
    rows: &[usize],
) -> Result<A::T, MixerError> {
    let ([k, q, p], [l, s, r]) = (spec.right, spec.left);
    let right = BlockShape { inputs: k * p, outputs: k * q, blocks: k };
    let left = BlockShape { inputs: l * r, outputs: l * s, blocks: l };
    let x = a.load(spec.input(tensors)?, [spec.rows, k * p]);
    let mut x = a.gather(&x, rows);
    if spec.permute {
        x = permute(a, &x, &transposition(p, k));
    }
    let factors = spec.factors(tensors)?;
    let (between, after) = (transposition(r, l), transposition(l, s));
    if !spec.complex {
        let (right_weight, left_weight) = (load_blocks(a, right, factors.0), load_blocks(a, left, factors.1));
        let middle = block_diagonal(a, right, &x, &right_weight, None);
        let middle = permute(a, &middle, &between);
        let y = block_diagonal(a, left, &middle, &left_weight, None);
        return Ok(permute(a, &y, &after));
    }
    let mut pair = |values, shape: BlockShape| {
        let block = [shape.blocks * shape.block_outputs(), shape.block_inputs()];
        let values = a.load(values, [block[0] * block[1], 2]);
        let [re, im] = [0, 1].map(|part| {
            let part = a.columns(&values, part..part + 1);
            a.reshape(&part, block)
        });
        Pair { re, im }
    };
    let (right_weight, left_weight) = (pair(factors.0, right), pair(factors.1, left));
    let middle = right_weight.map(a, |a, weight| block_diagonal(a, right, &x, weight, None));
    let middle = middle.map(a, |a, part| permute(a, part, &between));
    let mut product = |x: &A::T, weight: &A::T| block_diagonal(a, left, x, weight, None);
    let re = [product(&middle.re, &left_weight.re), product(&middle.im, &left_weight.im)];
    let im = [product(&middle.re, &left_weight.im), product(&middle.im, &left_weight.re)];
    // The sums of a product run over both parts.
    let y = a.scoped(Scope::Uncounted, |a| Pair { re: a.sub(&re[0], &re[1]), im: a.add(&im[0], &im[1]) });
    let y = y.map(a, |a, part| permute(a, part, &after));
    let y = a.concat(&[y.re, y.im]);
    Ok(permute(a, &y, &transposition(2, l * s)))
}

/// Processes the sequences one after another.
fn sequences<'a, A: Load<'a>>(
    a: &mut A,
    spec: &SequenceSpec,
    tensors: &'a Tensors,
) -> Result<Vec<A::T>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let mut outputs = Vec::new();
    match &spec.layer {
        None => {
            let convolutions = core_convolutions(a, spec, tensors, 0..width)?;
            let (x, u) = (spec.streams(tensors)?, spec.core_input(tensors)?);
            for index in 0..spec.dims.batch {
                let streams = sequence(a, x, [length, 3 * width], index);
                let u = u.map(|u| sequence(a, u, [length, width], index));
                outputs.push(core(
                    a,
                    &streams,
                    u.as_ref(),
                    &convolutions,
                    std::slice::from_ref(&(0..length)),
                ));
            }
        }
        Some(layer_spec) => {
            let layer = Layer::read(a, spec, &layer_spec.filter, tensors)?;
            let convolutions: Vec<_> = layer
                .sets
                .iter()
                .map(|set| {
                    let taps = set.networks.iter().map(|network| {
                        let hidden = set.hidden(a, network, 0..length);
                        set.taps(a, network, &hidden, 0..length, 0..width)
                    });
                    let taps = taps.collect();
                    set.convolution(a, taps, 0..width)
                })
                .collect();
            let x = spec.input(tensors)?;
            for index in 0..spec.dims.batch {
                let x = sequence(a, x, [length, width], index);
                let u = layer.prepare(a, &x);
                let streams = layer.streams(a, &u, &(0..width));
                let g = core(a, &streams, Some(&u), &convolutions, std::slice::from_ref(&(0..length)));
                outputs.push(layer.project(a, &g));
            }
        }
    }
    Ok(outputs)
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let tensors = &case.tensors;
        Ok(match self {
            Self::Sequence(spec) => {
                let y = sequences(a, spec, tensors)?;
                match &spec.mlp {
                    None => y,
                    Some(mlp_spec) => {
                        let mlp = Mlp::read(a, mlp_spec, tensors, "param.mlp")?;
                        y.iter().map(|y| mlp.apply(a, mlp_spec, y)).collect()
                    }
                }
            }
            Self::Mlp(spec) => {
                let width = spec.dims.d_model;
                let rows = spec.dims.batch * spec.dims.seq_len;
                let x = a.load(tensors.floats("x", &spec.dims.shape(width))?, [rows, width]);
                vec![Mlp::read(a, spec, tensors, "param")?.apply(a, spec, &x)]
            }
            Self::BlockDiagonal(spec) => {
                vec![block_diagonal_rows(a, spec, tensors, &(0..spec.rows).collect::<Vec<_>>())?]
            }
            Self::Monarch(spec) => vec![monarch(a, spec, tensors, &(0..spec.rows).collect::<Vec<_>>())?],
        })
    }
}
