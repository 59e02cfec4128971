//! Errors of configurations and reports from outside. Each carries a stable code, the public name of the wrong field
//! and its valid range.

use std::fmt;

use mixer::{Allowed, MixerError, explain};

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text exceeds the size limit of a configuration.
    #[error("the configuration has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Size in bytes.
        got: usize,
        /// Largest size accepted, in bytes.
        limit: usize,
    },
    /// Not JSON.
    #[error("the configuration is not JSON: {reason}")]
    Syntax {
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A field that configurations do not have.
    #[error("unknown field `{field}`; known fields: {known}")]
    UnknownField {
        /// Its name as written.
        field: String,
        /// The known names, comma separated.
        known: String,
    },
    /// A required field is missing.
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
        /// The value given.
        got: String,
    },
    /// A range of lengths that descends.
    #[error("{field}: a range goes from short to long: {to}..{from}, not {from}..{to}")]
    LengthsOrder {
        /// `lengths` or `contexts`.
        field: String,
        /// The range's first length.
        from: u64,
        /// Its second, smaller length.
        to: u64,
    },
    /// A comma or a blank in a text of lengths that is probably a thousands separator.
    #[error(
        "{field}: did you mean {meant}? Write thousands without a separator, and separate lengths as {apart}"
    )]
    Thousands {
        /// `lengths` or `contexts`.
        field: String,
        /// The number without the separator.
        meant: u64,
        /// The parts as separate lengths, in the form that is never ambiguous.
        apart: String,
    },
    /// A field that the configured mode does not have.
    #[error("{field}: {hint}")]
    OtherMode {
        /// `lengths` when decoding; `contexts` or `tokens` otherwise.
        field: String,
        /// The remedy.
        hint: Hint,
    },
    /// More entries than a race may have.
    #[error("{field}: at most {limit} are accepted, got {got}")]
    TooMany {
        /// `systems`, `lengths`, `contexts` or a lane's `params`.
        field: String,
        /// Most entries accepted.
        limit: usize,
        /// Number of entries given.
        got: usize,
    },
    /// No system has this name.
    #[error("{field}: unknown system `{name}`; {hint}")]
    UnknownSystem {
        /// The lane, e.g. `systems[0]`.
        field: String,
        /// The name given.
        name: String,
        /// The known names, or the form of names.
        hint: Hint,
    },
    /// The system has no such parameter.
    #[error("{field}: {system} has no such parameter; {hint}")]
    UnknownParam {
        /// The parameter, e.g. `systems[0].params.order`.
        field: String,
        /// The system.
        system: String,
        /// The known names, or the form of names.
        hint: Hint,
    },
    /// Two lanes have the same system, backend and parameters.
    #[error(
        "{field}: the same system, backend and parameters as systems[{first}]; change or remove one (`auto` is the CPU \
         where there is no GPU)"
    )]
    DuplicateLane {
        /// The later of the two lanes.
        field: String,
        /// Index of the earlier lane.
        first: usize,
    },
}

impl ConfigError {
    /// Public name of the wrong field, if there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::TooLarge { .. } | Self::Syntax { .. } => None,
            Self::UnknownField { field, .. }
            | Self::MissingField { field }
            | Self::InvalidField { field, .. }
            | Self::LengthsOrder { field, .. }
            | Self::Thousands { field, .. }
            | Self::OtherMode { field, .. }
            | Self::TooMany { field, .. }
            | Self::UnknownSystem { field, .. }
            | Self::UnknownParam { field, .. }
            | Self::DuplicateLane { field, .. } => Some(field),
        }
    }

    /// An [`ConfigError::InvalidField`] with a value of any printable type. The value is cleaned and cut, since it may
    /// be hostile.
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

    /// Converts an error about the whole problem.
    pub(crate) fn of_problem(error: MixerError) -> Self {
        match error {
            MixerError::InvalidField { field, allowed, got } => Self::InvalidField { field, allowed, got },
            other => Self::invalid("systems", "possible", other),
        }
    }

    /// Converts an error about lane `lane` and its parameters.
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
    /// The text exceeds the size limit of a report.
    #[error("the report has {got} bytes; at most {limit} are accepted")]
    TooLarge {
        /// Size in bytes.
        got: usize,
        /// Largest size accepted, in bytes.
        limit: usize,
    },
    /// Not the JSON of a report.
    #[error("this is not a report: {reason}")]
    Syntax {
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A report of a newer version.
    #[error(
        "the report has format {got}; this version reads formats up to {supported}: get a newer Crossover"
    )]
    Newer {
        /// Its format version.
        got: u32,
        /// The newest format version that can be read.
        supported: u32,
    },
    /// The report's configuration is invalid.
    #[error("config.{0}")]
    Config(#[from] ConfigError),
    /// A field out of range.
    #[error("{field}: must be {allowed}, got {got}")]
    InvalidField {
        /// Its public name, e.g. `lanes[2].points[0].medianMs`.
        field: String,
        /// The allowed range.
        allowed: Allowed,
        /// The value given.
        got: String,
    },
    /// More entries than a report may have.
    #[error("{field}: at most {limit} are accepted, got {got}")]
    TooMany {
        /// Its public name.
        field: String,
        /// Most entries accepted.
        limit: usize,
        /// Number of entries given.
        got: usize,
    },
}

impl ReportError {
    /// Public name of the wrong field, if there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::TooLarge { .. } | Self::Syntax { .. } | Self::Newer { .. } => None,
            Self::Config(error) => error.field(),
            Self::InvalidField { field, .. } | Self::TooMany { field, .. } => Some(field),
        }
    }

    /// The JSON parser's message, cut, since it may quote the input.
    pub(crate) fn syntax(error: &serde_json::Error) -> Self {
        Self::Syntax { reason: crate::text::clean(&error.to_string(), 200) }
    }

    /// An [`ReportError::InvalidField`] with a value of any printable type. The value is cleaned and cut, since it may
    /// be hostile.
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

/// The remedy in an error message: the known names, the form of names, or the mode of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// A decode race has contexts.
    UseContexts,
    /// Only a decode race has the field.
    SetDecode,
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
    /// The system has no parameters.
    NoParams,
    /// The form of systems' names.
    SystemNames,
    /// The form of parameters' names.
    ParamNames,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UseContexts => f.write_str(
                "mode \"decode\" has no such field; give the lengths as `contexts`, or leave out `mode`",
            ),
            Self::SetDecode => f.write_str("is for mode \"decode\" only; set `mode`, or leave the field out"),
            Self::KnownSystems { known } => write!(f, "known systems: {known}"),
            Self::KnownParams { known } => write!(f, "it has: {known}"),
            Self::NoParams => f.write_str("it has none"),
            Self::SystemNames => f.write_str("names are of lower-case letters, digits and hyphens"),
            Self::ParamNames => f.write_str("names are of letters, digits and underscores"),
        }
    }
}

explain!(Hint: {
    UseContexts {} = "hint-use-contexts",
    SetDecode {} = "hint-set-decode",
    KnownSystems { "known": text(known) } = "hint-known-systems",
    KnownParams { "known": text(known) } = "hint-known-params",
    NoParams {} = "hint-no-params",
    SystemNames {} = "hint-system-names",
    ParamNames {} = "hint-param-names",
});

explain!(ConfigError: {
    TooLarge { "got": bytes(got), "limit": bytes(limit) } = "config-too-large",
    Syntax { "reason": text(reason) } = "config-syntax",
    UnknownField { "field": text(field), "known": text(known) } = "unknown-field",
    MissingField { "field": text(field) } = "missing-field",
    InvalidField { "field": text(field), "allowed": said(allowed), "got": text(got) } = "invalid-field",
    LengthsOrder { "field": text(field), "from": number(from), "to": number(to) } = "invalid-field",
    Thousands { "field": text(field), "meant": number(meant), "apart": text(apart) } = "invalid-field",
    OtherMode { "field": text(field), "hint": said(hint) } = "other-mode",
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
