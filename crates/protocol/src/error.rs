//! Errors of messages, and errors as wire types.

use mixer::{Explain, LaneError, MixerError, explain};
use report::{ConfigError, LinkError, ReasonArgs, ReportError, reason_args};
use serde::{Deserialize, Serialize};

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The text exceeds the size limit of a message.
    #[error("the message has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Size in bytes.
        got: usize,
        /// Largest size accepted, in bytes.
        limit: usize,
    },
    /// Not a JSON object.
    #[error("the message is not a JSON object: {reason}")]
    Syntax {
        /// The parser's message.
        reason: String,
    },
    /// The message has no `type`.
    #[error("the message has no `type`; known types: {known}")]
    NoType {
        /// The known types, comma separated.
        known: &'static str,
    },
    /// A type that this version does not know.
    #[error("unknown message type `{got}`; known types: {known}")]
    UnknownType {
        /// The type given.
        got: String,
        /// The known types, comma separated.
        known: &'static str,
    },
    /// A field is missing, unknown or of the wrong kind.
    #[error("`{kind}` message: {reason}")]
    Field {
        /// The message's type.
        kind: String,
        /// The error in the field.
        reason: String,
    },
    /// The message's configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The message's report is invalid.
    #[error(transparent)]
    Report(#[from] ReportError),
}

explain!(ProtocolError: Config, Report, {
    TooLarge { "got": bytes(got), "limit": bytes(limit) } = "message-too-large",
    Syntax { "reason": text(reason) } = "message-syntax",
    NoType { "known": text(known) } = "message-type",
    UnknownType { "got": text(got), "known": text(known) } = "message-type",
    Field { "kind": text(kind), "reason": text(reason) } = "message-field",
});

/// Why the worker refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Page and worker come from different builds.
    #[error("the page speaks version {page}, this worker {worker}; reload the page")]
    Version {
        /// The page's protocol.
        page: u32,
        /// The worker's protocol.
        worker: u32,
    },
    /// The lazily loaded module could not be loaded.
    #[error("the code for links could not be loaded; check the connection, reload the page and try again")]
    LinksNotLoaded,
    /// The worker runs one job at a time.
    #[error("another race or verification is under way")]
    Busy,
}

explain!(WorkerError: {
    Version { "page": number(page), "worker": number(worker) } = "protocol-version",
    LinksNotLoaded {} = "not-loaded",
    Busy {} = "busy",
});

/// A refused message with the number of its request, so that its sender can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// The request's number, if it could be read.
    pub id: Option<u32>,
    /// The reason.
    pub error: ProtocolError,
}

/// An error for programs and people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireError {
    /// Stable code.
    pub code: String,
    /// The event, its reason and the remedy.
    pub message: String,
    /// The wrong configuration field, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Arguments of the message, for translation.
    #[serde(default, skip_serializing_if = "ReasonArgs::is_empty")]
    pub args: ReasonArgs,
}

impl WireError {
    /// An error without arguments and without a field.
    pub fn new(code: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string(), field: None, args: ReasonArgs::new() }
    }

    /// An error without a field.
    pub fn of(error: &impl Explain) -> Self {
        Self { args: reason_args(&error.args()), ..Self::new(error.code(), error) }
    }

    fn about(error: &impl Explain, field: Option<&str>) -> Self {
        Self { field: field.map(str::to_owned), ..Self::of(error) }
    }
}

impl From<&ConfigError> for WireError {
    fn from(error: &ConfigError) -> Self {
        Self::about(error, error.field())
    }
}

impl From<&ReportError> for WireError {
    fn from(error: &ReportError) -> Self {
        Self::about(error, error.field())
    }
}

impl From<&LinkError> for WireError {
    fn from(error: &LinkError) -> Self {
        Self::about(error, error.field())
    }
}

impl From<&MixerError> for WireError {
    fn from(error: &MixerError) -> Self {
        let field = match error {
            MixerError::InvalidField { field, .. } => Some(field.as_str()),
            MixerError::UnknownSystem { .. } => Some("systems"),
            _ => None,
        };
        Self::about(error, field)
    }
}

impl From<&LaneError> for WireError {
    fn from(error: &LaneError) -> Self {
        match error {
            LaneError::Mixer(error) => error.into(),
            other => Self::of(other),
        }
    }
}

impl From<&ProtocolError> for WireError {
    fn from(error: &ProtocolError) -> Self {
        match error {
            ProtocolError::Config(error) => error.into(),
            ProtocolError::Report(error) => error.into(),
            other => Self::of(other),
        }
    }
}
