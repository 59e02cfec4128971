//! What can be wrong with a link.

use mixer::explain;

use crate::{ConfigError, ReportError};

/// Why a link could not be read, or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nothing follows `#r=`.
    #[error("the link holds no race: nothing follows `#r=`")]
    Empty,
    /// Not a link of ours.
    #[error("this is no link to a race: it has no `#r=`")]
    NoRace,
    /// More characters than a link may have.
    #[error("the link has {got} characters; at most {limit} are accepted")]
    TooLong {
        /// Its length.
        got: usize,
        /// The cap.
        limit: usize,
    },
    /// Version 0 never was.
    #[error("the link claims version 0, which never existed; copy it again in full")]
    Version,
    /// A version that this build does not know.
    #[error(
        "the link was made with a newer Crossover (format {got}); reload the page or get the newest version"
    )]
    Newer {
        /// Its version.
        got: char,
    },
    /// A character that no link has, or a cut in the middle of one.
    #[error("the link is damaged at character {position}; copy it again in full")]
    Alphabet {
        /// Position after `#r=`.
        position: usize,
    },
    /// The checksum does not fit.
    #[error("the link is damaged or cut off; copy it again in full")]
    Damaged,
    /// It inflates beyond the cap.
    #[error("the link unpacks to more than {limit} bytes")]
    TooLarge {
        /// The cap.
        limit: usize,
    },
    /// The checksum fits, but the content is not of this format.
    #[error("the link's content is malformed: {reason}")]
    Content {
        /// What is wrong.
        reason: String,
    },
    /// Its configuration is out of range.
    #[error("the link's configuration is refused: {0}")]
    Config(#[from] ConfigError),
    /// Its report is out of range.
    #[error("the link's report is refused: {0}")]
    Report(#[from] ReportError),
}

impl LinkError {
    /// Public name of the field at fault, where it is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Config(error) => error.field(),
            Self::Report(error) => error.field(),
            _ => None,
        }
    }

    /// Whether the letters of the link are not what its maker wrote, as far as can be told.
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
