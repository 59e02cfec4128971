//! Error scopes: an error of the device becomes an error of the lane that caused it.

use mixer::LaneError;

use super::device::Gpu;

impl Gpu {
    /// Opens error scopes, which receive the device's errors until [`Scopes::close`].
    pub(crate) fn scopes(&self, what: &'static str, needed_bytes: u64) -> Scopes {
        let memory = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        Scopes { validation, memory, gpu: self.clone(), what, needed_bytes }
    }
}

/// Open error scopes. Dropping them without [`Scopes::close`] discards their errors.
pub(crate) struct Scopes {
    // Fields drop in this order, which is the order in which scopes must close.
    validation: wgpu::ErrorScopeGuard,
    memory: wgpu::ErrorScopeGuard,
    gpu: Gpu,
    what: &'static str,
    needed_bytes: u64,
}

impl Scopes {
    /// Closes the scopes immediately. The future returns the first error caught.
    ///
    /// # Errors
    /// [`LaneError::DeviceLost`], [`mixer::MixerError::OutOfMemory`] or [`LaneError::Device`].
    pub fn close(self) -> impl Future<Output = Result<(), LaneError>> {
        let Self { validation, memory, gpu, what, needed_bytes } = self;
        let (validation, memory) = (validation.pop(), memory.pop());
        async move {
            let (validation, memory) = (validation.await, memory.await);
            let error = if memory.is_some() {
                // A failed allocation makes later calls invalid, so it is reported first.
                gpu.out_of_memory(needed_bytes)
            } else if let Some(error) = validation {
                LaneError::Device { what: what.to_owned(), message: error.to_string() }
            } else {
                return gpu.alive();
            };
            Err(gpu.blame(error).await)
        }
    }
}
