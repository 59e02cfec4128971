//! Linformer (Wang et al., arXiv 2006.04768): attention over a fixed number of learned mixtures of keys and values.

mod cost;
mod cpu;
mod gpu;
mod model;
mod summary;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Family, Info, Level, MixerError, NoDecode, ParamKind, ParamSpec, Params, Problem,
    System, Tensors, Tolerance,
};

use crate::dims::Dims;
use crate::generate::Generator;
use crate::model::reference;

/// Largest rank accepted.
const MAX_RANK: usize = 4096;

static INFO: Info = Info {
    id: "linformer",
    title: "Linformer",
    mark: 13,
    family: Family::EfficientAttention,
    causality: Causality::BidirectionalOnly,
    complexity: "O(L·r·D)",
    exponent: 1.0,
    year: 2020,
    paper: "Wang et al., “Linformer: Self-Attention with Linear Complexity”",
    arxiv: "2006.04768",
    reference: "Python package linformer 0.2.3, LinformerSelfAttention",
    summary: "Keys and values are mapped along the sequence to a fixed number of rows, and attention sees only those.",
    params: &[
        ParamSpec {
            name: "rank",
            kind: ParamKind::Count { default: 256, low: 1, high: MAX_RANK },
            help: "Rows that keys and values are mapped to",
        },
        ParamSpec { name: "share_kv", kind: ParamKind::Flag { default: false }, help: "Values are the keys" },
        ParamSpec {
            name: "one_kv_head",
            kind: ParamKind::Flag { default: false },
            help: "All heads share one head of keys and values",
        },
    ],
    config: &["inner", "max_length"],
    spare: &[],
    tolerance: Tolerance { abs: 1e-4, rel: 1e-3 },
};

/// The `linformer` lane.
pub static LINFORMER: System = System {
    info: &INFO,
    seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?.0)),
    reference: reference::<Spec>,
    spot_check: model::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Err(NoDecode::NotCausal),
};

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spec {
    pub dims: Dims,
    pub n_heads: usize,
    pub d_head: usize,
    /// Longest length N that the maps were made for.
    pub max_length: usize,
    /// Rows r of the summaries of keys and of values.
    pub rank: usize,
    pub share_kv: bool,
    pub one_kv_head: bool,
    pub level: Level,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let dims = Dims::read(config)?;
        if config.flag_or("causal", false)? {
            return Err(MixerError::Unsupported {
                system: INFO.id.to_owned(),
                what: "a causal form: every summary row mixes all positions, so set causal to false"
                    .to_owned(),
            });
        }
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
        let max_length = config.count_or("max_length", dims.seq_len, 1, Problem::MAX_PLANNED_SEQ_LEN)?;
        if max_length < dims.seq_len {
            return Err(MixerError::invalid(
                "length",
                format!("at most max_length ({max_length})"),
                dims.seq_len,
            ));
        }
        Ok(Self {
            dims,
            n_heads,
            d_head,
            max_length,
            rank: config.count_or("rank", 256, 1, MAX_RANK)?,
            share_kv: config.flag_or("share_kv", false)?,
            one_kv_head: config.flag_or("one_kv_head", false)?,
            level: case.level,
        })
    }

    /// The spec and configuration of a race with this problem and these parameters.
    fn race(problem: &Problem, params: &Params) -> Result<(Self, Params), MixerError> {
        let mut config = problem.to_params();
        for (name, value) in INFO.resolve(params)?.iter() {
            config.set(name, value.clone());
        }
        config.set("causal", false);
        config.set("head_dim", problem.d_head());
        config.set("max_length", problem.seq_len);
        let probe = Case { level: problem.level, config: config.clone(), tensors: Tensors::new() };
        Ok((Self::read(&probe)?, config))
    }

    /// Width I of queries and core output.
    pub(crate) fn inner(&self) -> usize {
        self.n_heads * self.d_head
    }

    /// Heads of keys and values.
    pub(crate) fn kv_heads(&self) -> usize {
        if self.one_kv_head { 1 } else { self.n_heads }
    }

    /// Width of keys and values.
    pub(crate) fn kv_width(&self) -> usize {
        self.kv_heads() * self.d_head
    }

    /// Number of different sequence maps: one if keys and values share a map, else two.
    pub(crate) fn maps(&self) -> usize {
        if self.share_kv { 1 } else { 2 }
    }

    /// The streams of a `core` case: q `[batch, length, inner]`, k and v `[batch, length, kv width]`.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let kv = self.dims.shape(self.kv_width());
        let k = tensors.floats("k", &kv)?;
        let v = if self.share_kv { k } else { tensors.floats("v", &kv)? };
        Ok([tensors.floats("q", &self.dims.shape(self.inner()))?, k, v])
    }

    /// The input of a `layer` case, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// E and F, `[max_length, rank]` each; F is E if keys and values share a map.
    pub(crate) fn sequence_maps<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 2], MixerError> {
        let prefix = if self.level == Level::Layer { "param." } else { "" };
        let shape = [self.max_length, self.rank];
        let e = tensors.floats(&format!("{prefix}proj_k"), &shape)?;
        let f = if self.share_kv { e } else { tensors.floats(&format!("{prefix}proj_v"), &shape)? };
        Ok([e, f])
    }

    /// Weight of `query` `[inner, width]`, `key` or `value` `[kv width, width]`.
    pub(crate) fn projection<'a>(&self, tensors: &'a Tensors, name: &str) -> Result<&'a [f32], MixerError> {
        let name = if self.share_kv && name == "value" { "key" } else { name };
        let outputs = if name == "query" { self.inner() } else { self.kv_width() };
        tensors.floats(&format!("param.{name}.weight"), &[outputs, self.dims.d_model])
    }

    /// Weight `[width, inner]` and bias `[width]` of the output projection.
    pub(crate) fn out<'a>(&self, tensors: &'a Tensors) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let weight = tensors.floats("param.out.weight", &[self.dims.d_model, self.inner()])?;
        Ok((weight, tensors.floats("param.out.bias", &[self.dims.d_model])?))
    }
}

/// Weights as initialised in the package: projections with PyTorch's default, maps uniform in ±1/√r.
fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let (spec, config) = Spec::race(problem, params)?;
    let generator = Generator::new(problem.seed);
    let mut tensors = Tensors::new();
    let map_bound = 1.0 / (spec.rank as f32).sqrt();
    let maps: &[&str] = if spec.share_kv { &["proj_k"] } else { &["proj_k", "proj_v"] };
    let shape = [spec.max_length, spec.rank];
    match problem.level {
        Level::Core => {
            generator.unit(&mut tensors, "q", &spec.dims.shape(spec.inner()))?;
            let streams: &[&str] = if spec.share_kv { &["k"] } else { &["k", "v"] };
            for name in streams {
                generator.unit(&mut tensors, name, &spec.dims.shape(spec.kv_width()))?;
            }
            for name in maps {
                generator.uniform(&mut tensors, name, &shape, map_bound)?;
            }
        }
        Level::Layer => {
            let width = problem.d_model;
            generator.unit(&mut tensors, "x", &spec.dims.shape(width))?;
            let bound = 1.0 / (width as f32).sqrt();
            let mut linear = |name: &str, shape: &[usize], bound: f32| {
                generator.uniform(&mut tensors, &format!("param.{name}"), shape, bound)
            };
            linear("query.weight", &[spec.inner(), width], bound)?;
            linear("key.weight", &[spec.kv_width(), width], bound)?;
            if !spec.share_kv {
                linear("value.weight", &[spec.kv_width(), width], bound)?;
            }
            let bound = 1.0 / (spec.inner() as f32).sqrt();
            linear("out.weight", &[width, spec.inner()], bound)?;
            linear("out.bias", &[width], bound)?;
            for name in maps {
                linear(name, &shape, map_bound)?;
            }
        }
    }
    Ok(Case { level: problem.level, config, tensors })
}
