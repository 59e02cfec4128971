//! What a sequence mixer must offer to race.

use std::sync::Arc;

use crate::{
    Case, Cost, GpuTarget, Memory, MixerError, Parallel, ParamSpec, Params, Plan, Problem, SpotCheck,
    SpotDraw, Tolerance,
};

/// Whether a system has a causal form, a bidirectional one, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Causality {
    /// `Problem::causal` chooses.
    Both,
    /// Always causal: asked for the bidirectional form, it runs causally and is marked so.
    CausalOnly,
    /// Never causal: asked for the causal form, it runs bidirectionally and is marked so.
    BidirectionalOnly,
}

/// Families that the page groups systems by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Softmax attention itself.
    Attention,
    /// Attention restricted or approximated.
    EfficientAttention,
    /// Long convolutions.
    Convolution,
    /// State spaces and moving averages.
    StateSpace,
    /// Liquid networks.
    Liquid,
}

/// What is known of a system before any problem is posed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Info {
    /// Stable name: it lives in links.
    pub id: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Family.
    pub family: Family,
    /// Which forms exist.
    pub causality: Causality,
    /// Time complexity in words of the field, e.g. `O(L²·D)`.
    pub complexity: &'static str,
    /// The exponent of L that theory gives, logarithms ignored.
    pub exponent: f64,
    /// Year of the paper.
    pub year: u16,
    /// Authors and title of the paper.
    pub paper: &'static str,
    /// arXiv number, e.g. `1706.03762`.
    pub arxiv: &'static str,
    /// The reference implementation that the golden vectors come from.
    pub reference: &'static str,
    /// One sentence for a reader who has never heard of it.
    pub summary: &'static str,
    /// Parameters that a race may set.
    pub params: &'static [ParamSpec],
    /// What the configuration of a golden file says beside the sizes, the heads and `params`: a file that says more
    /// may mean something else.
    pub config: &'static [&'static str],
    /// Tensors of golden files that may go unread: what the authors' code derives from others or puts out beside `y`, and
    /// parameters of parts that a configuration leaves out.
    pub spare: &'static [&'static str],
    /// How far f32 kernels may be from the f64 reference on seeded inputs.
    pub tolerance: Tolerance,
}

impl Info {
    /// Checks `params`: no unknown name, every value in range; returns them with defaults filled in.
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

/// A CPU kernel made ready for one case: weights packed, filters materialised, scratch allocated.
pub trait CpuKernel: Send {
    /// One forward pass, input to output. Allocates nothing.
    ///
    /// # Errors
    /// Only what a kernel cannot know before it runs.
    fn run(&mut self, parallel: &dyn Parallel) -> Result<(), MixerError>;

    /// The output of the last run, row-major, shaped as the golden file's `y`.
    fn output(&self) -> &[f32];

    /// The same, to be spoiled before a run: what the run does not write is then seen. No run reads what was there.
    fn output_mut(&mut self) -> &mut [f32];
}

/// A published sequence mixer.
pub trait System: Send + Sync {
    /// Facts, names, parameters.
    fn info(&self) -> &'static Info;

    /// A seeded instance for a race: weights as the paper initialises them, inputs that all systems share.
    ///
    /// # Errors
    /// What `Problem::validate` and `Info::resolve` refuse, and what the system cannot do.
    fn seeded_case(&self, problem: &Problem, params: &Params) -> Result<Case, MixerError>;

    /// Closed-form cost of the forward pass.
    ///
    /// # Errors
    /// As for [`System::seeded_case`].
    fn cost(&self, problem: &Problem, params: &Params) -> Result<Cost, MixerError>;

    /// The output in f64, straight from the equations. Shaped as the golden file's `y`.
    ///
    /// # Errors
    /// What is wrong with the case.
    fn reference(&self, case: &Case) -> Result<Vec<f64>, MixerError>;

    /// Parts of the first sequence's output in f64, exact like [`System::reference`]: rows, and of convolutions whole
    /// channels, drawn from `draw.seed` for about `draw.max_flops` operations; at least one row or channel, whatever that
    /// takes.
    ///
    /// # Errors
    /// What is wrong with the case.
    fn spot_check(&self, case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError>;

    /// Prepares the CPU kernel. Everything it holds comes out of `memory`; the case itself is counted by the caller.
    ///
    /// # Errors
    /// What is wrong with the case, or [`MixerError::OutOfMemory`].
    fn cpu(
        &self,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Box<dyn CpuKernel>, MixerError>;

    /// Describes the GPU work.
    ///
    /// # Errors
    /// What is wrong with the case, or a limit of the device that it cannot live with.
    fn gpu(&self, case: &Case, target: &GpuTarget) -> Result<Plan, MixerError>;
}
