//! What can be wrong with a configuration or a report that comes from outside. Each error carries a stable code, the
//! public name of the field at fault and the range that it must be in.

use std::fmt;

use mixer::{Allowed, MixerError, explain};

use crate::LengthsError;

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// More text than a configuration may have.
    #[error("the configuration has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The cap.
        limit: usize,
    },
    /// Not JSON.
    #[error("the configuration is not JSON: {reason}")]
    Syntax {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A field that no configuration has.
    #[error("unknown field `{field}`; known fields: {known}")]
    UnknownField {
        /// Its name as written.
        field: String,
        /// The known names, comma separated.
        known: String,
    },
    /// A field is not there although it is needed.
    #[error("{field}: is missing")]
    MissingField {
        /// Its public name.
        field: String,
    },
    /// A field of the wrong kind or out of range.
    #[error("{field}: must be {allowed}, got {got}")]
    InvalidField {
        /// Its public name, e.g. `lengths` or `systems[1].params.order`.
        field: String,
        /// The allowed range.
        allowed: Allowed,
        /// What was given.
        got: String,
    },
    /// Lengths in a text that is not understood in one way only.
    #[error("lengths: {0}")]
    Lengths(LengthsError),
    /// More entries than a race may have.
    #[error("{field}: at most {limit} are accepted, got {got}")]
    TooMany {
        /// `systems`, `lengths` or a lane's `params`.
        field: String,
        /// The cap.
        limit: usize,
        /// How many were given.
        got: usize,
    },
    /// No system has this name.
    #[error("{field}: unknown system `{name}`; {hint}")]
    UnknownSystem {
        /// The lane, e.g. `systems[0]`.
        field: String,
        /// The name given.
        name: String,
        /// The known names, or what names look like.
        hint: Hint,
    },
    /// The system has no such parameter.
    #[error("{field}: {system} has no such parameter; {hint}")]
    UnknownParam {
        /// The parameter, e.g. `systems[0].params.order`.
        field: String,
        /// The system.
        system: String,
        /// The known names, or what names look like.
        hint: Hint,
    },
    /// Two lanes have the same system, backend and parameters.
    #[error(
        "{field}: the same system, backend and parameters as systems[{first}]; change or remove one (`auto` is the CPU \
         where there is no GPU)"
    )]
    DuplicateLane {
        /// The later lane.
        field: String,
        /// Index of the earlier one.
        first: usize,
    },
}

impl ConfigError {
    /// Public name of the field at fault, where it is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::TooLarge { .. } | Self::Syntax { .. } => None,
            Self::Lengths(_) => Some("lengths"),
            Self::UnknownField { field, .. }
            | Self::MissingField { field }
            | Self::InvalidField { field, .. }
            | Self::TooMany { field, .. }
            | Self::UnknownSystem { field, .. }
            | Self::UnknownParam { field, .. }
            | Self::DuplicateLane { field, .. } => Some(field),
        }
    }

    /// An [`ConfigError::InvalidField`] from anything printable, which may be hostile.
    pub(crate) fn invalid(
        field: impl Into<String>,
        allowed: impl Into<Allowed>,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::InvalidField {
            field: field.into(),
            allowed: allowed.into(),
            got: crate::text::shown(&got.to_string()),
        }
    }

    /// An error of the domain about the whole problem.
    pub(crate) fn of_problem(error: MixerError) -> Self {
        match error {
            MixerError::InvalidField { field, allowed, got } => Self::InvalidField { field, allowed, got },
            other => Self::invalid("systems", "possible", other),
        }
    }

    /// An error of the domain about lane `lane` and its parameters.
    pub(crate) fn of_lane(lane: usize, error: MixerError) -> Self {
        match error {
            MixerError::InvalidField { field, allowed, got } => {
                Self::invalid(format!("systems[{lane}].params.{field}"), allowed, got)
            }
            MixerError::UnknownParam { system, name, known } => Self::UnknownParam {
                field: format!("systems[{lane}].params.{}", crate::text::shown(&name)),
                system,
                hint: if known.is_empty() { Hint::NoParams } else { Hint::KnownParams { known } },
            },
            other => Self::invalid(format!("systems[{lane}]"), "possible", other),
        }
    }
}

/// Why a report from outside was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// More text than a report may have.
    #[error("the report has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The cap.
        limit: usize,
    },
    /// Not the JSON of a report.
    #[error("this is not a report: {reason}")]
    Syntax {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// Written by a newer version.
    #[error(
        "the report has format {got}; this version reads formats up to {supported}: get a newer Crossover"
    )]
    Newer {
        /// Its format.
        got: u32,
        /// The newest format that can be read.
        supported: u32,
    },
    /// Its configuration is refused.
    #[error("config.{0}")]
    Config(#[from] ConfigError),
    /// A field out of range.
    #[error("{field}: must be {allowed}, got {got}")]
    InvalidField {
        /// Its public name, e.g. `lanes[2].points[0].medianMs`.
        field: String,
        /// The allowed range.
        allowed: Allowed,
        /// What was given.
        got: String,
    },
    /// More entries than a report may have.
    #[error("{field}: at most {limit} are accepted, got {got}")]
    TooMany {
        /// Its public name.
        field: String,
        /// The cap.
        limit: usize,
        /// How many were given.
        got: usize,
    },
}

impl ReportError {
    /// Public name of the field at fault, where it is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::TooLarge { .. } | Self::Syntax { .. } | Self::Newer { .. } => None,
            Self::Config(error) => error.field(),
            Self::InvalidField { field, .. } | Self::TooMany { field, .. } => Some(field),
        }
    }

    /// What the JSON reader says, cut: it may quote what it read.
    pub(crate) fn syntax(error: &serde_json::Error) -> Self {
        Self::Syntax { reason: crate::text::clean(&error.to_string(), 200) }
    }

    /// An [`ReportError::InvalidField`] from anything printable, which may be hostile.
    pub(crate) fn invalid(
        field: impl Into<String>,
        allowed: impl Into<Allowed>,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::InvalidField {
            field: field.into(),
            allowed: allowed.into(),
            got: crate::text::shown(&got.to_string()),
        }
    }
}

/// What names there are, or what names look like.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The known systems.
    KnownSystems {
        /// Their names, comma separated.
        known: String,
    },
    /// The system's parameters.
    KnownParams {
        /// Their names, comma separated.
        known: String,
    },
    /// The system has no parameter.
    NoParams,
    /// How systems' names are built.
    SystemNames,
    /// How parameters' names are built.
    ParamNames,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KnownSystems { known } => write!(f, "known systems: {known}"),
            Self::KnownParams { known } => write!(f, "it has: {known}"),
            Self::NoParams => f.write_str("it has none"),
            Self::SystemNames => f.write_str("names are of lower-case letters, digits and hyphens"),
            Self::ParamNames => f.write_str("names are of letters, digits and underscores"),
        }
    }
}

explain!(Hint: {
    KnownSystems { "known": text(known) } = "hint-known-systems",
    KnownParams { "known": text(known) } = "hint-known-params",
    NoParams {} = "hint-no-params",
    SystemNames {} = "hint-system-names",
    ParamNames {} = "hint-param-names",
});

explain!(ConfigError: Lengths, {
    TooLarge { "got": bytes(got), "limit": bytes(limit) } = "config-too-large",
    Syntax { "reason": text(reason) } = "config-syntax",
    UnknownField { "field": text(field), "known": text(known) } = "unknown-field",
    MissingField { "field": text(field) } = "missing-field",
    InvalidField { "field": text(field), "allowed": said(allowed), "got": text(got) } = "invalid-field",
    TooMany { "field": text(field), "limit": number(limit), "got": number(got) } = "too-many",
    UnknownSystem { "field": text(field), "name": text(name), "hint": said(hint) } = "unknown-system",
    UnknownParam { "field": text(field), "system": text(system), "hint": said(hint) } = "unknown-param",
    DuplicateLane { "field": text(field), "first": number(first) } = "duplicate-lane",
});

explain!(ReportError: Config as "report-config", {
    TooLarge { "got": bytes(got), "limit": bytes(limit) } = "report-too-large",
    Syntax { "reason": text(reason) } = "report-syntax",
    Newer { "got": number(got), "supported": number(supported) } = "report-newer",
    InvalidField { "field": text(field), "allowed": said(allowed), "got": text(got) } = "report-invalid",
    TooMany { "field": text(field), "limit": number(limit), "got": number(got) } = "report-too-many",
});
