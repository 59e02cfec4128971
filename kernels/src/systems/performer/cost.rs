//! Closed forms: 8LDI for the projections, 4LIm + 4LI for the features, 4LIm + 4HLm for the sums and their products
//! with queries, with or without the causal mask. Exponentials are not counted, as is customary.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Sizes};

use super::{Spec, cpu, decode, running};

/// Cost of the kernel, with the scratch of one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let Sizes { batch, seq_len: length, d_model: width } = spec.dims.sizes();
    let [inner, heads, head, features] =
        Count::all([spec.inner(), spec.n_heads, spec.d_head, spec.n_features]);
    let core = 8 * length * inner * features + 4 * length * inner + 4 * heads * length * features;
    let stream = batch * length * inner;
    let projection = features * head;
    let (projections, case, moved) = match spec.level {
        // q, k, v and one output stream.
        Level::Core => (Count::ZERO, 3 * stream, 4 * stream),
        Level::Layer => {
            let bias = if spec.qkv_bias { 3 * inner } else { Count::ZERO };
            let weights = 4 * width * inner + bias + width;
            let input = batch * length * width;
            // x is read three times and y written once; q, k, v and c are written and read once.
            (8 * length * width * inner, input + weights, 4 * input + 8 * stream + weights)
        }
    };
    Cost {
        flops: (batch * (projections + core)).get(),
        executed_flops: (batch * (projections + core)).get(),
        // Exponentials of the features of queries and keys, and one division per row.
        transcendentals: (batch * heads * length * (2 * features + 1)).get(),
        // The keys are projected twice: their maximum is found before they are summed.
        bytes: (4 * (moved + stream + projection)).get(),
        peak_bytes: (4 * (case + projection + cpu::floats(spec))).get(),
        decode_state_bytes: if spec.causal { (4 * running::floats(spec)).get() } else { 0 },
        setup_flops: projection.get(),
        ..Cost::default()
    }
}

/// Cost of a step of decoding, where `spec` has the capacity's length.
pub(super) fn decode(spec: &Spec) -> Cost {
    let mut token = *spec;
    token.dims.seq_len = 1;
    let step = cost(&token);
    let Sizes { batch, d_model: width, .. } = spec.dims.sizes();
    let [inner, heads, head, features] =
        Count::all([spec.inner(), spec.n_heads, spec.d_head, spec.n_features]);
    let (state, rows) = (running::floats(spec), spec.dims.sizes().rows());
    let (weights, token_inputs, outputs) = match spec.level {
        Level::Core => (Count::ZERO, 3 * inner, inner),
        Level::Layer => {
            let bias = if spec.qkv_bias { 3 * inner } else { Count::ZERO };
            (4 * width * inner + bias + width, width, width)
        }
    };
    let weights = weights + features * head;
    Cost {
        // S and z are rescaled to the running maximum in the pass that adds the key.
        executed_flops: (Count::new(step.executed_flops) + batch * heads * features * (head + 1)).get(),
        // The factor of this rescaling.
        transcendentals: (Count::new(step.transcendentals) + batch * heads).get(),
        bytes: (4 * (weights + batch * (token_inputs + outputs) + 2 * state)).get(),
        // The state, its initial value and the copy of the mark.
        peak_bytes: (4 * (rows * token_inputs + weights + decode::floats(spec) + 3 * state)).get(),
        decode_state_bytes: (4 * state).get(),
        ..step
    }
}
