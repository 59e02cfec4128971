//! What this crate fails with where a lane's own error does not say it.

use mixer::{LaneError, MixerError};

use crate::golden::GoldenError;

/// Why what was asked could not be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A lane could not go on.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// A golden file could not be read.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}; ask for fewer")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// The system's answer.
        reason: String,
    },
}

impl From<MixerError> for ComputeError {
    fn from(error: MixerError) -> Self {
        Self::Lane(error.into())
    }
}

impl ComputeError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lane(error) => error.code(),
            Self::Golden(error) => error.code(),
            Self::Threads { .. } => "threads",
        }
    }
}
