//! Messages between a page and its worker, one enum per direction, as JSON text. `crossover.js` forwards them and reads
//! only `type` and `id`. Both ends are decoded in Rust: see [`Request::parse`] and [`Event::parse`].

mod error;
mod parse;

pub use error::{ProtocolError, Refused, WireError, WorkerError};
pub use parse::MAX_MESSAGE_BYTES;

use report::{BackendName, Config, Environment, Report, SystemEntry};
use serde::{Deserialize, Serialize};

/// Version of these messages. A page and a worker of different versions refuse each other with a clear error.
pub const PROTOCOL_VERSION: u32 = 1;

/// Messages from page to worker. The bytes of a golden file travel beside `verify` as a transferred `ArrayBuffer`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// The first message: facts that the page knows and the worker cannot determine.
    Hello {
        /// [`PROTOCOL_VERSION`].
        protocol: u32,
        /// Name of the wasm variant that the page chose.
        variant: String,
    },
    /// Runs a race. Answered by `report` and `progress` events, and finally `done` or `error`.
    Race {
        /// Number chosen by the page. Every event of this race has it.
        id: u32,
        /// The configuration.
        config: Box<Config>,
    },
    /// Ends the race `id` at the next opportunity.
    Cancel {
        /// The race.
        id: u32,
    },
    /// The page was hidden or shown. Timing is unreliable while it is hidden.
    Visibility {
        /// Whether it is hidden now.
        hidden: bool,
    },
    /// Verifies a golden file; answered by `verified` or `error`.
    Verify {
        /// Number chosen by the page.
        id: u32,
        /// Backend to verify on.
        backend: BackendName,
    },
    /// Asks for the link that holds a report; answered by `link` or `error`.
    EncodeLink {
        /// Number chosen by the page.
        id: u32,
        /// The report.
        report: Box<Report>,
    },
    /// Asks for the content of a link; answered by `linked` or `error`.
    DecodeLink {
        /// Number chosen by the page.
        id: u32,
        /// The link, or its fragment.
        url: String,
    },
    /// Asks for a sign of life; answered by `pong` at the next turn of the worker's event loop.
    Ping {
        /// Number that the answer repeats.
        id: u32,
    },
    /// Loses the GPU device on purpose, for tests.
    LoseDevice,
}

/// Messages from worker to page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The worker is ready. Sent again when the environment changes, for example after the loss of a device.
    Ready {
        /// [`PROTOCOL_VERSION`].
        protocol: u32,
        /// The machine.
        environment: Box<Environment>,
        /// All systems.
        systems: Vec<SystemEntry>,
    },
    /// A snapshot of the race. Each one is complete, so only the last one is needed.
    Report {
        /// The race.
        id: u32,
        /// The snapshot.
        report: Box<Report>,
    },
    /// Current activity and expected remaining time.
    Progress {
        /// The race.
        id: u32,
        /// Done fraction of the expected time, between 0 and 1.
        fraction: f64,
        /// Expected remaining milliseconds.
        remaining_ms: f64,
        /// Index of the current lane.
        lane: u32,
        /// Current sequence length.
        length: u32,
        /// `verifying`, `preparing`, `warming-up`, `sampling` or `checking-drift`.
        activity: String,
    },
    /// The race is over, cancelled or not.
    Done {
        /// The race.
        id: u32,
        /// The final report.
        report: Box<Report>,
    },
    /// A golden file was verified.
    Verified {
        /// The request.
        id: u32,
        /// The outcome.
        result: VerifyResult,
    },
    /// The fragment of a link, `#r=…`.
    Link {
        /// The request.
        id: u32,
        /// The fragment.
        fragment: String,
    },
    /// The content of a link.
    Linked {
        /// The request.
        id: u32,
        /// The configuration.
        config: Box<Config>,
        /// The report, if the link contains one.
        report: Option<Box<Report>>,
    },
    /// The request failed. Other requests and their results are unaffected.
    Error {
        /// The request's number, if the error concerns one.
        id: Option<u32>,
        /// The error.
        error: WireError,
    },
    /// Answer to `ping`.
    Pong {
        /// The number of the ping.
        id: u32,
    },
}

/// Outcome of a verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyResult {
    /// The system.
    pub system: String,
    /// The case's name.
    pub case: String,
    /// `core` or `layer`.
    pub level: String,
    /// `cpu` or `webgpu`.
    pub backend: String,
    /// Largest absolute difference; absent where an output was not finite.
    pub max_abs: Option<f64>,
    /// Largest absolute difference over the largest reference magnitude.
    pub max_rel: Option<f64>,
    /// Whether the difference is within the file's tolerance.
    pub pass: bool,
    /// The file's own tolerance.
    pub tolerance: Tolerance,
    /// Unread keys of the file's configuration, then its unread tensors. With any of these, the file may describe
    /// another computation.
    pub unread: Vec<String>,
}

/// Largest deviation from a golden file: |Δ| at most `abs` + `rel` · |y|.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// Absolute part.
    pub abs: f64,
    /// Relative part.
    pub rel: f64,
}

mod read;
#[cfg(test)]
mod tests;
