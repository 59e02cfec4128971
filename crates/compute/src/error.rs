//! What an executor can fail with.

use mixer::MixerError;

use crate::golden::GoldenError;

/// Why an executor could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// The problem, the case or its memory was refused.
    #[error(transparent)]
    Mixer(#[from] MixerError),
    /// A golden file could not be read.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The run was cancelled; its output is worthless.
    #[error("cancelled")]
    Cancelled,
    /// An output is NaN or infinite although its input is not.
    #[error("output {index} is {value}, not a finite number")]
    NotFinite {
        /// Index into the flattened output.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}; ask for fewer")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// The system's answer.
        reason: String,
    },
}

impl ComputeError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mixer(error) => error.code(),
            Self::Golden(error) => error.code(),
            Self::Cancelled => "cancelled",
            Self::NotFinite { .. } => "not-finite",
            Self::Threads { .. } => "threads",
        }
    }
}
