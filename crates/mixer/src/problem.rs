//! The problem that all lanes of a race solve, and its valid ranges. Page, links, API and command line share this
//! validator, so that a link cannot ask for a problem that the page would refuse.

use crate::{Allowed, Count, MixerError, Params, Sizes, Value};

/// Where a lane runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Backend {
    /// SIMD and threads, in wasm or natively.
    Cpu,
    /// WebGPU in the browser; Vulkan, Metal or DX12 natively.
    WebGpu,
}

impl Backend {
    /// The name used in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::WebGpu => "webgpu",
        }
    }
}

/// The part of the layer that a lane computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The mixing of streams that are already projected.
    Core,
    /// The whole layer with all its projections.
    Layer,
}

impl Level {
    /// The name used in configurations, reports and golden files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Layer => "layer",
        }
    }
}

/// The work that is timed at a sequence length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Task {
    /// The forward pass over the whole sequence.
    #[default]
    Forward,
    /// Generation of tokens, one by one, after a context of `Problem::seq_len` tokens.
    Decode {
        /// Tokens generated after the context in one run; the state has room for as many.
        tokens: usize,
    },
}

impl Task {
    /// The name of the field that holds the lengths, as users write it.
    pub fn lengths_field(self) -> &'static str {
        match self {
            Self::Forward => "lengths",
            Self::Decode { .. } => "contexts",
        }
    }
}

/// One problem of the race, for inputs `[batch, seq_len, d_model]` in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Sequences in a batch.
    pub batch: usize,
    /// Sequence length; when decoding, the length of the context.
    pub seq_len: usize,
    /// Model width.
    pub d_model: usize,
    /// Attention heads; divides `d_model`.
    pub n_heads: usize,
    /// Whether an output may depend only on inputs up to its position, for systems that have both forms.
    pub causal: bool,
    /// Core or layer.
    pub level: Level,
    /// Seed of inputs and weights.
    pub seed: u64,
    /// The forward pass, or decoding.
    pub task: Task,
}

impl Problem {
    /// Largest batch accepted.
    pub const MAX_BATCH: usize = 64;
    /// Largest sequence length accepted.
    pub const MAX_SEQ_LEN: usize = 1 << 20;
    /// Largest model width accepted.
    pub const MAX_D_MODEL: usize = 4096;
    /// Most tokens of a decoding run.
    pub const MAX_TOKENS: usize = 4096;
    /// Largest sequence length whose cost can be computed. It is longer than any race.
    pub const MAX_PLANNED_SEQ_LEN: usize = 1 << 24;
    /// Largest `batch · seq_len · d_model` accepted: 2³⁰ elements, one 4 GiB stream.
    pub const MAX_ELEMENTS: u64 = 1 << 30;

    /// Width of one head. Meaningful once [`Problem::validate`] has passed.
    pub fn d_head(&self) -> usize {
        self.d_model / self.n_heads.max(1)
    }

    /// Length of the longest sequence of the problem: the context and the generated tokens.
    pub fn capacity(&self) -> usize {
        match self.task {
            Task::Forward => self.seq_len,
            Task::Decode { tokens } => self.seq_len.saturating_add(tokens),
        }
    }

    /// The forward pass over the context alone.
    #[must_use]
    pub fn forward(&self) -> Self {
        Self { task: Task::Forward, ..*self }
    }

    /// The forward pass over the context and all generated tokens: the problem that defines the outputs of decoding.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { seq_len: self.capacity(), task: Task::Forward, ..*self }
    }

    /// The sizes of the input as counts.
    pub fn sizes(&self) -> Sizes {
        let [batch, seq_len, d_model] = Count::all([self.batch, self.seq_len, self.d_model]);
        Sizes { batch, seq_len, d_model }
    }

    /// Checks every field against the ranges of a cost computation: as [`Problem::validate`], but with lengths up to
    /// [`Problem::MAX_PLANNED_SEQ_LEN`] and any number of elements, since no memory is allocated.
    ///
    /// # Errors
    /// As for [`Problem::validate`].
    pub fn validate_planned(&self) -> Result<(), MixerError> {
        self.validate_up_to(Self::MAX_PLANNED_SEQ_LEN)
    }

    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] names the first field that is out of range, as in the public API.
    pub fn validate(&self) -> Result<(), MixerError> {
        self.validate_up_to(Self::MAX_SEQ_LEN)?;
        let elements = self.whole().sizes().stream().get();
        if elements > Self::MAX_ELEMENTS {
            return Err(MixerError::invalid(
                self.task.lengths_field(),
                Allowed::AtMostForWidth {
                    high: Self::MAX_ELEMENTS / (self.batch as u64 * self.d_model as u64),
                },
                self.seq_len,
            ));
        }
        Ok(())
    }

    fn validate_up_to(&self, longest: usize) -> Result<(), MixerError> {
        in_range("batch", self.batch, 1, Self::MAX_BATCH)?;
        in_range(self.task.lengths_field(), self.seq_len, 1, longest)?;
        if let Task::Decode { tokens } = self.task {
            in_range("tokens", tokens, 1, Self::MAX_TOKENS)?;
            if !self.causal {
                return Err(MixerError::invalid("causal", Allowed::TrueWhenDecoding, false));
            }
        }
        in_range("width", self.d_model, 1, Self::MAX_D_MODEL)?;
        if self.n_heads == 0 || self.n_heads > self.d_model || !self.d_model.is_multiple_of(self.n_heads) {
            return Err(MixerError::invalid(
                "heads",
                Allowed::DivisorOfWidth { width: self.d_model as u64 },
                self.n_heads,
            ));
        }
        Ok(())
    }

    /// The sizes under the configuration keys of golden files.
    pub fn to_params(&self) -> Params {
        let mut params = Params::new();
        params.set("batch", Value::from(self.batch));
        params.set("length", Value::from(self.seq_len));
        params.set("d_model", Value::from(self.d_model));
        params.set("heads", Value::from(self.n_heads));
        params.set("causal", Value::Bool(self.causal));
        params
    }
}

fn in_range(field: &str, got: usize, low: usize, high: usize) -> Result<(), MixerError> {
    if (low..=high).contains(&got) {
        Ok(())
    } else {
        Err(MixerError::invalid(field, Allowed::whole(low, high), got))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: Problem = Problem {
        batch: 1,
        seq_len: 256,
        d_model: 256,
        n_heads: 4,
        causal: true,
        level: Level::Layer,
        seed: 0,
        task: Task::Forward,
    };

    fn field_of(problem: Problem) -> String {
        match problem.validate() {
            Err(MixerError::InvalidField { field, .. }) => field,
            other => panic!("expected an invalid field, got {other:?}"),
        }
    }

    #[test]
    fn accepts_the_default_problem() {
        assert_eq!(PROBLEM.validate(), Ok(()));
        assert_eq!(PROBLEM.d_head(), 64);
    }

    #[test]
    fn names_the_field_that_is_out_of_range() {
        assert_eq!(field_of(Problem { seq_len: 0, ..PROBLEM }), "lengths");
        assert_eq!(field_of(Problem { seq_len: usize::MAX, ..PROBLEM }), "lengths");
        assert_eq!(field_of(Problem { batch: 0, ..PROBLEM }), "batch");
        assert_eq!(field_of(Problem { d_model: 0, ..PROBLEM }), "width");
        assert_eq!(field_of(Problem { n_heads: 0, ..PROBLEM }), "heads");
        assert_eq!(field_of(Problem { n_heads: 3, ..PROBLEM }), "heads");
        assert_eq!(field_of(Problem { batch: 64, seq_len: 1 << 20, d_model: 4096, ..PROBLEM }), "lengths");
        let decode = Problem { task: Task::Decode { tokens: 64 }, ..PROBLEM };
        assert_eq!(decode.validate(), Ok(()));
        assert_eq!(decode.capacity(), 320);
        assert_eq!(field_of(Problem { seq_len: 0, ..decode }), "contexts");
        assert_eq!(field_of(Problem { task: Task::Decode { tokens: 0 }, ..decode }), "tokens");
        assert_eq!(field_of(Problem { task: Task::Decode { tokens: 4097 }, ..decode }), "tokens");
        assert_eq!(field_of(Problem { causal: false, ..decode }), "causal");
        // The generated tokens count towards the elements.
        let full = Problem { seq_len: 1 << 18, d_model: 4096, n_heads: 4, ..decode };
        assert_eq!(field_of(full), "contexts");
        assert_eq!(full.forward().validate(), Ok(()));
    }
}
