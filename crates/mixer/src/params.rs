//! Parameters of a system as a small typed map, and their description (default, range, help).
//!
//! A race's parameters, a golden file's configuration and a link's parameters all use this map. Each system parses it
//! once, at its entry point, into its own typed spec.

use std::collections::BTreeMap;

use crate::{Allowed, MixerError};

/// One parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Explicitly absent (`null` in a golden file).
    Null,
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A word from a closed set.
    Text(String),
    /// A list.
    List(Vec<Value>),
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "\"{value}\""),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    value.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A named set of values, ordered by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params(BTreeMap<String, Value>);

impl Params {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// One value, if present.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All values in name order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A whole number within `low..=high`; `default` where absent.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where the value is of another kind or out of range.
    pub fn count_or(&self, name: &str, default: usize, low: usize, high: usize) -> Result<usize, MixerError> {
        let allowed = || Allowed::whole(low, high);
        match self.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Int(value)) => match usize::try_from(*value) {
                Ok(count) if (low..=high).contains(&count) => Ok(count),
                _ => Err(MixerError::invalid(name, allowed(), value)),
            },
            Some(other) => Err(MixerError::invalid(name, allowed(), other)),
        }
    }

    /// A whole number within `low..=high` that must be present.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where the value is absent, of another kind or out of range.
    pub fn count(&self, name: &str, low: usize, high: usize) -> Result<usize, MixerError> {
        if matches!(self.get(name), None | Some(Value::Null)) {
            return Err(MixerError::invalid(name, Allowed::whole(low, high), "nothing"));
        }
        self.count_or(name, low, low, high)
    }

    /// A flag; `default` where absent.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where the value is of another kind.
    pub fn flag_or(&self, name: &str, default: bool) -> Result<bool, MixerError> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(MixerError::invalid(name, Allowed::Flag, other)),
        }
    }

    /// A finite number within `low..=high`; `default` where absent. Whole numbers count.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where the value is of another kind or out of range.
    pub fn number_or(&self, name: &str, default: f64, low: f64, high: f64) -> Result<f64, MixerError> {
        let value = match self.get(name) {
            None | Some(Value::Null) => return Ok(default),
            Some(Value::Int(value)) => *value as f64,
            Some(Value::Float(value)) => *value,
            Some(other) => {
                return Err(MixerError::invalid(name, Allowed::number(low, high), other));
            }
        };
        if value.is_finite() && (low..=high).contains(&value) {
            Ok(value)
        } else {
            Err(MixerError::invalid(name, Allowed::number(low, high), value))
        }
    }

    /// One of a closed set of words; the first of `choices` where absent.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where the value is of another kind or not among `choices`.
    pub fn choice_or<'a>(&self, name: &str, choices: &'a [&'a str]) -> Result<&'a str, MixerError> {
        let given = match self.get(name) {
            None | Some(Value::Null) => return Ok(choices.first().copied().unwrap_or_default()),
            Some(Value::Text(text)) => text.as_str(),
            Some(other) => {
                return Err(MixerError::invalid(name, Allowed::one_of(choices), other));
            }
        };
        choices
            .iter()
            .copied()
            .find(|choice| *choice == given)
            .ok_or_else(|| MixerError::invalid(name, Allowed::one_of(choices), given))
    }
}

/// Kind, default and range of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamKind {
    /// A whole number in `low..=high`.
    Count {
        /// Default: the paper's value.
        default: usize,
        /// Smallest value.
        low: usize,
        /// Largest value.
        high: usize,
    },
    /// A flag.
    Flag {
        /// Default.
        default: bool,
    },
    /// A real number in `low..=high`.
    Number {
        /// Default: the paper's value.
        default: f64,
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// A word from a closed set. The first one is the default.
    Choice {
        /// The words.
        choices: &'static [&'static str],
    },
}

/// A parameter that a race may set. The user interface, the API and the command line all use this description.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParamSpec {
    /// The key, as in golden files' `config`.
    pub name: &'static str,
    /// Its kind, default and range.
    pub kind: ParamKind,
    /// One sentence for users.
    pub help: &'static str,
}

impl ParamSpec {
    /// Checks `params` against this description and returns the value to use, default included.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] names the parameter and its range.
    pub fn resolve(&self, params: &Params) -> Result<Value, MixerError> {
        Ok(match self.kind {
            ParamKind::Count { default, low, high } => params.count_or(self.name, default, low, high)?.into(),
            ParamKind::Flag { default } => params.flag_or(self.name, default)?.into(),
            ParamKind::Number { default, low, high } => {
                params.number_or(self.name, default, low, high)?.into()
            }
            ParamKind::Choice { choices } => params.choice_or(self.name, choices)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_defaults_and_refuses_values_out_of_range() {
        let spec = ParamSpec {
            name: "order",
            kind: ParamKind::Count { default: 2, low: 2, high: 8 },
            help: "Number of gates",
        };
        let mut params = Params::new();
        assert_eq!(spec.resolve(&params), Ok(Value::Int(2)));
        params.set("order", 3_usize);
        assert_eq!(spec.resolve(&params), Ok(Value::Int(3)));
        for bad in [Value::Int(9), Value::Int(-1), Value::Float(2.5), Value::Text("constructor".into())] {
            params.set("order", bad);
            assert!(
                matches!(spec.resolve(&params), Err(MixerError::InvalidField { field, .. }) if field == "order")
            );
        }
    }

    #[test]
    fn numbers_must_be_finite() {
        let mut params = Params::new();
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            params.set("w", bad);
            assert!(params.number_or("w", 1.0, 0.0, 10.0).is_err());
        }
    }
}
