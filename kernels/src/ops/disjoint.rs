//! Tasks of one parallel loop writing disjoint, possibly strided parts of one buffer.

#![expect(unsafe_code, reason = "the borrow checker cannot see that tasks write different rows and columns")]

use std::marker::PhantomData;

/// A mutable buffer that several tasks write at once, each its own part.
#[derive(Debug)]
pub struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: access goes through `slice`, whose caller promises that no two live slices overlap.
unsafe impl Sync for Disjoint<'_> {}
// SAFETY: as above; the pointer comes from an exclusive borrow that lives as long as `'a`.
unsafe impl Send for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    /// Wraps a buffer for the length of one parallel loop.
    pub fn new(buffer: &'a mut [f32]) -> Self {
        Self { start: buffer.as_mut_ptr(), len: buffer.len(), borrow: PhantomData }
    }

    /// `len` floats from `start`; the range is checked against the buffer.
    ///
    /// # Safety
    /// No other slice taken from this buffer and still alive may overlap this one.
    #[inline(always)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "a task's part lies outside the buffer");
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
