//! Liquid-S4 (Hasani et al., arXiv 2209.12951): a diagonal state-space model per channel, and terms that correlate the
//! input with itself; or the paper's input-dependent recurrence.

mod cost;
mod cpu;
mod decode;
mod decode_gpu;
mod gpu;
mod kb;
mod liquid;
mod model;
mod scan;
mod seed;
mod spec;
mod spot;
mod ssm;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{Causality, Decode, Family, Info, ParamKind, ParamSpec, System, Tolerance};

pub use spec::{Contraction, Liquid, Mode, Spec};

/// The defaults of the authors' package; the state-space model is S4D-Lin.
static INFO: Info = Info {
    id: "liquid-s4",
    title: "Liquid-S4",
    mark: 8,
    family: Family::Liquid,
    causality: Causality::Both,
    complexity: "O(D·L log L)",
    exponent: 1.0,
    year: 2022,
    paper: "Hasani et al., “Liquid Structural State-Space Models”",
    arxiv: "2209.12951",
    reference: "raminmh/liquid-s4, src/models/sequence/ss/s4.py",
    summary: "A state-space model whose transition depends on the input, unrolled into products of inputs.",
    params: &[
        ParamSpec {
            name: "liquid_kernel",
            kind: ParamKind::Choice { choices: &["auto", "polyb", "kb", "recurrence", "none"] },
            help: "Liquid terms: as published (polyb, kb; they read from the end), the paper's recurrence, or none; auto takes the recurrence where causal and polyb elsewhere",
        },
        ParamSpec {
            name: "liquid_degree",
            kind: ParamKind::Count { default: 2, low: 2, high: 4 },
            help: "Most inputs in a product",
        },
        ParamSpec {
            name: "d_state",
            kind: ParamKind::Count { default: 64, low: 2, high: 256 },
            help: "State of each channel; half as many complex modes",
        },
        ParamSpec {
            name: "allcombs",
            kind: ParamKind::Flag { default: true },
            help: "All combinations of the last inputs, or consecutive ones",
        },
        ParamSpec {
            name: "lcontract",
            kind: ParamKind::Choice { choices: &["none", "tanh", "lecun"] },
            help: "What bounds the products",
        },
        ParamSpec {
            name: "bidirectional",
            kind: ParamKind::Flag { default: false },
            help: "A second state-space model reads backwards",
        },
    ],
    config: &["measure", "mode"],
    spare: &["k", "param.liquid_B", "param.liquid_C", "param.liquid_log_dt", "param.liquid_w"],
    tolerance: Tolerance { abs: 5e-4, rel: 1e-3 },
};

/// The `liquid-s4` lane.
pub static LIQUID_S4: System = System {
    info: &INFO,
    seeded_case: seed::seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?)),
    reference: crate::model::reference::<Spec>,
    spot_check: spot::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: crate::decoding::model_width,
        cost: |problem, params| {
            let spec = Spec::race(&problem.whole(), params)?;
            decode::check(&spec)?;
            Ok(cost::decode(&spec))
        },
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};
