//! What can be wrong with a message, and errors as they travel.

use mixer::{Explain, LaneError, MixerError, explain};
use report::{ConfigError, LinkError, ReasonArgs, ReportError, reason_args};
use serde::{Deserialize, Serialize};

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// More text than a message may have.
    #[error("the message has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The cap.
        limit: usize,
    },
    /// Not a JSON object.
    #[error("the message is not a JSON object: {reason}")]
    Syntax {
        /// What is wrong.
        reason: String,
    },
    /// It has no `type`.
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
        /// What is wrong.
        reason: String,
    },
    /// The configuration in it is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The report in it is refused.
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

/// Why the worker did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// Page and worker are of different builds.
    #[error("the page speaks version {page}, this worker {worker}; reload the page")]
    Version {
        /// The page's protocol.
        page: u32,
        /// The worker's protocol.
        worker: u32,
    },
    /// The second module is not there.
    #[error("the code for links could not be loaded; check the connection, reload the page and try again")]
    LinksNotLoaded,
    /// One job at a time.
    #[error("another race or verification is under way")]
    Busy,
}

explain!(WorkerError: {
    Version { "page": number(page), "worker": number(worker) } = "protocol-version",
    LinksNotLoaded {} = "not-loaded",
    Busy {} = "busy",
});

/// A refused message, and the request that it was, so that its sender can be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// The request's number, where it could be read.
    pub id: Option<u32>,
    /// Why.
    pub error: ProtocolError,
}

/// An error for programs and people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireError {
    /// Stable code.
    pub code: String,
    /// What happened, why, what to do.
    pub message: String,
    /// The configuration field at fault, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the message is about, for whoever says it in another language.
    #[serde(default, skip_serializing_if = "ReasonArgs::is_empty")]
    pub args: ReasonArgs,
}

impl WireError {
    /// An error that has no arguments and is about no field.
    pub fn new(code: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self { code: code.into(), message: message.to_string(), field: None, args: ReasonArgs::new() }
    }

    /// An error that is about no field.
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
