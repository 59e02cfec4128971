//! Performer (Choromanski et al., arXiv 2009.14794): softmax attention estimated by positive orthogonal random features
//! (FAVOR+). Keys and values are summed once; no query is compared with a single key.

mod block;
mod cost;
mod cpu;
mod decode;
mod decode_gpu;
mod features;
mod gpu;
mod projection;
mod reference;
mod running;
mod spot;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Decode, Family, Info, Level, MixerError, ParamKind, ParamSpec, Params, Problem, System,
    Tensors, Tolerance,
};

use crate::dims::Dims;
use crate::generate::Generator;

/// Largest number of random features; d ln d of the widest head is 34,069.
const MAX_FEATURES: usize = 65_536;

/// ε of the features (`kernel_eps`) and η of the causal denominator (`denominator_eps`), with the package's values.
const KERNEL_EPS: f64 = 1e-4;
const DENOMINATOR_EPS: f64 = 1e-6;

static INFO: Info = Info {
    id: "performer",
    title: "Performer",
    mark: 12,
    family: Family::EfficientAttention,
    causality: Causality::Both,
    complexity: "O(L·m·D)",
    exponent: 1.0,
    year: 2020,
    paper: "Choromanski et al., “Rethinking Attention with Performers”",
    arxiv: "2009.14794",
    reference: "Python package performer-pytorch 1.1.4, SelfAttention and FastAttention",
    summary: "Random features whose products estimate attention's exponentials turn attention into two sums over the sequence.",
    params: &[
        ParamSpec {
            name: "nb_features",
            kind: ParamKind::Count { default: 0, low: 0, high: MAX_FEATURES },
            help: "Random features m; 0 takes d ln d for heads of dimension d",
        },
        ParamSpec {
            name: "ortho_scaling",
            kind: ParamKind::Count { default: 0, low: 0, high: 1 },
            help: "Lengths of the projection's rows: 0 as of normal vectors, 1 all alike",
        },
    ],
    config: &["denominator_eps", "inner", "kernel_eps", "qkv_bias"],
    spare: &[],
    tolerance: Tolerance { abs: 1e-4, rel: 1e-3 },
};

/// The `performer` lane.
pub static PERFORMER: System = System {
    info: &INFO,
    seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?.0)),
    reference: |case| reference::reference(case, &mut mixer::OpCount::default()),
    spot_check: spot::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: decode::width,
        cost: |problem, params| Ok(cost::decode(&Spec::race(&problem.whole(), params)?.0)),
        cpu: decode::decoder,
        rows_of_forward: false,
        gpu: Some(decode_gpu::plan),
    }),
};

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spec {
    pub dims: Dims,
    pub n_heads: usize,
    pub d_head: usize,
    /// Random features m.
    pub n_features: usize,
    /// ε, added to every exponential.
    pub kernel_eps: f64,
    /// η, added to every entry of the summed key features.
    pub denominator_eps: f64,
    pub causal: bool,
    /// Whether outputs are defined as decoding gives them: in the causal form position t takes the maximum over the keys
    /// up to t, as if the sequence ended there.
    pub decode: bool,
    /// Whether query, key and value have biases.
    pub qkv_bias: bool,
    pub level: Level,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let dims = Dims::read(config)?;
        let causal = config.flag_or("causal", false)?;
        let n_heads = config.count("heads", 1, Problem::MAX_D_MODEL)?;
        let d_head = match config.get("head_dim") {
            None => {
                crate::dims::heads(config, dims.d_model)?;
                dims.d_model / n_heads
            }
            Some(_) => config.count("head_dim", 1, Problem::MAX_D_MODEL)?,
        };
        let inner = n_heads * d_head;
        config.count_or("inner", inner, inner, inner)?;
        let n_features = match config.count_or("nb_features", 0, 0, MAX_FEATURES)? {
            0 => default_features(d_head),
            n_features => n_features,
        };
        let denominator_eps = if causal { DENOMINATOR_EPS } else { 0.0 };
        Ok(Self {
            dims,
            n_heads,
            d_head,
            n_features,
            kernel_eps: config.number_or("kernel_eps", KERNEL_EPS, 0.0, 1.0)?,
            denominator_eps: config.number_or("denominator_eps", denominator_eps, 0.0, 1.0)?,
            causal,
            decode: causal && config.flag_or("decode", false)?,
            qkv_bias: config.flag_or("qkv_bias", false)?,
            level: case.level,
        })
    }

    /// The spec and configuration of a race with this problem and these parameters.
    fn race(problem: &Problem, params: &Params) -> Result<(Self, Params), MixerError> {
        let mut config = problem.to_params();
        for (name, value) in INFO.resolve(params)?.iter() {
            config.set(name, value.clone());
        }
        config.set("head_dim", problem.d_head());
        let probe = Case { level: problem.level, config: config.clone(), tensors: Tensors::new() };
        let spec = Self::read(&probe)?;
        config.set("nb_features", spec.n_features);
        Ok((spec, config))
    }

    /// Width I of queries, keys, values and the core's output.
    pub(crate) fn inner(&self) -> usize {
        self.n_heads * self.d_head
    }

    /// d^(−1/4), the factor of queries and of keys before the projection.
    pub(crate) fn projection_scale(&self) -> f64 {
        1.0 / (self.d_head as f64).sqrt().sqrt()
    }

    /// 1 / (2√d), the factor of ‖a‖² in n(a).
    pub(crate) fn norm_scale(&self) -> f64 {
        0.5 / (self.d_head as f64).sqrt()
    }

    /// η√m: η for features without their factor m^(−1/2), which cancels everywhere else.
    pub(crate) fn unscaled_eta(&self) -> f64 {
        self.denominator_eps * (self.n_features as f64).sqrt()
    }

    /// The random projection, `[m, d]`.
    pub(crate) fn projection<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("projection", &[self.n_features, self.d_head])
    }

    /// The streams q, k, v of a `core` case, each `[batch, length, inner]`.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let shape = self.dims.shape(self.inner());
        Ok([tensors.floats("q", &shape)?, tensors.floats("k", &shape)?, tensors.floats("v", &shape)?])
    }

    /// The input of a `layer` case, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// Weight and bias of `query`, `key`, `value` (`[inner, width]`, `[inner]`) or `out` (`[width, inner]`, `[width]`).
    pub(crate) fn linear<'a>(
        &self,
        tensors: &'a Tensors,
        name: &str,
    ) -> Result<(&'a [f32], Option<&'a [f32]>), MixerError> {
        let (outputs, inputs, has_bias) = match name {
            "out" => (self.dims.d_model, self.inner(), true),
            _ => (self.inner(), self.dims.d_model, self.qkv_bias),
        };
        let weight = tensors.floats(&format!("param.{name}.weight"), &[outputs, inputs])?;
        let bias =
            if has_bias { Some(tensors.floats(&format!("param.{name}.bias"), &[outputs])?) } else { None };
        Ok((weight, bias))
    }
}

/// ⌊d ln d⌋, the package's default; at least one.
fn default_features(d_head: usize) -> usize {
    let d_head = d_head as f64;
    ((d_head * d_head.ln()) as usize).max(1)
}

/// Weights with PyTorch's default for linear layers, and a new projection.
fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let (spec, config) = Spec::race(problem, params)?;
    let generator = Generator::new(problem.seed);
    let mut tensors = Tensors::new();
    match problem.level {
        Level::Core => {
            for name in ["q", "k", "v"] {
                generator.unit(&mut tensors, name, &spec.dims.shape(spec.inner()))?;
            }
        }
        Level::Layer => {
            let (width, inner) = (problem.d_model, spec.inner());
            generator.unit(&mut tensors, "x", &spec.dims.shape(width))?;
            let mut uniform = |name: &str, shape: &[usize], inputs: usize| {
                let bound = 1.0 / (inputs as f32).sqrt();
                generator.uniform(&mut tensors, &format!("param.{name}"), shape, bound)
            };
            for name in ["query.weight", "key.weight", "value.weight"] {
                uniform(name, &[inner, width], width)?;
            }
            uniform("out.weight", &[width, inner], inner)?;
            uniform("out.bias", &[width], inner)?;
        }
    }
    let equal_lengths = config.count_or("ortho_scaling", 0, 0, 1)? == 1;
    let projection = projection::orthogonal(&generator, [spec.n_features, spec.d_head], equal_lengths)?;
    tensors.insert("projection", &[spec.n_features, spec.d_head], projection);
    Ok(Case { level: problem.level, config, tensors })
}
