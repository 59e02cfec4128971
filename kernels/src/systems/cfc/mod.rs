//! Closed-form continuous-time networks (Hasani et al., Nature Machine Intelligence 2022, arXiv 2106.13898): a closed
//! form of a liquid network's solution, so that a token takes one step and no solver. A recurrence.

mod cost;
mod cpu;
mod decode;
mod decode_gpu;
mod gpu;
mod model;
mod race;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Decode, Family, Info, MixerError, ParamKind, ParamSpec, Params, System, Tensors,
    Tolerance, Value,
};

use crate::dims::Dims;

static INFO: Info = Info {
    id: "cfc",
    title: "CfC",
    mark: 7,
    family: Family::Liquid,
    causality: Causality::CausalOnly,
    complexity: "O(L·K·(D + H)), L steps deep",
    exponent: 1.0,
    year: 2022,
    paper: "Hasani et al., “Closed-form continuous-time neural networks”",
    arxiv: "2106.13898",
    reference: "Python package ncps 1.0.1, ncps.torch.CfC",
    summary: "A liquid network solved in closed form: gates interpolate between two states as time passes.",
    params: &[
        ParamSpec {
            name: "mode",
            kind: ParamKind::Choice { choices: &["default", "no_gate", "pure"] },
            help: "The gated form, the form without the complementary gate, or the closed form itself",
        },
        ParamSpec {
            name: "units",
            kind: ParamKind::Count { default: 0, low: 0, high: 4096 },
            help: "Neurons; 0 takes the width (twice the width in a sparse wiring)",
        },
        ParamSpec {
            name: "backbone_units",
            kind: ParamKind::Count { default: 128, low: 1, high: 4096 },
            help: "Width of the backbone network",
        },
        ParamSpec {
            name: "backbone_layers",
            kind: ParamKind::Count { default: 1, low: 0, high: 8 },
            help: "Layers of the backbone network",
        },
        ParamSpec {
            name: "activation",
            kind: ParamKind::Choice { choices: &ACTIVATIONS },
            help: "Activation of the backbone network",
        },
        ParamSpec {
            name: "wiring",
            kind: ParamKind::Choice { choices: &["full", "ncp"] },
            help: "Fully connected, or the sparse layers of neural circuit policies, which have no backbone",
        },
        ParamSpec {
            name: "sparsity_level",
            kind: ParamKind::Number { default: 0.5, low: 0.1, high: 0.9 },
            help: "Share of synapses left out of a sparse wiring",
        },
        ParamSpec {
            name: "mixed_memory",
            kind: ParamKind::Flag { default: false },
            help: "An LSTM step before each token",
        },
    ],
    config: &["input_size", "layer_sizes", "proj_size", "timespans"],
    spare: &["c_last", "h_last"],
    tolerance: Tolerance { abs: 1e-4, rel: 1e-3 },
};

const ACTIVATIONS: [&str; 5] = ["lecun_tanh", "silu", "relu", "tanh", "gelu"];

/// The `cfc` lane.
pub static CFC: System = System {
    info: &INFO,
    seeded_case: |problem, params| race::Race::new(problem, params)?.case(),
    cost: |problem, params| {
        let race = race::Race::new(problem, params)?;
        Ok(cost::cost(&race.spec, &race.synapses()))
    },
    reference: crate::model::reference::<Spec>,
    spot_check: model::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: |case| Ok(Spec::read(case)?.outputs()),
        cost: |problem, params| {
            let race = race::Race::new(&problem.whole(), params)?;
            Ok(cost::decode(&race.spec, &race.synapses()))
        },
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};

/// Form of the state update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Default,
    NoGate,
    Pure,
}

/// Activation of the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    LecunTanh,
    Silu,
    Relu,
    Tanh,
    Gelu,
}

/// One cell: the whole network, or one layer of a wired network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CellSpec {
    /// Prefix of the cell's tensor names.
    pub prefix: String,
    pub inputs: usize,
    pub units: usize,
    /// Width and number of layers of the backbone; zero layers without a backbone.
    pub backbone_units: usize,
    pub backbone_layers: usize,
    pub masked: bool,
    pub mode: Mode,
}

/// Weight `[outputs, inputs]` and bias `[outputs]`.
pub(crate) type Affine<'a> = (&'a [f32], &'a [f32]);

impl CellSpec {
    /// Width of the heads' input.
    pub(crate) fn features(&self) -> usize {
        if self.backbone_layers == 0 { self.inputs + self.units } else { self.backbone_units }
    }

    fn floats<'a>(&self, tensors: &'a Tensors, name: &str, shape: &[usize]) -> Result<&'a [f32], MixerError> {
        tensors.floats(&format!("{}{name}", self.prefix), shape)
    }

    /// Weight `[outputs, inputs]` and bias of one backbone layer.
    pub(crate) fn backbone<'a>(
        &self,
        tensors: &'a Tensors,
        layer: usize,
    ) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let inputs = if layer == 0 { self.inputs + self.units } else { self.backbone_units };
        Ok((
            self.floats(tensors, &format!("backbone.{layer}.weight"), &[self.backbone_units, inputs])?,
            self.floats(tensors, &format!("backbone.{layer}.bias"), &[self.backbone_units])?,
        ))
    }

    /// Weight `[units, features]` and bias of a head: `ff1`, `ff2`, `time_a` or `time_b`.
    pub(crate) fn head<'a>(
        &self,
        tensors: &'a Tensors,
        name: &str,
    ) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        Ok((
            self.floats(tensors, &format!("{name}.weight"), &[self.units, self.features()])?,
            self.floats(tensors, &format!("{name}.bias"), &[self.units])?,
        ))
    }

    /// The mask of `ff1` and `ff2`, `[units, features]`.
    pub(crate) fn mask<'a>(&self, tensors: &'a Tensors) -> Result<Option<&'a [f32]>, MixerError> {
        if !self.masked {
            return Ok(None);
        }
        self.floats(tensors, "sparsity_mask", &[self.units, self.inputs + self.units]).map(Some)
    }

    /// w_τ and A of the pure form, `[units]` each.
    pub(crate) fn pure<'a>(&self, tensors: &'a Tensors) -> Result<(&'a [f32], &'a [f32]), MixerError> {
        let shape = [1, self.units];
        Ok((self.floats(tensors, "w_tau", &shape)?, self.floats(tensors, "A", &shape)?))
    }
}

/// The configuration of a case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub dims: Dims,
    /// Number of neurons in all cells.
    pub units: usize,
    pub cells: Vec<CellSpec>,
    pub activation: Activation,
    /// Width of the projected output.
    pub projection: Option<usize>,
    pub mixed_memory: bool,
    pub timespans: bool,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let dims = Dims::read(config)?;
        let units = config.count("units", 1, 1 << 13)?;
        let mode = match config.choice_or("mode", &["default", "no_gate", "pure"])? {
            "no_gate" => Mode::NoGate,
            "pure" => Mode::Pure,
            _ => Mode::Default,
        };
        let activation = match config.choice_or("activation", &ACTIVATIONS)? {
            "silu" => Activation::Silu,
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "gelu" => Activation::Gelu,
            _ => Activation::LecunTanh,
        };
        let sizes = layer_sizes(config, units)?;
        let cell =
            |prefix: String, inputs: usize, units: usize, wired: bool| -> Result<CellSpec, MixerError> {
                let backbone_layers = if wired { 0 } else { config.count_or("backbone_layers", 1, 0, 8)? };
                // Without a backbone its width is meaningless, and files may contain any value.
                let backbone_units =
                    if backbone_layers == 0 { 0 } else { config.count_or("backbone_units", 128, 1, 4096)? };
                Ok(CellSpec { prefix, inputs, units, backbone_units, backbone_layers, masked: wired, mode })
            };
        let cells = if sizes.is_empty() {
            vec![cell("param.rnn_cell.".to_owned(), dims.d_model, units, false)?]
        } else {
            let inputs = std::iter::once(dims.d_model).chain(sizes.iter().copied());
            inputs
                .zip(&sizes)
                .enumerate()
                .map(|(layer, (inputs, &units))| {
                    cell(format!("param.rnn_cell.layer_{layer}."), inputs, units, true)
                })
                .collect::<Result<_, _>>()?
        };
        let projection = match config.get("proj_size") {
            None | Some(Value::Null) => None,
            Some(_) => Some(config.count("proj_size", 1, 1 << 13)?),
        };
        Ok(Self {
            dims,
            units,
            cells,
            activation,
            projection,
            mixed_memory: config.flag_or("mixed_memory", false)?,
            timespans: config.flag_or("timespans", false)?,
        })
    }

    /// Width of the last cell's state, the input of the projection.
    pub(crate) fn hidden(&self) -> usize {
        self.cells.last().map_or(self.units, |cell| cell.units)
    }

    /// Width of y.
    pub(crate) fn outputs(&self) -> usize {
        self.projection.unwrap_or_else(|| self.hidden())
    }

    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    /// Weight `[outputs, hidden]` and bias of the projection.
    pub(crate) fn fc<'a>(&self, tensors: &'a Tensors) -> Result<Option<Affine<'a>>, MixerError> {
        let Some(outputs) = self.projection else { return Ok(None) };
        let weight = tensors.floats("param.fc.weight", &[outputs, self.hidden()])?;
        Ok(Some((weight, tensors.floats("param.fc.bias", &[outputs])?)))
    }

    /// Elapsed times `[batch, length]`, if they are inputs.
    pub(crate) fn times<'a>(&self, tensors: &'a Tensors) -> Result<Option<&'a [f32]>, MixerError> {
        if !self.timespans {
            return Ok(None);
        }
        tensors.floats("timespans", &[self.dims.batch, self.dims.seq_len]).map(Some)
    }
}

fn layer_sizes(config: &Params, units: usize) -> Result<Vec<usize>, MixerError> {
    let wrong = |got: &dyn std::fmt::Display| {
        MixerError::invalid("layer_sizes", format!("a list of sizes that add up to the units ({units})"), got)
    };
    match config.get("layer_sizes") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(values)) => {
            let sizes: Option<Vec<usize>> = values
                .iter()
                .map(|value| match value {
                    Value::Int(size) => usize::try_from(*size).ok().filter(|size| (1..=units).contains(size)),
                    _ => None,
                })
                .collect();
            match sizes {
                Some(sizes) if sizes.is_empty() || sizes.iter().sum::<usize>() == units => Ok(sizes),
                _ => Err(wrong(&Value::List(values.clone()))),
            }
        }
        Some(other) => Err(wrong(other)),
    }
}
