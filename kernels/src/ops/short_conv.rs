//! Short causal convolutions of eight channels, from a state of the last inputs.

use super::fft::Row;
use super::simd::{Lanes, Work, run_eight};

/// Replaces inputs by s\[t\] = b + Σ_j w_j p[t − S + 1 + j]. `taps` are w_0, …, w_{S−1}, the last one that of the present, and
/// b; `before` are the S − 1 inputs before `rows`, the latest last, and afterwards those before the next rows.
pub fn convolve(taps: &[Row], before: &mut [Row], rows: &mut [Row]) {
    run_eight(Convolve { taps, before, rows });
}

/// [`convolve`].
struct Convolve<'a> {
    taps: &'a [Row],
    before: &'a mut [Row],
    rows: &'a mut [Row],
}

impl Work for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { taps, before, rows } = self;
        let [earlier @ .., present, bias] = taps else { return };
        let (present, bias) = (V::load(present), V::load(bias));
        for row in rows {
            let input = V::load(row);
            let mut sum = bias.mul_add(input, present);
            for (tap, input) in earlier.iter().zip(&*before) {
                sum = sum.mul_add(V::load(input), V::load(tap));
            }
            sum.store(row);
            for index in 1..before.len() {
                V::load(&before[index]).store(&mut before[index - 1]);
            }
            if let Some(last) = before.last_mut() {
                input.store(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_equal_the_definition() {
        for taps in [1, 2, 3, 5] {
            let w: Vec<Row> = (0..=taps).map(|j| [j as f32 - 1.5; 8]).collect();
            let inputs: Vec<Row> =
                (0..11).map(|t| std::array::from_fn(|lane| (t * 3 + lane) as f32)).collect();
            let mut rows = inputs.clone();
            let mut before = vec![[0.0; 8]; taps - 1];
            for piece in [0..1, 1..4, 4..5, 5..11] {
                convolve(&w, &mut before, &mut rows[piece]);
            }
            for (t, row) in rows.iter().enumerate() {
                for (lane, got) in row.iter().enumerate() {
                    let present = (0..taps).filter(|j| t + j + 1 >= taps);
                    let sum: f32 = present.map(|j| w[j][lane] * inputs[t + j + 1 - taps][lane]).sum();
                    assert_eq!(*got, w[taps][lane] + sum);
                }
            }
        }
    }
}
