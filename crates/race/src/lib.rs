//! The experiment: plan, schedule, sampling, statistics, fits, crossover. It knows no browser, no GPU and no clock of
//! its own: it takes a [`Clock`], a [`Watch`] and a [`mixer::Executor`].

mod analysis;
mod crossover;
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
    Activity, Crossover, CrossoverKind, Dnf, Estimate, Fit, LaneRecord, Outcome, Point, Progress, RaceSpec,
    Record, Status, Verdict, Versus, Warning,
};
pub use verdict::{NEGLIGIBLE, compare, decide};

/// Closed-form cost of one forward pass of a lane: the engine plans with it and records it, and depends on no kernel.
/// An error is the lane's outcome at that length.
pub type CostFn<'a> =
    dyn Fn(&mixer::LaneSpec, &mixer::Problem) -> Result<mixer::Cost, mixer::MixerError> + 'a;

/// A monotonic clock.
pub trait Clock {
    /// Nanoseconds since any fixed moment.
    fn now_ns(&self) -> f64;
}

/// What happens around a race while it runs.
pub trait Watch {
    /// Whether the user wants it to stop.
    fn cancelled(&self) -> bool;

    /// Counts every moment at which timing became worthless: the tab was hidden or shown, the page frozen, the worker
    /// suspended. A sample during which it changed is thrown away.
    fn disturbances(&self) -> u64;

    /// Whether timing is worthless now (the tab is hidden): the race waits until it is not.
    fn disturbed(&self) -> bool;

    /// A snapshot after each change worth showing.
    fn record(&self, record: &Record);

    /// Called often.
    fn progress(&self, progress: &Progress);
}
