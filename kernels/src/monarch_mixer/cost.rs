//! Closed forms. A real FFT of length n is taken as 2.5 n log₂ n operations, as the field does; an activation as one.

use mixer::Cost;

use super::cpu;
use super::mlp;
use super::{BlockDiagonalSpec, LayerSpec, MlpSpec, MonarchSpec, SequenceSpec, Spec, TAPS};
use crate::ops::block_diagonal::{BlockDiagonal, BlockShape};
use crate::ops::fft::Fft;
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::{FilterBank, GROUP, fft_size};
use crate::ops::panels;

/// Operations of one real FFT of length `n`.
fn real_fft(n: u64) -> u64 {
    5 * n * u64::from(n.max(1).ilog2()) / 2
}

/// Operations of the long convolutions: two transforms, n/2 complex products and the skip, for each channel.
fn convolution_flops(spec: &SequenceSpec) -> u64 {
    let (n, length) = (fft_size(spec.dims.seq_len) as u64, spec.dims.seq_len as u64);
    let channels = (spec.dims.batch * spec.convolutions() * spec.dims.d_model) as u64;
    channels * (2 * real_fft(n) + 3 * n + 2 * length)
}

/// Operations of everything else in the sequence mixer: projections, short convolutions, gates, normalisation, MLP.
pub(super) fn other_flops(spec: &SequenceSpec) -> u64 {
    let (rows, width) = (spec.rows() as u64, spec.dims.d_model as u64);
    let gates = rows * width * if spec.residual { 3 } else { 2 };
    let layer = match spec.layer {
        None => 0,
        Some(LayerSpec { norm, .. }) => {
            let norm = if norm { 8 } else { 0 };
            rows * width * (8 * width + 6 * TAPS as u64 + norm)
        }
    };
    gates + layer + spec.mlp.map_or(0, |mlp| mlp_flops(&mlp))
}

/// Operations of the MLP.
pub(super) fn mlp_flops(spec: &MlpSpec) -> u64 {
    let gate = spec.intermediate * if spec.glu { 2 } else { 1 };
    let per_row = spec.up().flops() + spec.down().flops() + gate + 9 * spec.dims.d_model;
    (spec.dims.batch * spec.dims.seq_len * per_row) as u64
}

/// Operations of the filters' networks.
pub(super) fn filter_flops(spec: &SequenceSpec) -> u64 {
    let networks = (spec.convolutions() * spec.networks()) as u64;
    spec.layer.map_or(0, |layer| networks * layer.filter.flops(spec.dims.seq_len))
}

/// Operations of a Monarch matrix.
pub(super) fn monarch_flops(spec: &MonarchSpec) -> u64 {
    let ([k, q, p], [l, s, r]) = (spec.right, spec.left);
    let (right, left) = ((k * q * p) as u64, (l * s * r) as u64);
    spec.rows as u64 * if spec.complex { 4 * right + 8 * left } else { 2 * (right + left) }
}

/// Cost of the CPU kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    match spec {
        Spec::Sequence(spec) => sequence(spec),
        Spec::Mlp(spec) => mlp_cost(spec),
        Spec::BlockDiagonal(spec) => block_diagonal(spec),
        Spec::Monarch(spec) => monarch(spec),
    }
}

fn block_weights(shape: BlockShape) -> usize {
    shape.blocks * shape.block_inputs() * shape.block_outputs()
}

fn mlp_params(spec: &MlpSpec) -> usize {
    block_weights(spec.up()) + block_weights(spec.down()) + 3 * spec.dims.d_model
}

fn sequence(spec: &SequenceSpec) -> Cost {
    let (length, width, rows) = (spec.dims.seq_len, spec.dims.d_model, spec.rows());
    let (stream, n) = (rows * width, fft_size(length));
    let (convolutions, networks) = (spec.convolutions(), spec.networks());
    let groups = width.div_ceil(GROUP);
    let bank = FilterBank::floats(n, groups) - Fft::group_floats(n);
    let (case, weights) = match &spec.layer {
        None => {
            let filters = convolutions * width * (networks * length + 1);
            (stream * if spec.residual { 4 } else { 3 } + filters, filters)
        }
        Some(layer) => {
            let norm = if layer.norm { 2 * width } else { 0 };
            let params = 4 * width * (width + 1) + 3 * width * (TAPS + 1) + norm;
            let params = params + spec.mlp.map_or(0, |mlp| mlp_params(&mlp));
            (stream + params + convolutions * layer.filter.param_floats(networks), params)
        }
    };
    // Filter values and the transform's scratch are gone once the kernel runs; the last filter is the peak.
    let setup = Fft::group_floats(n) + if spec.layer.is_some() { networks * length * width } else { 0 };
    let layer = spec.layer.map_or(0, |layer| {
        4 * Linear::floats(width, width)
            + 3 * (cpu::short_floats(width) + panels::floats(rows, width))
            + if layer.norm { stream } else { 0 }
            + spec.mlp.map_or(0, |mlp| mlp::floats(&mlp))
    });
    let run = layer + stream + cpu::scratch_floats(spec);
    let held = Fft::floats(n) + convolutions * bank + setup.max(run);
    let moved = match &spec.layer {
        None => (4 + usize::from(spec.residual)) * stream,
        Some(_) => 10 * stream + usize::from(spec.residual) * 2 * stream,
    } + weights
        + convolutions * width * n;
    let decode = if spec.bidirectional {
        0
    } else {
        let short = if spec.layer.is_some() { (TAPS - 1) * 3 } else { 0 };
        spec.dims.batch * width * (convolutions * length + short)
    };
    Cost {
        flops: convolution_flops(spec) + other_flops(spec),
        bytes: 4 * moved as u64,
        peak_bytes: 4 * (case + held) as u64,
        decode_state_bytes: 4 * decode as u64,
        setup_flops: filter_flops(spec) + (convolutions * width) as u64 * real_fft(n as u64),
        ..Cost::default()
    }
}

fn mlp_cost(spec: &MlpSpec) -> Cost {
    let stream = spec.dims.batch * spec.dims.seq_len * spec.dims.d_model;
    let params = mlp_params(spec);
    Cost {
        flops: mlp_flops(spec),
        bytes: 4 * (2 * stream + params) as u64,
        peak_bytes: 4 * (2 * stream + params + mlp::floats(spec) + mlp::scratch_floats(spec)) as u64,
        decode_state_bytes: 0,
        setup_flops: 0,
        ..Cost::default()
    }
}

fn block_diagonal(spec: &BlockDiagonalSpec) -> Cost {
    let BlockShape { inputs, outputs, .. } = spec.shape;
    let case = spec.rows * inputs + block_weights(spec.shape) + outputs;
    let scratch = if spec.shuffle { BLOCK * inputs } else { 0 };
    let held = BlockDiagonal::floats(spec.shape, true) + scratch + spec.rows * outputs;
    Cost {
        flops: (spec.rows * spec.shape.flops()) as u64,
        bytes: 4 * (case + spec.rows * outputs) as u64,
        peak_bytes: 4 * (case + held) as u64,
        decode_state_bytes: 0,
        setup_flops: 0,
        ..Cost::default()
    }
}

fn monarch(spec: &MonarchSpec) -> Cost {
    let e = spec.floats();
    let ([k, q, p], [l, s, r]) = (spec.right, spec.left);
    let case = spec.rows * spec.inputs() + e * (k * q * p + l * s * r);
    let outputs = e * spec.rows * spec.outputs();
    Cost {
        flops: monarch_flops(spec),
        bytes: 4 * (case + outputs) as u64,
        peak_bytes: 4 * (case + outputs + super::matrix::held_floats(spec)) as u64,
        decode_state_bytes: 0,
        setup_flops: 0,
        ..Cost::default()
    }
}
