//! What a race needs of whatever runs its lanes. `crates/compute` implements it over real backends; tests implement it
//! over fakes.

use std::future::Future;

use crate::{Backend, Deviation, MixerError, Params, Problem, Said};

/// A system with parameters on a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneSpec {
    /// The system's stable name.
    pub system: String,
    /// Where it runs.
    pub backend: Backend,
    /// Its parameters, defaults filled in.
    pub params: Params,
}

/// What a prepared lane says of its set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prepared {
    /// Most bytes held at once so far, input and weights included: counted, not estimated.
    pub peak_bytes: u64,
}

/// Repetitions of finished work: the backend has nothing left to do, and the output's checksum was read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Finished {
    /// Sum of a part of the last output, so that no engine can skip the work. A case's runs give the same, bit by bit:
    /// no kernel adds in an order that chance decides.
    pub checksum: f64,
    /// Nanoseconds of all repetitions by the device's own timestamps, where it has them.
    pub device_ns: Option<f64>,
}

/// A comparison with the f64 reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verification {
    /// Length of the problem that was compared.
    pub seq_len: usize,
    /// How far the output was.
    pub deviation: Deviation,
}

/// Why a lane could not go on. It ends a lane, never a race.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The problem, the parameters or their memory was refused.
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
    /// The same case gave another output than before: what was timed is not what was compared.
    #[error("its output changed between runs: a part of it summed to {first}, then to {now}")]
    NotRepeatable {
        /// Checksum of the first run.
        first: f64,
        /// Checksum of a later one.
        now: f64,
    },
    /// The backend is not there: no WebGPU, no adapter, a refused device.
    #[error("{backend} is not available: {reason}")]
    NoBackend {
        /// The backend's name.
        backend: &'static str,
        /// Why, and what a user can do.
        reason: Said,
    },
    /// The GPU device was lost; its other lanes are over too.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost {
        /// The browser's or driver's words.
        reason: String,
    },
    /// The device refused a shader or a command.
    #[error("the GPU refused {what}: {message}")]
    Device {
        /// The shader or command.
        what: String,
        /// The device's words, with line and column where a shader is at fault.
        message: String,
    },
    /// The run was cancelled; its output is worthless.
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

/// Runs lanes. Asynchronous, because a browser's GPU is; a native executor's futures are ready at once.
pub trait Executor {
    /// A lane made ready for one problem. Dropping it frees everything that it holds.
    type Lane;

    /// Bytes that the lanes of `backend` may hold together.
    fn memory_limit_bytes(&self, backend: Backend) -> u64;

    /// Runs `problem`, which is as small as the f64 reference can afford, and compares the whole output with it.
    fn verify(
        &mut self,
        lane: &LaneSpec,
        problem: &Problem,
    ) -> impl Future<Output = Result<Verification, LaneError>>;

    /// Set-up: input and weights, allocation, upload, compilation, tables that inference would cache.
    fn prepare(
        &mut self,
        lane: &LaneSpec,
        problem: &Problem,
    ) -> impl Future<Output = Result<(Self::Lane, Prepared), LaneError>>;

    /// Fills the lane's output with NaN, so that a run that leaves any of it as it was is found out. Returns when that
    /// is done: it is in no timing.
    fn spoil(&mut self, lane: &mut Self::Lane) -> impl Future<Output = Result<(), LaneError>>;

    /// Runs the forward pass `repeats` times and returns when all work is finished.
    fn run(
        &mut self,
        lane: &mut Self::Lane,
        repeats: u32,
    ) -> impl Future<Output = Result<Finished, LaneError>>;

    /// Compares rows of the lane's last output with the f64 reference, at the lane's own length.
    fn check(&mut self, lane: &mut Self::Lane) -> impl Future<Output = Result<Verification, LaneError>>;

    /// Most bytes that the lane has held at once.
    fn peak_bytes(&self, lane: &Self::Lane) -> u64;

    /// Lets messages in: returns after the surrounding event loop, if any, had a turn.
    fn breathe(&mut self) -> impl Future<Output = ()>;
}
