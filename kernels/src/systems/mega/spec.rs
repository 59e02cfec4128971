//! The configuration of a case, and its tensors by name.

use mixer::{Case, Count, Level, MixerError, Params, Problem, Tensors, Value};

use super::INFO;
use crate::dims::Dims;

/// Part of a layer: the whole or one half.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spec {
    /// The whole layer.
    Layer(LayerSpec),
    /// The moving average alone.
    Ema(EmaSpec),
    /// The attention alone.
    Attention(AttentionSpec),
}

/// The moving average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EmaSpec {
    /// Sizes of the input.
    pub dims: Dims,
    /// Dimensions n of each channel's average.
    pub n: usize,
    /// Whether a second average runs backward.
    pub bidirectional: bool,
    /// Number of lags if the average is truncated.
    pub truncation: Option<usize>,
}

/// Function from scores to weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Softmax over the keys.
    Softmax,
    /// The Laplace function of the paper, without normalisation.
    Laplace,
    /// Squared positive part, without normalisation.
    Relu2,
}

/// The relative position bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BiasKind {
    /// One number per distance up to this many positions.
    Simple(usize),
    /// A product of rotated vectors.
    Rotary,
}

/// The attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionSpec {
    /// Number of sequences.
    pub batch: usize,
    /// Number of positions.
    pub seq_len: usize,
    /// Width Z of queries and keys.
    pub z: usize,
    /// Width H of values.
    pub h: usize,
    /// Whether position i sees only positions j ≤ i.
    pub causal: bool,
    /// Positions of a chunk, c; the last chunk of a sequence may be shorter.
    pub chunk: usize,
    /// Whether the configuration asks for chunks.
    pub chunked: bool,
    /// Weights.
    pub activation: Activation,
    /// Bias.
    pub bias: BiasKind,
}

/// Kind of normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// By the root mean square, times one number.
    Scale,
    /// Layer normalisation.
    Layer,
}

/// A whole layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerSpec {
    /// Moving average, with the sizes of the input.
    pub ema: EmaSpec,
    /// Attention.
    pub attention: AttentionSpec,
    /// Normalisation.
    pub norm: NormKind,
    /// Whether the input is normalised rather than the output.
    pub pre_norm: bool,
}

/// ε of both normalisations.
pub(crate) const EPS: f64 = 1e-5;

impl Spec {
    /// The attention; `None` for the moving average alone.
    pub(crate) fn attention(&self) -> Option<&AttentionSpec> {
        match self {
            Self::Layer(spec) => Some(&spec.attention),
            Self::Attention(spec) => Some(spec),
            Self::Ema(_) => None,
        }
    }

    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        match case.level {
            Level::Layer => {
                if config.choice_or("part", &["layer", "ema", "attention"])? != "layer" {
                    return Err(MixerError::invalid("part", "layer at this level", "another part"));
                }
                Ok(Self::Layer(LayerSpec::read(config)?))
            }
            Level::Core if config.choice_or("part", &["attention", "ema", "layer"])? == "ema" => {
                Ok(Self::Ema(EmaSpec::read(config)?))
            }
            Level::Core if config.choice_or("part", &["attention", "ema", "layer"])? == "layer" => {
                Err(MixerError::invalid("part", "attention or ema at this level", "layer"))
            }
            Level::Core => Ok(Self::Attention(AttentionSpec::read(config)?)),
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
    for (name, value) in params.iter().filter(|(name, _)| !["expansion", "core"].contains(name)) {
        config.set(name, value.clone());
    }
    config.set("intermediate_size", params.count_or("expansion", 2, 1, 8)? * problem.d_model);
    config.set("bidirectional", !problem.causal);
    config.set("max_positions", problem.seq_len);
    let part = if problem.level == Level::Layer {
        "layer"
    } else {
        params.choice_or("core", &["attention", "ema"])?
    };
    config.set("part", part);
    Ok(config)
}

impl EmaSpec {
    fn read(config: &Params) -> Result<Self, MixerError> {
        let bidirectional = match config.get("bidirectional") {
            None | Some(Value::Null) => !config.flag_or("causal", false)?,
            _ => config.flag_or("bidirectional", true)?,
        };
        if config.flag_or("causal", !bidirectional)? == bidirectional {
            return Err(MixerError::invalid("bidirectional", "the opposite of causal", bidirectional));
        }
        let truncation = config.count_or("truncation", 0, 0, Problem::MAX_PLANNED_SEQ_LEN)?;
        let dims = Dims::read(config)?;
        Ok(Self {
            dims,
            n: config.count_or("ema_projection_size", 16, 1, 1024)?,
            bidirectional,
            truncation: (1..dims.seq_len).contains(&truncation).then_some(truncation),
        })
    }

    /// Number of directions, g.
    pub(crate) fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Number of lags of the kernel.
    pub(crate) fn lags(&self) -> usize {
        self.truncation.unwrap_or(self.dims.seq_len)
    }

    /// Rows of the input in all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.dims.batch * self.dims.seq_len
    }

    /// x, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// Damping, decay, expansion and projection, `[directions · width, n]` each.
    pub(crate) fn params<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 4], MixerError> {
        let channels = self.directions() * self.dims.d_model;
        let get = |name: &str, shape: &[usize]| tensors.floats(&format!("param.ema_gate.{name}"), shape);
        Ok([
            get("damping_factor", &[channels, self.n, 1])?,
            get("decay_factor", &[channels, self.n, 1])?,
            get("ema_expansion_matrix", &[channels, self.n, 1])?,
            get("kernel_projection_matrix", &[channels, self.n])?,
        ])
    }

    /// ω, `[width]`.
    pub(crate) fn residual<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("param.ema_gate.residual_weight", &[self.dims.d_model])
    }
}

impl AttentionSpec {
    fn read(config: &Params) -> Result<Self, MixerError> {
        let seq_len = config.count("length", 1, Problem::MAX_PLANNED_SEQ_LEN)?;
        let z = config.count_or("shared_representation_size", 64, 1, 1 << 14)?;
        let chunk = if config.flag_or("use_chunking", false)? {
            Some(config.count("chunk_size", 1, Problem::MAX_PLANNED_SEQ_LEN)?)
        } else {
            None
        };
        let length = chunk.map_or(seq_len, |chunk| chunk.min(seq_len));
        let bias = if config.choice_or("relative_positional_bias", &["rotary", "simple"])? == "rotary" {
            if !z.is_multiple_of(2) {
                return Err(MixerError::invalid("shared_representation_size", "an even number", z));
            }
            BiasKind::Rotary
        } else {
            let positions = match chunk {
                Some(chunk) => chunk,
                None => config.count("max_positions", 1, Problem::MAX_PLANNED_SEQ_LEN)?,
            };
            if length > positions {
                return Err(MixerError::invalid("max_positions", format!("at least {length}"), positions));
            }
            BiasKind::Simple(positions)
        };
        Ok(Self {
            batch: config.count("batch", 1, Problem::MAX_BATCH)?,
            seq_len,
            z,
            h: config.count("intermediate_size", 1, 1 << 15)?,
            causal: config.flag_or("causal", false)?,
            chunk: length,
            chunked: chunk.is_some(),
            activation: match config.choice_or("attention_activation", &["softmax", "laplace", "relu2"])? {
                "laplace" => Activation::Laplace,
                "relu2" => Activation::Relu2,
                _ => Activation::Softmax,
            },
            bias,
        })
    }

    /// Whether the configuration asks for chunks and one chunk holds the whole sequence.
    pub(crate) fn one_chunk(&self) -> bool {
        self.chunked && self.chunks() == 1
    }

    /// Chunks of a sequence.
    pub(crate) fn chunks(&self) -> usize {
        self.seq_len.div_ceil(self.chunk)
    }

    /// Positions of chunk `index` of a sequence.
    pub(crate) fn chunk_len(&self, index: usize) -> usize {
        self.chunk.min(self.seq_len - index * self.chunk)
    }

    /// Pairs of query and key of all sequences.
    pub(crate) fn pairs(&self) -> Count {
        let pairs = |c: usize| {
            let c = Count::from(c);
            if self.causal { c * (c + 1) / 2 } else { c * c }
        };
        let chunks = self.chunks();
        let [batch, whole] = Count::all([self.batch, chunks - 1]);
        batch * (whole * pairs(self.chunk) + pairs(self.chunk_len(chunks - 1)))
    }

    /// q and k, `[batch, length, Z]`, and v, `[batch, length, H]`, of a `core` case.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let shape = |width| [self.batch, self.seq_len, width];
        Ok([
            tensors.floats("q", &shape(self.z))?,
            tensors.floats("k", &shape(self.z))?,
            tensors.floats("v", &shape(self.h))?,
        ])
    }

    /// Divisor of the weights of one row for functions without normalisation: the number of keys that it sees.
    pub(crate) fn seen(&self, row: usize, chunk_len: usize) -> usize {
        if self.causal { row + 1 } else { chunk_len }
    }
}

impl LayerSpec {
    fn read(config: &Params) -> Result<Self, MixerError> {
        // The package has no other variant, and an error is better than a wrong layer.
        config.choice_or("activation", &["silu"])?;
        let ema = EmaSpec::read(config)?;
        let attention = AttentionSpec::read(config)?;
        Ok(Self {
            ema,
            attention,
            norm: match config.choice_or("normalization_type", &["scalenorm", "layernorm"])? {
                "layernorm" => NormKind::Layer,
                _ => NormKind::Scale,
            },
            pre_norm: config.flag_or("normalize_before_mega", true)?,
        })
    }

    pub(crate) fn width(&self) -> usize {
        self.ema.dims.d_model
    }

    /// Outputs of the joint projection: D | Z | H | D.
    pub(crate) fn joint(&self) -> usize {
        self.attention.z + self.attention.h + 2 * self.width()
    }

    /// Number of parameters of the layer without the moving average and the bias.
    pub(crate) fn params<'a>(&self, tensors: &'a Tensors) -> Result<LayerParams<'a>, MixerError> {
        let (width, z, h) = (self.width(), self.attention.z, self.attention.h);
        let linear = |[weight, bias]: [&str; 2], outputs: usize, inputs: usize| -> Result<_, MixerError> {
            Ok((tensors.floats(weight, &[outputs, inputs])?, tensors.floats(bias, &[outputs])?))
        };
        let norm = match self.norm {
            NormKind::Layer => Norm::Layer(
                tensors.floats("param.norm.norm.weight", &[width])?,
                tensors.floats("param.norm.norm.bias", &[width])?,
            ),
            NormKind::Scale => Norm::Scale(
                tensors.floats("param.norm.norm.scalar", &[1])?.first().copied().unwrap_or_default(),
            ),
        };
        Ok(LayerParams {
            value: linear(["param.v_proj.weight", "param.v_proj.bias"], h, width)?,
            joint: linear(["param.mx_proj.weight", "param.mx_proj.bias"], self.joint(), width)?,
            out: linear(["param.h_proj.weight", "param.h_proj.bias"], width, h)?,
            qk_weight: tensors.floats("param.qk_weight", &[2, z])?,
            qk_bias: tensors.floats("param.qk_bias", &[2, z])?,
            norm,
        })
    }
}

/// Parameters of a normalisation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Norm<'a> {
    /// g.
    Scale(f32),
    /// Weight and bias.
    Layer(&'a [f32], &'a [f32]),
}

/// Parameters of a layer: weight and bias of each projection, κ and μ, the normalisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerParams<'a> {
    pub value: (&'a [f32], &'a [f32]),
    pub joint: (&'a [f32], &'a [f32]),
    pub out: (&'a [f32], &'a [f32]),
    pub qk_weight: &'a [f32],
    pub qk_bias: &'a [f32],
    pub norm: Norm<'a>,
}
