//! Work that cannot be interrupted: making a case, and the f64 reference. A large cell takes either of them seconds, and
//! a user who cancels does not wait for them.

use mixer::LaneError;

use crate::CancelSwitch;

/// How often the switch is looked at.
#[cfg(not(target_arch = "wasm32"))]
const LOOK: std::time::Duration = std::time::Duration::from_millis(10);

/// Does `work` on a thread of its own and waits for it or for the cancellation, after which it is left to end by itself
/// and its result is dropped.
///
/// # Errors
/// [`LaneError::Cancelled`].
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
        // Nobody listens after a cancellation.
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

/// Does `work`. Here nothing hears of a cancellation while something runs: the page ends the whole worker.
///
/// # Errors
/// [`LaneError::Cancelled`] where it was heard of before.
#[cfg(target_arch = "wasm32")]
pub(crate) fn unless_cancelled<T>(cancel: &CancelSwitch, work: impl FnOnce() -> T) -> Result<T, LaneError> {
    if cancel.is_cancelled() { Err(LaneError::Cancelled) } else { Ok(work()) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn fault_17_what_cannot_be_interrupted_is_left_behind() {
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
