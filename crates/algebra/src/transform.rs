//! Fourier transforms and convolutions in f64.

use num_complex::Complex;
use num_traits::Zero;

/// Σ x\[j\] e^(∓2πi jf/n) in place for any length n; the exponent is positive if `inverse`. Neither direction divides
/// by n.
pub fn transform(data: &mut [Complex<f64>], inverse: bool) {
    #[cfg(not(target_arch = "wasm32"))]
    rustfft_transform(data, inverse);
    #[cfg(target_arch = "wasm32")]
    small::transform(data, if inverse { 1.0 } else { -1.0 });
}

#[cfg(not(target_arch = "wasm32"))]
fn rustfft_transform(data: &mut [Complex<f64>], inverse: bool) {
    use rustfft::{FftDirection, FftPlanner};
    let direction = if inverse { FftDirection::Inverse } else { FftDirection::Forward };
    if !data.is_empty() {
        FftPlanner::new().plan_fft(data.len(), direction).process(data);
    }
}

/// The transforms in the worker. rustfft's radix 4 and Bluestein's algorithm without its planner would take 15 kB of
/// Brotli; these take 5. A test compares both.
#[cfg(any(target_arch = "wasm32", test))]
mod small {
    use std::f64::consts::{PI, TAU};

    use num_complex::Complex;
    use num_traits::Zero;

    /// The transform with the exponent's `sign`.
    #[inline(never)]
    pub fn transform(data: &mut [Complex<f64>], sign: f64) {
        if data.len().is_power_of_two() {
            radix2(data, sign);
        } else if !data.is_empty() {
            bluestein(data, sign);
        }
    }

    fn radix2(data: &mut [Complex<f64>], sign: f64) {
        let n = data.len();
        if n < 2 {
            return;
        }
        let shift = usize::BITS - n.ilog2();
        for index in 0..n {
            let mirrored = index.reverse_bits() >> shift;
            if index < mirrored {
                data.swap(index, mirrored);
            }
        }
        let turns: Vec<_> = (0..n / 2).map(|j| Complex::cis(sign * TAU * j as f64 / n as f64)).collect();
        let mut half = 1;
        while half < n {
            for block in data.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for (j, (low, high)) in low.iter_mut().zip(high).enumerate() {
                    let turned = turns[j * (n / (2 * half))] * *high;
                    (*low, *high) = (*low + turned, *low - turned);
                }
            }
            half *= 2;
        }
    }

    /// Bluestein's algorithm: jf = (j² + f² − (f − j)²)/2 turns a transform of any length into a convolution.
    fn bluestein(data: &mut [Complex<f64>], sign: f64) {
        let n = data.len();
        let size = (2 * n - 1).next_power_of_two();
        // j² modulo 2n, computed exactly.
        let chirp: Vec<Complex<f64>> = (0..n)
            .map(|j| {
                let square = (j as u64 * j as u64 % (2 * n as u64)) as f64;
                Complex::cis(sign * PI * square / n as f64)
            })
            .collect();
        let mut signal = vec![Complex::zero(); size];
        let mut filter = vec![Complex::zero(); size];
        for j in 0..n {
            signal[j] = data[j] * chirp[j];
            filter[j] = chirp[j].conj();
            filter[(size - j) % size] = chirp[j].conj();
        }
        radix2(&mut signal, -1.0);
        radix2(&mut filter, -1.0);
        signal.iter_mut().zip(&filter).for_each(|(signal, filter)| *signal *= filter);
        radix2(&mut signal, 1.0);
        for (f, to) in data.iter_mut().enumerate() {
            *to = signal[f] * chirp[f] / size as f64;
        }
    }
}

/// y\[t\] = Σ_s a\[s\] b\[t − s\] for t < `length`, with zeros beyond both ends. The error at every t is about 10⁻¹⁵
/// |a|·|b|.
#[inline(never)]
pub fn convolve(a: &[f64], b: &[f64], length: usize) -> Vec<f64> {
    let (a, b) = (&a[..a.len().min(length)], &b[..b.len().min(length)]);
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let norms = norm(a) * norm(b);
    if norms == 0.0 {
        return vec![0.0; length];
    }
    // One transform handles both inputs: with z = a/|a| + i·b/|b|, Im(z ∗ z) = 2 (a ∗ b) / (|a| |b|).
    let size = (a.len() + b.len() - 1).next_power_of_two();
    let mut z = vec![Complex::zero(); size];
    let (of_a, of_b) = (1.0 / norm(a), 1.0 / norm(b));
    z.iter_mut().zip(a).for_each(|(z, a)| z.re = a * of_a);
    z.iter_mut().zip(b).for_each(|(z, b)| z.im = b * of_b);
    transform(&mut z, false);
    z.iter_mut().for_each(|z| *z = *z * *z);
    transform(&mut z, true);
    let scale = norms / (2 * size) as f64;
    let mut y: Vec<f64> = z.iter().take(length).map(|z| scale * z.im).collect();
    y.resize(length, 0.0);
    y
}

/// Operations of [`convolve`] for two inputs of `length` values: two transforms of twice as many points.
pub fn convolution_flops(length: usize) -> u64 {
    let size = (2 * length).next_power_of_two() as u64;
    10 * size * u64::from(size.ilog2())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn noise(random: &mut fastrand::Rng, n: usize) -> Vec<f64> {
        (0..n).map(|_| 2.0 * random.f64() - 1.0).collect()
    }

    #[test]
    fn transforms_agree_with_the_definition() {
        let mut random = fastrand::Rng::with_seed(1);
        for n in [0, 1, 2, 3, 8, 12, 64, 101] {
            let x: Vec<_> = (0..n).map(|_| Complex::new(random.f64() - 0.5, random.f64() - 0.5)).collect();
            for (inverse, sign) in [(false, -1.0), (true, 1.0)] {
                let (mut planned, mut small) = (x.clone(), x.clone());
                transform(&mut planned, inverse);
                small::transform(&mut small, sign);
                for (f, (got, small)) in planned.iter().zip(&small).enumerate() {
                    let turn = |j: usize| Complex::cis(sign * TAU * ((j * f) % n) as f64 / n as f64);
                    let want: Complex<f64> = x.iter().enumerate().map(|(j, x)| x * turn(j)).sum();
                    assert!((got - want).norm() < 1e-12 && (small - want).norm() < 1e-12, "{n} {f}");
                }
            }
        }
    }

    #[test]
    fn convolutions_agree_with_the_direct_sum() {
        let mut random = fastrand::Rng::with_seed(2);
        for (n, m, length) in
            [(1, 1, 1), (1, 5, 3), (7, 3, 12), (64, 64, 64), (100, 1000, 900), (2049, 2049, 2049)]
        {
            // Of very different magnitudes, as filters and signals are.
            let a = noise(&mut random, n);
            let b: Vec<f64> = noise(&mut random, m).iter().map(|b| 1e6 * b).collect();
            let bound = 1e6 * 1e-14 * ((n * m) as f64).sqrt();
            for (t, got) in convolve(&a, &b, length).into_iter().enumerate() {
                let want: f64 = (0..=t).filter(|s| *s < n && t - s < m).map(|s| a[s] * b[t - s]).sum();
                assert!((got - want).abs() < bound, "{n} {m}: y[{t}] {got} {want}");
            }
        }
        assert_eq!(convolve(&[0.0; 3], &[1.0; 4], 5), [0.0; 5]);
    }
}
