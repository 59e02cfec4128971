//! Errors as a code with arguments, so that a page can state them in its reader's language. The English sentence is
//! each error's `Display`, which the command line and the API use.

use std::fmt;

/// An argument of an explanation. It keeps its unit, so that numbers can be written by the conventions of each
/// language.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// A name, a piece of input, or a message of a device or a browser: shown unchanged.
    Text(String),
    /// A number without a unit.
    Number(f64),
    /// Bytes.
    Bytes(u64),
    /// Nanoseconds.
    Nanoseconds(f64),
    /// A nested explanation.
    Said(Box<Said>),
}

/// Arguments by their names in the public API.
pub type Args = Vec<(&'static str, Arg)>;

/// Codes with the names of their arguments.
pub type Codes = &'static [(&'static str, &'static [&'static str])];

/// Something that has a code and arguments.
pub trait Explain: fmt::Display {
    /// Every code of this type with its arguments, without the codes of nested errors.
    const CODES: Codes;

    /// A stable code, equal in the page, the API and the command line.
    fn code(&self) -> &'static str;

    /// The arguments of the sentence.
    fn args(&self) -> Args;

    /// The whole explanation. An error that wraps another one may add its own sentence around it: the explanation then
    /// has the code of that sentence, while [`Explain::code`] stays the inner error's.
    fn said(&self) -> Said {
        Said { code: self.code(), args: self.args(), english: self.to_string() }
    }
}

/// An explanation, ready to be shown or sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// The code; empty where the message exists in English only.
    pub code: &'static str,
    /// The arguments.
    pub args: Args,
    /// The English sentence.
    pub english: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english)
    }
}

impl From<String> for Said {
    fn from(english: String) -> Self {
        Self { english, ..Self::default() }
    }
}

impl From<&str> for Said {
    fn from(english: &str) -> Self {
        english.to_owned().into()
    }
}

/// A text argument from any printable value.
pub fn text(value: &(impl fmt::Display + ?Sized)) -> Arg {
    Arg::Text(value.to_string())
}

/// A number without a unit.
pub fn number<T: Copy + TryInto<Amount>>(value: &T) -> Arg {
    Arg::Number((*value).try_into().map_or(f64::NAN, |Amount(amount)| amount))
}

/// Bytes.
pub fn bytes<T: Copy + TryInto<u64>>(value: &T) -> Arg {
    Arg::Bytes((*value).try_into().unwrap_or(u64::MAX))
}

/// A time, given in milliseconds.
pub fn milliseconds(value: &u64) -> Arg {
    Arg::Nanoseconds(*value as f64 * 1e6)
}

/// A time, given in seconds.
pub fn seconds(value: &u64) -> Arg {
    Arg::Nanoseconds(*value as f64 * 1e9)
}

/// A tensor's shape.
pub fn shape(value: &[usize]) -> Arg {
    Arg::Text(format!("{value:?}"))
}

/// A nested explanation.
pub fn said(explained: &impl Explain) -> Arg {
    Arg::Said(Box::new(explained.said()))
}

/// A nested explanation made earlier.
pub fn told(said: &Said) -> Arg {
    // A message without a code comes from a browser or a driver.
    if said.code.is_empty() { Arg::Text(said.english.clone()) } else { Arg::Said(Box::new(said.clone())) }
}

/// A number of any type that errors carry.
#[derive(Debug, Clone, Copy)]
pub struct Amount(f64);

macro_rules! amounts {
    ($($kind:ty),*) => {
        $(impl From<$kind> for Amount {
            fn from(value: $kind) -> Self {
                Self(value as f64)
            }
        })*
    };
}

amounts!(usize, u64, i64);

impl From<u32> for Amount {
    fn from(value: u32) -> Self {
        Self(value.into())
    }
}

impl From<f64> for Amount {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

/// Gives an error type its codes and arguments: a line per variant, `"name": kind(field)` per argument. Variants that
/// wrap another explained error come first, by name, with `as "code"` where they add a sentence of their own. A new
/// variant without a line does not compile.
#[macro_export]
macro_rules! explain {
    ($type:ident: $($inner:ident $(as $around:literal)?,)* {
        $($variant:ident { $($name:literal: $kind:ident($field:ident)),* } = $code:literal,)+
    }) => {
        impl $type {
            /// A stable code, equal in the page, the API and the command line.
            pub fn code(&self) -> &'static str {
                $crate::explain::Explain::code(self)
            }
        }

        impl $crate::explain::Explain for $type {
            const CODES: $crate::explain::Codes =
                &[$($(($around, &["error"]),)?)* $(($code, &[$($name),*])),+];

            fn code(&self) -> &'static str {
                match self {
                    $(Self::$inner(inner) => $crate::explain::Explain::code(inner),)*
                    $(Self::$variant { .. } => $code,)+
                }
            }

            fn args(&self) -> $crate::explain::Args {
                match self {
                    $(Self::$inner(inner) => $crate::explain::Explain::args(inner),)*
                    $(Self::$variant { $($field,)* .. } => vec![$(($name, $crate::explain::$kind($field))),*],)+
                }
            }

            fn said(&self) -> $crate::Said {
                match self {
                    $($(Self::$inner(inner) => $crate::Said {
                        code: $around,
                        args: vec![("error", $crate::explain::said(inner))],
                        english: self.to_string(),
                    },)?)*
                    _ => $crate::Said {
                        code: $crate::explain::Explain::code(self),
                        args: $crate::explain::Explain::args(self),
                        english: self.to_string(),
                    },
                }
            }
        }
    };
}
