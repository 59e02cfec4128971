//! Longformer (Beltagy, Peters and Cohan, arXiv 2004.05150, section 3): a sliding window for every position, and a few
//! global positions that see all positions and are seen by all. See README.md.

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

use crate::generate::Generator;
use crate::model::reference;
use crate::multi_head;

/// Largest total window accepted: every position of the longest sequence on both sides.
const MAX_WINDOW: usize = 2 * Problem::MAX_SEQ_LEN;

/// The defaults of the paper's base model.
static INFO: Info = Info {
    id: "longformer",
    title: "Longformer",
    mark: 9,
    family: Family::EfficientAttention,
    causality: Causality::Both,
    complexity: "O(L·w·D)",
    exponent: 1.0,
    year: 2020,
    paper: "Beltagy, Peters and Cohan, “Longformer: The Long-Document Transformer”",
    arxiv: "2004.05150",
    reference: "transformers 4.40.2, LongformerSelfAttention (allenai/longformer)",
    summary: "Each position looks at a window around it; a few global positions look at all and are seen by all.",
    params: &[
        ParamSpec {
            name: "window",
            kind: ParamKind::Count { default: 512, low: 2, high: 65_536 },
            help: "Total window, an even number: half of it on each side (causal: half of it, to the left)",
        },
        ParamSpec {
            name: "n_global",
            kind: ParamKind::Count { default: 1, low: 0, high: 4096 },
            help: "Global positions at the start of the sequence; the causal form has none",
        },
        ParamSpec {
            name: "dilation",
            kind: ParamKind::Count { default: 1, low: 1, high: 64 },
            help: "Distance between keys of the causal window; 1 otherwise",
        },
    ],
    config: &[],
    spare: &[
        "param.key_global.bias",
        "param.key_global.weight",
        "param.query_global.bias",
        "param.query_global.weight",
        "param.value_global.bias",
        "param.value_global.weight",
    ],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `longformer` lane.
pub static LONGFORMER: System = System {
    info: &INFO,
    seeded_case: |problem, params| seeded_case(problem, &Race::read(problem, params)?),
    cost: |problem, params| Ok(cost::cost(problem, &Race::read(problem, params)?)),
    reference: reference::<Spec>,
    spot_check: model::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Ok(Decode {
        inputs: decode::inputs,
        width: crate::decoding::model_width,
        cost: |problem, params| Ok(cost::step(problem, &Race::read(&problem.whole(), params)?)),
        cpu: decode::decoder,
        rows_of_forward: true,
        gpu: Some(decode_gpu::plan),
    }),
};

/// Parameters of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Race {
    pub window: usize,
    pub dilation: usize,
    /// Global positions 0 … n − 1; none in the causal form.
    pub n_global: usize,
}

impl Race {
    fn read(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let params = INFO.resolve(params)?;
        let n_global = params.count("n_global", 0, 4096)?.min(problem.seq_len);
        let (window, dilation) = (params.count("window", 2, 65_536)?, params.count("dilation", 1, 64)?);
        check(window, &[dilation], problem.causal)?;
        Ok(Self { window, dilation, n_global: if problem.causal { 0 } else { n_global } })
    }
}

/// Constraints on a window and its dilations.
fn check(window: usize, dilations: &[usize], causal: bool) -> Result<(), MixerError> {
    if !window.is_multiple_of(2) {
        return Err(MixerError::invalid("window", "an even number", window));
    }
    match dilations.iter().find(|&&dilation| dilation != 1) {
        Some(dilation) if !causal => Err(MixerError::invalid("dilation", "1 unless causal", dilation)),
        _ => Ok(()),
    }
}

/// The configuration of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub base: multi_head::Spec,
    /// Positions on each side of a query (causal: to its left), at most the sequence's length.
    pub reach: usize,
    /// Distance between keys for each head; at most the sequence's length.
    pub dilations: Vec<usize>,
    /// Global positions of each sequence, in ascending order.
    pub globals: Vec<Vec<usize>>,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let base = multi_head::Spec::read(case)?;
        let (batch, length) = (base.dims.batch, base.dims.seq_len);
        let window = case.config.count("window", 0, MAX_WINDOW)?;
        let dilations = dilations(&case.config, base.n_heads)?;
        check(window, &dilations, base.causal)?;
        let mut globals = vec![Vec::new(); batch];
        if case.tensors.get("global_mask").is_some() {
            let mask = case.tensors.indices("global_mask", &[batch, length])?;
            for (globals, mask) in globals.iter_mut().zip(mask.chunks_exact(length)) {
                globals.extend((0..length).filter(|&position| mask[position] != 0));
            }
        }
        if base.causal && globals.iter().any(|globals| !globals.is_empty()) {
            return Err(MixerError::invalid(
                "global_mask",
                "all zeros in the causal form",
                "a global position",
            ));
        }
        Ok(Self {
            base,
            reach: (window / 2).min(length),
            dilations: dilations.into_iter().map(|dilation| dilation.min(length)).collect(),
            globals,
        })
    }

    pub(crate) fn n_globals(&self) -> usize {
        self.globals.iter().map(Vec::len).sum()
    }

    pub(crate) fn is_global(&self, sequence: usize, position: usize) -> bool {
        self.globals[sequence].binary_search(&position).is_ok()
    }

    /// The streams `q_global`, `k_global`, `v_global` of a `core` case, each `[batch, length, width]`.
    pub(crate) fn global_streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let shape = self.base.dims.shape(self.base.dims.d_model);
        Ok([
            tensors.floats("q_global", &shape)?,
            tensors.floats("k_global", &shape)?,
            tensors.floats("v_global", &shape)?,
        ])
    }
}

/// One dilation for all heads, or a list with one dilation per head.
fn dilations(config: &Params, n_heads: usize) -> Result<Vec<usize>, MixerError> {
    match config.get("dilation") {
        Some(Value::List(values)) => {
            if values.len() != n_heads {
                return Err(MixerError::invalid(
                    "dilation",
                    format!("one for each of {n_heads} heads"),
                    values.len(),
                ));
            }
            values
                .iter()
                .map(|value| {
                    let mut one = Params::new();
                    one.set("dilation", value.clone());
                    one.count("dilation", 1, Problem::MAX_SEQ_LEN)
                })
                .collect()
        }
        _ => Ok(vec![config.count_or("dilation", 1, 1, Problem::MAX_SEQ_LEN)?; n_heads]),
    }
}

/// Weights as in models of BERT's family: standard deviation 0.02, biases zero.
fn seeded_case(problem: &Problem, race: &Race) -> Result<Case, MixerError> {
    let generator = Generator::new(problem.seed);
    let width = problem.d_model;
    let shape = [problem.batch, problem.seq_len, width];
    let mut tensors = Tensors::new();
    match problem.level {
        Level::Core => {
            let streams: &[&str] = if race.n_global > 0 {
                &["q", "k", "v", "q_global", "k_global", "v_global"]
            } else {
                &["q", "k", "v"]
            };
            for name in streams {
                generator.unit(&mut tensors, name, &shape)?;
            }
        }
        Level::Layer => {
            generator.unit(&mut tensors, "x", &shape)?;
            for name in ["query", "key", "value", "query_global", "key_global", "value_global", "out"] {
                let bound = 0.02 * 3.0_f32.sqrt();
                generator.uniform(&mut tensors, &format!("param.{name}.weight"), &[width, width], bound)?;
                tensors.insert(format!("param.{name}.bias"), &[width], vec![0.0; width]);
            }
        }
    }
    let mask = (0..problem.batch)
        .flat_map(|_| (0..problem.seq_len).map(|position| i32::from(position < race.n_global)));
    let mask = gather(problem.sizes().rows(), mask)?;
    tensors.insert_i32("global_mask", &[problem.batch, problem.seq_len], mask);
    let mut config = problem.to_params();
    config.set("window", race.window);
    config.set("dilation", race.dilation);
    Ok(Case { level: problem.level, config, tensors })
}
