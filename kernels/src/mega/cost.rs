//! Closed forms. Exponentials, error functions and divisions of the attention weights are left out, as the field does;
//! other activations count as one operation. The average is counted as the recurrence (five operations for each
//! dimension and step), or, truncated, as an FFT convolution.

use mixer::Cost;

use super::attention;
use super::bias;
use super::cpu;
use super::ema;
use super::spec::{AttentionSpec, EmaSpec, LayerSpec, NormKind, Spec};
use crate::ops::long_conv::fft_size;

/// Operations of one real FFT of length `n`.
fn real_fft(n: u64) -> u64 {
    5 * n * u64::from(n.max(1).ilog2()) / 2
}

/// Operations of the average's sums as the kernel takes them.
fn average_flops(spec: &EmaSpec) -> u64 {
    let channels = (spec.dims.batch * spec.dims.d_model) as u64;
    if spec.truncation.is_none() {
        return channels * (5 * spec.directions() * spec.n * spec.dims.seq_len) as u64;
    }
    let n = fft_size(spec.dims.seq_len) as u64;
    channels * (2 * real_fft(n) + 3 * n)
}

/// Operations of a truncated average as direct sums.
#[cfg(test)]
pub(super) fn direct_average_flops(spec: &EmaSpec) -> u64 {
    let sum: usize = (0..spec.dims.seq_len).map(|t| spec.lags().min(t + 1)).sum();
    (2 * spec.directions() * spec.dims.batch * spec.dims.d_model * sum) as u64
}

/// Residual, SiLU and the sum of both directions.
fn average_elementwise(spec: &EmaSpec) -> u64 {
    ((2 + spec.directions()) * spec.rows() * spec.dims.d_model) as u64
}

pub(super) fn setup_flops(spec: &Spec) -> u64 {
    let ema = |spec: &EmaSpec| match spec.truncation {
        None => 0,
        Some(lags) => (2 * spec.directions() * spec.dims.d_model * spec.n * lags) as u64,
    };
    match spec {
        Spec::Ema(spec) => ema(spec),
        Spec::Attention(spec) => bias::flops(spec),
        Spec::Layer(spec) => ema(&spec.ema) + bias::flops(&spec.attention),
    }
}

fn transform_flops(spec: &EmaSpec) -> u64 {
    let n = fft_size(spec.dims.seq_len) as u64;
    spec.truncation.map_or(0, |_| spec.dims.d_model as u64 * real_fft(n))
}

fn attention_flops(spec: &AttentionSpec) -> u64 {
    2 * spec.pairs() * (spec.z + spec.h) as u64
}

/// Operations of everything but the average's sums.
pub(super) fn other_flops(spec: &Spec) -> u64 {
    match spec {
        Spec::Ema(spec) => average_elementwise(spec),
        Spec::Attention(spec) => attention_flops(spec),
        Spec::Layer(spec) => {
            let (width, z, h) = (spec.width(), spec.attention.z, spec.attention.h);
            let norm = if spec.norm == NormKind::Layer { 8 } else { 4 };
            let linears = 2 * width * (2 * h + spec.joint());
            let elementwise = norm * width + 3 * h + 5 * z + 6 * width;
            attention_flops(&spec.attention)
                + average_elementwise(&spec.ema)
                + (spec.ema.rows() * (linears + elementwise)) as u64
        }
    }
}

/// Operations of a forward pass.
pub(super) fn flops(spec: &Spec) -> u64 {
    other_flops(spec)
        + match spec {
            Spec::Ema(spec) | Spec::Layer(LayerSpec { ema: spec, .. }) => average_flops(spec),
            Spec::Attention(_) => 0,
        }
}

fn ema_params(spec: &EmaSpec) -> usize {
    spec.dims.d_model * (4 * spec.directions() * spec.n + 1)
}

/// Cost of the CPU kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (case, held, setup, moved) = match spec {
        Spec::Ema(spec) => {
            let stream = spec.rows() * spec.dims.d_model;
            let run = stream + ema::scratch_floats(spec);
            let case = stream + ema_params(spec);
            (case, ema::floats(spec) + run.max(ema::setup_floats(spec)), transform_flops(spec), 2 * stream)
        }
        Spec::Attention(spec) => {
            let rows = spec.batch * spec.seq_len;
            let (keys, values) = (rows * spec.z, rows * spec.h);
            let held = attention::floats(spec) + attention::scratch_floats(spec) + values;
            (2 * keys + values + bias::param_floats(spec), held, 0, 4 * keys + 4 * values)
        }
        Spec::Layer(spec) => {
            let (width, z, h, rows) = (spec.width(), spec.attention.z, spec.attention.h, spec.ema.rows());
            let norm = if spec.norm == NormKind::Layer { 2 * width } else { 1 };
            let weights = h * (width + 1) + spec.joint() * (width + 1) + width * (h + 1);
            let params = weights + 4 * z + norm + ema_params(&spec.ema) + bias::param_floats(&spec.attention);
            let run =
                cpu::held_floats(spec) - ema::floats(&spec.ema) + rows * width + cpu::scratch_floats(spec);
            let held = ema::floats(&spec.ema) + run.max(ema::setup_floats(&spec.ema));
            let moved = rows * (8 * width + 2 * spec.joint() + 2 * z + 2 * h) + params;
            (rows * width + params, held, transform_flops(&spec.ema), moved)
        }
    };
    let decode =
        |attention: Option<&AttentionSpec>, ema: Option<&EmaSpec>| {
            let keys = attention
                .map_or(0, |spec| if spec.causal { spec.batch * spec.chunk * (spec.z + spec.h) } else { 0 });
            let state = ema.map_or(0, |spec| {
                if spec.bidirectional { 0 } else { spec.dims.batch * spec.dims.d_model * spec.n }
            });
            4 * (keys + state) as u64
        };
    Cost {
        flops: flops(spec),
        bytes: 4 * moved as u64,
        peak_bytes: 4 * (case + held) as u64,
        decode_state_bytes: match spec {
            Spec::Ema(spec) => decode(None, Some(spec)),
            Spec::Attention(spec) => decode(Some(spec), None),
            Spec::Layer(spec) => decode(Some(&spec.attention), Some(&spec.ema)),
        },
        setup_flops: setup_flops(spec) + setup,
        ..Cost::default()
    }
}
