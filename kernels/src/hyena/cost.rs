//! Closed forms. A real FFT of length n is taken as 2.5 n log₂ n operations, as the field does.

use mixer::{Cost, Level};

use super::Spec;
use super::cpu::{self, groups};
use crate::ops::fft::Fft;
use crate::ops::linear::Linear;
use crate::ops::long_conv::{FilterBank, fft_size};

/// Operations of one real FFT of length `n`.
fn real_fft(n: u64) -> u64 {
    5 * n * u64::from(n.max(1).ilog2()) / 2
}

/// Operations of the long convolutions: two transforms, n/2 complex products and the skip, for each channel.
pub(super) fn convolution_flops(spec: &Spec) -> u64 {
    let n = fft_size(spec.out_len()) as u64;
    let channels = (spec.dims.batch * spec.convolutions() * spec.dims.d_model) as u64;
    channels * (2 * real_fft(n) + 3 * n + 2 * spec.out_len() as u64)
}

/// Operations of everything else: projections, short convolution, gates.
pub(super) fn other_flops(spec: &Spec) -> u64 {
    let (length, width, order) = (spec.out_len() as u64, spec.dims.d_model as u64, spec.order as u64);
    let gates = order * length * width;
    let layer =
        2 * (order + 2) * length * width * width + 2 * spec.taps as u64 * (order + 1) * length * width;
    spec.dims.batch as u64 * (gates + if spec.level == Level::Layer { layer } else { 0 })
}

/// Cost of the FFT kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (length, width, order) = (spec.out_len(), spec.dims.d_model, spec.order);
    let stream = spec.dims.batch * length * width;
    let n = fft_size(length);
    let groups = groups(width);
    let channels = width * spec.convolutions();
    let (case, weights) = match spec.level {
        Level::Core => ((order + 1) * stream + channels * (length + 1), channels * length),
        Level::Layer => {
            let params = (order + 2) * width * (width + 1) + (order + 1) * width * (spec.taps + 1);
            (stream + params + spec.filter.map_or(0, |filter| filter.param_floats()), params)
        }
    };
    let bank = FilterBank::floats(n, groups * spec.convolutions()) - Fft::group_floats(n);
    // The filter's values and its transform's scratch are gone once the kernel runs.
    let setup = Fft::group_floats(n) + if spec.level == Level::Layer { channels * length } else { 0 };
    let layer = match spec.level {
        Level::Core => 0,
        Level::Layer => {
            (order + 1)
                * (Linear::floats(width, width)
                    + cpu::short_floats(spec)
                    + groups * 8 * spec.dims.batch * length)
                + Linear::floats(width, width)
                + stream
        }
    };
    let run = layer + stream + cpu::scratch_floats(n);
    let held = Fft::floats(n) + bank + setup.max(run);
    let moved = match spec.level {
        Level::Core => (order + 2) * stream,
        Level::Layer => (2 * (order + 1) + 4) * stream,
    } + weights
        + channels * n;
    Cost {
        flops: convolution_flops(spec) + other_flops(spec),
        bytes: 4 * moved as u64,
        peak_bytes: 4 * (case + held) as u64,
        decode_state_bytes: 4
            * (spec.dims.batch * width * (spec.convolutions() * length + (spec.taps - 1) * (order + 1)))
                as u64,
        setup_flops: spec.filter.map_or(0, |filter| filter.flops(length))
            + channels as u64 * real_fft(n as u64),
        ..Cost::default()
    }
}
