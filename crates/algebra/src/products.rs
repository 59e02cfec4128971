//! Matrix products in f64 of matrices that may be stored in f32. Blocks of rows are widened on demand, so that a long
//! sequence is never stored in f64 as a whole.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, Slice};

use crate::Mask;

/// Storage of a matrix.
#[derive(Debug, Clone)]
pub(crate) enum Stored<'v> {
    /// Floats of a case.
    F32(ArrayView2<'v, f32>),
    /// Computed values.
    F64(ArrayView2<'v, f64>),
}

/// Rows that are widened at once.
const BLOCK: usize = 32;

impl Stored<'_> {
    pub(crate) fn shape(&self) -> [usize; 2] {
        let (rows, columns) = match self {
            Self::F32(view) => view.dim(),
            Self::F64(view) => view.dim(),
        };
        [rows, columns]
    }

    pub(crate) fn transposed(self) -> Self {
        match self {
            Self::F32(view) => Self::F32(view.reversed_axes()),
            Self::F64(view) => Self::F64(view.reversed_axes()),
        }
    }

    /// Whether columns rather than rows are contiguous.
    pub(crate) fn is_column_major(&self) -> bool {
        let strides = match self {
            Self::F32(view) => view.strides(),
            Self::F64(view) => view.strides(),
        };
        strides[0].unsigned_abs() < strides[1].unsigned_abs()
    }

    /// Rows in f64, row-major.
    #[inline(never)]
    pub(crate) fn read(&self, rows: Range<usize>, to: &mut Vec<f64>) {
        to.clear();
        match self {
            Self::F32(view) => extend(view, rows, to, f64::from),
            Self::F64(view) => extend(view, rows, to, |value| value),
        }
    }
}

fn extend<T: Copy>(
    view: &ArrayView2<'_, T>,
    rows: Range<usize>,
    to: &mut Vec<f64>,
    widen: impl Fn(T) -> f64,
) {
    let view = view.slice_axis(Axis(0), Slice::from(rows));
    if let Some(values) = view.as_slice() {
        to.extend(values.iter().map(|&value| widen(value)));
        return;
    }
    for row in view.outer_iter() {
        match row.as_slice() {
            Some(values) => to.extend(values.iter().map(|&value| widen(value))),
            None => to.extend(row.iter().map(|&value| widen(value))),
        }
    }
}

/// a bᵀ where `mask` allows it, −∞ elsewhere.
#[inline(never)]
pub(crate) fn product_transposed(a: &Stored<'_>, b: Stored<'_>, mask: &Mask) -> Array2<f64> {
    let ([rows, inner], [columns, _]) = (a.shape(), b.shape());
    if *mask == Mask::All && b.is_column_major() {
        return product(a, b.transposed());
    }
    let mut y = vec![f64::NEG_INFINITY; rows * columns];
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for first in (0..rows).step_by(BLOCK) {
        a.read(first..rows.min(first + BLOCK), &mut left);
        let y = &mut y[first * columns..];
        for start in (0..columns).step_by(BLOCK) {
            let end = columns.min(start + BLOCK);
            b.read(start..end, &mut right);
            for (row, left) in left.chunks_exact(inner.max(1)).enumerate() {
                let seen = mask.seen(first + row, columns).clamp(start, end) - start;
                let to = &mut y[row * columns + start..][..seen];
                to.iter_mut()
                    .zip(right.chunks_exact(inner.max(1)))
                    .for_each(|(to, right)| *to = dot(left, right));
            }
        }
    }
    matrix(rows, columns, y)
}

/// a b. A zero entry of `a` adds nothing, even if its factor is NaN or infinite.
#[inline(never)]
pub(crate) fn product(a: &Stored<'_>, b: Stored<'_>) -> Array2<f64> {
    let ([rows, inner], [_, columns]) = (a.shape(), b.shape());
    if b.is_column_major() && inner > 1 {
        return product_transposed(a, b.transposed(), &Mask::All);
    }
    let mut y = vec![0.0; rows * columns];
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for first in (0..rows).step_by(BLOCK) {
        a.read(first..rows.min(first + BLOCK), &mut left);
        let y = &mut y[first * columns..];
        for start in (0..inner).step_by(BLOCK) {
            let end = inner.min(start + BLOCK);
            b.read(start..end, &mut right);
            for (left, y) in left.chunks_exact(inner.max(1)).zip(y.chunks_exact_mut(columns.max(1))) {
                for (&factor, right) in left[start..end].iter().zip(right.chunks_exact(columns.max(1))) {
                    if factor != 0.0 {
                        y.iter_mut().zip(right).for_each(|(y, right)| *y += factor * right);
                    }
                }
            }
        }
    }
    matrix(rows, columns, y)
}

/// `values` in row-major order; zeros if their number differs from that of the shape.
#[inline(never)]
pub(crate) fn matrix(rows: usize, columns: usize, values: Vec<f64>) -> Array2<f64> {
    Array2::from_shape_vec((rows, columns), values).unwrap_or_else(|_| Array2::zeros((rows, columns)))
}

/// a·b in eight partial sums, which fill vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_and_width_gives_the_direct_sum() {
        let mut random = fastrand::Rng::with_seed(3);
        for (rows, inner, columns) in [(1, 1, 1), (3, 40, 70), (70, 9, 3), (33, 33, 1)] {
            let a: Vec<f32> = (0..rows * inner).map(|_| random.f32() - 0.5).collect();
            let b: Vec<f64> = (0..inner * columns).map(|_| random.f64() - 0.5).collect();
            let mask = Mask::Causal((0..rows).collect());
            let a = ArrayView2::from_shape((rows, inner), &a).unwrap();
            let b = ArrayView2::from_shape((inner, columns), &b).unwrap();
            let row_major = b.reversed_axes().as_standard_layout().to_owned();
            let left = Stored::F32(a);
            let got = [
                product(&left, Stored::F64(b)),
                product(&left, Stored::F64(row_major.t())),
                product_transposed(&left, Stored::F64(b.t()), &Mask::All),
                product_transposed(&left, Stored::F64(row_major.view()), &Mask::All),
            ];
            let masked = [b.t(), row_major.view()].map(|b| product_transposed(&left, Stored::F64(b), &mask));
            for i in 0..rows {
                for j in 0..columns {
                    let want: f64 = (0..inner).map(|k| f64::from(a[[i, k]]) * b[[k, j]]).sum();
                    assert!(got.iter().all(|y| (y[[i, j]] - want).abs() < 1e-13), "{rows} {inner} {columns}");
                    for y in &masked {
                        let absent = j > i;
                        assert_eq!(y[[i, j]] == f64::NEG_INFINITY, absent);
                        assert!(absent || (y[[i, j]] - want).abs() < 1e-13);
                    }
                }
            }
        }
    }
}
