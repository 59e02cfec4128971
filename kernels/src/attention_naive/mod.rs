//! The same attention with its L×L scores held in memory, as the first implementations did: a lane that shows the
//! memory wall. Its arithmetic is the fast GEMM's; only the score buffer is naive.

mod cpu;
mod gpu;
#[cfg(test)]
mod tests;

use mixer::{Causality, Cost, Family, Info, Level, Problem, Tolerance};

use crate::attention;
use crate::definition::Definition;
use crate::ops::linear::Linear;

static INFO: Info = Info {
    id: "attention-naive",
    title: "Attention, naive",
    family: Family::Attention,
    causality: Causality::Both,
    complexity: "O(L²·D) time, O(L²) memory",
    exponent: 2.0,
    year: 2017,
    paper: "Vaswani et al., “Attention Is All You Need”",
    arxiv: "1706.03762",
    reference: "PyTorch nn.MultiheadAttention and scaled_dot_product_attention",
    summary: "Attention that writes all its scores to memory first: it is here to show the memory wall.",
    params: &[],
    config: &["bias"],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `attention-naive` lane.
pub static ATTENTION_NAIVE: Definition = Definition {
    info: &INFO,
    seeded_case: |problem, params| {
        problem.validate()?;
        INFO.resolve(params)?;
        Ok(attention::seeded_case(problem))
    },
    cost: |problem, params| {
        problem.validate()?;
        INFO.resolve(params)?;
        // A causal mask saves this kernel nothing: all scores are computed, then masked.
        let full = Problem { causal: false, ..*problem };
        let (heads, length) = (problem.n_heads as u64, problem.seq_len as u64);
        let scores = 4 * heads * length * length;
        let width = problem.d_model;
        let (held, moved) = match problem.level {
            Level::Core => (attention::streams_bytes(problem, 1), attention::streams_bytes(problem, 4)),
            Level::Layer => (
                attention::streams_bytes(problem, 4) + 16 * Linear::floats(width, width) as u64,
                attention::streams_bytes(problem, 10) + 4 * attention::weight_floats(problem),
            ),
        };
        let head_dim = problem.d_head();
        Ok(Cost {
            flops: attention::flops(&full),
            bytes: moved + problem.batch as u64 * 4 * scores,
            peak_bytes: 4 * attention::case_floats(problem)
                + held
                + scores
                + 4 * cpu::packed_floats(problem.seq_len, problem.n_heads, head_dim) as u64,
            decode_state_bytes: attention::streams_bytes(problem, 2),
            setup_flops: 0,
            ..Cost::default()
        })
    },
    reference: attention::reference,
    spot_check: attention::spot_check,
    cpu: |case, memory, _parallel| Ok(Box::new(cpu::Kernel::new(case, memory)?)),
    gpu: gpu::plan,
};
