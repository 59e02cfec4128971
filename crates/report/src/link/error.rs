//! Errors of links.

use mixer::explain;

use crate::{ConfigError, ReportError};

/// Why a link could not be read, or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nothing follows `#r=`.
    #[error("the link is empty: nothing follows `#r=`")]
    Empty,
    /// The text has no link.
    #[error("this is not a link to a race: it has no `#r=`")]
    NoRace,
    /// The link exceeds the length limit.
    #[error("the link has {got} characters; at most {limit} are accepted")]
    TooLong {
        /// Its length in characters.
        got: usize,
        /// Greatest length accepted, in characters.
        limit: usize,
    },
    /// The version is 0, which never existed.
    #[error("the link has version 0, which does not exist; copy it again in full")]
    Version,
    /// A version that this build cannot read.
    #[error(
        "the link was made with a newer Crossover (format {got}); reload the page or get the newest version"
    )]
    Newer {
        /// Its version.
        got: char,
    },
    /// A character that links do not have, or a link that ends within a group of letters.
    #[error("the link is damaged at character {position}; copy it again in full")]
    Alphabet {
        /// Position of the character after `#r=`.
        position: usize,
    },
    /// The checksum does not match.
    #[error("the link is damaged or cut off; copy it again in full")]
    Damaged,
    /// The link inflates beyond the size limit.
    #[error("the link unpacks to more than {limit} bytes")]
    TooLarge {
        /// Greatest size accepted, in bytes.
        limit: usize,
    },
    /// The checksum matches, but the content does not have this format.
    #[error("the link's content is malformed: {reason}")]
    Content {
        /// The decoder's message.
        reason: String,
    },
    /// The link's configuration is invalid.
    #[error("the link's configuration is refused: {0}")]
    Config(#[from] ConfigError),
    /// The link's report is invalid.
    #[error("the link's report is refused: {0}")]
    Report(#[from] ReportError),
}

impl LinkError {
    /// Public name of the wrong field, if there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Config(error) => error.field(),
            Self::Report(error) => error.field(),
            _ => None,
        }
    }

    /// Whether the error suggests that the link's letters were altered in transit.
    pub(super) fn is_of_letters(&self) -> bool {
        matches!(
            self,
            Self::Empty
                | Self::NoRace
                | Self::Version
                | Self::Newer { .. }
                | Self::Alphabet { .. }
                | Self::Damaged
        )
    }

    pub(super) fn content(reason: impl std::fmt::Display) -> Self {
        Self::Content { reason: reason.to_string() }
    }
}

explain!(LinkError: Config as "link-config", Report as "link-report", {
    Empty {} = "link-empty",
    NoRace {} = "link-no-race",
    TooLong { "got": number(got), "limit": number(limit) } = "link-too-long",
    Version {} = "link-version",
    Newer { "got": text(got) } = "link-newer",
    Alphabet { "position": number(position) } = "link-damaged",
    Damaged {} = "link-damaged",
    TooLarge { "limit": bytes(limit) } = "link-too-large",
    Content { "reason": text(reason) } = "link-malformed",
});
