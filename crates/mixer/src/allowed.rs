//! Valid ranges of fields and parameters, as error messages state them.

use std::fmt;

/// The valid range of a field or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowed {
    /// A whole number in `low..=high`.
    Whole {
        /// Least value.
        low: u64,
        /// Greatest value.
        high: u64,
    },
    /// A number in `low..=high`, both written as the message shows them.
    Number {
        /// Least value.
        low: String,
        /// Greatest value.
        high: String,
    },
    /// A time in `low..=high` milliseconds.
    Milliseconds {
        /// Least value.
        low: u64,
        /// Greatest value.
        high: u64,
    },
    /// `auto` or a whole number from 1.
    AutoOrWhole {
        /// Greatest number.
        high: u64,
    },
    /// A divisor of the width.
    DivisorOfWidth {
        /// The width.
        width: u64,
    },
    /// A length at which `batch · length · width` stays within the limit.
    AtMostForWidth {
        /// Greatest length.
        high: u64,
    },
    /// An odd number of at least `low`.
    Odd {
        /// Least value.
        low: u64,
    },
    /// One of a closed set of words.
    OneOf {
        /// The words, comma separated.
        choices: String,
    },
    /// `core` or `layer`.
    Level,
    /// `cpu`, `webgpu` or `auto`.
    Backend,
    /// A finite number.
    Finite,
    /// A flag.
    Flag,
    /// True, since only causal forms decode.
    TrueWhenDecoding,
    /// A short word without control characters and without characters that hide or reorder text.
    ShortWord,
    /// A list with at least one entry.
    NonEmptyList,
    /// A list of whole numbers.
    WholeNumbers,
    /// A list of lanes.
    Lanes,
    /// A lane.
    Lane,
    /// A system's name.
    SystemName,
    /// An object with named fields.
    Fields,
    /// An object with named parameters.
    Params,
    /// A parameter's value.
    ParamValue,
    /// A range that only one place has, as an English phrase.
    Words {
        /// The phrase.
        words: String,
    },
}

impl Allowed {
    /// A whole number from `low` to `high`.
    pub fn whole(low: usize, high: usize) -> Self {
        Self::Whole { low: low as u64, high: high as u64 }
    }

    /// A number from `low` to `high`.
    pub fn number(low: f64, high: f64) -> Self {
        Self::Number { low: low.to_string(), high: high.to_string() }
    }

    /// One of `choices`.
    pub fn one_of(choices: &[&str]) -> Self {
        Self::OneOf { choices: choices.join(", ") }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { low, high } => write!(f, "a whole number from {low} to {high}"),
            Self::Number { low, high } => write!(f, "a number from {low} to {high}"),
            Self::Milliseconds { low, high } => write!(f, "a number from {low} to {high} (milliseconds)"),
            Self::AutoOrWhole { high } => write!(f, "\"auto\" or a whole number from 1 to {high}"),
            Self::DivisorOfWidth { width } => write!(f, "a divisor of the width ({width})"),
            Self::AtMostForWidth { high } => write!(f, "at most {high} for this batch and width"),
            Self::Odd { low } => write!(f, "an odd number from {low}"),
            Self::OneOf { choices } => write!(f, "one of {choices}"),
            Self::Level => f.write_str("\"core\" or \"layer\""),
            Self::Backend => f.write_str("\"cpu\", \"webgpu\" or \"auto\""),
            Self::Finite => f.write_str("a finite number"),
            Self::Flag => f.write_str("true or false"),
            Self::TrueWhenDecoding => {
                f.write_str("true when decoding, since a token's answer cannot depend on later tokens")
            }
            Self::ShortWord => f.write_str("a short word"),
            Self::NonEmptyList => f.write_str("a list of at least one"),
            Self::WholeNumbers => f.write_str("a list of whole numbers or a text such as \"256..16384\""),
            Self::Lanes => f.write_str("a list of names or of objects with `system`, `backend` and `params`"),
            Self::Lane => f.write_str("a system's name or an object with `system`, `backend` and `params`"),
            Self::SystemName => f.write_str("a system's name"),
            Self::Fields => f.write_str("an object with named fields"),
            Self::Params => f.write_str("an object with named parameters"),
            Self::ParamValue => f.write_str("a number, a word, true or false"),
            Self::Words { words } => f.write_str(words),
        }
    }
}

impl From<&str> for Allowed {
    fn from(words: &str) -> Self {
        Self::Words { words: words.to_owned() }
    }
}

impl From<String> for Allowed {
    fn from(words: String) -> Self {
        Self::Words { words }
    }
}

explain!(Allowed: {
    Whole { "low": number(low), "high": number(high) } = "allowed-whole",
    Number { "low": text(low), "high": text(high) } = "allowed-number",
    Milliseconds { "low": milliseconds(low), "high": milliseconds(high) } = "allowed-milliseconds",
    AutoOrWhole { "high": number(high) } = "allowed-auto-or-whole",
    DivisorOfWidth { "width": number(width) } = "allowed-divisor-of-width",
    AtMostForWidth { "high": number(high) } = "allowed-at-most-for-width",
    Odd { "low": number(low) } = "allowed-odd",
    OneOf { "choices": text(choices) } = "allowed-one-of",
    Level {} = "allowed-level",
    Backend {} = "allowed-backend",
    Finite {} = "allowed-finite",
    Flag {} = "allowed-flag",
    TrueWhenDecoding {} = "allowed-true-when-decoding",
    ShortWord {} = "allowed-short-word",
    NonEmptyList {} = "allowed-non-empty-list",
    WholeNumbers {} = "allowed-whole-numbers",
    Lanes {} = "allowed-lanes",
    Lane {} = "allowed-lane",
    SystemName {} = "allowed-system-name",
    Fields {} = "allowed-fields",
    Params {} = "allowed-params",
    ParamValue {} = "allowed-param-value",
    Words { "words": text(words) } = "allowed-words",
});
