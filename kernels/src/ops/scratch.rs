//! Scratch memory per worker: allocated at set-up, borrowed by whichever task runs on that worker.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mixer::{Floats, Memory, MixerError};

/// One buffer for each worker.
#[derive(Debug)]
pub struct Scratch(Vec<Mutex<Floats>>);

impl Scratch {
    /// `len` floats for each of `threads` workers.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, threads: usize, len: usize) -> Result<Self, MixerError> {
        (0..threads.max(1)).map(|_| memory.floats(len).map(Mutex::new)).collect::<Result<_, _>>().map(Self)
    }

    /// The buffer of `worker`. Never contended: two tasks that run at once have different workers.
    pub fn of(&self, worker: usize) -> MutexGuard<'_, Floats> {
        let slot = worker % self.0.len();
        self.0[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
