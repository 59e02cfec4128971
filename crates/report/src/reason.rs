//! Reasons and errors as wire types: a code with arguments beside the English message, for translation.

use std::collections::BTreeMap;

use mixer::{Arg, Said};
use serde::{Deserialize, Serialize};

use crate::text::{clean, is_clean, is_id, is_param_name};
use crate::validate::MAX_MESSAGE;
use crate::{Report, ReportError};

/// Most arguments of a reason.
const MAX_ARGS: usize = 8;
/// Deepest nesting of reasons: a link's error contains a report's, which contains a configuration's, which contains a
/// range.
const MAX_DEPTH: usize = 5;

/// Arguments by their names.
pub type ReasonArgs = BTreeMap<String, ReasonArg>;

/// A reason as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Stable code.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9-]{1,40}$")))]
    pub code: String,
    /// Arguments of its sentence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = 8)))]
    pub args: ReasonArgs,
}

/// An argument with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ReasonArg {
    /// A number without a unit.
    Number(f64),
    /// A name, a piece of input, or a message of a device or a browser.
    Text(#[cfg_attr(feature = "schema", schemars(length(max = 400)))] String),
    /// An amount of memory.
    Bytes {
        /// Bytes.
        bytes: f64,
    },
    /// A time.
    Time {
        /// Nanoseconds.
        ns: f64,
    },
    /// A nested reason.
    Reason(Reason),
}

impl From<&Arg> for ReasonArg {
    fn from(arg: &Arg) -> Self {
        match arg {
            Arg::Number(number) if number.is_finite() => Self::Number(*number),
            // JSON has no NaN and no infinities.
            Arg::Number(number) => Self::Text(number.to_string()),
            Arg::Text(text) => Self::Text(clean(text, MAX_MESSAGE)),
            Arg::Bytes(bytes) => Self::Bytes { bytes: *bytes as f64 },
            Arg::Nanoseconds(ns) if ns.is_finite() => Self::Time { ns: *ns },
            Arg::Nanoseconds(ns) => Self::Text(ns.to_string()),
            Arg::Said(said) => Self::Reason(Reason::from(&**said)),
        }
    }
}

impl From<&Said> for Reason {
    fn from(said: &Said) -> Self {
        Self { code: said.code.to_owned(), args: reason_args(&said.args) }
    }
}

/// Converts arguments to wire types.
pub fn reason_args(args: &[(&'static str, Arg)]) -> ReasonArgs {
    args.iter().map(|(name, arg)| ((*name).to_owned(), ReasonArg::from(arg))).collect()
}

impl Reason {
    /// A reason with no arguments.
    pub fn new(code: &str) -> Self {
        Self { code: code.to_owned(), args: ReasonArgs::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, name: &str, arg: ReasonArg) -> Self {
        self.args.insert(name.to_owned(), arg);
        self
    }
}

impl Report {
    /// Adds the reasons of `other` where both reports have the same message, since links carry the messages alone.
    #[must_use]
    pub fn with_reasons_of(mut self, other: &Self) -> Self {
        for (lane, from) in self.lanes.iter_mut().zip(&other.lanes) {
            for (point, from) in lane.points.iter_mut().zip(&from.points) {
                if (point.length, &point.outcome) == (from.length, &from.outcome) {
                    point.reason.clone_from(&from.reason);
                }
            }
        }
        for (warning, from) in self.warnings.iter_mut().zip(&other.warnings) {
            if warning.code == from.code {
                warning.args.clone_from(&from.args);
            }
        }
        self
    }
}

/// Checks a reason from outside.
pub(crate) fn check(reason: &Reason, at: &str) -> Result<(), ReportError> {
    if !is_id(&reason.code) {
        return Err(ReportError::invalid(format!("{at}.code"), "a stable code", &reason.code));
    }
    check_args(&reason.args, at, MAX_DEPTH)
}

/// Checks arguments from outside, with reasons nested at most `depth` deep.
pub(crate) fn check_args(args: &ReasonArgs, at: &str, depth: usize) -> Result<(), ReportError> {
    if args.len() > MAX_ARGS {
        return Err(ReportError::TooMany { field: format!("{at}.args"), limit: MAX_ARGS, got: args.len() });
    }
    for (name, arg) in args {
        let fits = is_param_name(name)
            && match arg {
                ReasonArg::Number(value) | ReasonArg::Time { ns: value } => value.is_finite(),
                ReasonArg::Bytes { bytes } => (0.0..=crate::validate::MAX_AMOUNT).contains(bytes),
                ReasonArg::Text(text) => is_clean(text, MAX_MESSAGE),
                ReasonArg::Reason(reason) => depth > 0 && is_id(&reason.code),
            };
        if !fits {
            return Err(ReportError::invalid(format!("{at}.args"), "arguments of a reason", name));
        }
        if let ReasonArg::Reason(reason) = arg {
            check_args(&reason.args, at, depth - 1)?;
        }
    }
    Ok(())
}

/// Depth of the reasons in a warning's arguments.
pub(crate) const WARNING_DEPTH: usize = MAX_DEPTH;

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Reason {
        (0..depth).fold(Reason::new("inner"), |inner, _| {
            Reason::new("outer").with("error", ReasonArg::Reason(inner))
        })
    }

    #[test]
    fn units_survive_json() {
        let reason = Reason::new("out-of-memory")
            .with("needed", ReasonArg::Bytes { bytes: 5e9 })
            .with("took", ReasonArg::Time { ns: 1.5 })
            .with("label", ReasonArg::Text("scores".to_owned()))
            .with("count", ReasonArg::Number(3.0))
            .with("error", ReasonArg::Reason(Reason::new("inner")));
        let json = serde_json::to_string(&reason).unwrap();
        assert!(json.contains(r#""needed":{"bytes":5000000000.0}"#), "{json}");
        assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), reason);
        assert_eq!(check(&reason, "reason"), Ok(()));
    }

    #[test]
    fn hostile_reasons_are_refused() {
        let number = |value| Reason::new("x").with("a", ReasonArg::Number(value));
        let many = (0..=MAX_ARGS).fold(Reason::new("x"), |reason, index| {
            reason.with(&format!("a{index}"), ReasonArg::Number(0.0))
        });
        for bad in [
            Reason::new(""),
            Reason::new("UPPER"),
            number(f64::INFINITY),
            Reason::new("x").with("a b", ReasonArg::Number(0.0)),
            Reason::new("x").with("a", ReasonArg::Text("\u{202e}evil".to_owned())),
            Reason::new("x").with("a", ReasonArg::Text("x".repeat(MAX_MESSAGE + 1))),
            Reason::new("x").with("a", ReasonArg::Bytes { bytes: -1.0 }),
            Reason::new("x").with("a", ReasonArg::Reason(Reason::new("A"))),
            nested(MAX_DEPTH + 1),
            many,
        ] {
            assert!(check(&bad, "reason").is_err(), "{bad:?}");
        }
        assert_eq!(check(&nested(MAX_DEPTH), "reason"), Ok(()));
    }

    #[test]
    fn arguments_of_errors_are_fit_to_travel() {
        let said = Said {
            code: "x",
            args: vec![("a", Arg::Number(f64::NAN)), ("b", Arg::Text("a\nb".repeat(400)))],
            english: String::new(),
        };
        assert_eq!(check(&Reason::from(&said), "reason"), Ok(()));
    }
}
