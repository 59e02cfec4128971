//! The page's model of the engine and of the current race, and its changes by events. Events of an earlier race are
//! ignored. The last report of the current race is its complete state.

use std::sync::Arc;

use protocol::Event;
use report::{Environment, ReasonArgs, Report, Status, SystemEntry, Warning};

/// Phase of the current race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No race runs.
    Idle,
    /// Sent to the engine, not answered yet.
    Starting,
    /// The engine sends events.
    Running,
    /// Cancellation requested.
    Cancelling,
}

/// An error to show.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Stable code.
    pub code: String,
    /// The event, its reason and the remedy.
    pub message: String,
    /// Arguments of the message.
    pub args: ReasonArgs,
    /// The wrong configuration field, if there is one.
    pub field: Option<String>,
}

/// Current activity of the race.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Done fraction of the expected time, between 0 and 1.
    pub fraction: f64,
    /// Expected remaining milliseconds.
    pub remaining_ms: f64,
    /// Index of the current lane.
    pub lane: usize,
    /// Current sequence length.
    pub length: u32,
    /// Stable name of the activity.
    pub activity: String,
}

/// The page's model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The machine, once the engine is ready.
    pub environment: Option<Environment>,
    /// The systems: from the static catalogue in the reader's language or, until it is loaded, from the engine.
    pub systems: Vec<SystemEntry>,
    /// Whether the engine is ready.
    pub ready: bool,
    /// The current race's number.
    pub race: u32,
    /// Phase of the current race.
    pub phase: Phase,
    /// The last report of the current race, or of the last one.
    pub report: Option<Arc<Report>>,
    /// The report of the preceding race, until the current one has a report.
    previous: Option<Arc<Report>>,
    /// The last progress.
    pub progress: Option<Progress>,
    /// The last error.
    pub problem: Option<Problem>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            environment: None,
            systems: Vec::new(),
            ready: false,
            race: 0,
            phase: Phase::Idle,
            report: None,
            previous: None,
            progress: None,
            problem: None,
        }
    }
}

impl Model {
    /// Whether a race is starting or running.
    pub fn busy(&self) -> bool {
        self.phase != Phase::Idle
    }

    /// Begins a race and returns its number.
    pub fn begin(&mut self) -> u32 {
        self.race = self.race.wrapping_add(1);
        self.phase = Phase::Starting;
        self.progress = None;
        self.problem = None;
        // The earlier result is kept until the new race has one.
        self.previous = self.report.take().or(self.previous.take());
        self.race
    }

    /// Notes that a cancellation was requested.
    pub fn cancelling(&mut self) {
        if self.busy() {
            self.phase = Phase::Cancelling;
        }
    }

    /// Processes an event.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Ready { environment, systems, .. } => {
                self.environment = Some(*environment);
                if self.systems.is_empty() {
                    self.systems = systems;
                }
                self.ready = true;
            }
            Event::Report { id, report } if id == self.race && self.busy() => {
                if self.phase == Phase::Starting {
                    self.phase = Phase::Running;
                }
                self.report = Some(Arc::from(report));
            }
            Event::Progress { id, fraction, remaining_ms, lane, length, activity }
                if id == self.race && self.busy() =>
            {
                if self.phase == Phase::Starting {
                    self.phase = Phase::Running;
                }
                self.progress = Some(Progress {
                    fraction: if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 },
                    remaining_ms,
                    lane: lane as usize,
                    length,
                    activity,
                });
            }
            Event::Done { id, report } if id == self.race && self.busy() => {
                self.report = Some(Arc::from(report));
                self.end();
            }
            Event::Error { id, error } => {
                let about_race = id.is_some_and(|id| id == self.race && self.busy());
                if id.is_some() && !about_race {
                    return;
                }
                if error.code == "worker-crashed" || error.code == "worker-load-failed" {
                    self.ready = false;
                }
                let cancelled = error.code == "cancelled";
                if about_race {
                    self.close_report(&error.code, &error.message);
                    self.end();
                }
                // A cancellation by the user is not an error.
                if !cancelled {
                    self.problem = Some(Problem {
                        code: error.code,
                        message: error.message,
                        args: error.args,
                        field: error.field,
                    });
                }
            }
            Event::Report { .. }
            | Event::Progress { .. }
            | Event::Done { .. }
            | Event::Verified { .. }
            | Event::Link { .. }
            | Event::Linked { .. }
            | Event::Pong { .. } => {}
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Idle;
        self.progress = None;
        let previous = self.previous.take();
        self.report = self.report.take().or(previous);
    }

    /// Keeps the points measured before the race broke off, with a warning.
    fn close_report(&mut self, code: &str, message: &str) {
        if let Some(report) = self.report.as_mut().filter(|report| report.status == Status::Running) {
            let report = Arc::make_mut(report);
            report.status = Status::Cancelled;
            let code = if code.starts_with("worker-") { "engine-crashed" } else { "cancelled" };
            report.warnings.push(Warning {
                code: code.to_owned(),
                message: message.to_owned(),
                lane: None,
                args: ReasonArgs::new(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::WireError;

    use super::*;
    use crate::samples;

    fn error(id: Option<u32>, code: &str) -> Event {
        Event::Error { id, error: WireError::new(code, "words") }
    }

    fn snapshot(id: u32) -> Event {
        let mut report = samples::duel();
        report.status = Status::Running;
        Event::Report { id, report: Box::new(report) }
    }

    fn running() -> (Model, u32) {
        let mut model = Model::default();
        let id = model.begin();
        model.apply(snapshot(id));
        assert_eq!(model.phase, Phase::Running);
        (model, id)
    }

    #[test]
    fn a_race_runs_to_its_end() {
        let (mut model, id) = running();
        model.apply(Event::Progress {
            id,
            fraction: f64::NAN,
            remaining_ms: 10.0,
            lane: 1,
            length: 512,
            activity: "sampling".to_owned(),
        });
        assert_eq!(model.progress.as_ref().map(|progress| progress.fraction), Some(0.0));
        model.apply(Event::Done { id, report: Box::new(samples::duel()) });
        assert_eq!((model.phase, model.progress.is_none(), model.busy()), (Phase::Idle, true, false));
    }

    #[test]
    fn events_of_an_earlier_race_change_nothing() {
        let (mut model, old) = running();
        model.apply(Event::Done { id: old, report: Box::new(samples::duel()) });
        let new = model.begin();
        model.apply(snapshot(old));
        model.apply(error(Some(old), "failed"));
        assert_eq!((model.phase, &model.problem), (Phase::Starting, &None));
        assert!(model.report.is_none());
        model.apply(snapshot(new));
        assert_eq!(model.phase, Phase::Running);
    }

    #[test]
    fn a_crash_keeps_what_was_measured_and_a_new_race_can_start() {
        let (mut model, id) = running();
        model.apply(error(Some(id), "worker-crashed"));
        assert_eq!(model.phase, Phase::Idle);
        assert_eq!(model.problem.as_ref().map(|problem| problem.code.as_str()), Some("worker-crashed"));
        let report = model.report.clone().unwrap();
        assert_eq!(report.status, Status::Cancelled);
        assert_eq!(report.warnings.last().map(|warning| warning.code.as_str()), Some("engine-crashed"));
        model.begin();
        assert!(model.busy() && model.problem.is_none());
    }

    #[test]
    fn a_race_that_never_began_leaves_the_one_before_in_place() {
        let (mut model, id) = running();
        model.apply(Event::Done { id, report: Box::new(samples::duel()) });
        let second = model.begin();
        assert!(model.report.is_none());
        model.apply(error(Some(second), "invalid-field"));
        assert!(model.report.is_some() && model.problem.is_some());
    }

    #[test]
    fn a_cancellation_is_no_error() {
        let (mut model, id) = running();
        model.cancelling();
        assert_eq!(model.phase, Phase::Cancelling);
        model.apply(error(Some(id), "cancelled"));
        assert_eq!((model.phase, &model.problem), (Phase::Idle, &None));
        assert_eq!(model.report.as_ref().map(|report| report.status), Some(Status::Cancelled));
        // Without a running race there is nothing to cancel.
        model.cancelling();
        assert_eq!(model.phase, Phase::Idle);
    }
}
