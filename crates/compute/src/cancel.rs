//! A switch that ends what is running at its next opportunity.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cancels work between two CPU tasks or two GPU submissions. Clones are the same switch, so a message handler can hold
/// one while a race runs.
#[derive(Debug, Clone, Default)]
pub struct CancelSwitch(Arc<AtomicBool>);

impl CancelSwitch {
    /// Ends what runs now and what starts later, until [`CancelSwitch::resume`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lets work run again.
    pub fn resume(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether work is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
