//! The Hyena operator (Poli et al., arXiv 2302.10866): projections, a short convolution, then gates alternating with
//! long convolutions whose filters are given implicitly by a small network of the position.

mod cost;
mod cpu;
mod decode;
mod decode_gpu;
pub mod filter;
mod gpu;
mod model;
mod spot;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Count, Decode, Family, Info, Level, MixerError, ParamKind, ParamSpec, Params, Problem,
    System, Tensors, Tolerance, zeros,
};

use crate::dims::Dims;
use crate::generate::Generator;
use crate::model::reference;
use crate::ops::online_conv::Method;
use filter::FilterSpec;

/// Largest order; the paper uses up to 3.
const MAX_ORDER: usize = 8;

/// The defaults of the paper's language models.
static INFO: Info = Info {
    id: "hyena",
    title: "Hyena",
    mark: 1,
    family: Family::Convolution,
    causality: Causality::CausalOnly,
    complexity: "O(N·D·L log L)",
    exponent: 1.0,
    year: 2023,
    paper: "Poli et al., “Hyena Hierarchy: Towards Larger Convolutional Language Models”",
    arxiv: "2302.10866",
    reference: "HazyResearch/safari, src/models/sequence/hyena.py",
    summary: "Long convolutions, learned as functions of position, alternate with elementwise gates.",
    params: &[
        ParamSpec {
            name: "order",
            kind: ParamKind::Count { default: 2, low: 2, high: MAX_ORDER },
            help: "Gates; one fewer long convolutions",
        },
        ParamSpec {
            name: "short_filter_order",
            kind: ParamKind::Count { default: 3, low: 1, high: 16 },
            help: "Taps of the short convolution",
        },
        ParamSpec {
            name: "filter_order",
            kind: ParamKind::Count { default: 64, low: 1, high: 256 },
            help: "Width of the network that gives the filter",
        },
        ParamSpec {
            name: "emb_dim",
            kind: ParamKind::Count { default: 33, low: 3, high: 129 },
            help: "Positional features of that network, an odd number",
        },
        ParamSpec {
            name: Method::PARAM,
            kind: ParamKind::Choice { choices: Method::CHOICES },
            help: Method::HELP,
        },
    ],
    config: &[
        "bias",
        "fast_decay_pct",
        "l_max",
        "modulate",
        "normalized",
        "num_inner_mlps",
        "shift",
        "slow_decay_pct",
        "target",
        "w",
    ],
    spare: &["k", "param.filter_fn.bias"],
    tolerance: Tolerance { abs: 2e-4, rel: 1e-3 },
};

/// The `hyena` lane.
pub static HYENA: System = System {
    info: &INFO,
    seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?)),
    reference: reference::<Spec>,
    spot_check: spot::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: crate::decoding::model_width,
        cost: |problem, params| Ok(decode::cost(&Spec::race(&problem.whole(), params)?, problem)),
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Sizes of the input.
    pub dims: Dims,
    /// Number of gates; there is one long convolution fewer.
    pub order: usize,
    /// Level of the case, core or layer.
    pub level: Level,
    /// Taps of the short convolution; 1 at core level.
    pub taps: usize,
    /// The implicit filter; `None` at core level, where filters are inputs.
    pub filter: Option<FilterSpec>,
    /// How a decoder convolves.
    pub method: Method,
}

impl Spec {
    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(case: &Case) -> Result<Self, MixerError> {
        let dims = Dims::read(&case.config)?;
        let order = case.config.count_or("order", 2, 2, MAX_ORDER)?;
        let method = Method::read(&case.config)?;
        Ok(match case.level {
            Level::Core => Self { dims, order, level: Level::Core, taps: 1, filter: None, method },
            Level::Layer => Self {
                dims,
                order,
                level: Level::Layer,
                taps: case.config.count_or("short_filter_order", 3, 1, 64)?,
                filter: Some(FilterSpec::read(&case.config, dims, order)?),
                method,
            },
        })
    }

    /// The spec of a race with this problem and these parameters.
    fn race(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let mut config = problem.to_params();
        for (name, value) in INFO.resolve(params)?.iter() {
            config.set(name, value.clone());
        }
        config.set("causal", true);
        config.set("l_max", problem.seq_len);
        config.set("w", 14.0);
        Self::read(&Case { level: problem.level, config, tensors: Tensors::new() })
    }

    /// Number of long convolutions.
    pub fn convolutions(&self) -> usize {
        self.order - 1
    }

    /// Length of the output: that of the input, cut to the length that the filter is built for.
    pub fn out_len(&self) -> usize {
        self.filter.map_or(self.dims.seq_len, |filter| self.dims.seq_len.min(filter.l_max))
    }

    /// The streams of a `core` case, `[batch, length, (order + 1) · width]`.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape((self.order + 1) * self.dims.d_model))
    }

    /// The input of a `layer` case, `[batch, length, width]`.
    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// A filter tensor of a `core` case.
    pub(crate) fn core_filter<'a>(&self, tensors: &'a Tensors) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let (convolutions, width) = (self.convolutions(), self.dims.d_model);
        let k = tensors.floats("k", &[convolutions, width, self.dims.seq_len])?;
        Ok((k, tensors.floats("bias", &[convolutions, width])?))
    }

    /// Weight and bias of `in_proj` or `out_proj`.
    pub(crate) fn projection<'a>(
        &self,
        tensors: &'a Tensors,
        name: &str,
    ) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let width = self.dims.d_model;
        let outputs = if name == "in_proj" { (self.order + 1) * width } else { width };
        let weight = tensors.floats(&format!("param.{name}.weight"), &[outputs, width])?;
        Ok((weight, tensors.floats(&format!("param.{name}.bias"), &[outputs])?))
    }

    /// Weight `[(order + 1) · width, 1, taps]` and bias of the short convolution.
    pub(crate) fn short_filter<'a>(
        &self,
        tensors: &'a Tensors,
    ) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let channels = (self.order + 1) * self.dims.d_model;
        let weight = tensors.floats("param.short_filter.weight", &[channels, 1, self.taps])?;
        Ok((weight, tensors.floats("param.short_filter.bias", &[channels])?))
    }

    /// The skip β of convolution `o` at `channel`; zero if the filter has no bias.
    pub(crate) fn skip(&self, tensors: &Tensors, o: usize, channel: usize) -> Result<f32, MixerError> {
        let (convolutions, width) = (self.convolutions(), self.dims.d_model);
        let (values, at) = match &self.filter {
            None => (self.core_filter(tensors)?.1, o * width + channel),
            Some(filter) if filter.bias => {
                (tensors.floats("param.filter_fn.bias", &[width * convolutions])?, channel * convolutions + o)
            }
            Some(_) => return Ok(0.0),
        };
        Ok(values.get(at).copied().unwrap_or_default())
    }
}

fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let layer = Spec::race(&Problem { level: Level::Layer, ..*problem }, params)?;
    let Some(filter) = layer.filter else {
        return Err(MixerError::Unsupported {
            system: INFO.id.to_owned(),
            what: "a layer without a filter".to_owned(),
        });
    };
    let generator = Generator::new(problem.seed);
    let (width, channels) = (problem.d_model, (layer.order + 1) * problem.d_model);
    let mut tensors = Tensors::new();
    let mut config = problem.to_params();
    config.set("causal", true);
    config.set("order", layer.order);
    config.set(Method::PARAM, layer.method.word());
    filter::seed(&filter, &generator, &mut tensors)?;
    match problem.level {
        Level::Core => {
            let h = filter::evaluate_f64(&filter, &tensors, problem.seq_len)?;
            let convolutions = layer.convolutions();
            let [sets, channels_of_set, positions] = Count::all([convolutions, width, problem.seq_len]);
            let mut k: Vec<f32> = zeros(sets * channels_of_set * positions)?;
            let mut bias = vec![0.0; convolutions * width];
            for o in 0..convolutions {
                for channel in 0..width {
                    bias[o * width + channel] = layer.skip(&tensors, o, channel)?;
                    let to = &mut k[(o * width + channel) * problem.seq_len..][..problem.seq_len];
                    let from = h.iter().skip(channel * convolutions + o).step_by(width * convolutions);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f32);
                }
            }
            let mut core = Tensors::new();
            generator.unit(&mut core, "x", &[problem.batch, problem.seq_len, channels])?;
            core.insert("k", &[convolutions, width, problem.seq_len], k);
            core.insert("bias", &[convolutions, width], bias);
            tensors = core;
        }
        Level::Layer => {
            for (name, value) in INFO.resolve(params)?.iter() {
                config.set(name, value.clone());
            }
            config.set("l_max", problem.seq_len);
            config.set("w", 14.0);
            generator.unit(&mut tensors, "x", &[problem.batch, problem.seq_len, width])?;
            let bound = 1.0 / (width as f32).sqrt();
            for (name, outputs) in [("in_proj", channels), ("out_proj", width)] {
                generator.uniform(&mut tensors, &format!("param.{name}.weight"), &[outputs, width], bound)?;
                generator.uniform(&mut tensors, &format!("param.{name}.bias"), &[outputs], bound)?;
            }
            let bound = 1.0 / (layer.taps as f32).sqrt();
            generator.uniform(
                &mut tensors,
                "param.short_filter.weight",
                &[channels, 1, layer.taps],
                bound,
            )?;
            generator.uniform(&mut tensors, "param.short_filter.bias", &[channels], bound)?;
        }
    }
    Ok(Case { level: problem.level, config, tensors })
}
