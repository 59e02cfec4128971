//! Closed forms. Exponentials, error functions and divisions of the attention weights are not counted, as is customary;
//! each other activation counts as one operation. The average counts as the recurrence (five operations per dimension
//! and step) or, if truncated, as an FFT convolution.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Sizes};

use super::attention;
use super::average;
use super::bias;
use super::cpu;
use super::decode;
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

fn layer_params(spec: &LayerSpec) -> Count {
    let [width, z, h, joint] = Count::all([spec.width(), spec.attention.z, spec.attention.h, spec.joint()]);
    let norm = if spec.norm == NormKind::Layer { 2 * width } else { Count::new(1) };
    let weights = h * (width + 1) + joint * (width + 1) + width * (h + 1);
    weights + 4 * z + norm + ema_params(&spec.ema) + bias::param_floats(&spec.attention)
}

/// Cost of the CPU kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (case, held, setup, moved) = match spec {
        Spec::Ema(spec) => {
            let stream = spec.dims.sizes().stream();
            let run = stream + ema::scratch_floats(spec);
            let held = ema::floats(spec) + run.max(ema::setup_floats(spec));
            (stream + ema_params(spec), held, transform_flops(spec), 2 * stream)
        }
        Spec::Attention(spec) => {
            let [batch, length, z, h] = Count::all([spec.batch, spec.seq_len, spec.z, spec.h]);
            let (keys, values) = (batch * length * z, batch * length * h);
            let held = attention::floats(spec) + attention::scratch_floats(spec) + values;
            let case = 2 * keys + values + bias::param_floats(spec);
            (case, held, Count::ZERO, 4 * keys + 4 * values)
        }
        Spec::Layer(spec) => {
            let rows = spec.ema.dims.sizes().rows();
            let [width, z, h, joint] =
                Count::all([spec.width(), spec.attention.z, spec.attention.h, spec.joint()]);
            let params = layer_params(spec);
            let run =
                cpu::held_floats(spec) - ema::floats(&spec.ema) + rows * width + cpu::scratch_floats(spec);
            let held = ema::floats(&spec.ema) + run.max(ema::setup_floats(&spec.ema));
            let moved = rows * (8 * width + 2 * joint + 2 * z + 2 * h) + params;
            (rows * width + params, held, transform_flops(&spec.ema), moved)
        }
    };
    Cost {
        flops: flops(spec).get(),
        executed_flops: executed_flops(spec).get(),
        transcendentals: transcendentals(spec).get(),
        bytes: (4 * moved).get(),
        peak_bytes: (4 * (case + held)).get(),
        decode_state_bytes: if decode::check(spec).is_ok() {
            (4 * decode::state_floats(spec)).get()
        } else {
            0
        },
        setup_flops: (setup_flops(spec) + setup).get(),
        full_attention: spec.attention().is_some_and(AttentionSpec::one_chunk),
    }
}

/// Pairs of query and key of all sequences for the tokens before `position`.
fn pairs_before(spec: &AttentionSpec, position: usize) -> Count {
    if position == 0 { Count::ZERO } else { AttentionSpec { seq_len: position, ..*spec }.pairs() }
}

/// Cost of a step of decoding, the mean over `tokens` tokens after `context`, where `spec` has the capacity's length.
pub(super) fn decode(spec: &Spec, context: usize, tokens: usize) -> Cost {
    let token = |mut spec: EmaSpec| {
        spec.dims.seq_len = 1;
        spec
    };
    // A query that sees one key, to which the mean of the further keys is added.
    let alone = |spec: &AttentionSpec| AttentionSpec { seq_len: 1, chunk: 1, ..*spec };
    let step = match spec {
        Spec::Ema(spec) => Spec::Ema(token(*spec)),
        Spec::Attention(spec) => Spec::Attention(alone(spec)),
        Spec::Layer(spec) => {
            Spec::Layer(LayerSpec { ema: token(spec.ema), attention: alone(&spec.attention), ..*spec })
        }
    };
    let average = |spec: &EmaSpec| {
        let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
        batch * width * spec.truncation.map_or(5 * Count::from(spec.n), |lags| 2 * Count::from(lags))
    };
    let sums = match spec {
        Spec::Ema(spec) | Spec::Layer(LayerSpec { ema: spec, .. }) => average(spec),
        Spec::Attention(_) => Count::ZERO,
    };
    // Pairs of the whole run, and those of them that a query has with its own key.
    let (pairs, own) = spec.attention().map_or((Count::ZERO, Count::ZERO), |spec| {
        let seen = pairs_before(spec, context.saturating_add(tokens)) - pairs_before(spec, context);
        (seen, Count::from(spec.batch) * Count::from(tokens))
    });
    let mean = |of_run: Count| of_run / Count::from(tokens);
    let further = pairs - own;
    let (per_pair, softmax, functions) = spec.attention().map_or_else(Default::default, |spec| {
        let functions = match spec.activation {
            Activation::Softmax => 1,
            Activation::Laplace => 2,
            Activation::Relu2 => 0,
        };
        (Count::from(spec.z) + Count::from(spec.h), Count::new(4), Count::new(functions))
    });
    let flops = other_flops(&step) + sums + mean(2 * further * per_pair);
    // Keys and values: those that a query sees are read, and one pair is written.
    let cached = mean((pairs + own) * per_pair);
    let (weights, token_floats, moved) = match spec {
        Spec::Ema(spec) => {
            let width = spec.dims.sizes().d_model;
            (ema_params(spec), width, 2 * spec.dims.sizes().batch * width)
        }
        Spec::Attention(spec) => {
            let [batch, z, h] = Count::all([spec.batch, spec.z, spec.h]);
            (bias::param_floats(spec), 2 * z + h, batch * (2 * z + 2 * h))
        }
        Spec::Layer(spec) => {
            let width = spec.ema.dims.sizes().d_model;
            (layer_params(spec), width, 2 * spec.ema.dims.sizes().batch * width)
        }
    };
    let carried = match spec {
        Spec::Ema(spec) | Spec::Layer(LayerSpec { ema: spec, .. }) => 2 * average::state_floats(spec),
        Spec::Attention(_) => Count::ZERO,
    };
    let rows = match spec {
        Spec::Ema(spec) | Spec::Layer(LayerSpec { ema: spec, .. }) => spec.dims.sizes().rows(),
        Spec::Attention(spec) => Count::from(spec.batch) * Count::from(spec.seq_len),
    };
    Cost {
        flops: flops.get(),
        executed_flops: (flops + mean(softmax * pairs)).get(),
        transcendentals: (transcendentals(&step) + mean(functions * further)).get(),
        bytes: (4 * (weights + moved + cached + carried)).get(),
        peak_bytes: (4 * (rows * token_floats + weights + decode::floats(spec))).get(),
        decode_state_bytes: (4 * decode::state_floats(spec)).get(),
        setup_flops: setup_flops(spec).get(),
        full_attention: spec.attention().is_some_and(AttentionSpec::one_chunk),
    }
}
