//! Fourier transforms and convolutions of the references in f64. Tests compare them with the direct sums.

use std::f64::consts::{PI, TAU};

use super::complex::Complex;

/// Σ x\[j\] e^(sign·2πi·jf/n) in place, for any length n.
pub(crate) fn transform(data: &mut [Complex], sign: f64) {
    if data.len().is_power_of_two() {
        radix2(data, sign);
    } else {
        bluestein(data, sign);
    }
}

fn radix2(data: &mut [Complex], sign: f64) {
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
    let turns: Vec<Complex> = (0..n / 2).map(|j| Complex::unit(sign * TAU * j as f64 / n as f64)).collect();
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
fn bluestein(data: &mut [Complex], sign: f64) {
    let n = data.len();
    let size = (2 * n - 1).next_power_of_two();
    // j² modulo 2n, exactly.
    let chirp: Vec<Complex> = (0..n)
        .map(|j| {
            let square = (j as u64 * j as u64 % (2 * n as u64)) as f64;
            Complex::unit(sign * PI * square / n as f64)
        })
        .collect();
    let mut signal = vec![Complex::default(); size];
    let mut filter = vec![Complex::default(); size];
    for j in 0..n {
        signal[j] = data[j] * chirp[j];
        filter[j] = chirp[j].conj();
        filter[(size - j) % size] = chirp[j].conj();
    }
    radix2(&mut signal, -1.0);
    radix2(&mut filter, -1.0);
    signal.iter_mut().zip(&filter).for_each(|(signal, filter)| *signal = *signal * *filter);
    radix2(&mut signal, 1.0);
    for (f, to) in data.iter_mut().enumerate() {
        *to = (signal[f] * chirp[f]).times(1.0 / size as f64);
    }
}

/// `y[t] = Σ_s a[s] b[t − s]` for t < `length`, zero beyond either end: within 10⁻¹⁵ or so of |a|·|b| at every t.
pub fn convolve(a: &[f64], b: &[f64], length: usize) -> Vec<f64> {
    let (a, b) = (&a[..a.len().min(length)], &b[..b.len().min(length)]);
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let norms = norm(a) * norm(b);
    if norms == 0.0 {
        return vec![0.0; length];
    }
    // A single transform suffices: with z = a/|a| + i·b/|b|, the imaginary part of z ∗ z is 2 a ∗ b / (|a|·|b|).
    let size = (a.len() + b.len() - 1).next_power_of_two();
    let mut z = vec![Complex::default(); size];
    let (of_a, of_b) = (1.0 / norm(a), 1.0 / norm(b));
    z.iter_mut().zip(a).for_each(|(z, a)| z.re = a * of_a);
    z.iter_mut().zip(b).for_each(|(z, b)| z.im = b * of_b);
    transform(&mut z, -1.0);
    z.iter_mut().for_each(|z| *z = *z * *z);
    transform(&mut z, 1.0);
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
    use super::*;

    fn noise(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| (((i + 7 * seed) * 7919 + 31) % 1009) as f64 / 500.0 - 1.0).collect()
    }

    #[test]
    fn transforms_agree_with_the_definition() {
        for n in [1, 2, 3, 8, 12, 64, 101] {
            let x: Vec<Complex> =
                noise(n, 1).iter().zip(noise(n, 2)).map(|(re, im)| Complex::new(*re, im)).collect();
            for sign in [-1.0, 1.0] {
                let mut got = x.clone();
                transform(&mut got, sign);
                for (f, got) in got.iter().enumerate() {
                    let want = x.iter().enumerate().fold(Complex::default(), |sum, (j, x)| {
                        sum + *x * Complex::unit(sign * TAU * ((j * f) % n) as f64 / n as f64)
                    });
                    assert!((*got - want).square() < 1e-24, "{n} {f}");
                }
            }
        }
    }

    #[test]
    fn convolutions_agree_with_the_direct_sum() {
        for (n, m, length) in
            [(1, 1, 1), (1, 5, 3), (7, 3, 12), (64, 64, 64), (100, 1000, 900), (2049, 2049, 2049)]
        {
            // Of very different magnitudes, like filters and signals.
            let (a, b) = (noise(n, 3), noise(m, 4).iter().map(|b| 1e6 * b).collect::<Vec<_>>());
            let bound = 1e6 * 1e-14 * ((n * m) as f64).sqrt();
            for (t, got) in convolve(&a, &b, length).into_iter().enumerate() {
                let want: f64 = (0..=t).filter(|s| *s < n && t - s < m).map(|s| a[s] * b[t - s]).sum();
                assert!((got - want).abs() < bound, "{n} {m}: y[{t}] {got} {want}");
            }
        }
        assert_eq!(convolve(&[0.0; 3], &[1.0; 4], 5), [0.0; 5]);
    }
}
