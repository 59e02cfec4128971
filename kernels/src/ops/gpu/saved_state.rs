//! A decoder's state of fixed size with a copy to return to.

use mixer::BufferId;

use super::builder::Builder;
use super::elementwise::copy;
use super::stream::{Columns, Stream};

/// A state that every token changes, and a copy of it from the end of the context.
#[derive(Debug, Clone, Copy)]
pub struct SavedState {
    now: Stream,
    saved: Stream,
}

impl SavedState {
    /// A zeroed state of `floats` floats, rounded up to a multiple of four.
    pub fn new(builder: &mut Builder, floats: usize) -> Self {
        let columns = Columns::plain(floats);
        let [now, saved] = ["state", "saved state"].map(|label| builder.stream(label, 1, columns));
        Self { now, saved }
    }

    /// The state.
    pub fn buffer(&self) -> BufferId {
        self.now.buffer
    }

    /// Records the copy of the state.
    pub fn save(&self, builder: &mut Builder) {
        copy(builder, self.now, self.saved, [1, self.now.stride]);
    }

    /// Records the return to the copy.
    pub fn restore(&self, builder: &mut Builder) {
        copy(builder, self.saved, self.now, [1, self.now.stride]);
    }
}
