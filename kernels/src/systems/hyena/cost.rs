//! Closed forms. A real FFT of length n counts as 2.5 n log₂ n operations, as is customary.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level};

use super::Spec;
use super::cpu::{self, groups};
use super::decode;
use crate::ops::fft::{Fft, real_fft_flops};
use crate::ops::linear::Linear;
use crate::ops::long_conv::{GROUP, fft_size};

/// Operations of the long convolutions: two transforms, n/2 complex products and the skip, for each channel.
pub(super) fn convolution_flops(spec: &Spec) -> Count {
    let [length, n] = Count::all([spec.out_len(), fft_size(spec.out_len())]);
    let [batch, convolutions, width] = Count::all([spec.dims.batch, spec.convolutions(), spec.dims.d_model]);
    batch * convolutions * width * (2 * real_fft_flops(n) + 3 * n + 2 * length)
}

/// Operations of the long convolutions in the kernel: whole groups of channels, the skip inside the filter.
fn executed_convolutions(spec: &Spec) -> Count {
    let [batch, convolutions] = Count::all([spec.dims.batch, spec.convolutions()]);
    let channels = Count::from(groups(spec.dims.d_model)) * Count::from(GROUP);
    batch * convolutions * channels * Fft::convolution_flops(fft_size(spec.out_len()))
}

/// Operations of projections, short convolution and gates.
pub(super) fn other_flops(spec: &Spec) -> Count {
    let [length, width, order, taps] = Count::all([spec.out_len(), spec.dims.d_model, spec.order, spec.taps]);
    let gates = order * length * width;
    let layer = 2 * (order + 2) * length * width * width + 2 * taps * (order + 1) * length * width;
    spec.dims.sizes().batch * (gates + if spec.level == Level::Layer { layer } else { Count::ZERO })
}

/// Parameters of a layer's projections and short convolution.
pub(super) fn layer_params(spec: &Spec) -> Count {
    let [width, order, taps] = Count::all([spec.dims.d_model, spec.order, spec.taps]);
    (order + 2) * width * (width + 1) + (order + 1) * width * (taps + 1)
}

/// Floats of a case's tensors.
pub(super) fn case_floats(spec: &Spec) -> Count {
    let [batch, length, width] = Count::all([spec.dims.batch, spec.dims.seq_len, spec.dims.d_model]);
    let stream = batch * length * width;
    match spec.level {
        Level::Core => {
            (Count::from(spec.order) + 1) * stream + width * Count::from(spec.convolutions()) * (length + 1)
        }
        Level::Layer => {
            stream + layer_params(spec) + spec.filter.map_or(Count::ZERO, |filter| filter.param_floats())
        }
    }
}

/// Cost of the FFT kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let n = fft_size(spec.out_len());
    let [batch, length, width, order] =
        Count::all([spec.dims.batch, spec.out_len(), spec.dims.d_model, spec.order]);
    let convolutions = Count::from(spec.convolutions());
    let stream = batch * length * width;
    let groups = Count::from(groups(spec.dims.d_model));
    let channels = width * convolutions;
    let case = case_floats(spec);
    let weights = match spec.level {
        Level::Core => channels * length,
        Level::Layer => layer_params(spec),
    };
    // Bytes that all banks keep, without the scratch of their construction.
    let bank = groups * convolutions * Fft::group_floats(n);
    // Filter values and the scratch of their transform are freed before the kernel runs.
    let values = if spec.level == Level::Layer { channels * length } else { Count::ZERO };
    let setup = Fft::group_floats(n) + values;
    let layer = match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => {
            let projection = Linear::floats(spec.dims.d_model, spec.dims.d_model);
            let short = Count::from(cpu::short_floats(spec));
            (order + 1) * (projection + short + groups * 8 * batch * length) + projection + stream
        }
    };
    let run = layer + stream + cpu::scratch_floats(n);
    let held = Fft::floats(n) + bank + setup.max(run);
    let moved = match spec.level {
        Level::Core => (order + 2) * stream,
        Level::Layer => (2 * (order + 1) + 4) * stream,
    } + weights
        + channels * Count::from(n);
    Cost {
        flops: (convolution_flops(spec) + other_flops(spec)).get(),
        executed_flops: (executed_convolutions(spec) + other_flops(spec)).get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + held)).get(),
        decode_state_bytes: (4 * decode::sizes(spec).state_floats()).get(),
        setup_flops: (spec.filter.map_or(Count::ZERO, |filter| filter.flops(spec.out_len()))
            + channels * real_fft_flops(n.into()))
        .get(),
        ..Cost::default()
    }
}
