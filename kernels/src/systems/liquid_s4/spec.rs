//! The configuration of a case, and its tensors by name.

use mixer::{Case, Level, MixerError, Params, Problem, Tensors, Value};

use super::INFO;
use super::liquid;
use crate::dims::Dims;

/// Kind of the liquid terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liquid {
    /// None: plain S4D or S4.
    None,
    /// Products weighted by one gain per degree (the PB kernel).
    PolyB,
    /// Products convolved with the kernel, as in the authors' code (the KB kernel).
    Kb,
    /// The paper's recurrence, which has no kernel.
    Recurrence,
}

/// Form of the state matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Diagonal.
    Diag,
    /// Normal plus low rank.
    Nplr,
}

/// Function that bounds the products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contraction {
    /// No function.
    None,
    /// tanh(a).
    Tanh,
    /// 1.7159·tanh(0.666a).
    Lecun,
}

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Sizes of the input.
    pub dims: Dims,
    /// Level of the case, core or layer.
    pub level: Level,
    /// Complex modes M per channel.
    pub modes: usize,
    /// The state matrix.
    pub mode: Mode,
    /// The liquid terms.
    pub liquid: Liquid,
    /// Largest number of inputs in a product; 1 without products.
    pub degree: usize,
    /// Whether products use all combinations of the last inputs rather than consecutive inputs.
    pub allcombs: bool,
    /// Function that bounds the products.
    pub contraction: Contraction,
    /// Whether a second model runs backward.
    pub bidirectional: bool,
}

/// Weight and bias.
pub(crate) type Affine<'a> = (&'a [f32], &'a [f32]);

impl Spec {
    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let dims = Dims::read(config)?;
        let liquid = match config.choice_or("liquid_kernel", &["none", "polyb", "kb", "recurrence"])? {
            "polyb" => Liquid::PolyB,
            "kb" => Liquid::Kb,
            "recurrence" => Liquid::Recurrence,
            _ => Liquid::None,
        };
        let products = matches!(liquid, Liquid::PolyB | Liquid::Kb);
        let spec = Self {
            dims,
            level: case.level,
            modes: config.count("d_state", 2, 8192)? / 2,
            mode: if config.choice_or("mode", &["diag", "nplr"])? == "nplr" {
                Mode::Nplr
            } else {
                Mode::Diag
            },
            liquid,
            degree: if products { config.count_or("liquid_degree", 2, 2, 8)? } else { 1 },
            allcombs: config.flag_or("allcombs", true)?,
            contraction: match config.choice_or("lcontract", &["none", "tanh", "lecun"])? {
                "tanh" => Contraction::Tanh,
                "lecun" => Contraction::Lecun,
                _ => Contraction::None,
            },
            bidirectional: config.flag_or("bidirectional", false)?,
        };
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), MixerError> {
        if self.liquid == Liquid::Recurrence {
            if self.mode == Mode::Nplr {
                return Err(MixerError::invalid("mode", "diag with the recurrence", "nplr"));
            }
            if self.bidirectional {
                return Err(MixerError::invalid("bidirectional", "false with the recurrence", true));
            }
        }
        if self.allcombs {
            for degree in 2..=self.degree {
                if liquid::positions(self.dims.seq_len, degree).is_none() {
                    return Err(MixerError::invalid(
                        "length",
                        format!("at least {} for products of {degree} inputs", degree + 3),
                        self.dims.seq_len,
                    ));
                }
            }
        }
        Ok(())
    }

    /// The spec of a race with this problem and these parameters.
    pub(super) fn race(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let config = race_config(problem, params)?;
        Self::read(&Case { level: problem.level, config, tensors: Tensors::new() })
    }

    /// Number of directions of the state-space model.
    pub(crate) fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Number of convolution kernels of the state-space model: one per direction, none for the recurrence.
    pub(crate) fn kernels(&self) -> usize {
        if self.liquid == Liquid::Recurrence { 0 } else { self.directions() }
    }

    /// Rows of the input in all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.dims.batch * self.dims.seq_len
    }

    /// x, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// The skip e, `[width]`.
    pub(crate) fn skip<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("param.D", &[1, self.dims.d_model])
    }

    /// Weight `[2 · width, width]` and bias of the output layer.
    pub(crate) fn output_linear<'a>(&self, tensors: &'a Tensors) -> Result<Affine<'a>, MixerError> {
        let width = self.dims.d_model;
        Ok((
            tensors.floats("param.output_linear.weight", &[2 * width, width])?,
            tensors.floats("param.output_linear.bias", &[2 * width])?,
        ))
    }
}

/// The configuration of a race's case, with the keys of golden files.
pub(super) fn race_config(problem: &Problem, params: &Params) -> Result<Params, MixerError> {
    let params = INFO.resolve(params)?;
    let mut config = problem.to_params();
    for (name, value) in params.iter() {
        config.set(name, value.clone());
    }
    config.set("mode", "diag");
    config.set("measure", "diag-lin");
    let choices = ["auto", "polyb", "kb", "recurrence", "none"];
    let kernel = match params.choice_or("liquid_kernel", &choices)? {
        "auto" if problem.causal => "recurrence",
        "auto" => "polyb",
        "none" => "none",
        "recurrence" => "recurrence",
        kernel if problem.causal => {
            return Err(MixerError::invalid(
                "liquid_kernel",
                "auto, recurrence or none where the race is causal (the others read from the end)",
                kernel,
            ));
        }
        kernel => kernel,
    };
    if problem.causal && params.flag_or("bidirectional", false)? {
        return Err(MixerError::invalid("bidirectional", "false where the race is causal", true));
    }
    config.set("liquid_kernel", if kernel == "none" { Value::Null } else { kernel.into() });
    Ok(config)
}
