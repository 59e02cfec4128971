//! Closed forms: 8LDI for the projections, 4LIm + 4LI for the features, 4LIm + 4HLm for the sums and their products
//! with queries, with or without the causal mask. Exponentials are not counted, as is customary.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Sizes};

use super::{Spec, cpu};

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
        decode_state_bytes: if spec.causal { (4 * decode_floats(spec)).get() } else { 0 },
        setup_flops: projection.get(),
        ..Cost::default()
    }
}

/// Floats of the decoding state: per head Σ e vᵀ and Σ e, with e the exponentials relative to the largest key
/// projection so far; that largest projection; and Σ v, the factor of ε. The position is the number of keys.
fn decode_floats(spec: &Spec) -> Count {
    let [batch, heads, features, head] =
        Count::all([spec.dims.batch, spec.n_heads, spec.n_features, spec.d_head]);
    batch * heads * (features * (head + 1) + head + 1)
}
