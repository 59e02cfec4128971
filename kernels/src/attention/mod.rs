//! Softmax multi-head attention (Vaswani et al., arXiv 1706.03762, section 3.2), tiled with an online softmax.

mod cost;
mod cpu;
mod gpu;
mod reference;
#[cfg(test)]
mod tests;

use mixer::{Case, Causality, Family, Info, Level, MixerError, Problem, Tensors, Tolerance};

use crate::definition::Definition;
use crate::dims::{Dims, heads};
use crate::generate::Generator;
use crate::ops::tile_attention::Shape;

pub(crate) use cost::{case_floats, flops, softmax, streams_floats, weight_floats};
pub(crate) use cpu::Projections;
pub(crate) use gpu::{Streams as GpuStreams, project as gpu_project};
pub(crate) use reference::{linear, reference, spot_check, widen};

static INFO: Info = Info {
    id: "attention",
    title: "Attention",
    family: Family::Attention,
    causality: Causality::Both,
    complexity: "O(L²·D)",
    exponent: 2.0,
    year: 2017,
    paper: "Vaswani et al., “Attention Is All You Need”",
    arxiv: "1706.03762",
    reference: "PyTorch nn.MultiheadAttention and scaled_dot_product_attention",
    summary: "Every position looks at every other one; computed tile by tile, so memory stays linear.",
    params: &[],
    config: &["bias"],
    spare: &[],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `attention` lane.
pub static ATTENTION: Definition = Definition {
    info: &INFO,
    seeded_case: |problem, params| {
        INFO.resolve(params)?;
        seeded_case(problem)
    },
    cost: |problem, params| {
        INFO.resolve(params)?;
        Ok(cost::tiled(problem))
    },
    reference,
    spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
};

/// What a case says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spec {
    pub dims: Dims,
    pub n_heads: usize,
    pub causal: bool,
    pub level: Level,
    /// Whether the projections have biases.
    pub bias: bool,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let dims = Dims::read(&case.config)?;
        Ok(Self {
            dims,
            n_heads: heads(&case.config, dims.d_model)?,
            causal: case.config.flag_or("causal", false)?,
            level: case.level,
            bias: case.config.flag_or("bias", true)?,
        })
    }

    pub(crate) fn d_head(&self) -> usize {
        self.dims.d_model / self.n_heads
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            batch: self.dims.batch,
            seq_len: self.dims.seq_len,
            n_heads: self.n_heads,
            d_head: self.d_head(),
            causal: self.causal,
        }
    }

    /// The streams q, k, v of a `core` case, each `[batch, length, width]`.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let shape = self.dims.shape(self.dims.d_model);
        Ok([tensors.floats("q", &shape)?, tensors.floats("k", &shape)?, tensors.floats("v", &shape)?])
    }

    /// The input x of a `layer` case, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// Weight `[width, width]` and bias `[width]` of one projection: `query`, `key`, `value` or `out`.
    pub(crate) fn projection<'a>(
        &self,
        tensors: &'a Tensors,
        name: &str,
    ) -> Result<(&'a [f32], Option<&'a [f32]>), MixerError> {
        let width = self.dims.d_model;
        let weight = tensors.floats(&format!("param.{name}.weight"), &[width, width])?;
        let bias =
            if self.bias { Some(tensors.floats(&format!("param.{name}.bias"), &[width])?) } else { None };
        Ok((weight, bias))
    }
}

/// Weights as `nn.MultiheadAttention` initialises them: Xavier over the stacked `[3D, D]` input projection, the
/// linear layer's default for the output, biases zero.
pub(crate) fn seeded_case(problem: &Problem) -> Result<Case, MixerError> {
    let generator = Generator::new(problem.seed);
    let width = problem.d_model;
    let shape = [problem.batch, problem.seq_len, width];
    let mut tensors = Tensors::new();
    match problem.level {
        Level::Core => {
            for name in ["q", "k", "v"] {
                generator.unit(&mut tensors, name, &shape)?;
            }
        }
        Level::Layer => {
            generator.unit(&mut tensors, "x", &shape)?;
            for name in ["query", "key", "value", "out"] {
                let bound = if name == "out" {
                    1.0 / (width as f32).sqrt()
                } else {
                    (6.0 / (4 * width) as f32).sqrt()
                };
                generator.uniform(&mut tensors, &format!("param.{name}.weight"), &[width, width], bound)?;
                tensors.insert(format!("param.{name}.bias"), &[width], vec![0.0; width]);
            }
        }
    }
    Ok(Case { level: problem.level, config: problem.to_params(), tensors })
}
