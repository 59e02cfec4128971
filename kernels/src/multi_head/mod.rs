//! Multi-head queries, keys and values with their projections: the layer around every system that mixes heads
//! (Vaswani et al., arXiv 1706.03762, section 3.2.2), and softmax attention's own equations and operation counts.

mod cost;
mod gpu;
mod model;
mod projections;

use mixer::{Case, Level, MixerError, Problem, Tensors};

use crate::dims::{Dims, heads};
use crate::generate::Generator;
use crate::ops::tile_attention::Shape;

pub(crate) use cost::{case_floats, flops, softmax, streams_floats, weight_floats};
pub(crate) use gpu::{Streams as GpuStreams, project as gpu_project};
pub(crate) use model::{Source, attend_to, concat_heads, of_head, output, spot_check, streams};
pub(crate) use projections::Projections;

/// Configuration of a case with heads.
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
