//! The clock of a worker, and the surroundings of a race.

use std::cell::Cell;

use race::{Clock, Progress, Record, Watch};

/// `performance.now()` of the worker.
#[derive(Clone)]
pub(crate) struct PerformanceClock(web_sys::Performance);

/// Number of clock steps for the hardware card. A race measures the step again, more thoroughly.
const STEPS: usize = 9;

/// Readings after which an unmoved clock is taken as stopped.
const MAX_READS: usize = 1_000_000;

impl PerformanceClock {
    /// The worker's clock, where it has one.
    pub(crate) fn new() -> Option<Self> {
        let scope = js_sys::global();
        let performance = js_sys::Reflect::get(&scope, &"performance".into()).ok()?;
        (!performance.is_undefined()).then(|| Self(performance.into()))
    }

    /// The clock's step in nanoseconds, the median of a few; 0 where the clock does not move.
    pub(crate) fn tick_ns(&self) -> f64 {
        let mut steps = Vec::with_capacity(STEPS);
        let mut previous = self.now_ns();
        for _ in 0..MAX_READS {
            let now = self.now_ns();
            if now > previous {
                steps.push(now - previous);
                if steps.len() == STEPS {
                    break;
                }
            }
            previous = now;
        }
        race::stats::median(&steps).unwrap_or_default()
    }
}

impl Clock for PerformanceClock {
    fn now_ns(&self) -> f64 {
        self.0.now() * 1e6
    }
}

/// State set by the page's messages: visibility and cancellation.
#[derive(Default)]
pub(crate) struct Surroundings {
    hidden: Cell<bool>,
    disturbances: Cell<u64>,
    /// The running job.
    job: Cell<Option<u32>>,
    cancelled: Cell<bool>,
}

impl Surroundings {
    pub(crate) fn set_hidden(&self, hidden: bool) {
        if self.hidden.replace(hidden) != hidden {
            self.disturbances.set(self.disturbances.get() + 1);
        }
    }

    pub(crate) fn disturbances(&self) -> u64 {
        self.disturbances.get()
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden.get()
    }

    pub(crate) fn begin(&self, job: u32) {
        self.job.set(Some(job));
        self.cancelled.set(false);
    }

    pub(crate) fn end(&self) {
        self.job.set(None);
    }

    /// Cancels `job` if it is running. A late message about an earlier race must not end a new one.
    pub(crate) fn cancel(&self, job: u32) -> bool {
        let current = self.job.get() == Some(job);
        if current {
            self.cancelled.set(true);
        }
        current
    }
}

/// The watch of a race in the worker: forwards snapshots and progress.
pub(crate) struct RaceWatch<'a> {
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) on_record: &'a dyn Fn(&Record),
    pub(crate) on_progress: &'a dyn Fn(&Progress),
    pub(crate) clock: &'a PerformanceClock,
    /// Time of the last forwarded progress.
    pub(crate) last_progress_ns: Cell<f64>,
}

/// Least time between two progress events: readers see no more than ten per second.
const PROGRESS_EVERY_NS: f64 = 1e8;

impl Watch for RaceWatch<'_> {
    fn cancelled(&self) -> bool {
        self.surroundings.cancelled.get()
    }

    fn disturbances(&self) -> u64 {
        self.surroundings.disturbances()
    }

    fn disturbed(&self) -> bool {
        self.surroundings.hidden.get()
    }

    fn record(&self, record: &Record) {
        (self.on_record)(record);
    }

    fn progress(&self, progress: &Progress) {
        let now = self.clock.now_ns();
        if now - self.last_progress_ns.get() >= PROGRESS_EVERY_NS {
            self.last_progress_ns.set(now);
            (self.on_progress)(progress);
        }
    }
}
