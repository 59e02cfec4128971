//! A kernel together with its case and its output, which every CPU kernel has.

use std::sync::Arc;

use mixer::{Case, CpuKernel, Floats, MixerError, Parallel};

/// The part of a CPU kernel that differs from system to system.
pub(crate) trait Kernel: Send {
    /// One forward pass from the inputs of `case`, for which the kernel was made ready, to `output`. Allocates no buffer; a list of its tasks' parts at most.
    ///
    /// # Errors
    /// Only those that cannot be known before a run.
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError>;
}

/// A kernel made ready for one case.
pub(crate) struct Ready<K> {
    case: Arc<Case>,
    kernel: K,
    output: Floats,
}

impl<K: Kernel> Ready<K> {
    /// `output` has the length of the case's output.
    pub(crate) fn new(case: &Arc<Case>, kernel: K, output: Floats) -> Self {
        Self { case: Arc::clone(case), kernel, output }
    }
}

impl<K: Kernel> CpuKernel for Ready<K> {
    fn run(&mut self, parallel: &dyn Parallel) -> Result<(), MixerError> {
        self.kernel.run(&self.case, &mut self.output, parallel)
    }

    fn output(&self) -> &[f32] {
        &self.output
    }

    fn output_mut(&mut self) -> &mut [f32] {
        &mut self.output
    }
}
