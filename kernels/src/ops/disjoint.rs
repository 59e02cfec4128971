//! A buffer of which the tasks of a parallel loop write disjoint, possibly strided parts.

#![expect(unsafe_code, reason = "the borrow checker cannot see that tasks write different rows and columns")]

use std::marker::PhantomData;

/// A mutable buffer that several tasks write at once, each a different part.
#[derive(Debug)]
pub struct Disjoint<'a, T = f32> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `slice`, whose caller promises that no two live slices overlap.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}
// SAFETY: as above; the pointer comes from an exclusive borrow that lives as long as `'a`.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    /// Wraps a buffer for the duration of one parallel loop.
    pub fn new(buffer: &'a mut [T]) -> Self {
        Self { start: buffer.as_mut_ptr(), len: buffer.len(), borrow: PhantomData }
    }

    /// `len` elements from `start`; the range is checked against the buffer.
    ///
    /// # Safety
    /// No other slice taken from this buffer and still alive may overlap this one.
    #[inline(always)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start, "a task's part lies outside the buffer");
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// Like [`Disjoint::slice`], for reading.
    ///
    /// # Safety
    /// No slice that is written while this one is alive may overlap it.
    #[inline(always)]
    pub unsafe fn read(&self, start: usize, len: usize) -> &'a [T] {
        assert!(start <= self.len && len <= self.len - start, "a task's part lies outside the buffer");
        // SAFETY: in bounds by the assertion, not written by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.add(start), len) }
    }
}
