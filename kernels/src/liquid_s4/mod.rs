//! Liquid-S4 (Hasani et al., arXiv 2209.12951): a diagonal state-space model for each channel, and terms that correlate
//! the input with itself; or the paper's input-dependent recurrence.

mod complex;
mod cost;
mod cpu;
mod gpu;
mod kb;
mod liquid;
mod reference;
mod scan;
mod seed;
mod spec;
mod spot;
mod ssm;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mixer::{
    Case, Causality, Cost, CpuKernel, Family, GpuTarget, Info, Memory, MixerError, OpCount, Parallel,
    ParamKind, ParamSpec, Params, Plan, Problem, SpotCheck, System, Tolerance,
};

pub use spec::{Contraction, Liquid, Mode, Spec};

/// The `liquid-s4` lane.
#[derive(Debug, Clone, Copy)]
pub struct LiquidS4;

/// Defaults are those of the authors' package; the state-space model is S4D-Lin.
static INFO: Info = Info {
    id: "liquid-s4",
    title: "Liquid-S4",
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
    tolerance: Tolerance { abs: 5e-4, rel: 1e-3 },
};

impl System for LiquidS4 {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn seeded_case(&self, problem: &Problem, params: &Params) -> Result<Case, MixerError> {
        seed::seeded_case(problem, params)
    }

    fn cost(&self, problem: &Problem, params: &Params) -> Result<Cost, MixerError> {
        Ok(cost::cost(&Spec::race(problem, params)?))
    }

    fn reference(&self, case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
        reference::reference(case, count)
    }

    fn spot_check(&self, case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
        spot::spot_check(case, max_flops)
    }

    fn cpu(
        &self,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Box<dyn CpuKernel>, MixerError> {
        Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?))
    }

    fn gpu(&self, case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
        gpu::plan(case, target)
    }
}
