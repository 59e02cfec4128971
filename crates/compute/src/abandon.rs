//! Cancellation of uninterruptible work: making a case, and the f64 reference. Either may take seconds for a large
//! problem, and a user who cancels should not wait for it.

use mixer::LaneError;

use crate::CancelSwitch;

/// Interval at which the cancellation is checked.
#[cfg(not(target_arch = "wasm32"))]
const LOOK: std::time::Duration = std::time::Duration::from_millis(10);

/// Runs `work` on its own thread and waits for the result or for the cancellation. After a cancellation the thread runs
/// to its end and its result is dropped.
///
/// # Errors
/// [`LaneError::Cancelled`] after a cancellation.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn unless_cancelled<T: Send + 'static>(
    cancel: &CancelSwitch,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LaneError> {
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};

    if cancel.is_cancelled() {
        return Err(LaneError::Cancelled);
    }
    let (sender, receiver) = sync_channel(1);
    let worker = std::thread::spawn(move || {
        // After a cancellation the receiver is gone.
        let _ = sender.send(work());
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => return Err(LaneError::Cancelled),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if let Err(panic) = worker.join() {
                    std::panic::resume_unwind(panic);
                }
                return Err(LaneError::Cancelled);
            }
        }
    }
}

/// Runs `work`. In wasm no cancellation can arrive meanwhile: the page ends the whole worker instead.
///
/// # Errors
/// [`LaneError::Cancelled`] where the cancellation arrived earlier.
#[cfg(target_arch = "wasm32")]
pub(crate) fn unless_cancelled<T>(cancel: &CancelSwitch, work: impl FnOnce() -> T) -> Result<T, LaneError> {
    if cancel.is_cancelled() { Err(LaneError::Cancelled) } else { Ok(work()) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn fault_17_uninterruptible_work_is_abandoned() {
        let cancel = CancelSwitch::default();
        assert_eq!(unless_cancelled(&cancel, || 7), Ok(7));
        let switch = cancel.clone();
        let cancelled_at = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            switch.cancel();
            Instant::now()
        });
        let outcome = unless_cancelled(&cancel, || std::thread::sleep(Duration::from_secs(2)));
        let ended = Instant::now();
        assert_eq!(outcome, Err(LaneError::Cancelled));
        assert!(ended.duration_since(cancelled_at.join().unwrap()) < Duration::from_millis(200));
        assert_eq!(unless_cancelled(&cancel, || 7), Err(LaneError::Cancelled));
    }
}
