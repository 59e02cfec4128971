//! Closed forms. A real FFT of length n counts as 2.5 n log₂ n operations, as is customary, and an activation as one.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Sizes};

use super::cpu;
use super::decode;
use super::mlp;
use super::{BlockDiagonalSpec, LayerSpec, MlpSpec, MonarchSpec, SequenceSpec, Spec, TAPS};
use crate::ops::block_diagonal::{BlockDiagonal, BlockShape};
use crate::ops::fft::{Fft, real_fft_flops};
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::{GROUP, fft_size};
use crate::ops::panels;

/// Operations of the long convolutions: two transforms, n/2 complex products and the skip, for each channel.
fn convolution_flops(spec: &SequenceSpec) -> Count {
    let Sizes { batch, seq_len: length, d_model: width } = spec.dims.sizes();
    let [convolutions, n] = Count::all([spec.convolutions(), fft_size(spec.dims.seq_len)]);
    batch * convolutions * width * (2 * real_fft_flops(n) + 3 * n + 2 * length)
}

/// Operations of the long convolutions in the kernel: whole groups of channels, the skip inside the filter.
fn executed_convolutions(spec: &SequenceSpec) -> Count {
    let [batch, convolutions] = Count::all([spec.dims.batch, spec.convolutions()]);
    let channels = Count::from(spec.dims.d_model.next_multiple_of(GROUP));
    batch * convolutions * channels * Fft::convolution_flops(fft_size(spec.dims.seq_len))
}

/// Functions of the MLP: the gate's error functions, and a square root and a division for the norm of each row.
pub(super) fn mlp_transcendentals(spec: &MlpSpec) -> Count {
    spec.dims.sizes().rows() * (2 * Count::from(spec.intermediate) + 2)
}

/// Operations of projections, short convolutions, gates, normalisation and MLP in the sequence mixer.
pub(super) fn other_flops(spec: &SequenceSpec) -> Count {
    let (stream, width) = (spec.dims.sizes().stream(), spec.dims.sizes().d_model);
    let gates = stream * if spec.residual { 3 } else { 2 };
    let layer = match spec.layer {
        None => Count::ZERO,
        Some(LayerSpec { norm, .. }) => {
            let norm = if norm { 8 } else { 0 };
            stream * (8 * width + 6 * Count::from(TAPS) + norm)
        }
    };
    gates + layer + spec.mlp.map_or(Count::ZERO, |mlp| mlp_flops(&mlp))
}

/// Operations of the MLP.
pub(super) fn mlp_flops(spec: &MlpSpec) -> Count {
    let gate = Count::from(spec.intermediate) * if spec.glu { 2 } else { 1 };
    let sizes = spec.dims.sizes();
    sizes.rows() * (spec.up().flops() + spec.down().flops() + gate + 9 * sizes.d_model)
}

/// Operations of the filters' networks.
pub(super) fn filter_flops(spec: &SequenceSpec) -> Count {
    let [convolutions, networks] = Count::all([spec.convolutions(), spec.networks()]);
    spec.layer.map_or(Count::ZERO, |layer| convolutions * networks * layer.filter.flops(spec.dims.seq_len))
}

/// Elements of both factors, the right one first.
fn factors(spec: &MonarchSpec) -> (Count, Count) {
    let elements = |factor: [usize; 3]| Count::all(factor).into_iter().product();
    (elements(spec.right), elements(spec.left))
}

/// Operations of a Monarch matrix.
pub(super) fn monarch_flops(spec: &MonarchSpec) -> Count {
    let (right, left) = factors(spec);
    Count::from(spec.rows) * if spec.complex { 4 * right + 8 * left } else { 2 * (right + left) }
}

/// Cost of the CPU kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    match spec {
        Spec::Sequence(spec) => sequence(spec),
        Spec::Mlp(spec) => mlp_cost(spec),
        Spec::BlockDiagonal(spec) => block_diagonal(spec),
        Spec::Monarch(spec) => monarch(spec),
    }
}

fn block_weights(shape: BlockShape) -> Count {
    Count::all([shape.blocks, shape.block_inputs(), shape.block_outputs()]).into_iter().product()
}

pub(super) fn mlp_params(spec: &MlpSpec) -> Count {
    block_weights(spec.up()) + block_weights(spec.down()) + 3 * spec.dims.sizes().d_model
}

/// Parameters of a layer's projections, short convolution, normalisation and MLP.
pub(super) fn layer_params(spec: &SequenceSpec) -> Count {
    let [width, taps] = Count::all([spec.dims.d_model, TAPS]);
    let norm = if spec.layer.is_some_and(|layer| layer.norm) { 2 * width } else { Count::ZERO };
    let mlp = spec.mlp.map_or(Count::ZERO, |mlp| mlp_params(&mlp));
    4 * width * (width + 1) + 3 * width * (taps + 1) + norm + mlp
}

/// Floats of a case's tensors.
pub(super) fn case_floats(spec: &SequenceSpec) -> Count {
    let Sizes { seq_len: length, d_model: width, .. } = spec.dims.sizes();
    let stream = spec.dims.sizes().stream();
    let [convolutions, networks] = Count::all([spec.convolutions(), spec.networks()]);
    match &spec.layer {
        None => {
            let streams = if spec.residual { 4 } else { 3 };
            streams * stream + convolutions * width * (networks * length + 1)
        }
        Some(layer) => {
            stream + layer_params(spec) + convolutions * layer.filter.param_floats(spec.networks())
        }
    }
}

fn sequence(spec: &SequenceSpec) -> Cost {
    let Sizes { seq_len: length, d_model: width, .. } = spec.dims.sizes();
    let (stream, rows) = (spec.dims.sizes().stream(), spec.dims.sizes().rows());
    let n = fft_size(spec.dims.seq_len);
    let [convolutions, networks, groups] =
        Count::all([spec.convolutions(), spec.networks(), spec.dims.d_model.div_ceil(GROUP)]);
    // Bytes that a bank keeps, without the scratch of its construction.
    let bank = groups * Fft::group_floats(n);
    let case = case_floats(spec);
    let weights = if spec.layer.is_some() {
        layer_params(spec)
    } else {
        convolutions * width * (networks * length + 1)
    };
    // Filter values and the scratch of their transform are freed before the kernel runs; the peak is at the last
    // filter.
    let values = if spec.layer.is_some() { networks * length * width } else { Count::ZERO };
    let setup = Fft::group_floats(n) + values;
    let layer = spec.layer.map_or(Count::ZERO, |layer| {
        let short = Count::from(cpu::short_floats(spec.dims.d_model));
        4 * Linear::floats(spec.dims.d_model, spec.dims.d_model)
            + 3 * (short + panels::floats(rows, spec.dims.d_model))
            + if layer.norm { stream } else { Count::ZERO }
            + spec.mlp.map_or(Count::ZERO, |mlp| mlp::floats(&mlp))
    });
    let run = layer + stream + cpu::scratch_floats(spec);
    let held = Fft::floats(n) + convolutions * bank + setup.max(run);
    let norms = if spec.layer.is_some_and(|layer| layer.norm) { 2 * rows } else { Count::ZERO };
    let residual = Count::from(usize::from(spec.residual));
    let streams = if spec.layer.is_some() { 10 + 2 * residual } else { 4 + residual };
    let moved = streams * stream + weights + convolutions * width * Count::from(n);
    let state = if spec.bidirectional { Count::ZERO } else { decode::sizes(spec).state_floats() };
    Cost {
        flops: (convolution_flops(spec) + other_flops(spec)).get(),
        executed_flops: (executed_convolutions(spec) + other_flops(spec)).get(),
        transcendentals: (norms + spec.mlp.map_or(Count::ZERO, |mlp| mlp_transcendentals(&mlp))).get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + held)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: (filter_flops(spec) + convolutions * width * real_fft_flops(n.into())).get(),
        ..Cost::default()
    }
}

fn mlp_cost(spec: &MlpSpec) -> Cost {
    let (stream, params) = (spec.dims.sizes().stream(), mlp_params(spec));
    Cost {
        flops: mlp_flops(spec).get(),
        executed_flops: mlp_flops(spec).get(),
        transcendentals: mlp_transcendentals(spec).get(),
        bytes: (4 * (2 * stream + params)).get(),
        peak_bytes: (4 * (2 * stream + params + mlp::floats(spec) + mlp::scratch_floats(spec))).get(),
        ..Cost::default()
    }
}

fn block_diagonal(spec: &BlockDiagonalSpec) -> Cost {
    let [rows, inputs, outputs, block] =
        Count::all([spec.rows, spec.shape.inputs, spec.shape.outputs, BLOCK]);
    let case = rows * inputs + block_weights(spec.shape) + outputs;
    let scratch = if spec.shuffle { block * inputs } else { Count::ZERO };
    let held = BlockDiagonal::floats(spec.shape, true) + scratch + rows * outputs;
    Cost {
        flops: (rows * spec.shape.flops()).get(),
        executed_flops: (rows * spec.shape.flops()).get(),
        bytes: (4 * (case + rows * outputs)).get(),
        peak_bytes: (4 * (case + held)).get(),
        ..Cost::default()
    }
}

fn monarch(spec: &MonarchSpec) -> Cost {
    let (right, left) = factors(spec);
    let [rows, element, inputs, outputs] =
        Count::all([spec.rows, spec.floats(), spec.inputs(), spec.outputs()]);
    let case = rows * inputs + element * (right + left);
    let outputs = element * rows * outputs;
    Cost {
        flops: monarch_flops(spec).get(),
        executed_flops: monarch_flops(spec).get(),
        bytes: (4 * (case + outputs)).get(),
        peak_bytes: (4 * (case + outputs + super::matrix::held_floats(spec))).get(),
        ..Cost::default()
    }
}
