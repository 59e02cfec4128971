//! Multi-head queries, keys and values with their projections: the layer around every system that mixes heads
//! (Vaswani et al., arXiv 1706.03762, section 3.2.2), and softmax attention's own equations and operation counts.

mod cost;
mod decode_gpu;
mod gpu;
mod model;
mod projections;
mod token_streams;

use mixer::{Case, Info, Level, MixerError, ParamKind, ParamSpec, Params, Problem, Tensors};

use crate::dims::{Dims, heads};
use crate::generate::Generator;
use crate::ops::tile_attention::Shape;

pub(crate) use cost::{
    case_floats, flops, kv_floats, kv_width, projection_floats, projection_flops, softmax, streams_floats,
    weight_floats,
};
pub(crate) use decode_gpu::{DecodeRows, DecodeStreams, Given, Layout};
pub(crate) use gpu::{Streams as GpuStreams, project as gpu_project};
pub(crate) use model::{Source, attend_to, concat_heads, of_head, output, spot_check, streams};
pub(crate) use projections::Projections;
pub(crate) use token_streams::{TokenStreams, step_bytes, token_inputs};

/// Name of the parameter that says how many heads keys and values have.
const KV_HEADS: &str = "kv_heads";

/// The parameter for the heads of keys and values.
pub(crate) const KV_HEADS_PARAM: ParamSpec = ParamSpec {
    name: KV_HEADS,
    kind: ParamKind::Count { default: 0, low: 0, high: Problem::MAX_D_MODEL },
    help: "Heads of keys and values, a divisor of the heads: groups of query heads share one; 0 means as many as heads",
};

/// The heads of keys and values, where 0 stands for as many as the queries have.
fn grouped(kv_heads: usize, n_heads: usize) -> Result<usize, MixerError> {
    match kv_heads {
        0 => Ok(n_heads),
        _ if n_heads.is_multiple_of(kv_heads) => Ok(kv_heads),
        _ => Err(MixerError::invalid(KV_HEADS, format!("a divisor of the heads ({n_heads})"), kv_heads)),
    }
}

/// The heads of keys and values of a race with these parameters.
pub(crate) fn kv_heads(info: &Info, problem: &Problem, params: &Params) -> Result<usize, MixerError> {
    grouped(info.resolve(params)?.count(KV_HEADS, 0, Problem::MAX_D_MODEL)?, problem.n_heads)
}

/// Configuration of a case with heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spec {
    pub dims: Dims,
    pub n_heads: usize,
    /// Heads of the keys and values, a divisor of `n_heads` (grouped-query attention, Ainslie et al., arXiv 2305.13245).
    pub kv_heads: usize,
    pub causal: bool,
    pub level: Level,
    /// Whether the projections have biases.
    pub bias: bool,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let dims = Dims::read(&case.config)?;
        let n_heads = heads(&case.config, dims.d_model)?;
        Ok(Self {
            dims,
            n_heads,
            kv_heads: n_heads,
            causal: case.config.flag_or("causal", false)?,
            level: case.level,
            bias: case.config.flag_or("bias", true)?,
        })
    }

    /// As [`Spec::read`], with the heads of keys and values from the configuration.
    pub(crate) fn read_grouped(case: &Case) -> Result<Self, MixerError> {
        let spec = Self::read(case)?;
        let kv_heads = case.config.count_or(KV_HEADS, 0, 0, Problem::MAX_D_MODEL)?;
        Ok(Self { kv_heads: grouped(kv_heads, spec.n_heads)?, ..spec })
    }

    /// Columns of the keys and of the values.
    pub(crate) fn kv_width(&self) -> usize {
        self.kv_heads * self.d_head()
    }

    pub(crate) fn d_head(&self) -> usize {
        self.dims.d_model / self.n_heads
    }

    /// Operations of one output row that sees `keys` positions, in the order of products that needs no projection of the
    /// whole sequence.
    pub(crate) fn row_flops(&self, keys: usize) -> u64 {
        let [keys, width, heads] = [keys, self.dims.d_model, self.n_heads].map(|size| size as u64);
        let scores = 4 * keys * width;
        match self.level {
            Level::Core => scores,
            Level::Layer => scores * heads + 8 * width * width,
        }
    }

    /// The distinct ones of `candidates` whose rows together take at most `max_flops` operations, ascending; the first one
    /// whatever it takes. `keys(row)` is the number of positions that a row sees.
    pub(crate) fn affordable_rows(
        &self,
        max_flops: u64,
        candidates: impl IntoIterator<Item = usize>,
        keys: impl Fn(usize) -> usize,
    ) -> Vec<usize> {
        let mut left = max_flops;
        let mut rows = Vec::new();
        for row in candidates {
            let flops = self.row_flops(keys(row));
            if !rows.contains(&row) && (rows.is_empty() || flops <= left) {
                rows.push(row);
                left = left.saturating_sub(flops);
            }
        }
        rows.sort_unstable();
        rows
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            batch: self.dims.batch,
            seq_len: self.dims.seq_len,
            n_heads: self.n_heads,
            kv_heads: self.kv_heads,
            d_head: self.d_head(),
            causal: self.causal,
        }
    }

    /// The streams of a `core` case: q `[batch, length, width]`, k and v `[batch, length, kv_heads · d_head]`.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let (shape, kv) = (self.dims.shape(self.dims.d_model), self.dims.shape(self.kv_width()));
        Ok([tensors.floats("q", &shape)?, tensors.floats("k", &kv)?, tensors.floats("v", &kv)?])
    }

    /// The input x of a `layer` case, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// Outputs of the projection called `name`.
    pub(crate) fn outputs_of(&self, name: &str) -> usize {
        if ["key", "value"].contains(&name) { self.kv_width() } else { self.dims.d_model }
    }

    /// Weight `[outputs, width]` and bias `[outputs]` of one projection: `query` and `out` have `width` outputs, `key` and
    /// `value` have `kv_heads · d_head`.
    pub(crate) fn projection<'a>(
        &self,
        tensors: &'a Tensors,
        name: &str,
    ) -> Result<(&'a [f32], Option<&'a [f32]>), MixerError> {
        let (width, outputs) = (self.dims.d_model, self.outputs_of(name));
        let weight = tensors.floats(&format!("param.{name}.weight"), &[outputs, width])?;
        let bias =
            if self.bias { Some(tensors.floats(&format!("param.{name}.bias"), &[outputs])?) } else { None };
        Ok((weight, bias))
    }
}

/// Weights as `nn.MultiheadAttention` initialises them: Xavier over the stacked `[D + 2 · D_kv, D]` input projection, the
/// linear layer's default for the output, biases zero.
pub(crate) fn seeded_case(problem: &Problem, kv_heads: usize) -> Result<Case, MixerError> {
    let generator = Generator::new(problem.seed);
    let (width, kv_width) = (problem.d_model, kv_heads * problem.d_head());
    let shape = [problem.batch, problem.seq_len, width];
    let mut tensors = Tensors::new();
    match problem.level {
        Level::Core => {
            generator.unit(&mut tensors, "q", &shape)?;
            for name in ["k", "v"] {
                generator.unit(&mut tensors, name, &[problem.batch, problem.seq_len, kv_width])?;
            }
        }
        Level::Layer => {
            generator.unit(&mut tensors, "x", &shape)?;
            let input = (6.0 / (2 * width + 2 * kv_width) as f32).sqrt();
            let out = 1.0 / (width as f32).sqrt();
            for (name, outputs, bound) in [
                ("query", width, input),
                ("key", kv_width, input),
                ("value", kv_width, input),
                ("out", width, out),
            ] {
                generator.uniform(&mut tensors, &format!("param.{name}.weight"), &[outputs, width], bound)?;
                tensors.insert(format!("param.{name}.bias"), &[outputs], vec![0.0; outputs]);
            }
        }
    }
    let mut config = problem.to_params();
    config.set(KV_HEADS, kv_heads);
    Ok(Case { level: problem.level, config, tensors })
}

/// As many heads of keys and values as of queries, one, and a number between.
#[cfg(any(test, feature = "trials"))]
pub(crate) fn groups(problem: &Problem) -> Vec<Params> {
    let divisors = (0..=problem.n_heads).filter(|&n| n == 0 || problem.n_heads.is_multiple_of(n));
    divisors
        .map(|kv_heads| {
            let mut params = Params::new();
            params.set(KV_HEADS, kv_heads);
            params
        })
        .collect()
}

/// One of [`groups`].
#[cfg(any(test, feature = "trials"))]
pub(crate) fn grouped_params(index: usize, problem: &Problem) -> Params {
    groups(problem).into_iter().cycle().nth(index).unwrap_or_default()
}
