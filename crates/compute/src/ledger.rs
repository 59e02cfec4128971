//! The memory budget that all lanes of a backend share.

use std::cell::Cell;
use std::rc::Rc;

/// A memory budget. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    limit_bytes: u64,
    used_bytes: Rc<Cell<u64>>,
}

/// Bytes that a lane holds. They return to the budget on drop.
#[derive(Debug)]
pub(crate) struct Holding {
    ledger: Ledger,
    bytes: u64,
}

impl Ledger {
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, used_bytes: Rc::default() }
    }

    /// The whole budget, in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// The bytes that another lane may take.
    pub fn free_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes.get())
    }

    /// Counts bytes that a lane has taken.
    pub fn hold(&self, bytes: u64) -> Holding {
        self.used_bytes.set(self.used_bytes.get().saturating_add(bytes));
        Holding { ledger: self.clone(), bytes }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let used = &self.ledger.used_bytes;
        used.set(used.get().saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_lanes_free_their_memory() {
        let ledger = Ledger::new(100);
        let first = ledger.hold(60);
        assert_eq!(ledger.free_bytes(), 40);
        let second = ledger.hold(60);
        assert_eq!(ledger.free_bytes(), 0);
        drop(first);
        assert_eq!(ledger.free_bytes(), 40);
        drop(second);
        assert_eq!((ledger.free_bytes(), ledger.limit_bytes()), (100, 100));
    }
}
