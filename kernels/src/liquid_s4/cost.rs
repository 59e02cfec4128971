//! Closed forms. A real FFT of length n is taken as 2.5 n log₂ n operations, as the field does; an activation as one.

use mixer::{Cost, Level};

use super::cpu;
use super::spec::{Liquid, Mode, Spec};
use super::ssm::kernel_flops;
use crate::ops::linear::Linear;
use crate::ops::long_conv::fft_size;
use crate::ops::panels;

/// Operations of one real FFT of length `n`.
fn real_fft(n: u64) -> u64 {
    5 * n * u64::from(n.max(1).ilog2()) / 2
}

/// Long convolutions of each channel.
fn convolutions(spec: &Spec) -> u64 {
    match spec.liquid {
        Liquid::Recurrence => 0,
        Liquid::Kb => 2,
        Liquid::None | Liquid::PolyB => 1,
    }
}

fn convolution_flops(spec: &Spec) -> u64 {
    let n = fft_size(spec.dims.seq_len) as u64;
    convolutions(spec) * (spec.dims.batch * spec.dims.d_model) as u64 * (2 * real_fft(n) + 3 * n)
}

/// Operations of the convolutions as direct sums.
#[cfg(test)]
pub(super) fn direct_flops(spec: &Spec) -> u64 {
    let length = spec.dims.seq_len as u64;
    let model = match (spec.liquid, spec.bidirectional) {
        (Liquid::Recurrence, _) => 0,
        (_, false) => length * (length + 1),
        (_, true) => 2 * length * length,
    };
    let kb = if spec.liquid == Liquid::Kb { 2 * length * length } else { 0 };
    (spec.dims.batch * spec.dims.d_model) as u64 * (model + kb)
}

/// Operations of everything else: recurrence, skip, products, output layer.
pub(super) fn other_flops(spec: &Spec) -> u64 {
    let width = spec.dims.d_model;
    let recurrence = if spec.liquid == Liquid::Recurrence { 16 * spec.modes } else { 0 };
    let straight = if spec.bidirectional && spec.liquid == Liquid::PolyB { 2 } else { 0 };
    let products: usize = (2..=spec.degree).map(|q| q + 1 + straight).sum();
    let layer = if spec.level == Level::Layer { 4 * width + 3 } else { 0 };
    (spec.rows() * width * (recurrence + 2 + products + layer)) as u64
}

/// Operations of building the kernels.
pub(super) fn setup_flops(spec: &Spec) -> u64 {
    if spec.liquid == Liquid::Recurrence { 0 } else { kernel_flops(spec) }
}

/// Cost of the CPU kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (width, rows, modes) = (spec.dims.d_model, spec.rows(), spec.modes);
    let (stream, n) = (rows * width, fft_size(spec.dims.seq_len) as u64);
    let model = width * (2 + 2 * modes + 2 * modes + 2 * spec.directions() * modes)
        + if spec.mode == Mode::Nplr { 2 * width * modes } else { 0 };
    let liquid = if spec.degree > 1 { width * (1 + modes * (4 + 2 * spec.directions())) } else { 0 };
    let layer = if spec.level == Level::Layer { 2 * width * (width + 1) } else { 0 };
    let case = stream + model + liquid + layer;
    let run = stream
        + cpu::scratch_floats(spec)
        + if spec.level == Level::Layer {
            Linear::floats(width, 2 * width) + panels::floats(rows, width)
        } else {
            0
        };
    let held = width.next_multiple_of(8) + cpu::model_floats(spec) + run.max(cpu::setup_floats(spec));
    let moved = stream * if spec.level == Level::Layer { 6 } else { 2 } + layer;
    let spectra = convolutions(spec) * width as u64 * n;
    let decode = match (spec.liquid, spec.bidirectional) {
        (Liquid::Recurrence | Liquid::None, false) => 2 * spec.dims.batch * width * modes,
        _ => 0,
    };
    Cost {
        flops: convolution_flops(spec) + other_flops(spec),
        bytes: 4 * (moved as u64 + spectra),
        peak_bytes: 4 * (case + held) as u64,
        decode_state_bytes: 4 * decode as u64,
        setup_flops: setup_flops(spec) + convolutions(spec) * width as u64 * real_fft(n),
        ..Cost::default()
    }
}
