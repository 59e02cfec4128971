//! The interface of a sequence mixer that can race.

use std::sync::Arc;

use crate::{
    Case, Cost, Count, Decode, DecodeMemory, DecodePlan, Generate, GpuTarget, Memory, MixerError, NoDecode,
    Parallel, ParamSpec, Params, Plan, PreparedDecoder, Problem, SpotCheck, SpotDraw, Task, TokenInput,
    Tolerance,
};

/// The causal and bidirectional forms that a system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Causality {
    /// `Problem::causal` chooses.
    Both,
    /// Always causal. A request for the bidirectional form runs causally and is marked as such.
    CausalOnly,
    /// Never causal. A request for the causal form runs bidirectionally and is marked as such.
    BidirectionalOnly,
}

/// Family under which the page groups a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Exact softmax attention.
    Attention,
    /// Restricted or approximated attention.
    EfficientAttention,
    /// Long convolutions.
    Convolution,
    /// State spaces and moving averages.
    StateSpace,
    /// Liquid networks.
    Liquid,
}

/// Facts about a system that are independent of a problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Info {
    /// Stable name, used in links.
    pub id: &'static str,
    /// Display name.
    pub title: &'static str,
    /// Number of its colour and marker shape in charts: the next number that no system has.
    pub mark: u8,
    /// Family.
    pub family: Family,
    /// The causal and bidirectional forms.
    pub causality: Causality,
    /// Time complexity in the field's notation, e.g. `O(L²·D)`.
    pub complexity: &'static str,
    /// The theoretical exponent of L, without logarithms.
    pub exponent: f64,
    /// Year of the paper.
    pub year: u16,
    /// Authors and title of the paper.
    pub paper: &'static str,
    /// arXiv number, e.g. `1706.03762`.
    pub arxiv: &'static str,
    /// The implementation that the golden vectors come from.
    pub reference: &'static str,
    /// One sentence for readers who do not know the system.
    pub summary: &'static str,
    /// Parameters that a race may set.
    pub params: &'static [ParamSpec],
    /// Keys that a golden file's configuration may have besides the sizes, the heads and `params`. A file with further
    /// keys is refused, since it may describe another computation.
    pub config: &'static [&'static str],
    /// Tensors of golden files that may stay unread: intermediate results of the authors' code, outputs besides `y`,
    /// and parameters of parts that a configuration disables.
    pub spare: &'static [&'static str],
    /// Largest deviation of f32 kernels from the f64 reference on seeded inputs.
    pub tolerance: Tolerance,
}

impl Info {
    /// Checks that every name in `params` is known and every value in range, and returns them with defaults filled in.
    ///
    /// # Errors
    /// [`MixerError::UnknownParam`] or [`MixerError::InvalidField`].
    pub fn resolve(&self, params: &Params) -> Result<Params, MixerError> {
        if let Some((name, _)) =
            params.iter().find(|(name, _)| self.params.iter().all(|spec| spec.name != *name))
        {
            return Err(MixerError::UnknownParam {
                system: self.id.to_owned(),
                name: name.to_owned(),
                known: self.params.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", "),
            });
        }
        let mut resolved = Params::new();
        for spec in self.params {
            resolved.set(spec.name, spec.resolve(params)?);
        }
        Ok(resolved)
    }

    /// Whether this system runs causally when the problem asks for `causal`.
    pub fn runs_causally(&self, causal: bool) -> bool {
        match self.causality {
            Causality::Both => causal,
            Causality::CausalOnly => true,
            Causality::BidirectionalOnly => false,
        }
    }
}

/// A CPU kernel prepared for one case: weights packed, filters materialised, scratch allocated.
pub trait CpuKernel: Send {
    /// One forward pass from input to output. Allocates no buffer, at most the list of its tasks' parts.
    ///
    /// # Errors
    /// Errors that the kernel cannot detect before it runs.
    fn run(&mut self, parallel: &dyn Parallel) -> Result<(), MixerError>;

    /// The output of the last run, row-major, with the shape of the golden file's `y`.
    fn output(&self) -> &[f32];

    /// The output for overwriting before a run, so that values that the run does not write are detected. No run reads
    /// it.
    fn output_mut(&mut self) -> &mut [f32];
}

/// The result of [`System::cpu`].
pub type PreparedKernel = Result<Box<dyn CpuKernel>, MixerError>;

/// A published sequence mixer: its facts and a table of functions. The folder that defines the system fills in the fields;
/// callers use the methods of the same names, which check sizes first.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Facts, names, parameters.
    pub info: &'static Info,
    /// [`System::seeded_case`] of a valid problem.
    pub seeded_case: fn(&Problem, &Params) -> Result<Case, MixerError>,
    /// [`System::cost`] of a problem that is valid for planning.
    pub cost: fn(&Problem, &Params) -> Result<Cost, MixerError>,
    /// [`System::reference`] of a case whose elements are not too many.
    pub reference: fn(&Case) -> Result<Vec<f64>, MixerError>,
    /// [`System::spot_check`] of such a case.
    pub spot_check: fn(&Case, SpotDraw) -> Result<SpotCheck, MixerError>,
    /// [`System::cpu`] of such a case.
    pub cpu: fn(&Arc<Case>, &Memory, &dyn Parallel) -> PreparedKernel,
    /// [`System::gpu`] of such a case.
    pub gpu: fn(&Case, &GpuTarget) -> Result<Plan, MixerError>,
    /// Decoding, or why the system has none.
    pub decode: Result<Decode, NoDecode>,
}

impl System {
    /// Facts, names, parameters.
    pub fn info(&self) -> &'static Info {
        self.info
    }

    /// A seeded case for a race: weights as the paper initialises them, and the input that all systems share. For
    /// decoding, its length is the problem's capacity.
    ///
    /// # Errors
    /// Errors of `Problem::validate` and `Info::resolve`, and [`MixerError::Unsupported`].
    pub fn seeded_case(&self, problem: &Problem, params: &Params) -> Result<Case, MixerError> {
        problem.validate()?;
        if problem.task != Task::Forward {
            self.decoding()?;
        }
        (self.seeded_case)(&problem.whole(), params)
    }

    /// Closed-form cost of the forward pass, or of one step of decoding.
    ///
    /// # Errors
    /// As for [`System::seeded_case`].
    pub fn cost(&self, problem: &Problem, params: &Params) -> Result<Cost, MixerError> {
        problem.validate_planned()?;
        match problem.task {
            Task::Forward => (self.cost)(problem, params),
            Task::Decode { .. } => (self.decoding()?.cost)(problem, params),
        }
    }

    fn decoding(&self) -> Result<&Decode, MixerError> {
        let refused = |&why: &NoDecode| MixerError::NoDecode { system: self.info.id.to_owned(), why };
        self.decode.as_ref().map_err(refused)
    }

    /// As [`Decode::rows_of_forward`]; true for a system that does not decode.
    pub fn rows_of_forward(&self) -> bool {
        self.decode.as_ref().is_ok_and(|decode| decode.rows_of_forward) || self.decode.is_err()
    }

    /// The inputs of a token of a case.
    ///
    /// # Errors
    /// [`MixerError::NoDecode`], and as for [`System::reference`].
    pub fn token_inputs(&self, case: &Case) -> Result<Vec<TokenInput>, MixerError> {
        (self.decoding()?.inputs)(case)
    }

    /// Columns of an answer to a token of a case.
    ///
    /// # Errors
    /// As for [`System::token_inputs`].
    pub fn answer_width(&self, case: &Case) -> Result<usize, MixerError> {
        (self.decoding()?.width)(case)
    }

    /// Prepares the CPU decoder, whose capacity is the case's length. The case's own input is not absorbed.
    ///
    /// # Errors
    /// As for [`System::token_inputs`], or [`MixerError::OutOfMemory`].
    pub fn decoder(
        &self,
        case: &Arc<Case>,
        memory: &DecodeMemory,
        parallel: &dyn Parallel,
    ) -> PreparedDecoder {
        check_elements(&case.config)?;
        self.token_inputs(case)?;
        (self.decoding()?.cpu)(case, memory, parallel)
    }

    /// The output in f64, computed from the equations, with the shape of the golden file's `y`.
    ///
    /// # Errors
    /// A [`MixerError`] where the case lacks a tensor or has a wrong shape or configuration.
    pub fn reference(&self, case: &Case) -> Result<Vec<f64>, MixerError> {
        check_elements(&case.config)?;
        (self.reference)(case)
    }

    /// Parts of the first sequence's output in f64, as exact as [`System::reference`]: rows and, for convolutions,
    /// whole channels. They are drawn from `draw.seed` for about `draw.max_flops` operations, with at least one row or
    /// channel whatever it costs.
    ///
    /// # Errors
    /// A [`MixerError`] where the case lacks a tensor or has a wrong shape or configuration.
    pub fn spot_check(&self, case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
        check_elements(&case.config)?;
        (self.spot_check)(case, draw)
    }

    /// Prepares the CPU kernel. All its buffers come out of `memory`; the caller counts the case itself.
    ///
    /// # Errors
    /// As for [`System::reference`], or [`MixerError::OutOfMemory`].
    pub fn cpu(&self, case: &Arc<Case>, memory: &Memory, parallel: &dyn Parallel) -> PreparedKernel {
        check_elements(&case.config)?;
        (self.cpu)(case, memory, parallel)
    }

    /// Describes the GPU work of generating after the context of a case.
    ///
    /// # Errors
    /// As for [`System::token_inputs`] and [`System::gpu`].
    pub fn gpu_decoder(
        &self,
        case: &Case,
        generate: Generate,
        target: &GpuTarget,
    ) -> Result<DecodePlan, MixerError> {
        check_elements(&case.config)?;
        self.token_inputs(case)?;
        let refused = || MixerError::NoDecode { system: self.info.id.to_owned(), why: NoDecode::CpuOnly };
        (self.decoding()?.gpu.ok_or_else(refused)?)(case, generate, target)
    }

    /// Describes the GPU work as a plan.
    ///
    /// # Errors
    /// As for [`System::reference`], or the device's limit that the plan would exceed.
    pub fn gpu(&self, case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
        check_elements(&case.config)?;
        (self.gpu)(case, target)
    }
}

/// Refuses a case with more elements than a race may have, before it is allocated. Costs may be computed for larger
/// sizes.
///
/// # Errors
/// [`MixerError::InvalidField`].
fn check_elements(config: &Params) -> Result<(), MixerError> {
    let size = |name: &str| config.count_or(name, 1, 1, usize::MAX >> 1).map(Count::from);
    let rows = size("batch")? * size("length")?;
    let widths = [
        ("batch · length · d_model", size("d_model")?),
        ("batch · length · heads · head_dim", size("heads")? * size("head_dim")?),
    ];
    for (field, width) in widths {
        let elements = rows * width;
        if elements > Count::new(Problem::MAX_ELEMENTS) {
            let allowed = format!("at most {}", Problem::MAX_ELEMENTS);
            return Err(MixerError::invalid(field, allowed, elements.get()));
        }
    }
    Ok(())
}
