//! Errors of this crate beyond the errors of lanes.

use mixer::{LaneError, MixerError, explain};

use crate::golden::GoldenError;

/// Why an executor failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ComputeError {
    /// A lane could not continue.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// A golden file could not be read.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}; ask for fewer")]
    Threads {
        /// Number of threads requested.
        threads: usize,
        /// The operating system's message.
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

/// Why no GPU is available, with a remedy for the user.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum NoGpu {
    /// The browser lacks WebGPU.
    #[error("this browser has no WebGPU; use a current Chrome, Edge, Safari or Firefox, or race on the CPU")]
    NoApi,
    /// The page is not a secure context.
    #[error("WebGPU needs a secure page; open this page over https:// or on localhost")]
    Insecure,
    /// The browser or driver offers no adapter.
    #[error(
        "no GPU adapter ({reason}); turn on hardware acceleration, update the graphics driver, or race on the CPU"
    )]
    NoAdapter {
        /// The message of the browser or driver.
        reason: String,
    },
    /// The adapter refused to open a device.
    #[error(
        "the GPU adapter refused a device ({reason}); close other pages that use the GPU and try again, or race on the \
         CPU"
    )]
    Refused {
        /// The message of the browser or driver.
        reason: String,
    },
    /// A request without an answer.
    #[error(
        "the request for a GPU {what} got no answer within {seconds} s; reload the page, restart the browser, or race on \
         the CPU"
    )]
    NoAnswer {
        /// `adapter` or `device`.
        what: String,
        /// Waiting time in seconds.
        seconds: u64,
    },
    /// A device that was lost for the second time.
    #[error(
        "the GPU device was lost twice (last: {reason}); reload the page to try again, or race on the CPU"
    )]
    LostTwice {
        /// The message of the browser or driver.
        reason: String,
    },
    /// The options disable the GPU.
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

/// Codes of the reasons for a missing GPU.
pub const NO_GPU_CODES: mixer::explain::Codes = <NoGpu as mixer::Explain>::CODES;
