//! Closed forms. A real FFT of length n counts as 2.5 n log₂ n operations, as is customary, and an activation as one.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level};

use super::ssm::Ssm;
use super::{Linears, Spec, cpu};
use crate::ops::fft::{Fft, real_fft_flops};
use crate::ops::linear::Linear;
use crate::ops::long_conv::{GROUP, fft_size};
use crate::ops::panels;
use crate::ops::shared_conv::SharedFilter;

/// Operations of both state-space models by FFT: two transforms, n/2 complex products and the skip for each channel.
fn convolution_flops(spec: &Spec) -> Count {
    let (sizes, n) = (spec.dims.sizes(), Count::from(fft_size(spec.dims.seq_len)));
    2 * sizes.batch * sizes.d_model * (2 * real_fft_flops(n) + 3 * n + 2 * sizes.seq_len)
}

/// Operations of both models in the kernel: whole groups of channels, the skip inside the filter.
fn executed_convolutions(spec: &Spec) -> Count {
    let channels = Count::from(spec.dims.d_model.next_multiple_of(GROUP));
    2 * spec.dims.sizes().batch * channels * Fft::convolution_flops(fft_size(spec.dims.seq_len))
}

/// Functions: the activations' error functions, and a square root and a division for the norm of each row.
fn transcendentals(spec: &Spec) -> Count {
    let [width, inner] = Count::all([spec.dims.d_model, spec.intermediate]);
    match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => spec.dims.sizes().rows() * (2 * (2 * inner + 2 * width) + 2),
    }
}

/// Operations of linear layers, normalisation, activations, products and residual.
pub(super) fn other_flops(spec: &Spec) -> Count {
    if spec.level == Level::Core {
        return Count::ZERO;
    }
    let [width, inner] = Count::all([spec.dims.d_model, spec.intermediate]);
    let linears = 6 * width * inner + 8 * width * width;
    let elementwise = 8 * width + (2 * inner + 2 * width) + (width + inner) + width;
    spec.dims.sizes().rows() * (linears + elementwise)
}

/// Operations of building both kernels.
pub(super) fn kernel_flops(spec: &Spec) -> Count {
    2 * Ssm::kernel_flops(spec.modes, spec.dims.seq_len)
}

/// Cost of the FFT kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (stream, n) = (spec.dims.sizes().stream(), fft_size(spec.dims.seq_len));
    let width = Count::from(spec.dims.d_model);
    let ssm = 2 * (4 * Count::from(spec.modes) + 2);
    let held = Fft::floats(n) + 2 * SharedFilter::floats(n);
    let (case, run, moved) = match spec.level {
        Level::Core => (2 * stream + ssm, 2 * stream + cpu::scratch_floats(spec), 4 * stream),
        Level::Layer => {
            let weights = Linears::ALL
                .iter()
                .map(|linear| {
                    let (inputs, outputs) = linear.sizes(spec);
                    Count::from(outputs) * (Count::from(inputs) + 1)
                })
                .sum::<Count>()
                + 2 * width;
            let packed: Count = Linears::ALL
                .iter()
                .map(|linear| {
                    let (inputs, outputs) = linear.sizes(spec);
                    Linear::floats(inputs, outputs)
                })
                .sum();
            let run = packed
                + 2 * panels::floats(spec.dims.sizes().rows(), spec.dims.d_model)
                + stream
                + cpu::scratch_floats(spec);
            (stream + weights + ssm, run, 3 * stream + 8 * stream + weights)
        }
    };
    // Kernel values and the scratch of their transform are freed before the kernel runs.
    let setup = spec.dims.sizes().seq_len + Fft::group_floats(n);
    Cost {
        flops: (convolution_flops(spec) + other_flops(spec)).get(),
        executed_flops: (executed_convolutions(spec) + other_flops(spec)).get(),
        transcendentals: transcendentals(spec).get(),
        bytes: (4 * (moved + 4 * Count::from(n))).get(),
        peak_bytes: (4 * (case + held + setup.max(run))).get(),
        decode_state_bytes: 0,
        setup_flops: (kernel_flops(spec) + 2 * real_fft_flops(n.into())).get(),
        ..Cost::default()
    }
}
