//! Counted memory: CPU kernels take every buffer from a `Memory`, which knows its limit and its peak.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Count, MixerError};

/// An empty vector with room for `len` elements.
///
/// # Errors
/// [`MixerError::OutOfMemory`] where the allocator refuses. Its `limit_bytes` is an upper bound: the allocator does not
/// report how much it has.
pub fn room<T>(len: impl Into<Count>) -> Result<Vec<T>, MixerError> {
    let len = len.into();
    let mut data = Vec::new();
    data.try_reserve_exact(len.index()).map_err(|_| {
        let needed_bytes = (Count::from(size_of::<T>()) * len).get();
        MixerError::OutOfMemory { needed_bytes, limit_bytes: needed_bytes.saturating_sub(1) }
    })?;
    Ok(data)
}

/// `len` zeros.
///
/// # Errors
/// As for [`room`].
pub fn zeros<T: Clone + Default>(len: impl Into<Count>) -> Result<Vec<T>, MixerError> {
    let len = len.into();
    let mut data = room(len)?;
    data.resize(len.index(), T::default());
    Ok(data)
}

/// Collects an iterator of at most `len` items.
///
/// # Errors
/// As for [`room`].
pub fn gather<T>(len: impl Into<Count>, items: impl IntoIterator<Item = T>) -> Result<Vec<T>, MixerError> {
    let len = len.into();
    let mut data = room(len)?;
    data.extend(items.into_iter().take(len.index()));
    Ok(data)
}

#[derive(Debug)]
struct Ledger {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
    /// The budget of which this one is a part.
    whole: Option<Memory>,
}

/// A budget that hands out zeroed buffers and records the peak of the bytes held. Clones share the budget.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Ledger>);

impl Memory {
    /// A budget of `limit_bytes`.
    pub fn new(limit_bytes: u64) -> Self {
        Self::with(limit_bytes, None)
    }

    /// A part of this budget: its buffers count in both, and it has no limit of its own.
    #[must_use]
    pub fn part(&self) -> Self {
        Self::with(self.0.limit, Some(self.clone()))
    }

    fn with(limit: u64, whole: Option<Self>) -> Self {
        Self(Arc::new(Ledger { limit, used: AtomicU64::new(0), peak: AtomicU64::new(0), whole }))
    }

    /// A zeroed buffer of `len` floats, counted until it is dropped.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the budget or the allocator refuses.
    pub fn floats(&self, len: impl Into<Count>) -> Result<Floats, MixerError> {
        self.zeroed(len.into())
    }

    /// A zeroed buffer of `len` 32-bit words (positions, bucket numbers), counted until it is dropped.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the budget or the allocator refuses.
    pub fn words(&self, len: impl Into<Count>) -> Result<Words, MixerError> {
        self.zeroed(len.into())
    }

    fn zeroed<T: Clone + Default>(&self, len: Count) -> Result<Counted<T>, MixerError> {
        let mut charge = self.charge(4 * len)?;
        let len = len.index();
        let mut data = Vec::new();
        data.try_reserve_exact(len).map_err(|_| MixerError::OutOfMemory {
            needed_bytes: self.used_bytes(),
            limit_bytes: self.0.limit,
        })?;
        data.resize(len, T::default());
        self.note_peak();
        charge.data = data;
        Ok(charge)
    }

    /// Counts an existing buffer, such as an input, against the budget.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the budget refuses.
    pub fn adopt(&self, data: Vec<f32>) -> Result<Floats, MixerError> {
        let mut charge = self.charge(4 * Count::from(data.len()))?;
        self.note_peak();
        charge.data = data;
        Ok(charge)
    }

    fn charge<T>(&self, bytes: Count) -> Result<Counted<T>, MixerError> {
        if let Some(whole) = &self.0.whole {
            whole.take(bytes)?;
        }
        self.take(bytes)?;
        Ok(Counted { data: Vec::new(), bytes: bytes.get(), memory: self.clone() })
    }

    /// Adds `bytes` to the bytes held here, but not to those of the budget of which this one is a part.
    fn take(&self, bytes: Count) -> Result<(), MixerError> {
        let limit_bytes = self.0.limit;
        let with = |used: u64| used.saturating_add(bytes.get());
        let within = |used: u64| Some(with(used)).filter(|used| *used <= limit_bytes && *used < u64::MAX);
        match self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within) {
            Ok(_) => Ok(()),
            Err(used) => Err(MixerError::OutOfMemory { needed_bytes: with(used), limit_bytes }),
        }
    }

    /// Called after an allocation, because a refused one was never held.
    fn note_peak(&self) {
        self.0.peak.fetch_max(self.used_bytes(), Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.note_peak();
        }
    }

    fn give_back(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }

    /// Bytes held now.
    pub fn used_bytes(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Peak of the bytes held so far.
    pub fn peak_bytes(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// The budget in bytes.
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
        self.memory.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_vectors_are_refused() {
        let refused = |error| matches!(error, MixerError::OutOfMemory { needed_bytes, limit_bytes } if limit_bytes < needed_bytes);
        for len in [Count::MAX, Count::from(1 << 30) * (1 << 30)] {
            assert!(room::<f32>(len).is_err_and(refused));
            assert!(zeros::<u32>(len).is_err_and(refused));
            assert!(gather(len, [1.0_f32]).is_err_and(refused));
        }
        assert_eq!(zeros::<f32>(3), Ok(vec![0.0; 3]));
        assert_eq!(gather(2, 0..9), Ok(vec![0, 1]));
    }

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
    fn a_part_counts_its_own_buffers_within_the_whole() {
        let memory = Memory::new(100);
        let other = memory.floats(5).unwrap();
        let part = memory.part();
        let own = part.floats(10).unwrap();
        assert_eq!((part.used_bytes(), memory.used_bytes(), memory.peak_bytes()), (40, 60, 60));
        let refused = part.floats(11).unwrap_err();
        assert_eq!(refused, MixerError::OutOfMemory { needed_bytes: 104, limit_bytes: 100 });
        drop((own, other));
        assert_eq!((part.used_bytes(), memory.used_bytes(), part.peak_bytes()), (0, 0, 40));
    }

    #[test]
    fn absurd_sizes_are_refused_without_being_counted() {
        for limit in [1 << 32, u64::MAX] {
            let memory = Memory::new(limit);
            let held = memory.floats(10).unwrap();
            for len in [Count::MAX, Count::MAX / 4, Count::from(1 << 30) * (1 << 20)] {
                assert!(matches!(memory.floats(len), Err(MixerError::OutOfMemory { .. })), "{len:?}");
                assert!(matches!(memory.words(len), Err(MixerError::OutOfMemory { .. })), "{len:?}");
            }
            assert_eq!((held.len(), memory.used_bytes(), memory.peak_bytes()), (10, 40, 40));
        }
    }

    #[test]
    fn a_refused_buffer_is_not_counted() {
        let memory = Memory::new(100);
        assert_eq!(
            memory.floats(26).unwrap_err(),
            MixerError::OutOfMemory { needed_bytes: 104, limit_bytes: 100 }
        );
        assert_eq!((memory.used_bytes(), memory.peak_bytes()), (0, 0));
    }
}
