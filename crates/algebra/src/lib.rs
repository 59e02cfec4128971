//! The operations in which models of sequence mixers are written.
//!
//! A model is one function, generic over [`Algebra`], close to the equations of its paper:
//!
//! ```
//! use algebra::{Algebra, Mask};
//!
//! /// softmax(Q Kᵀ / √d) V (Vaswani et al., equation 1).
//! fn attention<A: Algebra>(a: &mut A, q: &A::T, k: &A::T, v: &A::T) -> A::T {
//!     let scores = a.scores(q, k, &Mask::All);
//!     let [_, width] = a.shape(q);
//!     let scores = a.scale(&scores, 1.0 / (width as f64).sqrt());
//!     let weights = a.softmax(&scores);
//!     a.matmul(&weights, v)
//! }
//! ```
//!
//! Interpreters evaluate the function. [`Exact`] computes in f64 and is the reference of the kernels. [`Count`] knows
//! only shapes and counts operations by customary conventions; tests compare closed forms of costs with it. Every
//! operation has a derivative, so that a tape can be a third interpreter.
//!
//! # Porting a system
//!
//! 1. Put the tensors of the equations into a struct `Weights<T>`, read by [`Load::load`]. The sequences of a batch are
//!    separate tensors `[length, width]`.
//! 2. Write the equations as functions `fn layer<A: Algebra>(a: &mut A, weights: &Weights<A::T>, x: &A::T, …) -> A::T`
//!    and cite their numbers. The functions name no interpreter and read no `f64` from a tensor.
//! 3. Let the function take the positions of the wanted outputs ([`Algebra::gather`]), so that a spot check can call it
//!    with a few positions. [`Exact`] evaluates products late and in the cheaper order: one row of attention over a
//!    projection of a long sequence projects the weights of the row, and not the sequence.
//! 4. For single channels, cut the weights ([`Algebra::columns`], [`Algebra::rows`]) and call the same function.
//! 5. Put computations that depend only on weights into [`Scope::SetUp`], and computations that are customarily not
//!    counted, such as the scale of scores, into [`Scope::Uncounted`].

mod count;
mod exact;
mod pair;
mod products;
mod transform;

use std::ops::Range;

pub use count::{Count, Size, Tally};
pub use exact::{Exact, Tensor};
pub use pair::Pair;
pub use transform::{convolution_flops, convolve, transform};

pub use num_complex::Complex;

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// eˣ.
    Exp,
    /// The sine, within 10⁻¹² for |x| ≤ 10⁵.
    Sin,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x σ(x).
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// ½x(1 + erf(x/√2)).
    Gelu,
    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// ln(1 + eˣ).
    Softplus,
    /// |x|.
    Abs,
    /// √x.
    Sqrt,
    /// 1/x.
    Recip,
}

impl Unary {
    /// Number of functions of many instructions: one for an exponential, a division or a square root; two for a
    /// logistic function, a hyperbolic tangent or an error function.
    pub fn transcendentals(self) -> u64 {
        match self {
            Self::Relu | Self::Abs => 0,
            Self::Exp | Self::Sin | Self::Sqrt | Self::Recip => 1,
            Self::Sigmoid
            | Self::Silu
            | Self::Tanh
            | Self::Erf
            | Self::Gelu
            | Self::GeluTanh
            | Self::Softplus => 2,
        }
    }
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a · b.
    Mul,
}

/// A summary of each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The largest entry.
    Max,
}

/// The keys that a query sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// Every key.
    All,
    /// Query i, at position `positions[i]`, sees the keys 0 to `positions[i]`.
    Causal(Vec<usize>),
}

impl Mask {
    /// Number of the first `keys` keys that query `row` sees.
    pub fn seen(&self, row: usize, keys: usize) -> usize {
        match self {
            Self::All => keys,
            Self::Causal(positions) => positions.get(row).map_or(keys, |position| keys.min(position + 1)),
        }
    }
}

/// The positions that a convolution reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// y\[t\] = Σ_s k\[s\] u\[t − s\].
    Past,
    /// y\[t\] = Σ_s k\[s\] u\[t + s\].
    Future,
    /// y\[t\] = Σ_s k\[s\] u\[t + 1 + s\].
    Ahead,
}

impl Reach {
    /// Number of lags, of `lags`, whose positions lie inside a signal of `length`, at output `t`.
    pub fn lags(self, t: usize, length: usize, lags: usize) -> usize {
        lags.min(match self {
            Self::Past => t + 1,
            Self::Future => length - t,
            Self::Ahead => length - t - 1,
        })
    }
}

/// Operations that do not count as those of the forward pass. Scopes nest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Computations that depend only on weights.
    SetUp,
    /// Computations, in the forward pass or the set-up, that are customarily not counted.
    Uncounted,
}

/// Operations on matrices `[rows, columns]`. Mismatching shapes are bugs of the model, not errors of its input:
/// interpreters may panic.
pub trait Algebra: Sized {
    /// A matrix.
    type T: Clone;

    /// A matrix with given values in row-major order.
    fn constant(&mut self, shape: [usize; 2], values: Vec<f64>) -> Self::T;

    /// Rows and columns.
    fn shape(&self, x: &Self::T) -> [usize; 2];

    /// x Wᵀ + b: `x` is `[rows, inputs]`, `weight` `[outputs, inputs]`, `bias` `[1, outputs]`. Adding a bias is not
    /// counted.
    fn linear(&mut self, x: &Self::T, weight: &Self::T, bias: Option<&Self::T>) -> Self::T;

    /// a b.
    fn matmul(&mut self, a: &Self::T, b: &Self::T) -> Self::T;

    /// q kᵀ where the mask allows it, −∞ elsewhere. Masked entries count no operations, here and in later operations.
    fn scores(&mut self, q: &Self::T, k: &Self::T, mask: &Mask) -> Self::T;

    /// f of every entry; one operation each.
    fn map(&mut self, x: &Self::T, f: Unary) -> Self::T;

    /// `factor` · x + `offset`; one operation per entry for a factor other than 1, and one for an offset other than 0.
    fn affine(&mut self, x: &Self::T, factor: f64, offset: f64) -> Self::T;

    /// f of every pair of entries; an operand with one row or one column is repeated.
    fn zip(&mut self, a: &Self::T, f: Binary, b: &Self::T) -> Self::T;

    /// exp(x) / Σ exp(x) along each row. Customarily not counted.
    fn softmax(&mut self, x: &Self::T) -> Self::T;

    /// A summary of each row, `[rows, 1]`.
    fn reduce(&mut self, x: &Self::T, f: Reduction) -> Self::T;

    /// Each channel of `u`, `[length, channels]`, convolved with its kernel, a column of `kernel`, `[lags, channels]`,
    /// or with the only column. Signals are zero beyond their ends. Returns the outputs at `rows`, `[rows.len(),
    /// channels]`.
    fn convolve(&mut self, kernel: &Self::T, u: &Self::T, reach: Reach, rows: Range<usize>) -> Self::T;

    /// y\[t, c\] = Σ_j o\[c, j\] h\[t, c, j\] with h\[t\] = d ⊙ h\[t − 1\] + i x\[t\] from h = 0: `decay` d, `input` i and `output` o
    /// are `[channels, states]`, `x` and the result `[length, channels]`. Five operations for each state and step.
    fn recurrence(&mut self, decay: &Self::T, input: &Self::T, output: &Self::T, x: &Self::T) -> Self::T;

    /// k\[s, c\] = Σ_j g\[c, j\] b\[c, j\]ˢ for s < `lags`, `gain` g and `base` b being `[channels, states]`: the kernel of a
    /// recurrence, `[lags, channels]`. Two operations for each state and lag.
    fn vandermonde(&mut self, gain: &Self::T, base: &Self::T, lags: usize) -> Self::T;

    /// k\[s, c\] = Re Σ_j g\[c, j\] b\[c, j\]ˢ for s < `lags`, as of [`Algebra::vandermonde`] with complex `gain` g and `base` b.
    /// Eight operations for each state and lag.
    fn complex_vandermonde(&mut self, gain: &Pair<Self::T>, base: &Pair<Self::T>, lags: usize) -> Self::T;

    /// y\[t, c\] = Re Σ_j o\[c, j\] h\[t, c, j\] with h\[t\] = (d + i x\[t\]) ⊙ h\[t − 1\] + i x\[t\] from h = 0: `decay` d, `input` i and
    /// `output` o are `[channels, states]`, `x` and the result `[length, channels]`. Sixteen operations for each state and
    /// step.
    fn bilinear_recurrence(
        &mut self,
        decay: &Pair<Self::T>,
        input: &Pair<Self::T>,
        output: &Pair<Self::T>,
        x: &Self::T,
    ) -> Self::T;

    /// Σ_j x\[j\] e^(∓2πi jf/n) of each column of n rows, the exponent positive where `inverse`. Neither divides by n.
    /// 5 n log₂ n operations a column.
    fn transform(&mut self, x: &Pair<Self::T>, inverse: bool) -> Pair<Self::T>;

    /// The entries in row-major order in another shape.
    fn reshape(&mut self, x: &Self::T, shape: [usize; 2]) -> Self::T;

    /// The given rows in the given order, with repetitions.
    fn gather(&mut self, x: &Self::T, rows: &[usize]) -> Self::T;

    /// Row i of `x` added to row `rows[i]` of `count` rows of zeros; one operation an entry. The adjoint of [`Algebra::gather`].
    fn scatter(&mut self, x: &Self::T, rows: &[usize], count: usize) -> Self::T;

    /// Consecutive rows.
    fn rows(&mut self, x: &Self::T, range: Range<usize>) -> Self::T;

    /// Consecutive columns.
    fn columns(&mut self, x: &Self::T, range: Range<usize>) -> Self::T;

    /// Concatenates the rows of all `parts`.
    fn stack(&mut self, parts: &[Self::T]) -> Self::T;

    /// Concatenates the columns of all `parts`.
    fn concat(&mut self, parts: &[Self::T]) -> Self::T;

    /// xᵀ.
    fn transpose(&mut self, x: &Self::T) -> Self::T;

    /// `[rows.len(), columns]` with entry t[j − i + offset] for row i of `rows` and column j, t being the only row of `table`.
    fn toeplitz(&mut self, table: &Self::T, rows: &[usize], columns: usize, offset: usize) -> Self::T;

    /// (x − mean) / √(variance + `eps`) of each row, times `weight` plus `bias`, both `[1, columns]`; the variance is the
    /// biased one. Eight operations an entry.
    fn layer_norm(&mut self, x: &Self::T, weight: &Self::T, bias: &Self::T, eps: f64) -> Self::T;

    /// g x / √(mean square + `eps`) of each row; `g` is `[1, 1]`. Four operations an entry.
    fn scale_norm(&mut self, x: &Self::T, g: &Self::T, eps: f64) -> Self::T;

    /// x, evaluated now by interpreters that evaluate late; for values that are read many times.
    fn keep(&mut self, x: &Self::T) -> Self::T {
        x.clone()
    }

    /// Counts the operations of `f` as `scope`.
    fn scoped<R>(&mut self, scope: Scope, f: impl FnOnce(&mut Self) -> R) -> R {
        let _ = scope;
        f(self)
    }

    /// Counts the operations of `f` as `flops` operations, for units that are customarily counted as a whole. Functions
    /// of many instructions are counted one by one as usual.
    fn counted_as<R>(&mut self, flops: u64, f: impl FnOnce(&mut Self) -> R) -> R {
        let _ = flops;
        f(self)
    }

    /// a + b.
    fn add(&mut self, a: &Self::T, b: &Self::T) -> Self::T {
        self.zip(a, Binary::Add, b)
    }

    /// a − b.
    fn sub(&mut self, a: &Self::T, b: &Self::T) -> Self::T {
        self.zip(a, Binary::Sub, b)
    }

    /// a ⊙ b.
    fn mul(&mut self, a: &Self::T, b: &Self::T) -> Self::T {
        self.zip(a, Binary::Mul, b)
    }

    /// `factor` · x.
    fn scale(&mut self, x: &Self::T, factor: f64) -> Self::T {
        self.affine(x, factor, 0.0)
    }
}

/// An interpreter that reads the floats of a case.
pub trait Load<'a>: Algebra {
    /// A matrix `[rows, columns]` of `values` in row-major order, whose number equals that of the shape.
    fn load(&mut self, values: &'a [f32], shape: [usize; 2]) -> Self::T;
}

/// softmax(q kᵀ / √d) v with d columns of `q` (Vaswani et al., arXiv 1706.03762, equation 1).
pub fn attention<A: Algebra>(a: &mut A, q: &A::T, k: &A::T, v: &A::T, mask: &Mask) -> A::T {
    let [_, width] = a.shape(q);
    let scores = a.scores(q, k, mask);
    let scores = a.scoped(Scope::Uncounted, |a| a.scale(&scores, 1.0 / (width as f64).sqrt()));
    let weights = a.softmax(&scores);
    a.matmul(&weights, v)
}
