//! Softmax multi-head attention (Vaswani et al., arXiv 1706.03762, section 3.2), tiled with an online softmax.

mod cost;
mod cpu;
mod decode;
mod decode_gpu;
mod gpu;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{Causality, Decode, Family, Info, System, Tolerance};

use crate::model::reference;
use crate::multi_head::{self, KV_HEADS_PARAM, kv_heads, seeded_case, spot_check};

static INFO: Info = Info {
    id: "attention",
    title: "Attention",
    mark: 0,
    family: Family::Attention,
    causality: Causality::Both,
    complexity: "O(L²·D)",
    exponent: 2.0,
    year: 2017,
    paper: "Vaswani et al., “Attention Is All You Need”",
    arxiv: "1706.03762",
    reference: "PyTorch nn.MultiheadAttention and scaled_dot_product_attention",
    summary: "Every position looks at every other one; computed tile by tile, so memory stays linear.",
    params: &[KV_HEADS_PARAM],
    config: &["bias"],
    spare: &[],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `attention` lane.
pub static ATTENTION: System = System {
    info: &INFO,
    seeded_case: |problem, params| seeded_case(problem, kv_heads(&INFO, problem, params)?),
    cost: |problem, params| {
        let kv_heads = kv_heads(&INFO, problem, params)?;
        Ok(cost::tiled(problem, kv_heads))
    },
    reference: reference::<multi_head::Spec>,
    spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: |case| multi_head::token_inputs(&multi_head::Spec::read_grouped(case)?, INFO.id),
        width: crate::decoding::model_width,
        cost: |problem, params| Ok(decode::cost(problem, kv_heads(&INFO, problem, params)?)),
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};
