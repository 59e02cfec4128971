//! Messages between a page and its worker, one enum per direction, as JSON text. `crossover.js` moves them without
//! reading more than `type` and `id`; both ends are decoded in Rust: see [`Request::parse`] and [`Event::parse`].

mod error;
mod parse;

pub use error::{ProtocolError, Refused, WireError, WorkerError};
pub use parse::MAX_MESSAGE_BYTES;

use report::{BackendName, Config, Environment, Report, SystemEntry};
use serde::{Deserialize, Serialize};

/// Version of these messages: a page and a worker of different builds refuse each other with a clear error.
pub const PROTOCOL_VERSION: u32 = 1;

/// Page to worker. Bytes of a golden file travel beside `verify` as a transferred `ArrayBuffer`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// First message: what the page knows and the worker can't see.
    Hello {
        /// [`PROTOCOL_VERSION`].
        protocol: u32,
        /// Name of the wasm variant that the page chose.
        variant: String,
    },
    /// Runs a race; answered by `report` and `progress` events and at last `done` or `error`.
    Race {
        /// Chosen by the page; every event of this race carries it.
        id: u32,
        /// What to race.
        config: Box<Config>,
    },
    /// Ends the race `id` at the next moment that it can.
    Cancel {
        /// The race.
        id: u32,
    },
    /// The page was hidden or shown: timing is worthless meanwhile.
    Visibility {
        /// Whether it is hidden now.
        hidden: bool,
    },
    /// Verifies a golden file; answered by `verified` or `error`.
    Verify {
        /// Chosen by the page.
        id: u32,
        /// Backend to verify on.
        backend: BackendName,
    },
    /// Asks for the link that holds a report; answered by `link` or `error`.
    EncodeLink {
        /// Chosen by the page.
        id: u32,
        /// The report.
        report: Box<Report>,
    },
    /// Asks what a link holds; answered by `linked` or `error`.
    DecodeLink {
        /// Chosen by the page.
        id: u32,
        /// The link, or its fragment.
        url: String,
    },
    /// Asks for a sign of life; answered by `pong` as soon as the worker's event loop turns.
    Ping {
        /// Echoed.
        id: u32,
    },
    /// For tests of what happens next: loses the GPU device on purpose.
    LoseDevice,
}

/// Worker to page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The worker is ready; also sent again when the environment changes (a device is lost).
    Ready {
        /// [`PROTOCOL_VERSION`].
        protocol: u32,
        /// The machine.
        environment: Box<Environment>,
        /// All systems.
        systems: Vec<SystemEntry>,
    },
    /// A snapshot of the race so far. The last one is the state: nothing else needs to be kept.
    Report {
        /// The race.
        id: u32,
        /// The snapshot.
        report: Box<Report>,
    },
    /// What is being done and how long the rest will take.
    Progress {
        /// The race.
        id: u32,
        /// Between 0 and 1.
        fraction: f64,
        /// Milliseconds left.
        remaining_ms: f64,
        /// Index of the lane at work.
        lane: u32,
        /// Length at work.
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
    /// What a link holds.
    Linked {
        /// The request.
        id: u32,
        /// The configuration.
        config: Box<Config>,
        /// The report, where the link holds one.
        report: Option<Box<Report>>,
    },
    /// The request failed; other requests and their results are untouched.
    Error {
        /// The request, where it is about one.
        id: Option<u32>,
        /// The error.
        error: WireError,
    },
    /// Answer to `ping`.
    Pong {
        /// The ping's.
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
    /// The same relative to the largest reference magnitude.
    pub max_rel: Option<f64>,
    /// Whether it is within the file's tolerance.
    pub pass: bool,
    /// That tolerance, by the file's own word.
    pub tolerance: Tolerance,
    /// Unread keys of the file's configuration, then its unread tensors: it may mean another computation.
    pub unread: Vec<String>,
}

/// How far an output may be from a golden file's: |Δ| at most `abs` + `rel` · |y|.
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
