//! Closed forms. A real FFT of length n is taken as 2.5 n log₂ n operations, as the field does; an activation as one.

use mixer::{Cost, Level};

use super::ssm::Ssm;
use super::{Linears, Spec, cpu};
use crate::ops::fft::Fft;
use crate::ops::linear::Linear;
use crate::ops::long_conv::fft_size;
use crate::ops::panels;
use crate::ops::shared_conv::SharedFilter;

/// Operations of one real FFT of length `n`.
fn real_fft(n: u64) -> u64 {
    5 * n * u64::from(n.max(1).ilog2()) / 2
}

/// Operations of both state-space models by FFT: two transforms, n/2 complex products and the skip for each channel.
fn convolution_flops(spec: &Spec) -> u64 {
    let (n, length) = (fft_size(spec.dims.seq_len) as u64, spec.dims.seq_len as u64);
    2 * (spec.dims.batch * spec.dims.d_model) as u64 * (2 * real_fft(n) + 3 * n + 2 * length)
}

/// Operations of everything else: linear layers, normalisation, activations, products, residual.
pub(super) fn other_flops(spec: &Spec) -> u64 {
    if spec.level == Level::Core {
        return 0;
    }
    let (width, inner) = (spec.dims.d_model as u64, spec.intermediate as u64);
    let linears = 6 * width * inner + 8 * width * width;
    let elementwise = 8 * width + (2 * inner + 2 * width) + (width + inner) + width;
    spec.rows() as u64 * (linears + elementwise)
}

/// Operations of building both kernels.
pub(super) fn kernel_flops(spec: &Spec) -> u64 {
    2 * Ssm::kernel_flops(spec.modes, spec.dims.seq_len)
}

/// Cost of the FFT kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (width, rows) = (spec.dims.d_model, spec.rows());
    let (stream, n) = (rows * width, fft_size(spec.dims.seq_len));
    let ssm = 2 * (4 * spec.modes + 2);
    let held = Fft::floats(n) + 2 * SharedFilter::floats(n);
    let (case, run, moved) = match spec.level {
        Level::Core => (2 * stream + ssm, 2 * stream + cpu::scratch_floats(spec), 4 * stream),
        Level::Layer => {
            let weights: usize = Linears::ALL
                .iter()
                .map(|linear| {
                    let (inputs, outputs) = linear.sizes(spec);
                    outputs * (inputs + 1)
                })
                .sum::<usize>()
                + 2 * width;
            let packed: usize = Linears::ALL
                .iter()
                .map(|linear| {
                    let (inputs, outputs) = linear.sizes(spec);
                    Linear::floats(inputs, outputs)
                })
                .sum();
            let run = packed + 2 * panels::floats(rows, width) + stream + cpu::scratch_floats(spec);
            (stream + weights + ssm, run, 3 * stream + 8 * stream + weights)
        }
    };
    // A kernel's values and its transform's scratch are gone once the kernel runs.
    let setup = spec.dims.seq_len + Fft::group_floats(n);
    Cost {
        flops: convolution_flops(spec) + other_flops(spec),
        bytes: 4 * (moved + 4 * n) as u64,
        peak_bytes: 4 * (case + held + setup.max(run)) as u64,
        decode_state_bytes: 0,
        setup_flops: kernel_flops(spec) + 2 * real_fft(n as u64),
        ..Cost::default()
    }
}
