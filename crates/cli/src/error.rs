//! Errors that end the command with status 2. Their codes are those of the page and its API.

use std::path::PathBuf;

use compute::ComputeError;
use mixer::{LaneError, MixerError};
use race::RaceError;
use report::{ConfigError, FileError, LinkError, ReportError, TextError};

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration was refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A report was refused.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A link was refused.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The race did not start.
    #[error(transparent)]
    Race(#[from] RaceError),
    /// A system or its problem was refused.
    #[error(transparent)]
    Mixer(#[from] MixerError),
    /// The machine could not be set up.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// A backend is not available.
    #[error(transparent)]
    Backend(#[from] LaneError),
    /// A lane's text cannot be read.
    #[error("--systems: `{lane}` is not a lane; write name[@backend][:param=value]…, e.g. hyena@cpu:order=3")]
    Lane {
        /// The text.
        lane: String,
    },
    /// A file or folder could not be read.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// The operating system's message.
        error: std::io::Error,
    },
    /// A file is not text.
    #[error("{path}: {error}", path = path.display())]
    NoText {
        /// Its path.
        path: PathBuf,
        /// The reason.
        error: TextError,
    },
    /// A file's text contains no race, or an invalid one.
    #[error(transparent)]
    Content(#[from] FileError),
    /// A pipe, a device or another file without an end.
    #[error("{path}: not a regular file", path = path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },
    /// A golden file could not be verified.
    #[error("{path}: {error}", path = path.display())]
    Golden {
        /// Its path.
        path: PathBuf,
        /// The reason.
        error: ComputeError,
    },
    /// A file exceeds the size limit.
    #[error("{path}: more than {limit} bytes", path = path.display())]
    FileTooLarge {
        /// Its path.
        path: PathBuf,
        /// Largest size accepted, in bytes.
        limit: u64,
    },
    /// A link with a configuration cannot be printed as a result.
    #[error("the link contains a configuration without a result; only its JSON can be printed")]
    NoReport,
    /// No golden file was found.
    #[error("{path}: contains no golden file (*.safetensors)", path = path.display())]
    NoGolden {
        /// The folder.
        path: PathBuf,
    },
    /// The handler of Ctrl-C could not be installed.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    /// Standard output cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    /// JSON could not be written.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl CliError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Report(error) => error.code(),
            Self::Link(error) => error.code(),
            Self::Race(error) => error.code(),
            Self::Mixer(error) => error.code(),
            Self::Compute(error) | Self::Golden { error, .. } => error.code(),
            Self::Backend(error) => error.code(),
            Self::Lane { .. } => "lane-syntax",
            Self::Content(error) => error.code(),
            Self::File { .. } | Self::FileTooLarge { .. } | Self::NotAFile { .. } | Self::NoText { .. } => {
                "file"
            }
            Self::NoGolden { .. } => "no-golden",
            Self::NoReport => "no-report",
            Self::Signal(_) => "signal",
            Self::Output(_) | Self::Json(_) => "output",
        }
    }
}
