//! Closed forms: 8LDI for the projections, 4LIm + 4LI for the features, 4LIm + 4HLm for the sums and their use, with or
//! without the causal mask. Exponentials are left out, as the field does.

#![deny(clippy::arithmetic_side_effects)]

use mixer::{Cost, Count, Level, Sizes};

use super::{Spec, cpu};

/// Cost of the kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let Sizes { batch, seq_len: length, d_model: width } = spec.dims.sizes();
    let [inner, heads, head, features] =
        Count::all([spec.inner(), spec.n_heads, spec.d_head, spec.n_features]);
    let core = 8 * length * inner * features + 4 * length * inner + 4 * heads * length * features;
    let stream = batch * length * inner;
    let projection = features * head;
    let (projections, case, moved) = match spec.level {
        // q, k and v in, one stream out.
        Level::Core => (Count::ZERO, 3 * stream, 4 * stream),
        Level::Layer => {
            let bias = if spec.qkv_bias { 3 * inner } else { Count::ZERO };
            let weights = 4 * width * inner + bias + width;
            let input = batch * length * width;
            // x is read thrice and y written; q, k, v and c are written and read.
            (8 * length * width * inner, input + weights, 4 * input + 8 * stream + weights)
        }
    };
    Cost {
        flops: (batch * (projections + core)).get(),
        executed_flops: (batch * (projections + core)).get(),
        // The features of each query and key, and a division for each row.
        transcendentals: (batch * heads * length * (2 * features + 1)).get(),
        // A second look at the keys finds their maximum before they are summed.
        bytes: (4 * (moved + stream + projection)).get(),
        peak_bytes: (4 * (case + projection + cpu::floats(spec))).get(),
        decode_state_bytes: if spec.causal { (4 * decode_floats(spec)).get() } else { 0 },
        setup_flops: projection.get(),
        ..Cost::default()
    }
}

/// Floats that decoding carries: for each head Σ e vᵀ and Σ e of the exponentials e relative to the largest key
/// projection so far, that maximum, and Σ v, by which ε enters. The position counts the keys.
fn decode_floats(spec: &Spec) -> Count {
    let [batch, heads, features, head] =
        Count::all([spec.dims.batch, spec.n_heads, spec.n_features, spec.d_head]);
    batch * heads * (features * (head + 1) + head + 1)
}
