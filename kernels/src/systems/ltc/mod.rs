//! Liquid time-constant networks (Hasani et al., arXiv 2006.04439): neurons whose time constants depend on their
//! inputs, with several steps of a semi-implicit solver per token. A recurrence that is sequential over time.

mod cost;
mod cpu;
mod decode;
mod decode_gpu;
mod gpu;
mod model;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Decode, Family, Info, Level, MixerError, ParamKind, ParamSpec, Params, Problem, System,
    Tensors, Tolerance, Value, gather,
};

use crate::dims::Dims;
use crate::generate::Generator;
use crate::initial_state::initial_state;
use crate::ncp::Wiring;

static INFO: Info = Info {
    id: "ltc",
    title: "LTC",
    mark: 6,
    family: Family::Liquid,
    causality: Causality::CausalOnly,
    complexity: "O(L·U·H²), L·U steps deep",
    exponent: 1.0,
    year: 2020,
    paper: "Hasani et al., “Liquid Time-constant Networks”",
    arxiv: "2006.04439",
    reference: "Python package ncps 1.0.1, ncps.torch.LTC",
    summary: "Neurons with input-dependent time constants, solved step by step as a differential equation.",
    params: &[
        ParamSpec {
            name: "units",
            kind: ParamKind::Count { default: 0, low: 0, high: 4096 },
            help: "Neurons; 0 takes the width (twice the width in a sparse wiring)",
        },
        ParamSpec {
            name: "ode_unfolds",
            kind: ParamKind::Count { default: 6, low: 1, high: 64 },
            help: "Solver steps for each token",
        },
        ParamSpec {
            name: "wiring",
            kind: ParamKind::Choice { choices: &["full", "ncp"] },
            help: "Fully connected, or the sparse wiring of neural circuit policies",
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
    config: &[
        "epsilon",
        "implicit_param_constraints",
        "input_mapping",
        "input_size",
        "output_dim",
        "output_mapping",
        "timespans",
    ],
    spare: &["c_last", "h_last"],
    tolerance: Tolerance { abs: 1e-4, rel: 1e-3 },
};

/// The `ltc` lane.
pub static LTC: System = System {
    info: &INFO,
    seeded_case: |problem, params| Race::new(problem, params)?.case(),
    cost: |problem, params| {
        let race = Race::new(problem, params)?;
        Ok(cost::cost(&race.spec, race.synapses()))
    },
    reference: crate::model::reference::<Spec>,
    spot_check: model::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: |case| Ok(Spec::read(case)?.outputs),
        cost: |problem, params| {
            let race = Race::new(&problem.whole(), params)?;
            Ok(cost::decode(&race.spec, race.synapses()))
        },
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spec {
    pub dims: Dims,
    /// Neurons H.
    pub units: usize,
    /// Motor neurons O, the first units.
    pub outputs: usize,
    /// Solver steps per token.
    pub unfolds: usize,
    pub epsilon: f64,
    /// Whether w, cm and gleak pass through a softplus.
    pub implicit: bool,
    pub mixed_memory: bool,
    pub input_mapping: Mapping,
    pub output_mapping: Mapping,
    /// Whether elapsed times are inputs.
    pub timespans: bool,
}

/// Maps of inputs and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mapping {
    None,
    Linear,
    Affine,
}

/// Tensors of one set of synapses, `[from, units]` each.
pub(crate) struct Synapses<'a> {
    pub w: &'a [f32],
    pub sigma: &'a [f32],
    pub mu: &'a [f32],
    pub erev: &'a [f32],
    pub mask: &'a [f32],
}

type Map<'a> = Option<(&'a [f32], Option<&'a [f32]>)>;

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let dims = Dims::read(config)?;
        let units = config.count("units", 1, 4096)?;
        let default = if case.level == Level::Layer { Mapping::Affine } else { Mapping::None };
        Ok(Self {
            dims,
            units,
            outputs: config.count_or("output_dim", units, 1, units)?,
            unfolds: config.count_or("ode_unfolds", 6, 1, 64)?,
            epsilon: config.number_or("epsilon", 1e-8, 0.0, 1.0)?,
            implicit: config.flag_or("implicit_param_constraints", true)?,
            mixed_memory: config.flag_or("mixed_memory", false)?,
            input_mapping: mapping(config, "input_mapping", default)?,
            output_mapping: mapping(config, "output_mapping", default)?,
            timespans: config.flag_or("timespans", false)?,
        })
    }

    pub(crate) fn input<'a>(&self, tensors: &'a Tensors) -> Result<&'a [f32], MixerError> {
        tensors.floats("x", &self.dims.shape(self.dims.d_model))
    }

    pub(crate) fn recurrent<'a>(&self, tensors: &'a Tensors) -> Result<Synapses<'a>, MixerError> {
        self.synapses(tensors, "", self.units)
    }

    pub(crate) fn sensory<'a>(&self, tensors: &'a Tensors) -> Result<Synapses<'a>, MixerError> {
        self.synapses(tensors, "sensory_", self.dims.d_model)
    }

    fn synapses<'a>(
        &self,
        tensors: &'a Tensors,
        prefix: &str,
        from: usize,
    ) -> Result<Synapses<'a>, MixerError> {
        let shape = [from, self.units];
        let get = |name: &str| tensors.floats(&format!("param.rnn_cell.{prefix}{name}"), &shape);
        Ok(Synapses {
            w: get("w")?,
            sigma: get("sigma")?,
            mu: get("mu")?,
            erev: get("erev")?,
            mask: get("sparsity_mask")?,
        })
    }

    /// gleak, vleak, cm: `[units]` each.
    pub(crate) fn neurons<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let get = |name: &str| tensors.floats(&format!("param.rnn_cell.{name}"), &[self.units]);
        Ok([get("gleak")?, get("vleak")?, get("cm")?])
    }

    /// Scale and shift of the inputs, `[width]` each.
    pub(crate) fn input_map<'a>(&self, tensors: &'a Tensors) -> Result<Map<'a>, MixerError> {
        let names = ["param.rnn_cell.input_w", "param.rnn_cell.input_b"];
        map(tensors, self.input_mapping, names, self.dims.d_model)
    }

    /// Scale and shift of the outputs, `[outputs]` each.
    pub(crate) fn output_map<'a>(&self, tensors: &'a Tensors) -> Result<Map<'a>, MixerError> {
        let names = ["param.rnn_cell.output_w", "param.rnn_cell.output_b"];
        map(tensors, self.output_mapping, names, self.outputs)
    }

    /// State v and cell m of one sequence before the first step.
    pub(crate) fn initial(
        &self,
        tensors: &Tensors,
        sequence: usize,
    ) -> Result<(Vec<f64>, Vec<f64>), MixerError> {
        Ok((
            initial_state(tensors, "h0", self.dims.batch, self.units, sequence)?,
            initial_state(tensors, "c0", self.dims.batch, self.units, sequence)?,
        ))
    }

    /// Elapsed times `[batch, length]`, if they are inputs.
    pub(crate) fn times<'a>(&self, tensors: &'a Tensors) -> Result<Option<&'a [f32]>, MixerError> {
        if !self.timespans {
            return Ok(None);
        }
        tensors.floats("timespans", &[self.dims.batch, self.dims.seq_len]).map(Some)
    }

    /// softplus(x) if parameters are constrained implicitly, else x.
    pub(crate) fn positive(&self, value: f32) -> f64 {
        let value = f64::from(value);
        if self.implicit { value.max(0.0) + (-value.abs()).exp().ln_1p() } else { value }
    }
}

fn mapping(config: &Params, name: &str, default: Mapping) -> Result<Mapping, MixerError> {
    match config.get(name) {
        None => Ok(default),
        Some(Value::Null) => Ok(Mapping::None),
        Some(_) => Ok(match config.choice_or(name, &["affine", "linear"])? {
            "affine" => Mapping::Affine,
            _ => Mapping::Linear,
        }),
    }
}

fn map<'a>(
    tensors: &'a Tensors,
    mapping: Mapping,
    [scale, shift]: [&str; 2],
    len: usize,
) -> Result<Map<'a>, MixerError> {
    if mapping == Mapping::None {
        return Ok(None);
    }
    let scale = tensors.floats(scale, &[len])?;
    let shift = if mapping == Mapping::Affine { Some(tensors.floats(shift, &[len])?) } else { None };
    Ok(Some((scale, shift)))
}

/// A race's problem with its wiring.
struct Race {
    problem: Problem,
    config: Params,
    spec: Spec,
    wiring: Wiring,
}

impl Race {
    fn new(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let resolved = INFO.resolve(params)?;
        let width = problem.d_model;
        let sparse = resolved.choice_or("wiring", &["full", "ncp"])? == "ncp";
        let smallest = if sparse { 2 * width + 2 } else { width };
        let mut units = resolved.count("units", 0, 4096)?;
        if units == 0 {
            units = smallest;
        }
        // At core level every unit is an output, as in the golden files.
        let outputs = if problem.level == Level::Core && !sparse { units } else { width };
        if units < outputs {
            return Err(MixerError::invalid(
                "params.units",
                format!("0, or at least the width ({outputs})"),
                units,
            ));
        }
        let seed = problem.seed ^ 0x5eed_11c7;
        let wiring = if sparse {
            Wiring::auto(units, width, outputs, resolved.number_or("sparsity_level", 0.5, 0.0, 1.0)?, seed)?
        } else {
            Wiring::full(units, width, outputs, seed)
        };
        let mut config = problem.to_params();
        config.set("causal", true);
        config.set("input_size", width);
        config.set("units", units);
        config.set("output_dim", outputs);
        config.set("ode_unfolds", resolved.count("ode_unfolds", 1, 64)?);
        config.set("epsilon", 1e-8);
        config.set("implicit_param_constraints", true);
        config.set("mixed_memory", resolved.flag_or("mixed_memory", false)?);
        config.set("wiring", if sparse { "ncp" } else { "full" });
        let mapping = if problem.level == Level::Layer { Value::from("affine") } else { Value::Null };
        config.set("input_mapping", mapping.clone());
        config.set("output_mapping", mapping);
        config.set("timespans", false);
        let probe = Case { level: problem.level, config: config.clone(), tensors: Tensors::new() };
        Ok(Self { problem: *problem, spec: Spec::read(&probe)?, config, wiring })
    }

    fn synapses(&self) -> cost::Synapses {
        let (recurrent, sensory) = (self.wiring.recurrent_synapses(), self.wiring.sensory_synapses());
        cost::Synapses { recurrent, sensory }
    }

    /// Weights as initialised in the package: gleak (0.001, 1), vleak (−0.2, 0.2), cm (0.4, 0.6), w (0.001, 1), sigma
    /// (3, 8), mu (0.3, 0.8), the wiring's reversal potentials, mappings 1 and 0.
    fn case(self) -> Result<Case, MixerError> {
        let generator = Generator::new(self.problem.seed);
        let (units, width) = (self.spec.units, self.problem.d_model);
        let mut tensors = Tensors::new();
        generator.unit(&mut tensors, "x", &[self.problem.batch, self.problem.seq_len, width])?;
        let mut between = |name: String, shape: &[usize], low: f32, high: f32| -> Result<(), MixerError> {
            let half = 0.5 * (high - low);
            generator.uniform(&mut tensors, &name, shape, half)?;
            let data = tensors.floats(&name, shape)?;
            let data = gather(data.len(), data.iter().map(|value| value + low + half))?;
            tensors.insert(name, shape, data);
            Ok(())
        };
        for (name, low, high) in [("gleak", 0.001, 1.0), ("vleak", -0.2, 0.2), ("cm", 0.4, 0.6)] {
            between(format!("param.rnn_cell.{name}"), &[units], low, high)?;
        }
        for (prefix, from) in [("", units), ("sensory_", width)] {
            for (name, low, high) in [("w", 0.001, 1.0), ("sigma", 3.0, 8.0), ("mu", 0.3, 0.8)] {
                between(format!("param.rnn_cell.{prefix}{name}"), &[from, units], low, high)?;
            }
        }
        for (prefix, from, signs) in
            [("", units, &self.wiring.recurrent), ("sensory_", width, &self.wiring.sensory)]
        {
            let erev = gather(signs.len(), signs.iter().map(|&sign| f32::from(sign)))?;
            let mask = gather(signs.len(), signs.iter().map(|&sign| f32::from(sign.abs())))?;
            tensors.insert(format!("param.rnn_cell.{prefix}erev"), &[from, units], erev);
            tensors.insert(format!("param.rnn_cell.{prefix}sparsity_mask"), &[from, units], mask);
        }
        if self.problem.level == Level::Layer {
            for (name, len) in [("input", width), ("output", self.spec.outputs)] {
                tensors.insert(format!("param.rnn_cell.{name}_w"), &[len], vec![1.0; len]);
                tensors.insert(format!("param.rnn_cell.{name}_b"), &[len], vec![0.0; len]);
            }
        }
        if self.spec.mixed_memory {
            crate::lstm::seed(&generator, &mut tensors, width, units)?;
        }
        Ok(Case { level: self.problem.level, config: self.config, tensors })
    }
}
