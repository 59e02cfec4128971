//! What this crate fails with where a lane's own error does not say it.

use mixer::{LaneError, MixerError, explain};

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

explain!(ComputeError: Lane, Golden, {
    Threads { "threads": number(threads), "reason": text(reason) } = "threads",
});

/// Why there is no GPU, and what a user can do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum NoGpu {
    /// A browser without WebGPU.
    #[error("this browser has no WebGPU; use a current Chrome, Edge, Safari or Firefox, or race on the CPU")]
    NoApi,
    /// A page without a secure context.
    #[error("WebGPU needs a secure page; open this page over https:// or on localhost")]
    Insecure,
    /// No adapter.
    #[error(
        "no GPU adapter ({reason}); turn on hardware acceleration, update the graphics driver, or race on the CPU"
    )]
    NoAdapter {
        /// The browser's or driver's words.
        reason: String,
    },
    /// No device.
    #[error(
        "the GPU adapter refused a device ({reason}); close other pages that use the GPU and try again, or race on the \
         CPU"
    )]
    Refused {
        /// The browser's or driver's words.
        reason: String,
    },
    /// A request that was not answered.
    #[error(
        "the request for a GPU {what} got no answer within {seconds} s; reload the page, restart the browser, or race on \
         the CPU"
    )]
    NoAnswer {
        /// `adapter` or `device`.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A device that was lost twice.
    #[error(
        "the GPU device was lost twice (last: {reason}); reload the page to try again, or race on the CPU"
    )]
    LostTwice {
        /// The browser's or driver's words.
        reason: String,
    },
    /// Options that turn the GPU off.
    #[error("the GPU was turned off for this machine; turn it on to race there")]
    TurnedOff,
}

explain!(NoGpu: {
    NoApi {} = "gpu-no-api",
    Insecure {} = "gpu-insecure",
    NoAdapter { "reason": text(reason) } = "gpu-no-adapter",
    Refused { "reason": text(reason) } = "gpu-refused",
    NoAnswer { "what": text(what), "seconds": seconds(seconds) } = "gpu-no-answer",
    LostTwice { "reason": text(reason) } = "gpu-lost-twice",
    TurnedOff {} = "gpu-turned-off",
});

/// Codes of why there is no GPU.
pub const NO_GPU_CODES: mixer::explain::Codes = <NoGpu as mixer::Explain>::CODES;
