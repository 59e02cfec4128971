//! The exact interpreter: f64, accurate to rounding.
//!
//! Products stay unevaluated until their entries are needed. A product of a product is then evaluated in the order with
//! fewer operations, and selecting rows or columns of a product selects rows or columns of its factors.
//!
//! Operations are not inlined: models call them from many places, and the download size of the worker matters more than
//! the cost of a call.

use std::cell::OnceCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::rc::Rc;

use ndarray::{ArcArray2, Array2, ArrayView1, ArrayView2, Axis, Slice, Zip, concatenate};

use crate::products::{Stored, matrix, product, product_transposed};
use crate::transform::{convolution_flops, convolve, transform};
use crate::{Algebra, Binary, Complex, Load, Mask, Pair, Reach, Reduction, Unary};

/// The interpreter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exact<'a>(PhantomData<&'a f32>);

/// A matrix of the exact interpreter.
#[derive(Debug, Clone)]
pub struct Tensor<'a>(Value<'a>);

#[derive(Debug, Clone)]
enum Value<'a> {
    /// Floats of a case.
    Given(ArrayView2<'a, f32>),
    Dense(ArcArray2<f64>),
    Product(Rc<Product<'a>>),
}

/// left · right + bias; the bias is added to every row.
#[derive(Debug)]
struct Product<'a> {
    left: Tensor<'a>,
    right: Tensor<'a>,
    bias: Option<Tensor<'a>>,
    value: OnceCell<ArcArray2<f64>>,
}

impl<'a> Tensor<'a> {
    fn dense(values: Array2<f64>) -> Self {
        Self(Value::Dense(values.into_shared()))
    }

    #[inline(never)]
    fn product(left: &Self, right: &Self, bias: Option<&Self>) -> Self {
        Self(Value::Product(Rc::new(Product {
            left: left.clone(),
            right: right.clone(),
            bias: bias.cloned(),
            value: OnceCell::new(),
        })))
    }

    fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Value::Given(view) => [view.nrows(), view.ncols()],
            Value::Dense(values) => [values.nrows(), values.ncols()],
            Value::Product(product) => [product.left.shape()[0], product.right.shape()[1]],
        }
    }

    /// The product, if it is unevaluated.
    fn pending(&self) -> Option<&Product<'a>> {
        match &self.0 {
            Value::Product(product) if product.value.get().is_none() => Some(product),
            _ => None,
        }
    }

    /// Evaluates the matrix if it is a product.
    #[inline(never)]
    fn stored(&self) -> Stored<'_> {
        match &self.0 {
            Value::Given(view) => Stored::F32(view.view()),
            Value::Dense(values) => Stored::F64(values.view()),
            Value::Product(product) => {
                Stored::F64(product.value.get_or_init(|| product.evaluate().into_shared()).view())
            }
        }
    }

    #[inline(never)]
    fn values(&self) -> ArcArray2<f64> {
        match &self.0 {
            Value::Given(view) => view.mapv(f64::from).into_shared(),
            Value::Dense(values) => values.clone(),
            Value::Product(product) => product.value.get_or_init(|| product.evaluate().into_shared()).clone(),
        }
    }

    /// The entries, row-major.
    #[inline(never)]
    pub fn to_vec(&self) -> Vec<f64> {
        let (stored, mut to) = (self.stored(), Vec::new());
        stored.read(0..self.shape()[0], &mut to);
        to
    }

    fn transposed(&self) -> Self {
        Self(match &self.0 {
            Value::Given(view) => Value::Given(view.reversed_axes()),
            Value::Dense(values) => Value::Dense(values.clone().reversed_axes()),
            Value::Product(_) => Value::Dense(self.values().reversed_axes()),
        })
    }

    #[inline(never)]
    fn slice(&self, axis: Axis, range: Range<usize>) -> Self {
        if let Some(Product { left, right, bias, .. }) = self.pending() {
            return if axis == Axis(0) {
                Self::product(&left.slice(axis, range), right, bias.as_ref())
            } else {
                let bias = bias.as_ref().map(|bias| bias.slice(axis, range.clone()));
                Self::product(left, &right.slice(axis, range), bias.as_ref())
            };
        }
        if let Value::Given(mut view) = self.0 {
            view.slice_axis_inplace(axis, Slice::from(range));
            return Self(Value::Given(view));
        }
        let mut values = self.values();
        values.slice_axis_inplace(axis, Slice::from(range));
        Self(Value::Dense(values))
    }

    #[inline(never)]
    fn select(&self, rows: &[usize]) -> Self {
        // Consecutive rows need no copy: the keys of a global query are a whole sequence.
        if let (Some(&first), true) = (rows.first(), rows.windows(2).all(|pair| pair[1] == pair[0] + 1)) {
            return self.slice(Axis(0), first..first + rows.len());
        }
        if let Some(Product { left, right, bias, .. }) = self.pending() {
            return Self::product(&left.select(rows), right, bias.as_ref());
        }
        let (stored, [_, columns]) = (self.stored(), self.shape());
        if columns == 1 {
            let column = self.to_vec();
            return Self::dense(matrix(rows.len(), 1, rows.iter().map(|&row| column[row]).collect()));
        }
        let (mut row, mut values) = (Vec::new(), Vec::with_capacity(rows.len() * columns));
        for &index in rows {
            stored.read(index..index + 1, &mut row);
            values.extend_from_slice(&row);
        }
        Self::dense(matrix(rows.len(), columns, values))
    }
}

impl Product<'_> {
    fn evaluate(&self) -> Array2<f64> {
        let mut y = times(&self.left, &self.right);
        if let Some(bias) = &self.bias {
            y += &bias.values();
        }
        y
    }
}

/// left · right; `right` may be an unevaluated product, whose factors may be cheaper.
#[inline(never)]
fn times(left: &Tensor<'_>, right: &Tensor<'_>) -> Array2<f64> {
    if let Some(inner) = right.pending() {
        // left (l r + b) = (left l) r + (Σ left) b.
        let [rows, _] = left.shape();
        if cheaper_apart(rows, inner) {
            let mut y = times(&Tensor::dense(times(left, &inner.left)), &inner.right);
            if let Some(bias) = &inner.bias {
                let sums = left.values().sum_axis(Axis(1)).insert_axis(Axis(1));
                y += &(&sums * &bias.values());
            }
            return y;
        }
    }
    product(&left.stored(), right.stored())
}

/// q kᵀ; `k` may be an unevaluated product, whose factors may be cheaper.
#[inline(never)]
fn times_transposed(q: &Tensor<'_>, k: &Tensor<'_>, mask: &Mask) -> Array2<f64> {
    if let Some(inner) = k.pending() {
        // q (l r + b)ᵀ = (q rᵀ) lᵀ + q bᵀ.
        let [rows, _] = q.shape();
        if cheaper_apart(rows, inner) {
            let mapped = Tensor::dense(times_transposed(q, &inner.right, &Mask::All));
            let mut y = times_transposed(&mapped, &inner.left, mask);
            if let Some(bias) = &inner.bias {
                y += &times_transposed(q, bias, &Mask::All);
            }
            return y;
        }
    }
    product_transposed(&q.stored(), k.stored(), mask)
}

/// Whether multiplying `rows` rows by both factors of a product, `[n, i]` and `[i, o]`, takes fewer operations than
/// multiplying them by the product.
fn cheaper_apart(rows: usize, inner: &Product<'_>) -> bool {
    let ([n, i], [_, o]) = (inner.left.shape(), inner.right.shape());
    let [rows, n, i, o] = [rows, n, i, o].map(|size| size as f64);
    rows * i * (n + o) < n * i * o + rows * n * o
}

impl<'a> Algebra for Exact<'a> {
    type T = Tensor<'a>;

    #[inline(never)]
    fn constant(&mut self, [rows, columns]: [usize; 2], values: Vec<f64>) -> Tensor<'a> {
        Tensor::dense(matrix(rows, columns, values))
    }

    fn shape(&self, x: &Tensor<'a>) -> [usize; 2] {
        x.shape()
    }

    #[inline(never)]
    fn linear(&mut self, x: &Tensor<'a>, weight: &Tensor<'a>, bias: Option<&Tensor<'a>>) -> Tensor<'a> {
        Tensor::product(x, &weight.transposed(), bias)
    }

    #[inline(never)]
    fn matmul(&mut self, a: &Tensor<'a>, b: &Tensor<'a>) -> Tensor<'a> {
        Tensor::product(a, b, None)
    }

    #[inline(never)]
    fn scores(&mut self, q: &Tensor<'a>, k: &Tensor<'a>, mask: &Mask) -> Tensor<'a> {
        Tensor::dense(times_transposed(q, k, mask))
    }

    #[inline(never)]
    fn map(&mut self, x: &Tensor<'a>, f: Unary) -> Tensor<'a> {
        let mut values = x.to_vec();
        apply(f, &mut values);
        let [rows, columns] = x.shape();
        Tensor::dense(matrix(rows, columns, values))
    }

    #[inline(never)]
    fn affine(&mut self, x: &Tensor<'a>, factor: f64, offset: f64) -> Tensor<'a> {
        Tensor::dense(x.values().mapv(|x| factor * x + offset))
    }

    #[inline(never)]
    fn zip(&mut self, a: &Tensor<'a>, f: Binary, b: &Tensor<'a>) -> Tensor<'a> {
        let (a, b) = (a.values(), b.values());
        Tensor::dense(match f {
            Binary::Add => combine(&a, &b, |a, b| a + b),
            Binary::Sub => combine(&a, &b, |a, b| a - b),
            Binary::Mul => combine(&a, &b, |a, b| a * b),
        })
    }

    #[inline(never)]
    fn softmax(&mut self, x: &Tensor<'a>) -> Tensor<'a> {
        let mut values = x.to_vec();
        let [rows, columns] = x.shape();
        for row in values.chunks_exact_mut(columns.max(1)) {
            let highest = maximum(row.iter());
            row.iter_mut().for_each(|x| *x = (*x - highest).exp());
            let total: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= total);
        }
        Tensor::dense(matrix(rows, columns, values))
    }

    #[inline(never)]
    fn reduce(&mut self, x: &Tensor<'a>, f: Reduction) -> Tensor<'a> {
        let of_row = |row: ArrayView1<'_, f64>| match f {
            Reduction::Sum => row.sum(),
            Reduction::Max => maximum(row.iter()),
        };
        Tensor::dense(x.values().map_axis(Axis(1), of_row).insert_axis(Axis(1)))
    }

    #[inline(never)]
    fn convolve(
        &mut self,
        kernel: &Tensor<'a>,
        u: &Tensor<'a>,
        reach: Reach,
        rows: Range<usize>,
    ) -> Tensor<'a> {
        /// Channels that are transformed together, since their signals share cache lines.
        const TOGETHER: usize = 16;
        // Inputs after the last output are not read.
        let read = if reach == Reach::Past { rows.end } else { u.shape()[0] };
        let u = if read < u.shape()[0] { &u.slice(Axis(0), 0..read) } else { u };
        let [length, channels] = u.shape();
        let mut y = Array2::zeros((rows.len(), channels));
        for first in (0..channels).step_by(TOGETHER) {
            let range = first..channels.min(first + TOGETHER);
            let signals = columns(u, range.clone());
            let shared = kernel.shape()[1] == 1 && channels > 1;
            let kernels = columns(kernel, if shared { 0..1 } else { range.clone() });
            for (index, (channel, signal)) in range.zip(signals).enumerate() {
                let kernel = &kernels[if shared { 0 } else { index }];
                let values = convolve_channel(kernel, &signal, reach, rows.clone(), length);
                y.column_mut(channel).iter_mut().zip(values).for_each(|(y, value)| *y = value);
            }
        }
        Tensor::dense(y)
    }

    #[inline(never)]
    fn recurrence(
        &mut self,
        decay: &Tensor<'a>,
        input: &Tensor<'a>,
        output: &Tensor<'a>,
        x: &Tensor<'a>,
    ) -> Tensor<'a> {
        let [length, channels] = x.shape();
        let [decay, input, output] = [decay, input, output].map(Tensor::to_vec);
        let (x, n) = (x.to_vec(), decay.len() / channels.max(1));
        let mut y = Vec::with_capacity(x.len());
        let mut states = vec![0.0; decay.len()];
        for x in x.chunks_exact(channels.max(1)) {
            for (channel, x) in x.iter().enumerate() {
                let range = channel * n..(channel + 1) * n;
                let gains =
                    decay[range.clone()].iter().zip(&input[range.clone()]).zip(&output[range.clone()]);
                let steps = states[range].iter_mut().zip(gains).map(|(h, ((decay, input), output))| {
                    *h = decay * *h + input * x;
                    output * *h
                });
                y.push(steps.sum());
            }
        }
        Tensor::dense(matrix(length, channels, y))
    }

    #[inline(never)]
    fn vandermonde(&mut self, gain: &Tensor<'a>, base: &Tensor<'a>, lags: usize) -> Tensor<'a> {
        let [channels, states] = gain.shape();
        let (mut powers, base) = (gain.to_vec(), base.to_vec());
        let mut k = Vec::with_capacity(lags * channels);
        for _ in 0..lags {
            k.extend(powers.chunks_exact(states.max(1)).map(|powers| powers.iter().sum::<f64>()));
            powers.iter_mut().zip(&base).for_each(|(power, base)| *power *= base);
        }
        Tensor::dense(matrix(lags, channels, k))
    }

    #[inline(never)]
    fn complex_vandermonde(
        &mut self,
        gain: &Pair<Tensor<'a>>,
        base: &Pair<Tensor<'a>>,
        lags: usize,
    ) -> Tensor<'a> {
        let [channels, states] = base.re.shape();
        let (base, mut powers) = (Lanes::of(base), Lanes::of(gain));
        let groups = states.div_ceil(LANES);
        let mut y = vec![0.0; lags * channels];
        for (channel, powers) in powers.chunks_exact_mut(groups.max(1)).enumerate() {
            let base = &base[channel * groups..][..groups];
            for y in y.iter_mut().skip(channel).step_by(channels) {
                let mut sums = [0.0; LANES];
                for (power, base) in powers.iter_mut().zip(base) {
                    for (sum, re) in sums.iter_mut().zip(power.re) {
                        *sum += re;
                    }
                    *power = power.times(base);
                }
                *y = sums.iter().sum();
            }
        }
        Tensor::dense(matrix(lags, channels, y))
    }

    fn bilinear_recurrence(
        &mut self,
        decay: &Pair<Tensor<'a>>,
        input: &Pair<Tensor<'a>>,
        output: &Pair<Tensor<'a>>,
        x: &Tensor<'a>,
    ) -> Tensor<'a> {
        let ([length, channels], [_, states]) = (x.shape(), decay.re.shape());
        let [decay, input, output] = [decay, input, output].map(Lanes::of);
        let groups = states.div_ceil(LANES).max(1);
        let mut h = vec![Lanes::default(); decay.len()];
        let mut y = Vec::with_capacity(length * channels);
        for x in x.to_vec().chunks_exact(channels.max(1)) {
            for (channel, x) in x.iter().enumerate() {
                let range = channel * groups..(channel + 1) * groups;
                let gains =
                    decay[range.clone()].iter().zip(&input[range.clone()]).zip(&output[range.clone()]);
                let mut sums = [0.0; LANES];
                for (h, ((decay, input), output)) in h[range].iter_mut().zip(gains) {
                    let input = input.scaled(*x);
                    *h = decay.plus(&input).times(h).plus(&input);
                    let term = output.times(h);
                    for (sum, re) in sums.iter_mut().zip(term.re) {
                        *sum += re;
                    }
                }
                y.push(sums.iter().sum());
            }
        }
        Tensor::dense(matrix(length, channels, y))
    }

    fn transform(&mut self, x: &Pair<Tensor<'a>>, inverse: bool) -> Pair<Tensor<'a>> {
        let [n, channels] = x.re.shape();
        let mut y = [Array2::zeros((n, channels)), Array2::zeros((n, channels))];
        let parts = [&x.re, &x.im].map(|part| columns(part, 0..channels));
        for (channel, (re, im)) in parts[0].iter().zip(&parts[1]).enumerate() {
            let mut data: Vec<_> = re.iter().zip(im).map(|(re, im)| Complex::new(*re, *im)).collect();
            transform(&mut data, inverse);
            for (row, value) in data.iter().enumerate() {
                y[0][[row, channel]] = value.re;
                y[1][[row, channel]] = value.im;
            }
        }
        let [re, im] = y.map(Tensor::dense);
        Pair { re, im }
    }

    fn reshape(&mut self, x: &Tensor<'a>, [rows, columns]: [usize; 2]) -> Tensor<'a> {
        Tensor::dense(matrix(rows, columns, x.to_vec()))
    }

    #[inline(never)]
    fn gather(&mut self, x: &Tensor<'a>, rows: &[usize]) -> Tensor<'a> {
        x.select(rows)
    }

    fn scatter(&mut self, x: &Tensor<'a>, rows: &[usize], count: usize) -> Tensor<'a> {
        let [_, columns] = x.shape();
        let mut sums = vec![0.0; count * columns];
        if columns == 1 {
            rows.iter().zip(x.to_vec()).for_each(|(&row, value)| sums[row] += value);
            return Tensor::dense(matrix(count, 1, sums));
        }
        for (&row, values) in rows.iter().zip(x.to_vec().chunks_exact(columns.max(1))) {
            sums[row * columns..][..columns].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Tensor::dense(matrix(count, columns, sums))
    }

    #[inline(never)]
    fn rows(&mut self, x: &Tensor<'a>, range: Range<usize>) -> Tensor<'a> {
        x.slice(Axis(0), range)
    }

    #[inline(never)]
    fn columns(&mut self, x: &Tensor<'a>, range: Range<usize>) -> Tensor<'a> {
        x.slice(Axis(1), range)
    }

    #[inline(never)]
    fn stack(&mut self, parts: &[Tensor<'a>]) -> Tensor<'a> {
        join(Axis(0), parts)
    }

    #[inline(never)]
    fn concat(&mut self, parts: &[Tensor<'a>]) -> Tensor<'a> {
        join(Axis(1), parts)
    }

    #[inline(never)]
    fn transpose(&mut self, x: &Tensor<'a>) -> Tensor<'a> {
        x.transposed()
    }

    #[inline(never)]
    fn keep(&mut self, x: &Tensor<'a>) -> Tensor<'a> {
        Tensor(Value::Dense(x.values()))
    }

    #[inline(never)]
    fn toeplitz(&mut self, table: &Tensor<'a>, rows: &[usize], columns: usize, offset: usize) -> Tensor<'a> {
        let table = table.to_vec();
        let entry = |(row, j): (usize, usize)| table[offset + j - rows[row]];
        Tensor::dense(Array2::from_shape_fn((rows.len(), columns), entry))
    }

    #[inline(never)]
    fn layer_norm(&mut self, x: &Tensor<'a>, weight: &Tensor<'a>, bias: &Tensor<'a>, eps: f64) -> Tensor<'a> {
        let ([rows, columns], mut values) = (x.shape(), x.to_vec());
        let (weight, bias) = (weight.to_vec(), bias.to_vec());
        for row in values.chunks_exact_mut(columns.max(1)) {
            let mean = row.iter().sum::<f64>() / columns as f64;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / columns as f64;
            let scale = 1.0 / (variance + eps).sqrt();
            for (x, (weight, bias)) in row.iter_mut().zip(weight.iter().zip(&bias)) {
                *x = (*x - mean) * scale * weight + bias;
            }
        }
        Tensor::dense(matrix(rows, columns, values))
    }

    #[inline(never)]
    fn scale_norm(&mut self, x: &Tensor<'a>, g: &Tensor<'a>, eps: f64) -> Tensor<'a> {
        let ([rows, columns], mut values) = (x.shape(), x.to_vec());
        let g = maximum(g.to_vec().iter());
        for row in values.chunks_exact_mut(columns.max(1)) {
            let mean_square = row.iter().map(|x| x * x).sum::<f64>() / columns as f64;
            let factor = g / (mean_square + eps).sqrt();
            row.iter_mut().for_each(|x| *x *= factor);
        }
        Tensor::dense(matrix(rows, columns, values))
    }
}

impl<'a> Load<'a> for Exact<'a> {
    #[inline(never)]
    fn load(&mut self, values: &'a [f32], shape: [usize; 2]) -> Tensor<'a> {
        match ArrayView2::from_shape(shape, values) {
            Ok(view) => Tensor(Value::Given(view)),
            Err(_) => Tensor::dense(Array2::zeros(shape)),
        }
    }
}

/// Complex numbers per multiplication.
const LANES: usize = 4;

#[derive(Debug, Clone, Copy, Default)]
struct Lanes {
    re: [f64; LANES],
    im: [f64; LANES],
}

impl Lanes {
    /// The entries of each row in whole lanes, padded with zeros.
    fn of(pair: &Pair<Tensor<'_>>) -> Vec<Self> {
        let [_, columns] = pair.re.shape();
        let (re, im) = (pair.re.to_vec(), pair.im.to_vec());
        let rows = re.chunks_exact(columns.max(1)).zip(im.chunks_exact(columns.max(1)));
        let lanes = |(re, im): (&[f64], &[f64])| {
            let mut lanes = Self::default();
            lanes.re[..re.len()].copy_from_slice(re);
            lanes.im[..im.len()].copy_from_slice(im);
            lanes
        };
        rows.flat_map(|(re, im)| re.chunks(LANES).zip(im.chunks(LANES)).map(lanes)).collect()
    }

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        let mut product = *self;
        for lane in 0..LANES {
            product.re[lane] = self.re[lane] * other.re[lane] - self.im[lane] * other.im[lane];
            product.im[lane] = self.re[lane] * other.im[lane] + self.im[lane] * other.re[lane];
        }
        product
    }

    #[inline(always)]
    fn plus(mut self, other: &Self) -> Self {
        for lane in 0..LANES {
            self.re[lane] += other.re[lane];
            self.im[lane] += other.im[lane];
        }
        self
    }

    #[inline(always)]
    fn scaled(mut self, factor: f64) -> Self {
        for lane in 0..LANES {
            self.re[lane] *= factor;
            self.im[lane] *= factor;
        }
        self
    }
}

/// f of every pair of entries of two vectors of equal length.
fn combine(a: &ArcArray2<f64>, b: &ArcArray2<f64>, f: impl Fn(f64, f64) -> f64) -> Array2<f64> {
    if let (true, Some(left), Some(right)) = (a.dim() == b.dim(), a.as_slice(), b.as_slice()) {
        let values = left.iter().zip(right).map(|(a, b)| f(*a, *b)).collect();
        return matrix(a.nrows(), a.ncols(), values);
    }
    let mut y = Array2::zeros((a.nrows().max(b.nrows()), a.ncols().max(b.ncols())));
    Zip::from(&mut y).and_broadcast(a).and_broadcast(b).for_each(|y, a, b| *y = f(*a, *b));
    y
}

/// NaN if an entry is NaN.
fn maximum<'v>(values: impl Iterator<Item = &'v f64>) -> f64 {
    values.fold(f64::NEG_INFINITY, |highest, &x| if x <= highest || highest.is_nan() { highest } else { x })
}

#[inline(never)]
fn join<'a>(axis: Axis, parts: &[Tensor<'a>]) -> Tensor<'a> {
    if let [only] = parts {
        return only.clone();
    }
    let parts: Vec<_> = parts.iter().map(Tensor::values).collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    Tensor::dense(concatenate(axis, &views).unwrap_or_default())
}

/// Some columns, each of them contiguous.
#[inline(never)]
fn columns(x: &Tensor<'_>, range: Range<usize>) -> Vec<Vec<f64>> {
    const ROWS: usize = 256;
    let [length, _] = x.shape();
    let x = x.slice(Axis(1), range.clone());
    let (stored, mut block) = (x.stored(), Vec::new());
    if stored.is_column_major() {
        let stored = stored.transposed();
        let column = |index| {
            let mut column = Vec::with_capacity(length);
            stored.read(index..index + 1, &mut column);
            column
        };
        return (0..range.len()).map(column).collect();
    }
    let mut columns = vec![Vec::with_capacity(length); range.len()];
    for first in (0..length).step_by(ROWS) {
        stored.read(first..length.min(first + ROWS), &mut block);
        for (index, column) in columns.iter_mut().enumerate() {
            column.extend(block.iter().skip(index).step_by(range.len()));
        }
    }
    columns
}

/// Direct sums for few outputs or short kernels, otherwise transforms.
#[inline(never)]
fn convolve_channel(kernel: &[f64], u: &[f64], reach: Reach, rows: Range<usize>, length: usize) -> Vec<f64> {
    let lags = kernel.len().min(length);
    if 2 * rows.len() as u64 * lags as u64 <= convolution_flops(length) {
        let sum = |t: usize| {
            let kernel = &kernel[..reach.lags(t, length, lags)];
            match reach {
                Reach::Past => kernel.iter().zip(u[..=t].iter().rev()).map(|(k, u)| k * u).sum(),
                Reach::Future => kernel.iter().zip(&u[t..]).map(|(k, u)| k * u).sum(),
                Reach::Ahead => kernel.iter().zip(&u[t + 1..]).map(|(k, u)| k * u).sum::<f64>(),
            }
        };
        return rows.map(sum).collect();
    }
    if reach == Reach::Past {
        return convolve(kernel, u, rows.end)[rows].to_vec();
    }
    // Reversed in time, the future is the past.
    let reversed: Vec<f64> = u.iter().rev().copied().collect();
    let y = convolve(kernel, &reversed, length);
    let late = usize::from(reach == Reach::Ahead);
    rows.map(|t| (length - 1 - t).checked_sub(late).map_or(0.0, |at| y[at])).collect()
}

#[inline(never)]
fn apply(f: Unary, values: &mut [f64]) {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};
    let f: fn(f64) -> f64 = match f {
        Unary::Exp => return exponentials(values),
        Unary::Sin => return sines(values),
        Unary::Sigmoid => return sigmoids(values),
        Unary::Silu => {
            let x = values.to_vec();
            sigmoids(values);
            return values.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
        }
        Unary::Tanh => f64::tanh,
        Unary::Erf => libm::erf,
        Unary::Gelu => |x| 0.5 * x * (1.0 + libm::erf(x * FRAC_1_SQRT_2)),
        Unary::GeluTanh => |x| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x * x * x)).tanh()),
        Unary::Relu => |x| if x < 0.0 { 0.0 } else { x },
        Unary::Softplus => |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Abs => f64::abs,
        Unary::Sqrt => f64::sqrt,
        Unary::Recip => f64::recip,
    };
    values.iter_mut().for_each(|x| *x = f(*x));
}

/// Replaces every value by 1 / (1 + e⁻ˣ).
fn sigmoids(values: &mut [f64]) {
    values.iter_mut().for_each(|x| *x = -*x);
    exponentials(values);
    values.iter_mut().for_each(|x| *x = 1.0 / (1.0 + *x));
}

/// 1/k! for k = 13 … 0: the Taylor polynomial of the exponential function, whose remainder on |r| ≤ ½ ln 2 is below 10⁻¹⁷.
const EXPONENTIAL: [f64; 14] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

/// Adding 1.5·2⁵² rounds to the nearest integer, which is then in the lowest bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// Replaces every value by eˣ, several at a time, with a relative error below 10⁻¹⁵. Calls of a library function for
/// single values would take most of the time of a recurrence.
fn exponentials(values: &mut [f64]) {
    /// Largest argument whose power of two is a normal number.
    const REDUCIBLE: f64 = 708.0;
    /// ln 2 rounded to 32 bits, so that its products with powers are exact, and the remainder.
    const LN_2: f64 = 0.693_147_180_369_123_8;
    const LN_2_REST: f64 = 1.908_214_929_270_587_7e-10;
    for block in values.chunks_mut(16) {
        // A NaN is not in the range either.
        if !block.iter().all(|x| x.abs() <= REDUCIBLE) {
            block.iter_mut().for_each(|x| *x = x.exp());
            continue;
        }
        for x in block {
            let shifted = *x * std::f64::consts::LOG2_E + ROUND;
            let power = shifted - ROUND;
            let r = (*x - power * LN_2) - power * LN_2_REST;
            let polynomial = EXPONENTIAL[1..].iter().fold(EXPONENTIAL[0], |sum, term| sum * r + term);
            // 2ᵏ: k in the bits of an exponent, whose bias is 1023.
            *x = polynomial * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
        }
    }
}

/// (−1)ᵏ / (2k + 1)! for k = 8 … 1: the Taylor polynomial of the sine, whose remainder on |r| ≤ π/2 is below 5·10⁻¹⁴.
const SINE: [f64; 8] = [
    1.0 / 355_687_428_096_000.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 39_916_800.0,
    1.0 / 362_880.0,
    -1.0 / 5040.0,
    1.0 / 120.0,
    -1.0 / 6.0,
];

/// Replaces every value by its sine, several at a time. Calls of a library function for single values would take most
/// of the time of an implicit filter.
#[inline(never)]
fn sines(values: &mut [f64]) {
    /// Largest argument for the reduction.
    const REDUCIBLE: f64 = 1e5;
    /// π minus its nearest f64.
    const PI_REST: f64 = 1.224_646_799_147_353_2e-16;
    for block in values.chunks_mut(16) {
        // A NaN is not in the range either.
        if !block.iter().all(|x| x.abs() <= REDUCIBLE) {
            block.iter_mut().for_each(|x| *x = x.sin());
            continue;
        }
        for x in block {
            let shifted = *x * std::f64::consts::FRAC_1_PI + ROUND;
            let turns = shifted - ROUND;
            let r = (*x - turns * std::f64::consts::PI) - turns * PI_REST;
            let square = r * r;
            let polynomial = SINE[1..].iter().fold(SINE[0], |sum, coefficient| sum * square + coefficient);
            let sine = r + r * square * polynomial;
            // sin(r + kπ) = (−1)ᵏ sin r.
            *x = f64::from_bits(sine.to_bits() ^ (shifted.to_bits() << 63));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention;

    fn noise(random: &mut fastrand::Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| random.f32() - 0.5).collect()
    }

    fn close(a: &Tensor<'_>, b: &Tensor<'_>) {
        assert_eq!(a.shape(), b.shape());
        for (a, b) in a.to_vec().iter().zip(b.to_vec()) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    }

    /// With one query the product is factored, with many it is not; both for evaluated and unevaluated products.
    #[test]
    fn both_orders_of_a_product_are_equal() {
        let mut random = fastrand::Rng::with_seed(1);
        let (length, inputs, width) = (50, 12, 6);
        let [x, q, w] = [length * inputs, length * width, width * inputs].map(|n| noise(&mut random, n));
        let bias = noise(&mut random, width);
        let mut a = Exact::default();
        let (x, q) = (a.load(&x, [length, inputs]), a.load(&q, [length, width]));
        let (w, bias) = (a.load(&w, [width, inputs]), a.load(&bias, [1, width]));
        let keys = a.linear(&x, &w, Some(&bias));
        let evaluated = Tensor::dense(a.linear(&x, &w, Some(&bias)).values().to_owned());
        for rows in [vec![31], (0..length).collect()] {
            let mask = Mask::Causal(rows.clone());
            let q = a.gather(&q, &rows);
            for mask in [Mask::All, mask] {
                let want = attention(&mut a, &q, &evaluated, &evaluated, &mask);
                let got = attention(&mut a, &q, &keys, &keys, &mask);
                close(&got, &want);
            }
        }
        let pending = keys.pending().is_some();
        assert!(!pending, "many queries evaluate the keys once");
        for keys in [keys, a.linear(&x, &w, Some(&bias))] {
            let cut = a.columns(&keys, 2..5);
            let cut = a.rows(&cut, 10..20);
            let got = a.gather(&cut, &[3, 3, 0]);
            let want = a.columns(&evaluated, 2..5);
            close(&got, &a.gather(&want, &[13, 13, 10]));
        }
    }

    #[test]
    fn direct_and_transformed_convolutions_agree() {
        let mut random = fastrand::Rng::with_seed(2);
        for (length, lags, shared) in [(1, 1, false), (300, 300, true), (1500, 1500, false), (900, 20, false)]
        {
            let channels = 3;
            let u = noise(&mut random, length * channels);
            let k = noise(&mut random, lags * if shared { 1 } else { channels });
            let mut a = Exact::default();
            let u = a.load(&u, [length, channels]);
            let k = a.load(&k, [lags, k.len() / lags]);
            for reach in [Reach::Past, Reach::Future, Reach::Ahead] {
                let whole = a.convolve(&k, &u, reach, 0..length);
                for t in [0, length / 2, length - 1] {
                    let one = a.convolve(&k, &u, reach, t..t + 1);
                    close(&one, &a.rows(&whole, t..t + 1));
                    let sum = |channel: usize| -> f64 {
                        let position = |s: usize| match reach {
                            Reach::Past => t.checked_sub(s),
                            Reach::Future => Some(t + s),
                            Reach::Ahead => Some(t + 1 + s),
                        };
                        let lags = (0..lags).filter_map(|s| Some((s, position(s).filter(|p| *p < length)?)));
                        let (k, u) = (k.values(), u.values());
                        lags.map(|(s, p)| k[[s, if shared { 0 } else { channel }]] * u[[p, channel]]).sum()
                    };
                    close(&one, &a.constant([1, channels], (0..channels).map(sum).collect()));
                }
            }
        }
    }

    /// h\[t\] = d h\[t − 1\] + i x\[t\] is a convolution with o dˢ i.
    #[test]
    fn a_recurrence_is_a_convolution_with_powers() {
        let mut random = fastrand::Rng::with_seed(3);
        let (length, channels, states) = (40, 2, 3);
        let mut a = Exact::default();
        let mut small = |n: usize| (0..n).map(|_| random.f64() - 0.5).collect::<Vec<f64>>();
        let [d, i, o] = [(); 3].map(|()| small(channels * states));
        let x = small(length * channels);
        let [d, i, o] = [d, i, o].map(|values| a.constant([channels, states], values));
        let gain = a.mul(&i, &o);
        let k = a.vandermonde(&gain, &d, length);
        let x = a.constant([length, channels], x);
        let got = a.recurrence(&d, &i, &o, &x);
        let want = a.convolve(&k, &x, Reach::Past, 0..length);
        close(&got, &want);
    }

    fn noise_pair<'a>(a: &mut Exact<'a>, random: &mut fastrand::Rng, shape: [usize; 2]) -> Pair<Tensor<'a>> {
        let mut part = || (0..shape[0] * shape[1]).map(|_| random.f64() - 0.5).collect::<Vec<_>>();
        Pair { re: a.constant(shape, part()), im: a.constant(shape, part()) }
    }

    fn complex(pair: &Pair<Tensor<'_>>) -> Vec<Complex<f64>> {
        pair.re.to_vec().iter().zip(pair.im.to_vec()).map(|(re, im)| Complex::new(*re, im)).collect()
    }

    /// With numbers of states that are not multiples of the number of lanes.
    #[test]
    fn complex_recurrences_follow_their_definitions() {
        let mut random = fastrand::Rng::with_seed(4);
        let (length, channels) = (30, 3);
        let mut a = Exact::default();
        for states in [1, 4, 6] {
            let [d, i, o] = [(); 3].map(|()| noise_pair(&mut a, &mut random, [channels, states]));
            let x: Vec<f64> = (0..length * channels).map(|_| random.f64() - 0.5).collect();
            let powers = a.complex_vandermonde(&o, &d, length).to_vec();
            let loaded = a.constant([length, channels], x.clone());
            let y = a.bilinear_recurrence(&d, &i, &o, &loaded).to_vec();
            let [d, i, o] = [d, i, o].map(|pair| complex(&pair));
            for c in 0..channels {
                let own = c * states..(c + 1) * states;
                let mut h = vec![Complex::new(0.0, 0.0); states];
                for t in 0..length {
                    let x = x[t * channels + c];
                    let (mut power, mut want) = (0.0, 0.0);
                    for (j, h) in own.clone().zip(&mut h) {
                        power += (o[j] * d[j].powu(t as u32)).re;
                        *h = (d[j] + i[j] * x) * *h + i[j] * x;
                        want += (o[j] * *h).re;
                    }
                    assert!((powers[t * channels + c] - power).abs() < 1e-12, "{states} {t}");
                    assert!((y[t * channels + c] - want).abs() < 1e-12, "{states} {t}");
                }
            }
        }
    }

    #[test]
    fn pairs_are_complex_numbers() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut a = Exact::default();
        let [x, y] = [(); 2].map(|()| noise_pair(&mut a, &mut random, [3, 2]));
        let (u, v) = (complex(&x), complex(&y));
        let holds = |got: &Pair<Tensor<'_>>, want: &dyn Fn(usize) -> Complex<f64>| {
            for (at, got) in complex(got).iter().enumerate() {
                assert!((got - want(at)).norm() < 1e-12, "{got} {}", want(at));
            }
        };
        holds(&x.times(&mut a, &y), &|at| u[at] * v[at]);
        holds(&x.plus(&mut a, &y), &|at| u[at] + v[at]);
        holds(&x.minus(&mut a, &y), &|at| u[at] - v[at]);
        holds(&x.inverse(&mut a), &|at| u[at].inv());
        holds(&x.conjugate(&mut a), &|at| u[at].conj());
        holds(&x.shifted(&mut a, 2.0), &|at| u[at] + 2.0);
        holds(&x.scaled(&mut a, &y.re), &|at| u[at] * v[at].re);
        let real = x.real_product(&mut a, &y).to_vec();
        assert!(real.iter().enumerate().all(|(at, real)| (real - (u[at] * v[at]).re).abs() < 1e-12));
        let there = a.transform(&x, false);
        holds(&a.transform(&there, true), &|at| u[at] * 3.0);
        let flat = a.reshape(&x.re, [2, 3]);
        assert_eq!((flat.shape(), flat.to_vec()), ([2, 3], x.re.to_vec()));
    }

    #[test]
    fn sides_of_one_row_or_column_are_repeated() {
        let mut a = Exact::default();
        let row = a.constant([1, 3], vec![1.0, 2.0, 3.0]);
        let column = a.constant([2, 1], vec![10.0, 20.0]);
        assert_eq!(a.add(&row, &column).to_vec(), [11.0, 12.0, 13.0, 21.0, 22.0, 23.0]);
        assert_eq!(a.sub(&column, &row).to_vec(), [9.0, 8.0, 7.0, 19.0, 18.0, 17.0]);
        assert_eq!(a.affine(&row, 2.0, 1.0).to_vec(), [3.0, 5.0, 7.0]);
    }

    /// ⟨gather(x), y⟩ = ⟨x, scatter(y)⟩.
    #[test]
    fn scattering_is_the_adjoint_of_gathering() {
        let mut a = Exact::default();
        let rows = [2, 0, 2, 1];
        let x = a.constant([4, 2], (0..8).map(f64::from).collect());
        let y = a.constant([4, 2], (0..8).map(|i| f64::from(i * i)).collect());
        let (gathered, scattered) = (a.gather(&x, &rows), a.scatter(&y, &rows, 4));
        let inner = |a: &Tensor<'_>, b: &Tensor<'_>| -> f64 {
            a.to_vec().iter().zip(b.to_vec()).map(|(a, b)| a * b).sum()
        };
        assert_eq!(inner(&gathered, &y), inner(&x, &scattered));
        assert_eq!(scattered.to_vec(), [4.0, 9.0, 36.0, 49.0, 16.0, 26.0, 0.0, 0.0]);
    }

    #[test]
    fn rows_of_tables_shift_by_one() {
        let mut a = Exact::default();
        let table = a.constant([1, 5], vec![0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(a.toeplitz(&table, &[2, 0], 3, 2).to_vec(), [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn norms_have_their_moments() {
        let mut a = Exact::default();
        let x = a.constant([1, 4], vec![1.0, 2.0, 3.0, 6.0]);
        let (one, zero) = (a.constant([1, 4], vec![1.0; 4]), a.constant([1, 4], vec![0.0; 4]));
        let y = a.layer_norm(&x, &one, &zero, 0.0).to_vec();
        assert!(y.iter().sum::<f64>().abs() < 1e-12);
        assert!((y.iter().map(|y| y * y).sum::<f64>() - 4.0).abs() < 1e-12);
        let g = a.constant([1, 1], vec![3.0]);
        let y = a.scale_norm(&x, &g, 0.0).to_vec();
        assert!((y.iter().map(|y| y * y).sum::<f64>() - 36.0).abs() < 1e-12);
    }

    #[test]
    fn a_softmax_sums_to_one_and_shows_nan() {
        let mut a = Exact::default();
        let x = a.constant([2, 3], vec![800.0, f64::NEG_INFINITY, 801.0, f64::NAN, 0.0, 1.0]);
        let y = a.softmax(&x).to_vec();
        assert!((y[0] + y[2] - 1.0).abs() < 1e-15 && y[1] == 0.0);
        assert!(y[3..].iter().all(|y| y.is_nan()));
    }

    #[test]
    fn sines_agree_with_the_library() {
        let mut x: Vec<f64> = (-40_000..40_000).map(|step| f64::from(step) * 0.01 + 0.003).collect();
        x.extend([0.0, 1e4 + 0.5, -1e5, 3e7, -1e300]);
        let mut y = x.clone();
        apply(Unary::Sin, &mut y);
        for (x, y) in x.iter().zip(y) {
            let bound = if x.abs() < 1e3 { 1e-12 } else { 1e-10 };
            assert!((y - x.sin()).abs() < bound, "sin {x}: {y}");
        }
        let mut y = [1.0, f64::NAN];
        apply(Unary::Sin, &mut y);
        assert!((y[0] - 1_f64.sin()).abs() < 1e-12 && y[1].is_nan());
    }

    #[test]
    fn exponentials_agree_with_the_library() {
        let mut x: Vec<f64> = (-70_000..70_000).map(|step| f64::from(step) * 0.01 + 0.003).collect();
        x.extend([0.0, -0.0, 708.0, -708.0, -745.0, 800.0, -800.0, f64::INFINITY, f64::NEG_INFINITY]);
        let mut y = x.clone();
        apply(Unary::Exp, &mut y);
        for (x, y) in x.iter().zip(y) {
            let want = x.exp();
            assert!(y == want || (y - want).abs() < 1e-15 * want, "exp {x}: {y}");
        }
        let mut y = [1.0, f64::NAN];
        apply(Unary::Sigmoid, &mut y);
        assert!((y[0] - 1.0 / (1.0 + (-1_f64).exp())).abs() < 1e-15 && y[1].is_nan());
    }

    /// Values of Abramowitz and Stegun, tables 7.1 and 26.1.
    #[test]
    fn functions_have_their_tabulated_values() {
        for (f, x, want) in [
            (Unary::Erf, 0.5, 0.520_499_877_8),
            (Unary::Erf, -1.5, -0.966_105_146_5),
            (Unary::Gelu, 1.0, 0.841_344_746_1),
            (Unary::Softplus, 0.0, std::f64::consts::LN_2),
            (Unary::Softplus, 800.0, 800.0),
            (Unary::Silu, 0.0, 0.0),
            (Unary::Sigmoid, -800.0, 0.0),
        ] {
            let mut y = [x];
            apply(f, &mut y);
            assert!((y[0] - want).abs() < 1e-10, "{f:?}({x}) = {}", y[0]);
        }
    }
}
