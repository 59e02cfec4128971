//! The clock of a worker, and what goes on around a race there.

use std::cell::Cell;

use race::{Clock, Progress, Record, Watch};

/// `performance.now()` of the worker.
pub(crate) struct PerformanceClock(web_sys::Performance);

impl PerformanceClock {
    /// The worker's clock, where it has one.
    pub(crate) fn new() -> Option<Self> {
        let scope = js_sys::global();
        js_sys::Reflect::get(&scope, &"performance".into()).ok().map(|value| Self(value.into()))
    }
}

impl Clock for PerformanceClock {
    fn now_ns(&self) -> f64 {
        self.0.now() * 1e6
    }
}

/// What the page told the worker: visibility and cancellation.
#[derive(Default)]
pub(crate) struct Surroundings {
    hidden: Cell<bool>,
    disturbances: Cell<u64>,
    /// The job under way.
    job: Cell<Option<u32>>,
    cancelled: Cell<bool>,
}

impl Surroundings {
    pub(crate) fn set_hidden(&self, hidden: bool) {
        if self.hidden.replace(hidden) != hidden {
            self.disturbances.set(self.disturbances.get() + 1);
        }
    }

    /// Claims the worker for `job`; `false` where another job has it.
    pub(crate) fn begin(&self, job: u32) -> bool {
        if self.job.get().is_some() {
            return false;
        }
        self.job.set(Some(job));
        self.cancelled.set(false);
        true
    }

    pub(crate) fn end(&self) {
        self.job.set(None);
    }

    /// Cancels `job` if it is the one under way: an old page's late message must not end a new race.
    pub(crate) fn cancel(&self, job: u32) {
        if self.job.get() == Some(job) {
            self.cancelled.set(true);
        }
    }
}

/// A race seen from the worker: passes snapshots and progress on.
pub(crate) struct RaceWatch<'a> {
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) on_record: &'a dyn Fn(&Record),
    pub(crate) on_progress: &'a dyn Fn(&Progress),
    pub(crate) clock: &'a PerformanceClock,
    /// When progress was last passed on: the page redraws at most so often.
    pub(crate) last_progress_ns: Cell<f64>,
}

/// Progress is passed on at most this often: ten times a second is as much as a reader sees.
const PROGRESS_EVERY_NS: f64 = 1e8;

impl Watch for RaceWatch<'_> {
    fn cancelled(&self) -> bool {
        self.surroundings.cancelled.get()
    }

    fn disturbances(&self) -> u64 {
        self.surroundings.disturbances.get()
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
