//! Scratch memory per worker, allocated at set-up and borrowed by the worker's current task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use mixer::{Count, Counted, Floats, Memory, MixerError, Words};

/// One buffer per worker.
#[derive(Debug)]
pub struct Scratch<T = f32>(Vec<Mutex<Counted<T>>>);

impl Scratch<u32> {
    /// `len` words for each of `threads` workers.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn words(memory: &Memory, threads: usize, len: impl Into<Count>) -> Result<Self, MixerError> {
        let len = len.into();
        let one = |_| memory.words(len).map(Mutex::<Words>::new);
        (0..threads.max(1)).map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl Scratch {
    /// `len` floats for each of `threads` workers.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, threads: usize, len: impl Into<Count>) -> Result<Self, MixerError> {
        let len = len.into();
        (0..threads.max(1))
            .map(|_| memory.floats(len).map(Mutex::<Floats>::new))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<T> Scratch<T> {
    /// The buffer of `worker`. Never contended, since concurrent tasks have different workers.
    pub fn of(&self, worker: usize) -> MutexGuard<'_, Counted<T>> {
        let slot = worker % self.0.len();
        self.0[slot].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
