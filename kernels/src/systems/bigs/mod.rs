//! BiGS (Wang et al., arXiv 2212.10544): two state-space models, one per direction, multiplied and gated.

mod cost;
mod cpu;
mod gpu;
mod model;
mod seed;
mod spot;
mod ssm;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Family, Info, Level, MixerError, NoDecode, ParamKind, ParamSpec, Params, Problem,
    System, Tensors, Tolerance,
};

use crate::dims::Dims;
use crate::model::reference;
use ssm::Direction;

/// The defaults of the authors' pretraining.
static INFO: Info = Info {
    id: "bigs",
    title: "BiGS",
    mark: 4,
    family: Family::StateSpace,
    causality: Causality::BidirectionalOnly,
    complexity: "O(D·L log L)",
    exponent: 1.0,
    year: 2022,
    paper: "Wang et al., “Pretraining Without Attention”",
    arxiv: "2212.10544",
    reference: "jxiw/BiGS, BiGS/modeling_bigs.py",
    summary: "A forward and a backward state-space model read the sequence; their product gates the values.",
    params: &[
        ParamSpec {
            name: "num_ssm",
            kind: ParamKind::Count { default: 64, low: 1, high: 256 },
            help: "Complex modes of each state-space model",
        },
        ParamSpec {
            name: "expansion",
            kind: ParamKind::Count { default: 3, low: 1, high: 16 },
            help: "Width of the gated values in multiples of the model's width",
        },
        ParamSpec {
            name: "gelu",
            kind: ParamKind::Choice { choices: &["erf", "tanh"] },
            help: "Exact GELU, or the approximation that the Flax code uses",
        },
        ParamSpec {
            name: "pre_norm",
            kind: ParamKind::Flag { default: true },
            help: "Normalises the input rather than the output",
        },
    ],
    config: &["hidden_size", "intermediate_size", "layer_norm_eps"],
    spare: &["k_b", "k_f"],
    tolerance: Tolerance { abs: 5e-4, rel: 1e-3 },
};

/// The `bigs` lane.
pub static BIGS: System = System {
    info: &INFO,
    seeded_case: seed::seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?)),
    reference: reference::<Spec>,
    spot_check: spot::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Err(NoDecode::NotCausal),
};

/// Variant of GELU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gelu {
    /// With the error function, as in PyTorch.
    Erf,
    /// With the tanh approximation, as in Flax.
    Tanh,
}

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Sizes of the input.
    pub dims: Dims,
    /// Level of the case, core or layer.
    pub level: Level,
    /// Complex modes N of each state-space model.
    pub modes: usize,
    /// Width I of the gated values; 0 at core level.
    pub intermediate: usize,
    /// ε of the normalisation.
    pub eps: f64,
    /// Whether the input is normalised rather than the output.
    pub pre_norm: bool,
    /// Variant of GELU.
    pub gelu: Gelu,
}

/// The linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linears {
    Value,
    Forward,
    Backward,
    MergeForward,
    MergeBackward,
    Widen,
    Out,
}

/// Weight and bias.
pub(crate) type Affine<'a> = (&'a [f32], &'a [f32]);

impl Linears {
    pub(crate) const ALL: [Self; 7] = [
        Self::Value,
        Self::Forward,
        Self::Backward,
        Self::MergeForward,
        Self::MergeBackward,
        Self::Widen,
        Self::Out,
    ];

    /// The name in golden files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Value => "dv",
            Self::Forward => "du_forward",
            Self::Backward => "du_backward",
            Self::MergeForward => "duc_forward",
            Self::MergeBackward => "duc_backward",
            Self::Widen => "dol",
            Self::Out => "do",
        }
    }

    /// Number of inputs and outputs.
    pub(crate) fn sizes(self, spec: &Spec) -> (usize, usize) {
        let (width, inner) = (spec.dims.d_model, spec.intermediate);
        match self {
            Self::Value | Self::Widen => (width, inner),
            Self::Out => (inner, width),
            _ => (width, width),
        }
    }
}

impl Spec {
    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let dims = Dims::read(config)?;
        let layer = case.level == Level::Layer;
        Ok(Self {
            dims,
            level: case.level,
            modes: config.count_or("num_ssm", 64, 1, 4096)?,
            intermediate: if layer {
                config.count_or("intermediate_size", 3 * dims.d_model, 1, 1 << 17)?
            } else {
                0
            },
            eps: config.number_or("layer_norm_eps", 1e-12, 0.0, 1.0)?,
            pre_norm: config.flag_or("pre_norm", true)?,
            gelu: if config.choice_or("gelu", &["erf", "tanh"])? == "erf" { Gelu::Erf } else { Gelu::Tanh },
        })
    }

    /// The spec of a race with this problem and these parameters.
    fn race(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let config = race_config(problem, params)?;
        Self::read(&Case { level: problem.level, config, tensors: Tensors::new() })
    }

    /// Rows of the input in all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.dims.batch * self.dims.seq_len
    }

    /// x of a `layer` case, `[batch, length, width]`; u_f | u_b of a `core` case, `[batch, length, 2 · width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        let streams = if self.level == Level::Core { 2 } else { 1 };
        tensors.floats("x", &self.dims.shape(streams * self.dims.d_model))
    }

    /// Weight and bias of one linear layer.
    pub(crate) fn linear<'a>(&self, tensors: &'a Tensors, linear: Linears) -> Result<Affine<'a>, MixerError> {
        let (inputs, outputs) = linear.sizes(self);
        Ok((
            tensors.floats(&format!("param.{}.weight", linear.name()), &[outputs, inputs])?,
            tensors.floats(&format!("param.{}.bias", linear.name()), &[outputs])?,
        ))
    }

    /// Weight and bias of the normalisation.
    pub(crate) fn norm<'a>(&self, tensors: &'a Tensors) -> Result<Affine<'a>, MixerError> {
        let width = self.dims.d_model;
        Ok((
            tensors.floats("param.LayerNorm.weight", &[width])?,
            tensors.floats("param.LayerNorm.bias", &[width])?,
        ))
    }

    /// The state-space model of one direction.
    pub(crate) fn ssm(&self, tensors: &Tensors, direction: Direction) -> Result<ssm::Ssm, MixerError> {
        ssm::Ssm::read(tensors, direction.prefix(), self.modes)
    }
}

/// The configuration of a race's case, with the keys of golden files.
fn race_config(problem: &Problem, params: &Params) -> Result<Params, MixerError> {
    let params = INFO.resolve(params)?;
    let mut config = problem.to_params();
    for (name, value) in params.iter().filter(|(name, _)| *name != "expansion") {
        config.set(name, value.clone());
    }
    config.set("causal", false);
    config.set("intermediate_size", params.count_or("expansion", 3, 1, 16)? * problem.d_model);
    Ok(config)
}
