//! The counting interpreter: shapes in place of values.

use std::ops::Range;

use crate::{Algebra, Binary, Load, Mask, Pair, Reach, Reduction, Scope, Unary};

/// The shape of a matrix, and its number of unmasked entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    rows: usize,
    columns: usize,
    entries: u64,
}

impl Size {
    fn full(rows: usize, columns: usize) -> Self {
        Self { rows, columns, entries: product(rows, columns) }
    }
}

fn product(a: usize, b: usize) -> u64 {
    (a as u64).saturating_mul(b as u64)
}

/// Operations of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Functions of many instructions ([`Unary::transcendentals`]). Each row of a norm or a softmax counts a division,
    /// a row of a norm also a square root.
    pub transcendentals: u64,
}

/// Counts the operations of a model by the conventions in the docs of [`Algebra`]'s methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    is_setup: bool,
    is_counted: bool,
    /// Operations of the forward pass.
    pub forward: Tally,
    /// Operations of the set-up.
    pub setup: Tally,
    /// Operations of the forward pass that are customarily not counted.
    pub uncounted: Tally,
}

impl Default for Count {
    fn default() -> Self {
        let none = Tally::default();
        Self { is_setup: false, is_counted: true, forward: none, setup: none, uncounted: none }
    }
}

impl Count {
    fn tally(&mut self) -> &mut Tally {
        match (self.is_setup, self.is_counted) {
            (false, true) => &mut self.forward,
            (true, _) => &mut self.setup,
            (false, false) => &mut self.uncounted,
        }
    }

    fn record(&mut self, flops: u64, transcendentals: u64) {
        let flops = if self.is_setup && !self.is_counted { 0 } else { flops };
        let tally = self.tally();
        tally.flops = tally.flops.saturating_add(flops);
        tally.transcendentals = tally.transcendentals.saturating_add(transcendentals);
    }
}

impl Algebra for Count {
    type T = Size;

    fn constant(&mut self, [rows, columns]: [usize; 2], _: Vec<f64>) -> Size {
        Size::full(rows, columns)
    }

    fn shape(&self, x: &Size) -> [usize; 2] {
        [x.rows, x.columns]
    }

    fn linear(&mut self, x: &Size, weight: &Size, _: Option<&Size>) -> Size {
        assert_eq!(x.columns, weight.columns, "inputs of a linear layer");
        self.record(2_u64.saturating_mul(x.entries).saturating_mul(weight.rows as u64), 0);
        Size::full(x.rows, weight.rows)
    }

    fn matmul(&mut self, a: &Size, b: &Size) -> Size {
        assert_eq!(a.columns, b.rows, "inner sizes of a product");
        self.record(2_u64.saturating_mul(a.entries).saturating_mul(b.columns as u64), 0);
        Size::full(a.rows, b.columns)
    }

    fn scores(&mut self, q: &Size, k: &Size, mask: &Mask) -> Size {
        assert_eq!(q.columns, k.columns, "widths of queries and keys");
        let entries = (0..q.rows).map(|row| mask.seen(row, k.rows) as u64).sum();
        self.record(2_u64.saturating_mul(entries).saturating_mul(q.columns as u64), 0);
        Size { rows: q.rows, columns: k.rows, entries }
    }

    fn map(&mut self, x: &Size, f: Unary) -> Size {
        self.record(x.entries, x.entries.saturating_mul(f.transcendentals()));
        *x
    }

    fn affine(&mut self, x: &Size, factor: f64, offset: f64) -> Size {
        let operations = u64::from(factor != 1.0) + u64::from(offset != 0.0);
        self.record(x.entries.saturating_mul(operations), 0);
        *x
    }

    fn zip(&mut self, a: &Size, _: Binary, b: &Size) -> Size {
        let fits = |a: usize, b: usize| a == b || a == 1 || b == 1;
        assert!(fits(a.rows, b.rows) && fits(a.columns, b.columns), "{a:?} and {b:?}");
        let mut result = Size::full(a.rows.max(b.rows), a.columns.max(b.columns));
        for side in [a, b] {
            if (side.rows, side.columns) == (result.rows, result.columns) {
                result.entries = result.entries.min(side.entries);
            }
        }
        self.record(result.entries, 0);
        result
    }

    fn softmax(&mut self, x: &Size) -> Size {
        self.record(0, x.entries.saturating_add(x.rows as u64));
        *x
    }

    fn reduce(&mut self, x: &Size, _: Reduction) -> Size {
        self.record(x.entries, 0);
        Size::full(x.rows, 1)
    }

    fn convolve(&mut self, kernel: &Size, u: &Size, reach: Reach, rows: Range<usize>) -> Size {
        let (length, channels) = (rows.len(), u.columns);
        let lags: u64 = rows.map(|t| reach.lags(t, u.rows, kernel.rows) as u64).sum();
        self.record(2_u64.saturating_mul(lags).saturating_mul(channels as u64), 0);
        Size::full(length, channels)
    }

    fn recurrence(&mut self, decay: &Size, _: &Size, _: &Size, x: &Size) -> Size {
        assert_eq!(decay.rows, x.columns, "channels of a recurrence");
        self.record(5_u64.saturating_mul(decay.entries).saturating_mul(x.rows as u64), 0);
        *x
    }

    fn vandermonde(&mut self, gain: &Size, _: &Size, lags: usize) -> Size {
        self.record(2_u64.saturating_mul(gain.entries).saturating_mul(lags as u64), 0);
        Size::full(lags, gain.rows)
    }

    fn complex_vandermonde(&mut self, gain: &Pair<Size>, _: &Pair<Size>, lags: usize) -> Size {
        self.record(8_u64.saturating_mul(gain.re.entries).saturating_mul(lags as u64), 0);
        Size::full(lags, gain.re.rows)
    }

    fn bilinear_recurrence(&mut self, decay: &Pair<Size>, _: &Pair<Size>, _: &Pair<Size>, x: &Size) -> Size {
        assert_eq!(decay.re.rows, x.columns, "channels of a recurrence");
        self.record(16_u64.saturating_mul(decay.re.entries).saturating_mul(x.rows as u64), 0);
        *x
    }

    fn transform(&mut self, x: &Pair<Size>, _: bool) -> Pair<Size> {
        let levels = x.re.rows.next_power_of_two().ilog2();
        self.record(5_u64.saturating_mul(x.re.entries).saturating_mul(u64::from(levels)), 0);
        x.clone()
    }

    fn reshape(&mut self, x: &Size, [rows, columns]: [usize; 2]) -> Size {
        assert_eq!(product(x.rows, x.columns), product(rows, columns), "entries of {x:?}");
        Size { rows, columns, entries: x.entries }
    }

    fn gather(&mut self, x: &Size, rows: &[usize]) -> Size {
        Size::full(rows.len(), x.columns)
    }

    fn scatter(&mut self, x: &Size, rows: &[usize], count: usize) -> Size {
        assert_eq!(x.rows, rows.len(), "rows to scatter");
        self.record(x.entries, 0);
        Size::full(count, x.columns)
    }

    fn rows(&mut self, x: &Size, range: Range<usize>) -> Size {
        assert!(range.end <= x.rows, "{range:?} of {x:?}");
        Size::full(range.len(), x.columns)
    }

    fn columns(&mut self, x: &Size, range: Range<usize>) -> Size {
        assert!(range.end <= x.columns, "{range:?} of {x:?}");
        Size::full(x.rows, range.len())
    }

    fn stack(&mut self, parts: &[Size]) -> Size {
        Size::full(parts.iter().map(|part| part.rows).sum(), parts.first().map_or(0, |part| part.columns))
    }

    fn concat(&mut self, parts: &[Size]) -> Size {
        Size::full(parts.first().map_or(0, |part| part.rows), parts.iter().map(|part| part.columns).sum())
    }

    fn transpose(&mut self, x: &Size) -> Size {
        Size { rows: x.columns, columns: x.rows, entries: x.entries }
    }

    fn toeplitz(&mut self, _: &Size, rows: &[usize], columns: usize, _: usize) -> Size {
        Size::full(rows.len(), columns)
    }

    fn layer_norm(&mut self, x: &Size, _: &Size, _: &Size, _: f64) -> Size {
        self.record(8 * x.entries, 2 * x.rows as u64);
        *x
    }

    fn scale_norm(&mut self, x: &Size, _: &Size, _: f64) -> Size {
        self.record(4 * x.entries, 2 * x.rows as u64);
        *x
    }

    fn scoped<R>(&mut self, scope: Scope, f: impl FnOnce(&mut Self) -> R) -> R {
        let outer = (self.is_setup, self.is_counted);
        match scope {
            Scope::SetUp => self.is_setup = true,
            Scope::Uncounted => self.is_counted = false,
        }
        let result = f(self);
        (self.is_setup, self.is_counted) = outer;
        result
    }

    fn counted_as<R>(&mut self, flops: u64, f: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.tally().flops;
        let result = f(self);
        self.tally().flops = before;
        self.record(flops, 0);
        result
    }
}

impl<'a> Load<'a> for Count {
    fn load(&mut self, _: &'a [f32], [rows, columns]: [usize; 2]) -> Size {
        Size::full(rows, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention;

    #[test]
    fn causal_attention_counts_seen_pairs_only() {
        let mut count = Count::default();
        let q = Size::full(7, 4);
        attention(&mut count, &q, &q, &q, &Mask::Causal((0..7).collect()));
        let pairs = 7 * 8 / 2;
        assert_eq!(count.forward, Tally { flops: 4 * pairs * 4, transcendentals: pairs + 7 });
        assert_eq!(count.uncounted.flops, pairs);
    }

    #[test]
    fn scopes_nest_and_end() {
        let mut count = Count::default();
        let x = Size::full(2, 3);
        count.scoped(Scope::SetUp, |a| {
            a.scoped(Scope::Uncounted, |a| a.map(&x, Unary::Exp));
            a.add(&x, &x);
        });
        count.map(&x, Unary::Silu);
        assert_eq!(count.setup, Tally { flops: 6, transcendentals: 6 });
        assert_eq!(count.uncounted, Tally::default());
        assert_eq!(count.forward, Tally { flops: 6, transcendentals: 12 });
    }

    #[test]
    fn a_price_replaces_operations_and_leaves_functions() {
        let mut count = Count::default();
        let x = Size::full(2, 3);
        count.add(&x, &x);
        count.counted_as(10, |a| {
            let y = a.map(&x, Unary::Exp);
            a.scatter(&y, &[4, 4], 5)
        });
        assert_eq!(count.forward, Tally { flops: 6 + 10, transcendentals: 6 });
        assert_eq!(count.scatter(&x, &[1, 0], 2), x);
        assert_eq!(count.forward.flops, 6 + 10 + 6);
    }

    #[test]
    fn convolutions_count_the_lags_inside_the_signal() {
        let (kernel, u) = (Size::full(3, 1), Size::full(5, 2));
        let flops = |reach, rows| {
            let mut count = Count::default();
            count.convolve(&kernel, &u, reach, rows);
            count.forward.flops
        };
        assert_eq!(flops(Reach::Past, 0..5), 2 * 2 * (1 + 2 + 3 + 3 + 3));
        assert_eq!(flops(Reach::Future, 0..5), flops(Reach::Past, 0..5));
        assert_eq!(flops(Reach::Ahead, 0..5), 2 * 2 * (3 + 3 + 2 + 1));
        assert_eq!(flops(Reach::Past, 1..2), 2 * 2 * 2);
    }

    #[test]
    fn counts_saturate() {
        let mut count = Count::default();
        let huge = Size::full(usize::MAX, usize::MAX);
        count.linear(&huge, &huge, None);
        assert_eq!(count.forward.flops, u64::MAX);
    }
}
