//! Mega (Ma et al., arXiv 2209.10655): a damped exponential moving average followed by single-head gated attention
//! inside chunks.

mod attention;
mod average;
mod bias;
mod cache;
mod cost;
mod cpu;
mod decode;
mod decode_gpu;
mod ema;
mod gpu;
mod model;
mod seed;
mod spec;
mod spot;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{Causality, Decode, Family, Info, ParamKind, ParamSpec, Problem, System, Tolerance};

use crate::model::reference;
pub use spec::{Activation, AttentionSpec, BiasKind, EmaSpec, LayerSpec, NormKind, Spec};

/// The widths of the authors' package, and the chunk of Mega-chunk on Long Range Arena.
static INFO: Info = Info {
    id: "mega",
    title: "Mega",
    mark: 5,
    family: Family::StateSpace,
    causality: Causality::Both,
    complexity: "O(L·C·D)",
    exponent: 1.0,
    year: 2022,
    paper: "Ma et al., “Mega: Moving Average Equipped Gated Attention”",
    arxiv: "2209.10655",
    reference: "transformers 4.40.2, models/mega/modeling_mega.py",
    summary: "A learned moving average carries the past along; gated attention looks only inside its chunk.",
    params: &[
        ParamSpec {
            name: "use_chunking",
            kind: ParamKind::Flag { default: true },
            help: "Attention inside chunks (Mega-chunk); without it the time is quadratic",
        },
        ParamSpec {
            name: "chunk_size",
            kind: ParamKind::Count { default: 128, low: 1, high: 4096 },
            help: "Positions of a chunk",
        },
        ParamSpec {
            name: "attention_activation",
            kind: ParamKind::Choice { choices: &["softmax", "laplace", "relu2"] },
            help: "What turns scores into weights",
        },
        ParamSpec {
            name: "relative_positional_bias",
            kind: ParamKind::Choice { choices: &["rotary", "simple"] },
            help: "Bias of the scores by distance",
        },
        ParamSpec {
            name: "ema_projection_size",
            kind: ParamKind::Count { default: 16, low: 1, high: 64 },
            help: "Dimensions of each channel's moving average",
        },
        ParamSpec {
            name: "truncation",
            kind: ParamKind::Count { default: 0, low: 0, high: Problem::MAX_SEQ_LEN },
            help: "Lags that the moving average reaches; 0 for all",
        },
        ParamSpec {
            name: "shared_representation_size",
            kind: ParamKind::Count { default: 64, low: 2, high: 1024 },
            help: "Width of queries and keys",
        },
        ParamSpec {
            name: "expansion",
            kind: ParamKind::Count { default: 2, low: 1, high: 8 },
            help: "Width of the values in multiples of the model's width",
        },
        ParamSpec {
            name: "normalization_type",
            kind: ParamKind::Choice { choices: &["scalenorm", "layernorm"] },
            help: "Normalisation",
        },
        ParamSpec {
            name: "normalize_before_mega",
            kind: ParamKind::Flag { default: true },
            help: "Normalises the input rather than the output",
        },
        ParamSpec {
            name: "core",
            kind: ParamKind::Choice { choices: &["attention", "ema"] },
            help: "Which half runs at core level",
        },
    ],
    config: &["activation", "bidirectional", "hidden_size", "intermediate_size", "max_positions", "part"],
    spare: &["ema_kernel"],
    tolerance: Tolerance { abs: 2e-4, rel: 1e-3 },
};

/// The `mega` lane.
pub static MEGA: System = System {
    info: &INFO,
    seeded_case: seed::seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?)),
    reference: reference::<Spec>,
    spot_check: spot::spot_check,
    cpu: |case, memory, parallel| {
        Ok(match Spec::read(case)? {
            Spec::Layer(spec) => Box::new(cpu::LayerKernel::new(spec, case, memory, parallel)?),
            Spec::Ema(spec) => Box::new(cpu::EmaKernel::new(spec, case, memory, parallel)?),
            Spec::Attention(spec) => Box::new(cpu::AttentionKernel::new(spec, case, memory, parallel)?),
        })
    },
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: decode::width,
        cost: |problem, params| {
            let spec = Spec::race(&problem.whole(), params)?;
            decode::check(&spec)?;
            Ok(cost::decode(&spec, problem.seq_len, problem.capacity() - problem.seq_len))
        },
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};
