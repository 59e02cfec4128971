//! Memory is counted, not guessed: CPU kernels take every buffer from a `Memory`, which knows its limit and its peak.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::MixerError;

#[derive(Debug)]
struct Ledger {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

/// A budget that hands out zeroed buffers and remembers the most that was held at once. Clones share the budget.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Ledger>);

impl Memory {
    /// A budget of `limit_bytes`.
    pub fn new(limit_bytes: u64) -> Self {
        Self(Arc::new(Ledger { limit: limit_bytes, used: AtomicU64::new(0), peak: AtomicU64::new(0) }))
    }

    /// A zeroed buffer of `len` floats, counted until it is dropped.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the budget or the allocator refuses.
    pub fn floats(&self, len: usize) -> Result<Floats, MixerError> {
        self.zeroed(len)
    }

    /// A zeroed buffer of `len` 32-bit words, counted until it is dropped: positions, bucket numbers.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the budget or the allocator refuses.
    pub fn words(&self, len: usize) -> Result<Words, MixerError> {
        self.zeroed(len)
    }

    fn zeroed<T: Clone + Default>(&self, len: usize) -> Result<Counted<T>, MixerError> {
        let mut charge = self.charge(4 * len as u64)?;
        let mut data = Vec::new();
        data.try_reserve_exact(len).map_err(|_| MixerError::OutOfMemory {
            needed_bytes: self.used_bytes(),
            limit_bytes: self.0.limit,
        })?;
        data.resize(len, T::default());
        charge.data = data;
        Ok(charge)
    }

    /// Counts a buffer that already exists (an input, say) against the budget.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the budget refuses.
    pub fn adopt(&self, data: Vec<f32>) -> Result<Floats, MixerError> {
        let mut charge = self.charge(4 * data.len() as u64)?;
        charge.data = data;
        Ok(charge)
    }

    fn charge<T>(&self, bytes: u64) -> Result<Counted<T>, MixerError> {
        let used = self.0.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let guard = Counted { data: Vec::new(), bytes, memory: self.clone() };
        if used > self.0.limit {
            return Err(MixerError::OutOfMemory { needed_bytes: used, limit_bytes: self.0.limit });
        }
        self.0.peak.fetch_max(used, Ordering::Relaxed);
        Ok(guard)
    }

    /// Bytes held now.
    pub fn used_bytes(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Most bytes held at once so far.
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// The budget.
    pub fn limit_bytes(&self) -> u64 {
        self.0.limit
    }
}

/// A counted buffer of 32-bit elements.
#[derive(Debug)]
pub struct Counted<T> {
    data: Vec<T>,
    bytes: u64,
    memory: Memory,
}

/// A counted buffer of floats.
pub type Floats = Counted<f32>;

/// A counted buffer of 32-bit words.
pub type Words = Counted<u32>;

impl<T> Deref for Counted<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data
    }
}

impl<T> DerefMut for Counted<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.memory.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_until_dropped_and_remembers_the_peak() {
        let memory = Memory::new(100);
        let first = memory.floats(10).unwrap();
        {
            let _second = memory.floats(10).unwrap();
            assert_eq!(memory.used_bytes(), 80);
        }
        assert_eq!((first.len(), memory.used_bytes(), memory.peak_bytes()), (10, 40, 80));
    }

    #[test]
    fn a_refusal_leaves_the_books_balanced() {
        let memory = Memory::new(100);
        assert_eq!(
            memory.floats(26).unwrap_err(),
            MixerError::OutOfMemory { needed_bytes: 104, limit_bytes: 100 }
        );
        assert_eq!((memory.used_bytes(), memory.peak_bytes()), (0, 0));
    }
}
