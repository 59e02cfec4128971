//! Softmax attention that holds its L×L scores in memory, as the first implementations did: a lane that shows the
//! memory limit of attention. Products use the fast GEMM; only the score buffer is naive.

mod cost;
mod cpu;
mod decode;
mod gpu;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{Causality, Decode, Family, Info, System, Tolerance};

use crate::model::reference;
use crate::multi_head::{self, kv_heads};

static INFO: Info = Info {
    id: "attention-naive",
    title: "Attention, naive",
    mark: 2,
    family: Family::Attention,
    causality: Causality::Both,
    complexity: "O(L²·D) time, O(L²) memory",
    exponent: 2.0,
    year: 2017,
    paper: "Vaswani et al., “Attention Is All You Need”",
    arxiv: "1706.03762",
    reference: "PyTorch nn.MultiheadAttention and scaled_dot_product_attention",
    summary: "Attention that writes all its scores to memory first: it is here to show the memory wall.",
    params: &[multi_head::KV_HEADS_PARAM],
    config: &["bias"],
    spare: &[],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `attention-naive` lane.
pub static ATTENTION_NAIVE: System = System {
    info: &INFO,
    seeded_case: |problem, params| multi_head::seeded_case(problem, kv_heads(&INFO, problem, params)?),
    cost: |problem, params| Ok(cost::cost(problem, kv_heads(&INFO, problem, params)?)),
    reference: reference::<multi_head::Spec>,
    spot_check: multi_head::spot_check,
    cpu: |case, memory, _parallel| Ok(Box::new(cpu::Kernel::new(case, memory)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: crate::decoding::model_width,
        cost: |problem, params| Ok(cost::step(problem, kv_heads(&INFO, problem, params)?)),
        cpu: |case, memory, _parallel| decode::decoder(case, memory),
        rows_of_forward: true,
        gpu: None,
    }),
};
