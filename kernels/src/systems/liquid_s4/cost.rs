//! Closed forms. A real FFT of length n counts as 2.5 n log₂ n operations, as is customary, and an activation as one.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Sizes};

use super::cpu;
use super::decode;
use super::spec::{Liquid, Mode, Spec};
use super::ssm::kernel_flops;
use crate::ops::fft::{Fft, real_fft_flops};
use crate::ops::linear::Linear;
use crate::ops::long_conv::{GROUP, fft_size};
use crate::ops::panels;

/// Number of long convolutions per channel.
fn convolutions(spec: &Spec) -> u64 {
    match spec.liquid {
        Liquid::Recurrence => 0,
        Liquid::Kb => 2,
        Liquid::None | Liquid::PolyB => 1,
    }
}

fn convolution_flops(spec: &Spec) -> Count {
    let (sizes, n) = (spec.dims.sizes(), Count::from(fft_size(spec.dims.seq_len)));
    convolutions(spec) * sizes.batch * sizes.d_model * (2 * real_fft_flops(n) + 3 * n)
}

/// Operations of the convolutions in the kernel: whole groups of channels.
fn executed_convolutions(spec: &Spec) -> Count {
    let channels = Count::from(spec.dims.d_model.next_multiple_of(GROUP));
    let size = fft_size(spec.dims.seq_len);
    convolutions(spec) * spec.dims.sizes().batch * channels * Fft::convolution_flops(size)
}

/// Operations of the convolutions as direct sums.
#[cfg(test)]
pub(super) fn direct_flops(spec: &Spec) -> Count {
    let Sizes { batch, seq_len: length, d_model: width } = spec.dims.sizes();
    let model = match (spec.liquid, spec.bidirectional) {
        (Liquid::Recurrence, _) => Count::ZERO,
        (_, false) => length * (length + 1),
        (_, true) => 2 * length * length,
    };
    let kb = if spec.liquid == Liquid::Kb { 2 * length * length } else { Count::ZERO };
    batch * width * (model + kb)
}

/// Operations of recurrence, skip, products and output layer.
pub(super) fn other_flops(spec: &Spec) -> Count {
    let [width, modes, degree] = Count::all([spec.dims.d_model, spec.modes, spec.degree]);
    let recurrence = if spec.liquid == Liquid::Recurrence { 16 * modes } else { Count::ZERO };
    let straight = if spec.bidirectional && spec.liquid == Liquid::PolyB { 2 } else { 0 };
    let products = (2..=degree.get()).map(|q| Count::new(q) + 1 + straight).sum::<Count>();
    let layer = if spec.level == Level::Layer { 4 * width + 3 } else { Count::ZERO };
    spec.dims.sizes().stream() * (recurrence + 2 + products + layer)
}

/// Floats of the trained parameters that a form with a recurrence has.
fn recurrent_params(spec: &Spec) -> Count {
    let [width, modes] = Count::all([spec.dims.d_model, spec.modes]);
    let layer = if spec.level == Level::Layer { 2 * width * (width + 1) } else { Count::ZERO };
    width * (2 + 6 * modes) + layer
}

/// Cost of a step of decoding, where `spec` has the capacity's length.
pub(super) fn decode(spec: &Spec) -> Cost {
    let mut token = *spec;
    token.dims.seq_len = 1;
    let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
    let modes = Count::from(spec.modes);
    // The recurrence without liquid terms saves the complex sum of Ā and B̄x.
    let plain = if spec.liquid == Liquid::None { 14 * batch * width * modes } else { Count::ZERO };
    let flops = other_flops(&token) + plain;
    let (state, params) = (decode::state_floats(spec), recurrent_params(spec));
    let case = spec.dims.sizes().stream() + params;
    Cost {
        flops: flops.get(),
        executed_flops: flops.get(),
        transcendentals: if spec.level == Level::Layer { (4 * batch * width).get() } else { 0 },
        bytes: (4 * (params + 2 * batch * width + 2 * state)).get(),
        // The state, its initial value and the copy of the mark.
        peak_bytes: (4 * (case + decode::floats(spec) + 3 * state)).get(),
        decode_state_bytes: (4 * state).get(),
        ..Cost::default()
    }
}

/// Operations of building the kernels.
pub(super) fn setup_flops(spec: &Spec) -> Count {
    if spec.liquid == Liquid::Recurrence { Count::ZERO } else { kernel_flops(spec) }
}

/// Cost of the CPU kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let width = spec.dims.sizes().d_model;
    let [modes, directions, n] = Count::all([spec.modes, spec.directions(), fft_size(spec.dims.seq_len)]);
    let (stream, rows) = (spec.dims.sizes().stream(), spec.dims.sizes().rows());
    let model = width * (2 + 2 * modes + 2 * modes + 2 * directions * modes)
        + if spec.mode == Mode::Nplr { 2 * width * modes } else { Count::ZERO };
    let liquid = if spec.degree > 1 { width * (1 + modes * (4 + 2 * directions)) } else { Count::ZERO };
    let layer = if spec.level == Level::Layer { 2 * width * (width + 1) } else { Count::ZERO };
    let case = stream + model + liquid + layer;
    let run = stream
        + cpu::scratch_floats(spec)
        + if spec.level == Level::Layer {
            let outputs = spec.dims.d_model.saturating_mul(2);
            Linear::floats(spec.dims.d_model, outputs) + panels::floats(rows, spec.dims.d_model)
        } else {
            Count::ZERO
        };
    let held = width.next_multiple_of(8) + cpu::model_floats(spec) + run.max(cpu::setup_floats(spec));
    let moved = stream * if spec.level == Level::Layer { 6 } else { 2 } + layer;
    let spectra = convolutions(spec) * width * n;
    Cost {
        flops: (convolution_flops(spec) + other_flops(spec)).get(),
        executed_flops: (executed_convolutions(spec) + other_flops(spec)).get(),
        // The output layer's error functions and gates.
        transcendentals: if spec.level == Level::Layer { (4 * stream).get() } else { 0 },
        bytes: (4 * (moved + spectra)).get(),
        peak_bytes: (4 * (case + held)).get(),
        decode_state_bytes: if decode::has_recurrence(spec) {
            (4 * decode::state_floats(spec)).get()
        } else {
            0
        },
        setup_flops: (setup_flops(spec) + convolutions(spec) * width * real_fft_flops(n)).get(),
        ..Cost::default()
    }
}
