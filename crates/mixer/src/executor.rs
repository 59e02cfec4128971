//! The interface between a race and the executor of its lanes. `crates/compute` implements it for real backends, tests
//! implement it with fakes.

use std::future::Future;

use crate::{Backend, Deviation, MixerError, Params, Problem, Said};

/// A system with parameters on a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneSpec {
    /// The system's stable name.
    pub system: String,
    /// Where it runs.
    pub backend: Backend,
    /// The parameters, defaults included.
    pub params: Params,
}

/// Result of a lane's set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prepared {
    /// Peak of the bytes held so far, input and weights included. Counted, not estimated.
    pub peak_bytes: u64,
}

/// Result of a run: the backend has finished all work, and the output's checksum was read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Finished {
    /// Sum of a part of the last output; reading it keeps an optimiser from skipping the work. Bit-identical for all
    /// runs of a case, since no kernel's order of additions depends on chance.
    pub checksum: f64,
    /// Nanoseconds of all repetitions by the device's own timestamps, where it has them.
    pub device_ns: Option<f64>,
}

/// Result of a comparison with the f64 reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verification {
    /// Sequence length of the compared problem.
    pub seq_len: usize,
    /// The deviation of the output from the reference.
    pub deviation: Deviation,
}

/// Why a lane cannot continue. Such an error ends a lane, never a race.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The problem, the parameters or the memory for them was refused.
    #[error(transparent)]
    Mixer(#[from] MixerError),
    /// An output is NaN or infinite although its input is not.
    #[error("output {index} is {value}, not a finite number")]
    NotFinite {
        /// Index into the flattened output.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A case gave a different output than in an earlier run, so the timed output is not the checked one.
    #[error("its output changed between runs: a part of it summed to {first}, then to {now}")]
    NotRepeatable {
        /// Checksum of the first run.
        first: f64,
        /// Checksum of a later one.
        now: f64,
    },
    /// The backend is not available: no WebGPU, no adapter, or a refused device.
    #[error("{backend} is not available: {reason}")]
    NoBackend {
        /// The backend's name.
        backend: &'static str,
        /// The reason, and the remedy for a user.
        reason: Said,
    },
    /// The GPU device was lost, which ends all lanes on it.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost {
        /// The message of the browser or driver.
        reason: String,
    },
    /// The device refused a shader or a command.
    #[error("the GPU refused {what}: {message}")]
    Device {
        /// The shader or command.
        what: String,
        /// The device's message, with line and column where a shader is at fault.
        message: String,
    },
    /// The run was cancelled. Its output is invalid.
    #[error("cancelled")]
    Cancelled,
}

explain!(LaneError: Mixer, {
    NotFinite { "index": number(index), "value": text(value) } = "not-finite",
    NotRepeatable { "first": number(first), "now": number(now) } = "not-repeatable",
    NoBackend { "backend": text(backend), "reason": told(reason) } = "no-backend",
    DeviceLost { "reason": text(reason) } = "device-lost",
    Device { "what": text(what), "message": text(message) } = "device-error",
    Cancelled {} = "cancelled",
});

/// Runs lanes. Asynchronous, because a browser's GPU is. A native executor's futures are ready immediately.
pub trait Executor {
    /// A lane prepared for one problem. Dropping it frees all of its memory.
    type Lane;

    /// Bytes that all lanes of `backend` together may hold.
    fn memory_limit_bytes(&self, backend: Backend) -> u64;

    /// Runs `problem`, which is small enough for the f64 reference, and compares the whole output with the reference.
    fn verify(
        &mut self,
        lane: &LaneSpec,
        problem: &Problem,
    ) -> impl Future<Output = Result<Verification, LaneError>>;

    /// Prepares a lane: input and weights, allocation, upload, compilation, and tables that inference would cache.
    fn prepare(
        &mut self,
        lane: &LaneSpec,
        problem: &Problem,
    ) -> impl Future<Output = Result<(Self::Lane, Prepared), LaneError>>;

    /// Fills the lane's output with NaN, so that values that a run does not write are detected, and returns a lane that
    /// decodes to the end of its context. Returns when that is done, so it is part of no timing.
    fn spoil(&mut self, lane: &mut Self::Lane) -> impl Future<Output = Result<(), LaneError>>;

    /// Runs the forward pass `repeats` times, or generates as many tokens one by one, and returns when all work is
    /// finished. Tokens follow those of the last run, until [`Executor::spoil`] returns to the end of the context.
    fn run(
        &mut self,
        lane: &mut Self::Lane,
        repeats: u32,
    ) -> impl Future<Output = Result<Finished, LaneError>>;

    /// Compares parts of the lane's last output, or of the generated tokens' outputs, with the f64 reference, at the lane's
    /// own length.
    fn check(&mut self, lane: &mut Self::Lane) -> impl Future<Output = Result<Verification, LaneError>>;

    /// Empties the state of a lane that decodes and fills it with the context again, by the parallel form and with every
    /// token's output: the work before the first generated token. Afterwards the lane is as prepared.
    fn prefill(&mut self, lane: &mut Self::Lane) -> impl Future<Output = Result<(), LaneError>>;

    /// Bytes of the state of a lane that decodes, as counted; `None` for a forward pass.
    fn state_bytes(&self, lane: &Self::Lane) -> Option<u64>;

    /// Peak of the bytes that the lane has held.
    fn peak_bytes(&self, lane: &Self::Lane) -> u64;

    /// Returns after the surrounding event loop, if any, had a turn, so that messages can arrive.
    fn breathe(&mut self) -> impl Future<Output = ()>;
}
