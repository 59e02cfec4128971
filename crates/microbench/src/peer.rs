//! The long convolution by RustFFT as a user would write it: real transforms, cached spectra, reused scratch.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// A convolution of `channels` signals of length `seq_len` by `filter`. A call processes all signals once.
pub(crate) fn convolution(
    channels: usize,
    seq_len: usize,
    size: usize,
    filter: &[f32],
    x: Vec<f32>,
) -> impl FnMut() -> f32 + use<> {
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let mut scratch = vec![Complex::default(); forward.get_scratch_len().max(inverse.get_scratch_len())];
    let mut signal = vec![0.0; size];
    let mut spectrum = forward.make_output_vec();
    signal[..seq_len].copy_from_slice(&filter[..seq_len]);
    // The buffers have the plans' lengths, so neither direction can fail.
    let _ = forward.process_with_scratch(&mut signal, &mut spectrum, &mut scratch);
    let scale = 1.0 / size as f32;
    spectrum.iter_mut().for_each(|value| *value *= scale);
    // Each channel has its own filter, although the filters are equal here.
    let kept: Vec<Complex<f32>> = spectrum.iter().copied().cycle().take(channels * spectrum.len()).collect();
    let mut y = vec![0.0; x.len()];
    move || {
        let filters = kept.chunks_exact(spectrum.len());
        for ((from, to), filter) in x.chunks_exact(seq_len).zip(y.chunks_exact_mut(seq_len)).zip(filters) {
            signal[..seq_len].copy_from_slice(from);
            signal[seq_len..].fill(0.0);
            let _ = forward.process_with_scratch(&mut signal, &mut spectrum, &mut scratch);
            spectrum.iter_mut().zip(filter).for_each(|(value, filter)| *value *= filter);
            // Rounding may give these two bins an imaginary part, which the spectrum of a real signal does not have.
            if let [first, .., last] = &mut spectrum[..] {
                (first.im, last.im) = (0.0, 0.0);
            }
            let _ = inverse.process_with_scratch(&mut spectrum, &mut signal, &mut scratch);
            to.copy_from_slice(&signal[..seq_len]);
        }
        y.first().copied().unwrap_or_default() + y.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolves() {
        let (seq_len, channels) = (50, 3);
        let filter: Vec<f32> = (0..seq_len).map(|i| (i % 7) as f32 - 3.0).collect();
        let x: Vec<f32> = (0..channels * seq_len).map(|i| (i % 5) as f32 - 2.0).collect();
        let last = |channel: usize| -> f32 {
            (0..seq_len).map(|lag| filter[lag] * x[channel * seq_len + seq_len - 1 - lag]).sum()
        };
        let want = filter[0] * x[0] + last(channels - 1);
        let got = convolution(channels, seq_len, 128, &filter, x.clone())();
        assert!((got - want).abs() < 1e-3, "{got} {want}");
    }
}
