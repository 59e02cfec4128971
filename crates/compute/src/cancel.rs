//! A switch that cancels running work at its next opportunity.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cancels work between two CPU tasks or two GPU submissions. Clones share the switch, so that a message handler can
/// hold one while a race runs.
#[derive(Debug, Clone, Default)]
pub struct CancelSwitch(Arc<AtomicBool>);

impl CancelSwitch {
    /// Cancels current and future work, until [`CancelSwitch::resume`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Allows work again.
    pub fn resume(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether work is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
