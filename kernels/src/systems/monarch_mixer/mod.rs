//! Monarch Mixer (Fu et al., arXiv 2310.12109): M2-BERT's gated long convolutions, its block-diagonal MLP, and the
//! order-2 Monarch matrix, the general form of both.

mod cost;
mod cpu;
mod decode;
mod decode_gpu;
pub mod filter;
mod gpu;
mod matrix;
mod mlp;
mod model;
mod seed;
mod sequence_gpu;
mod spec;
mod spot;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{Causality, Decode, Family, Info, ParamKind, ParamSpec, System, Tolerance};

use crate::ops::online_conv::Method;
use spec::race_config;
pub use spec::{BlockDiagonalSpec, LayerSpec, MlpSpec, MonarchSpec, SequenceSpec, Spec};
pub(crate) use spec::{MlpParams, NORM_EPS, TAPS};

/// The defaults of M2-BERT-base (80M).
static INFO: Info = Info {
    id: "monarch-mixer",
    title: "Monarch Mixer",
    mark: 3,
    family: Family::Convolution,
    causality: Causality::Both,
    complexity: "O(D·L log L)",
    exponent: 1.0,
    year: 2023,
    paper: "Fu et al., “Monarch Mixer: A Simple Sub-Quadratic GEMM-Based Architecture”",
    arxiv: "2310.12109",
    reference: "HazyResearch/m2, bert/src/mm/monarch_mixer_sequence_mixer.py",
    summary: "Gated long convolutions in both directions mix positions; block-diagonal matrices mix channels.",
    params: &[
        ParamSpec {
            name: "part",
            kind: ParamKind::Choice { choices: &["sequence", "block", "mlp"] },
            help: "The sequence mixer, a whole M2-BERT layer with its MLP, or the MLP alone",
        },
        ParamSpec {
            name: "residual_long_conv",
            kind: ParamKind::Flag { default: true },
            help: "Adds a second long convolution, of the layer's own input",
        },
        ParamSpec {
            name: "filter_order",
            kind: ParamKind::Count { default: 128, low: 1, high: 256 },
            help: "Width of the network that gives the filters",
        },
        ParamSpec {
            name: "emb_dim",
            kind: ParamKind::Count { default: 5, low: 3, high: 129 },
            help: "Positional features of that network, an odd number",
        },
        ParamSpec {
            name: "expansion",
            kind: ParamKind::Count { default: 4, low: 1, high: 16 },
            help: "Width of the MLP in multiples of the model's width",
        },
        ParamSpec {
            name: "nblocks",
            kind: ParamKind::Count { default: 4, low: 1, high: 64 },
            help: "Blocks of the MLP's matrices",
        },
        ParamSpec {
            name: Method::PARAM,
            kind: ParamKind::Choice { choices: Method::CHOICES },
            help: Method::HELP,
        },
    ],
    config: &[
        "bidirectional",
        "complex",
        "glu",
        "hidden_size",
        "in_features",
        "input_permutation",
        "intermediate_size",
        "l_max",
        "layer_norm_eps",
        "m",
        "n",
        "out_features",
        "shuffle",
        "training_additions",
        "w",
        "w1",
        "w2",
        "w_mod",
    ],
    spare: &["k", "k2", "k2_rev", "k_rev"],
    tolerance: Tolerance { abs: 5e-4, rel: 1e-3 },
};

/// The `monarch-mixer` lane.
pub static MONARCH_MIXER: System = System {
    info: &INFO,
    seeded_case: seed::seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?)),
    reference: crate::model::reference::<Spec>,
    spot_check: spot::spot_check,
    cpu: |case, memory, parallel| {
        Ok(match Spec::read(case)? {
            Spec::Sequence(spec) => Box::new(cpu::Kernel::new(spec, case, memory, parallel)?),
            Spec::Mlp(spec) => Box::new(mlp::Kernel::new(spec, case, memory, parallel)?),
            Spec::BlockDiagonal(spec) => {
                Box::new(matrix::BlockDiagonalKernel::new(spec, case, memory, parallel)?)
            }
            Spec::Monarch(spec) => Box::new(matrix::MonarchKernel::new(spec, case, memory, parallel)?),
        })
    },
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: crate::decoding::model_width,
        cost: |problem, params| Ok(decode::cost(&Spec::race(&problem.whole(), params)?, problem)),
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};
