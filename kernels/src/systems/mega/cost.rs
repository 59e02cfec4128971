//! Closed forms. Exponentials, error functions and divisions of the attention weights are not counted, as is customary;
//! each other activation counts as one operation. The average counts as the recurrence (five operations per dimension
//! and step) or, if truncated, as an FFT convolution.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Sizes};

use super::attention;
use super::bias;
use super::cpu;
use super::ema;
use super::spec::{Activation, AttentionSpec, EmaSpec, LayerSpec, NormKind, Spec};
use crate::ops::fft::{Fft, real_fft_flops};
use crate::ops::long_conv::{GROUP, fft_size};

/// Operations of the average's sums in the kernel.
fn average_flops(spec: &EmaSpec) -> Count {
    let Sizes { batch, seq_len: length, d_model: width } = spec.dims.sizes();
    if spec.truncation.is_none() {
        let [directions, dimensions] = Count::all([spec.directions(), spec.n]);
        return 5 * batch * width * directions * dimensions * length;
    }
    let n = Count::from(fft_size(spec.dims.seq_len));
    batch * width * (2 * real_fft_flops(n) + 3 * n)
}

/// Executed operations of the average's sums: whole groups of channels if it is an FFT convolution.
fn executed_average(spec: &EmaSpec) -> Count {
    if spec.truncation.is_none() {
        return average_flops(spec);
    }
    let channels = Count::from(spec.dims.d_model.next_multiple_of(GROUP));
    spec.dims.sizes().batch * channels * Fft::convolution_flops(fft_size(spec.dims.seq_len))
}

/// Executed operations of a forward pass of the CPU kernel.
fn executed_flops(spec: &Spec) -> Count {
    let softmax = |spec: &AttentionSpec| 4 * spec.pairs();
    other_flops(spec)
        + match spec {
            Spec::Ema(spec) => executed_average(spec),
            Spec::Attention(spec) => softmax(spec),
            Spec::Layer(spec) => executed_average(&spec.ema) + softmax(&spec.attention),
        }
}

/// Functions: exponentials or error functions of the attention weights and a division for each of their rows; the
/// activations; a square root and a division for the norm of each row.
fn transcendentals(spec: &Spec) -> Count {
    let weights = |spec: &AttentionSpec| {
        let [batch, length] = Count::all([spec.batch, spec.seq_len]);
        match spec.activation {
            Activation::Softmax => spec.pairs() + batch * length,
            Activation::Laplace => 2 * spec.pairs(),
            Activation::Relu2 => Count::ZERO,
        }
    };
    let average = |spec: &EmaSpec| 2 * spec.dims.sizes().stream();
    match spec {
        Spec::Ema(spec) => average(spec),
        Spec::Attention(spec) => weights(spec),
        Spec::Layer(spec) => {
            let [width, z, h] = Count::all([spec.width(), spec.attention.z, spec.attention.h]);
            let activations = 2 * (2 * h + z + 2 * width) + 2;
            weights(&spec.attention) + average(&spec.ema) + spec.ema.dims.sizes().rows() * activations
        }
    }
}

/// Operations of a truncated average as direct sums.
#[cfg(test)]
pub(super) fn direct_average_flops(spec: &EmaSpec) -> Count {
    let lags = Count::from(spec.lags());
    let sum: Count = (1..=spec.dims.seq_len).map(|seen| lags.min(seen.into())).sum();
    let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
    2 * Count::from(spec.directions()) * batch * width * sum
}

/// Residual, SiLU and the sum of both directions.
fn average_elementwise(spec: &EmaSpec) -> Count {
    (Count::from(spec.directions()) + 2) * spec.dims.sizes().stream()
}

pub(super) fn setup_flops(spec: &Spec) -> Count {
    let ema = |spec: &EmaSpec| match spec.truncation {
        None => Count::ZERO,
        Some(lags) => {
            let [directions, width, dimensions, lags] =
                Count::all([spec.directions(), spec.dims.d_model, spec.n, lags]);
            2 * directions * width * dimensions * lags
        }
    };
    match spec {
        Spec::Ema(spec) => ema(spec),
        Spec::Attention(spec) => bias::flops(spec),
        Spec::Layer(spec) => ema(&spec.ema) + bias::flops(&spec.attention),
    }
}

fn transform_flops(spec: &EmaSpec) -> Count {
    let [width, n] = Count::all([spec.dims.d_model, fft_size(spec.dims.seq_len)]);
    spec.truncation.map_or(Count::ZERO, |_| width * real_fft_flops(n))
}

fn attention_flops(spec: &AttentionSpec) -> Count {
    2 * spec.pairs() * (Count::from(spec.z) + Count::from(spec.h))
}

/// Operations of a forward pass without the average's sums.
pub(super) fn other_flops(spec: &Spec) -> Count {
    match spec {
        Spec::Ema(spec) => average_elementwise(spec),
        Spec::Attention(spec) => attention_flops(spec),
        Spec::Layer(spec) => {
            let [width, z, h, joint] =
                Count::all([spec.width(), spec.attention.z, spec.attention.h, spec.joint()]);
            let norm = if spec.norm == NormKind::Layer { 8 } else { 4 };
            let linears = 2 * width * (2 * h + joint);
            let elementwise = norm * width + 3 * h + 5 * z + 6 * width;
            attention_flops(&spec.attention)
                + average_elementwise(&spec.ema)
                + spec.ema.dims.sizes().rows() * (linears + elementwise)
        }
    }
}

/// Operations of a forward pass.
pub(super) fn flops(spec: &Spec) -> Count {
    other_flops(spec)
        + match spec {
            Spec::Ema(spec) | Spec::Layer(LayerSpec { ema: spec, .. }) => average_flops(spec),
            Spec::Attention(_) => Count::ZERO,
        }
}

fn ema_params(spec: &EmaSpec) -> Count {
    let [width, directions, dimensions] = Count::all([spec.dims.d_model, spec.directions(), spec.n]);
    width * (4 * directions * dimensions + 1)
}

/// Keys and values of a chunk.
fn attention_state(spec: &AttentionSpec) -> Count {
    let [batch, chunk, z, h] = Count::all([spec.batch, spec.chunk, spec.z, spec.h]);
    if spec.causal { batch * chunk * (z + h) } else { Count::ZERO }
}

/// The average's dimensions.
fn average_state(spec: &EmaSpec) -> Count {
    let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
    if spec.bidirectional { Count::ZERO } else { batch * width * Count::from(spec.n) }
}

/// Cost of the CPU kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (case, held, setup, moved, state) = match spec {
        Spec::Ema(spec) => {
            let stream = spec.dims.sizes().stream();
            let run = stream + ema::scratch_floats(spec);
            let held = ema::floats(spec) + run.max(ema::setup_floats(spec));
            (stream + ema_params(spec), held, transform_flops(spec), 2 * stream, average_state(spec))
        }
        Spec::Attention(spec) => {
            let [batch, length, z, h] = Count::all([spec.batch, spec.seq_len, spec.z, spec.h]);
            let (keys, values) = (batch * length * z, batch * length * h);
            let held = attention::floats(spec) + attention::scratch_floats(spec) + values;
            let case = 2 * keys + values + bias::param_floats(spec);
            (case, held, Count::ZERO, 4 * keys + 4 * values, attention_state(spec))
        }
        Spec::Layer(spec) => {
            let rows = spec.ema.dims.sizes().rows();
            let [width, z, h, joint] =
                Count::all([spec.width(), spec.attention.z, spec.attention.h, spec.joint()]);
            let norm = if spec.norm == NormKind::Layer { 2 * width } else { Count::new(1) };
            let weights = h * (width + 1) + joint * (width + 1) + width * (h + 1);
            let params = weights + 4 * z + norm + ema_params(&spec.ema) + bias::param_floats(&spec.attention);
            let run =
                cpu::held_floats(spec) - ema::floats(&spec.ema) + rows * width + cpu::scratch_floats(spec);
            let held = ema::floats(&spec.ema) + run.max(ema::setup_floats(&spec.ema));
            let moved = rows * (8 * width + 2 * joint + 2 * z + 2 * h) + params;
            let state = attention_state(&spec.attention) + average_state(&spec.ema);
            (rows * width + params, held, transform_flops(&spec.ema), moved, state)
        }
    };
    Cost {
        flops: flops(spec).get(),
        executed_flops: executed_flops(spec).get(),
        transcendentals: transcendentals(spec).get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + held)).get(),
        decode_state_bytes: (4 * state).get(),
        setup_flops: (setup_flops(spec) + setup).get(),
        full_attention: spec.attention().is_some_and(AttentionSpec::one_chunk),
    }
}
