//! Waiting for submissions.

use mixer::LaneError;

use super::device::Gpu;
use super::signal::{Signal, signal};

/// A submission that can be awaited.
pub(crate) struct Ticket {
    index: wgpu::SubmissionIndex,
    done: Signal<()>,
}

impl Ticket {
    /// The most recent submission, with the index `index`.
    pub fn new(gpu: &Gpu, index: wgpu::SubmissionIndex) -> Self {
        let (setter, done) = signal();
        gpu.queue().on_submitted_work_done(move || setter.set(()));
        Self { index, done }
    }

    /// Waits until the device has finished this submission. Later submissions may still run.
    ///
    /// # Errors
    /// [`LaneError::DeviceLost`], [`LaneError::Device`].
    pub async fn finished(self, gpu: &Gpu) -> Result<(), LaneError> {
        gpu.poll_until(self.index);
        gpu.hear("a submission", &self.done).await
    }
}
