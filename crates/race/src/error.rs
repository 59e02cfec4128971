//! Reasons why a race cannot run at all. An error that ends a lane is a value in the record instead.

use mixer::{MixerError, explain};

/// Why a race did not start.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RaceError {
    /// The specification is out of range.
    #[error(transparent)]
    Invalid(#[from] MixerError),
    /// The clock did not advance in `reads` readings, so every lane would seem to take no time.
    #[error(
        "the clock did not advance in {reads} readings; nothing can be timed (a privacy setting that freezes timers \
         can do this)"
    )]
    ClockStopped {
        /// Readings taken.
        reads: u64,
    },
}

explain!(RaceError: Invalid, {
    ClockStopped { "reads": number(reads) } = "clock-stopped",
});
