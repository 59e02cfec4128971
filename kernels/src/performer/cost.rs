//! Closed forms: 8LDI for the projections, 4LIm + 4LI for the features, 4LIm + 4HLm for the sums and their use, with or
//! without the causal mask. Exponentials are left out, as the field does.

use mixer::{Cost, Level};

use super::{Spec, cpu};

/// Cost of the kernel, its scratch taken for one thread.
pub(super) fn cost(spec: &Spec) -> Cost {
    let (length, width, inner) = (spec.dims.seq_len as u64, spec.dims.d_model as u64, spec.inner() as u64);
    let (batch, heads, head) = (spec.dims.batch as u64, spec.n_heads as u64, spec.d_head as u64);
    let features = spec.n_features as u64;
    let core = 8 * length * inner * features + 4 * length * inner + 4 * heads * length * features;
    let stream = batch * length * inner;
    let projection = features * head;
    let (projections, case, moved) = match spec.level {
        // q, k and v in, one stream out.
        Level::Core => (0, 3 * stream, 4 * stream),
        Level::Layer => {
            let bias = if spec.qkv_bias { 3 * inner } else { 0 };
            let weights = 4 * width * inner + bias + width;
            let input = batch * length * width;
            // x is read thrice and y written; q, k, v and c are written and read.
            (8 * length * width * inner, input + weights, 4 * input + 8 * stream + weights)
        }
    };
    Cost {
        flops: batch * (projections + core),
        // A second look at the keys finds their maximum before they are summed.
        bytes: 4 * (moved + stream + projection),
        peak_bytes: 4 * (case + projection + cpu::floats(spec) as u64),
        decode_state_bytes: if spec.causal { 4 * decode_floats(spec) } else { 0 },
        setup_flops: projection,
        ..Cost::default()
    }
}

/// Floats that decoding carries: for each head Σ e vᵀ and Σ e of the exponentials e relative to the largest key
/// projection so far, that maximum, and Σ v, by which ε enters. The position counts the keys.
fn decode_floats(spec: &Spec) -> u64 {
    let (features, head) = (spec.n_features as u64, spec.d_head as u64);
    (spec.dims.batch * spec.n_heads) as u64 * (features * (head + 1) + head + 1)
}
