//! The experiment: plan, schedule, sampling, statistics, fits and crossovers. This crate has no browser, GPU or clock
//! of its own: callers supply a [`Clock`], a [`Watch`] and a [`mixer::Executor`].

mod analysis;
mod crossover;
mod decoding;
mod engine;
mod error;
mod fit;
mod growth;
mod heat;
mod plan;
mod probe;
mod progress;
mod record;
mod replicates;
mod runner;
mod scatter;
mod spec;
mod state;
pub mod stats;
mod tick;
mod verdict;

pub use analysis::baseline_of;
pub use crossover::PREDICTION_HORIZON;
pub use engine::run;
pub use error::RaceError;
pub use fit::MIN_FIT_POINTS;
pub use record::{
    Activity, Crossover, CrossoverKind, Decoding, Dnf, Estimate, Fit, LaneRecord, Outcome, Point, Progress,
    RaceSpec, Record, Status, Steps, Verdict, Versus, Warning,
};
pub use verdict::{NEGLIGIBLE, compare, decide};

/// Closed-form cost of one forward pass of a lane. The engine plans with it and records it, so it depends on no kernel.
/// An error is the lane's outcome at that length.
pub type CostFn<'a> =
    dyn Fn(&mixer::LaneSpec, &mixer::Problem) -> Result<mixer::Cost, mixer::MixerError> + 'a;

/// A monotonic clock.
pub trait Clock {
    /// Nanoseconds since an arbitrary fixed moment.
    fn now_ns(&self) -> f64;
}

/// The surroundings of a running race: cancellation, disturbances and a receiver of snapshots.
pub trait Watch {
    /// Whether the user has cancelled the race.
    fn cancelled(&self) -> bool;

    /// Counter that increases whenever timing becomes unreliable: the tab was hidden or shown, the page frozen, the
    /// worker suspended. A sample during which it changed is discarded.
    fn disturbances(&self) -> u64;

    /// Whether timing is unreliable now (the tab is hidden). The race waits while it is.
    fn disturbed(&self) -> bool;

    /// Receives a snapshot after each change worth showing.
    fn record(&self, record: &Record);

    /// Receives the progress. Called often: implementations should be cheap.
    fn progress(&self, progress: &Progress);
}
