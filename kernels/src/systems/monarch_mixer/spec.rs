//! The configuration of a case, and its tensors by name.

use mixer::{Case, Level, MixerError, Params, Problem, Tensors, Value};

use super::INFO;
use super::filter::FilterSpec;
use crate::dims::Dims;
use crate::ops::block_diagonal::BlockShape;
use crate::ops::online_conv::Method;

/// Taps of the short convolution, fixed in the reference.
pub(crate) const TAPS: usize = 3;

/// The configuration of a case: one of the parts that the paper builds its layer from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spec {
    /// The sequence mixer, with or without its projections, and with or without the MLP after it.
    Sequence(SequenceSpec),
    /// The MLP alone.
    Mlp(MlpSpec),
    /// One block-diagonal linear layer.
    BlockDiagonal(BlockDiagonalSpec),
    /// One Monarch matrix.
    Monarch(MonarchSpec),
}

/// The sequence mixer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SequenceSpec {
    /// Sizes of the input.
    pub dims: Dims,
    /// Whether convolutions also read the future.
    pub bidirectional: bool,
    /// Whether a residual convolution of the input is added.
    pub residual: bool,
    /// Parts of a layer beyond the core.
    pub layer: Option<LayerSpec>,
    /// The MLP of a whole block.
    pub mlp: Option<MlpSpec>,
    /// How a decoder convolves.
    pub method: Method,
}

/// Parts of a layer of the sequence mixer beyond the core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerSpec {
    /// The implicit filters.
    pub filter: FilterSpec,
    /// Whether the input is normalised first (in the “legacy” checkpoint).
    pub norm: bool,
}

/// The block-diagonal MLP.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MlpSpec {
    /// Sizes of the input.
    pub dims: Dims,
    /// Hidden width I.
    pub intermediate: usize,
    /// Blocks of both matrices.
    pub blocks: usize,
    /// Whether the first half of the hidden layer gates the second.
    pub glu: bool,
    /// ε of the normalisation.
    pub eps: f64,
}

/// One block-diagonal linear layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockDiagonalSpec {
    /// Rows of the input in all sequences.
    pub rows: usize,
    /// `[batch, length]`.
    pub leading: [usize; 2],
    /// Sizes of the matrix.
    pub shape: BlockShape,
    /// Whether the input is permuted first.
    pub shuffle: bool,
}

/// One Monarch matrix, applied to rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonarchSpec {
    /// Rows of the input.
    pub rows: usize,
    /// Blocks, outputs and inputs per block of the right factor: k, q, p.
    pub right: [usize; 3],
    /// Blocks, outputs and inputs per block of the left factor: l, s, r.
    pub left: [usize; 3],
    /// Whether the input is permuted first (P L P R P rather than P L P R).
    pub permute: bool,
    /// Whether the factors are complex, with re and im in a trailing axis.
    pub complex: bool,
}

/// ε of the sequence mixer's normalisation.
pub(crate) const NORM_EPS: f64 = 1e-5;

impl Spec {
    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let part = config.choice_or("part", &["sequence", "block", "mlp", "blockdiag", "monarch"])?;
        let wrong_level =
            |level: &str| Err(MixerError::invalid("part", format!("a part of level {level}"), part));
        match (part, case.level) {
            ("mlp", Level::Layer) => Ok(Self::Mlp(MlpSpec::read(config)?)),
            ("mlp" | "block", Level::Core) => wrong_level("core"),
            ("blockdiag", Level::Core) => Ok(Self::BlockDiagonal(BlockDiagonalSpec::read(config)?)),
            ("monarch", Level::Core) => Ok(Self::Monarch(MonarchSpec::read(config)?)),
            ("blockdiag" | "monarch", Level::Layer) => wrong_level("layer"),
            _ => Ok(Self::Sequence(SequenceSpec::read(config, case.level, part == "block")?)),
        }
    }

    /// The spec of a race with this problem and these parameters.
    pub(super) fn race(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let config = race_config(problem, params)?;
        Self::read(&Case { level: problem.level, config, tensors: Tensors::new() })
    }
}

/// The configuration of a race's case, with the keys of golden files.
pub(super) fn race_config(problem: &Problem, params: &Params) -> Result<Params, MixerError> {
    let params = INFO.resolve(params)?;
    let mut config = problem.to_params();
    for (name, value) in params.iter().filter(|(name, _)| *name != "expansion") {
        config.set(name, value.clone());
    }
    let expansion = params.count_or("expansion", 4, 1, 16)?;
    config.set("intermediate_size", expansion * problem.d_model);
    config.set("bidirectional", !problem.causal);
    config.set("l_max", problem.seq_len);
    Ok(config)
}

impl SequenceSpec {
    fn read(config: &Params, level: Level, block: bool) -> Result<Self, MixerError> {
        let dims = Dims::read(config)?;
        let bidirectional = match config.get("bidirectional") {
            None | Some(Value::Null) => !config.flag_or("causal", false)?,
            _ => config.flag_or("bidirectional", true)?,
        };
        if config.flag_or("causal", !bidirectional)? == bidirectional {
            return Err(MixerError::invalid("bidirectional", "the opposite of causal", bidirectional));
        }
        let layer = match level {
            Level::Core => None,
            Level::Layer => {
                let filter = FilterSpec::read(config, dims.d_model)?;
                if dims.seq_len > filter.l_max {
                    let allowed = format!("at most l_max ({})", filter.l_max);
                    return Err(MixerError::invalid("length", allowed, dims.seq_len));
                }
                Some(LayerSpec { filter, norm: config.flag_or("training_additions", false)? })
            }
        };
        let residual = config.flag_or("residual_long_conv", false)?;
        let mlp = if block { Some(MlpSpec::read(config)?) } else { None };
        Ok(Self { dims, bidirectional, residual, layer, mlp, method: Method::read(config)? })
    }

    /// Rows of the input in all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.dims.batch * self.dims.seq_len
    }

    /// Number of long convolutions per channel.
    pub(crate) fn convolutions(&self) -> usize {
        1 + usize::from(self.residual)
    }

    /// Number of networks in each filter set.
    pub(crate) fn networks(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Names of the filter sets.
    pub(crate) fn filter_sets(&self) -> &'static [&'static str] {
        if self.residual { &["filter_fn", "filter_fn2"] } else { &["filter_fn"] }
    }

    /// x of a `layer` case, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// x₁ | x₂ | v of a `core` case, `[batch, length, 3 · width]`.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(3 * self.dims.d_model))
    }

    /// u of a `core` case with a residual convolution, `[batch, length, width]`.
    pub(crate) fn core_input<'a>(&self, tensors: &'a Tensors) -> Result<Option<&'a [f32]>, MixerError> {
        if !self.residual {
            return Ok(None);
        }
        tensors.floats("u", &self.dims.shape(self.dims.d_model)).map(Some)
    }

    /// Filters of the first or second convolution of a `core` case.
    pub(crate) fn core_filters<'a>(
        &self,
        tensors: &'a Tensors,
        convolution: usize,
    ) -> Result<CoreFilters<'a>, MixerError> {
        let suffix = if convolution == 0 { "" } else { "2" };
        let shape = [self.dims.d_model, self.dims.seq_len];
        Ok(CoreFilters {
            forward: tensors.floats(&format!("k{suffix}"), &shape)?,
            reverse: if self.bidirectional {
                Some(tensors.floats(&format!("k{suffix}_rev"), &shape)?)
            } else {
                None
            },
            skip: tensors.floats(&format!("bias{suffix}"), &[self.dims.d_model])?,
        })
    }

    /// Weight and bias of `in_linear` or `out_linear`.
    pub(crate) fn projection<'a>(
        &self,
        tensors: &'a Tensors,
        name: &str,
    ) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let width = self.dims.d_model;
        let outputs = if name == "in_linear" { 3 * width } else { width };
        let weight = tensors.floats(&format!("param.{name}.weight"), &[outputs, width])?;
        Ok((weight, tensors.floats(&format!("param.{name}.bias"), &[outputs])?))
    }

    /// Weight `[3 · width, 1, taps]` and bias of the short convolution.
    pub(crate) fn short_filter<'a>(
        &self,
        tensors: &'a Tensors,
    ) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let channels = 3 * self.dims.d_model;
        let weight = tensors.floats("param.short_filter.weight", &[channels, 1, TAPS])?;
        Ok((weight, tensors.floats("param.short_filter.bias", &[channels])?))
    }

    /// Weight and bias of the input's normalisation, if the layer has one.
    pub(crate) fn norm<'a>(&self, tensors: &'a Tensors) -> Result<Option<Affine<'a>>, MixerError> {
        match self.layer {
            Some(LayerSpec { norm: true, .. }) => {
                norm(tensors, "param.layernorm", self.dims.d_model).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Filters of one convolution of a `core` case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoreFilters<'a> {
    /// k, `[width, length]`.
    pub forward: &'a [f32],
    /// k_rev, `[width, length]`.
    pub reverse: Option<&'a [f32]>,
    /// β, `[width]`.
    pub skip: &'a [f32],
}

impl MlpSpec {
    fn read(config: &Params) -> Result<Self, MixerError> {
        let dims = Dims::read(config)?;
        Ok(Self {
            dims,
            intermediate: config.count_or("intermediate_size", 4 * dims.d_model, 1, 1 << 17)?,
            blocks: config.count_or("nblocks", 4, 1, 4096)?,
            glu: config.flag_or("glu", true)?,
            eps: config.number_or("layer_norm_eps", 1e-12, 0.0, 1.0)?,
        })
    }

    /// D → I or, with a gate, D → 2I.
    pub(crate) fn up(&self) -> BlockShape {
        let outputs = if self.glu { 2 * self.intermediate } else { self.intermediate };
        BlockShape { inputs: self.dims.d_model, outputs, blocks: self.blocks }
    }

    /// I → D.
    pub(crate) fn down(&self) -> BlockShape {
        BlockShape { inputs: self.intermediate, outputs: self.dims.d_model, blocks: self.blocks }
    }

    /// Weights of both matrices, the second's bias, weight and bias of the normalisation.
    pub(crate) fn params<'a>(&self, tensors: &'a Tensors, prefix: &str) -> Result<MlpParams<'a>, MixerError> {
        let shape = |shape: BlockShape| [shape.blocks, shape.block_outputs(), shape.block_inputs()];
        let width = self.dims.d_model;
        Ok(MlpParams {
            up: tensors.floats(&format!("{prefix}.gated_layers.weight"), &shape(self.up()))?,
            down: tensors.floats(&format!("{prefix}.wo.weight"), &shape(self.down()))?,
            bias: tensors.floats(&format!("{prefix}.wo.bias"), &[width])?,
            norm: norm(tensors, &format!("{prefix}.layernorm"), width)?,
        })
    }
}

/// Parameters of the MLP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MlpParams<'a> {
    pub up: &'a [f32],
    pub down: &'a [f32],
    pub bias: &'a [f32],
    pub norm: Affine<'a>,
}

impl BlockDiagonalSpec {
    fn read(config: &Params) -> Result<Self, MixerError> {
        let leading =
            [config.count("batch", 1, Problem::MAX_BATCH)?, config.count("length", 1, Problem::MAX_SEQ_LEN)?];
        let shape = BlockShape {
            inputs: config.count("in_features", 1, 1 << 16)?,
            outputs: config.count("out_features", 1, 1 << 16)?,
            blocks: config.count("nblocks", 1, 1 << 16)?,
        };
        let shuffle = config.flag_or("shuffle", false)?;
        if shuffle && !shape.inputs.is_multiple_of(shape.blocks) {
            return Err(MixerError::invalid("nblocks", "a divisor of in_features", shape.blocks));
        }
        Ok(Self { rows: leading[0] * leading[1], leading, shape, shuffle })
    }

    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &[self.leading[0], self.leading[1], self.shape.inputs])
    }

    pub(crate) fn params<'a>(&self, tensors: &'a Tensors) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let shape = [self.shape.blocks, self.shape.block_outputs(), self.shape.block_inputs()];
        Ok((tensors.floats("param.weight", &shape)?, tensors.floats("param.bias", &[self.shape.outputs])?))
    }
}

impl MonarchSpec {
    fn read(config: &Params) -> Result<Self, MixerError> {
        let spec = Self {
            rows: config.count("batch", 1, Problem::MAX_SEQ_LEN)?,
            right: sizes(config, "w1")?,
            left: sizes(config, "w2")?,
            permute: config.flag_or("input_permutation", false)?,
            complex: config.flag_or("complex", false)?,
        };
        let n = config.count("n", 1, 1 << 24)?;
        if spec.inputs() != n {
            return Err(MixerError::invalid(
                "w1",
                format!("blocks whose inputs make n ({n})"),
                spec.inputs(),
            ));
        }
        if spec.middle() != spec.left[0] * spec.left[2] {
            let allowed = format!("blocks whose inputs make w1's outputs ({})", spec.middle());
            return Err(MixerError::invalid("w2", allowed, spec.left[0] * spec.left[2]));
        }
        let outputs = spec.outputs();
        config.count_or("m", outputs, outputs, outputs)?;
        Ok(spec)
    }

    /// kp.
    pub(crate) fn inputs(&self) -> usize {
        self.right[0] * self.right[2]
    }

    /// kq = lr.
    pub(crate) fn middle(&self) -> usize {
        self.right[0] * self.right[1]
    }

    /// ls.
    pub(crate) fn outputs(&self) -> usize {
        self.left[0] * self.left[1]
    }

    /// Floats per element of a factor.
    pub(crate) fn floats(&self) -> usize {
        if self.complex { 2 } else { 1 }
    }

    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &[self.rows, self.inputs()])
    }

    /// Right and left factor.
    pub(crate) fn factors<'a>(&self, tensors: &'a Tensors) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let factor = |name: &str, [a, b, c]: [usize; 3]| {
            if self.complex { tensors.floats(name, &[a, b, c, 2]) } else { tensors.floats(name, &[a, b, c]) }
        };
        Ok((factor("param.w1", self.right)?, factor("param.w2", self.left)?))
    }
}

/// Weight and bias.
pub(crate) type Affine<'a> = (&'a [f32], &'a [f32]);

/// Three sizes as a list.
fn sizes(config: &Params, name: &str) -> Result<[usize; 3], MixerError> {
    let refuse = || MixerError::invalid(name, "three whole numbers from 1", "something else");
    let Some(Value::List(values)) = config.get(name) else { return Err(refuse()) };
    let sizes: Vec<usize> = values
        .iter()
        .filter_map(|value| match value {
            Value::Int(n) => usize::try_from(*n).ok().filter(|n| (1..=1 << 16).contains(n)),
            _ => None,
        })
        .collect();
    <[usize; 3]>::try_from(sizes).map_err(|_| refuse())
}

fn norm<'a>(tensors: &'a Tensors, prefix: &str, width: usize) -> Result<Affine<'a>, MixerError> {
    Ok((
        tensors.floats(&format!("{prefix}.weight"), &[width])?,
        tensors.floats(&format!("{prefix}.bias"), &[width])?,
    ))
}
