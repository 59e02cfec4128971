//! Rings of the latest rows of each sequence, and their copies after the context.

use mixer::BufferId;

use super::builder::Builder;
use super::decode::Lengths;
use super::elementwise::copy;
use super::rearrange::{Move, move_rows};
use super::stream::{Columns, Stream, word};

/// Rings of several streams. The row of a position is the position modulo the ring's rows.
#[derive(Debug, Clone, Copy)]
pub struct Ring {
    /// `[streams, batch, rows]`.
    pub stream: Stream,
    /// Rows of a sequence.
    pub rows: usize,
    streams: usize,
    lengths: Lengths,
    /// The ring after the context.
    saved: Stream,
    /// For each row the last position of the context that it has, `[batch, kept]`.
    positions: BufferId,
    /// Rows that the context reaches.
    kept: usize,
}

impl Ring {
    /// Empty rings of `rows` rows of `columns` for each sequence of each of `streams` streams.
    pub fn new(
        builder: &mut Builder,
        lengths: Lengths,
        [streams, rows]: [usize; 2],
        columns: Columns,
    ) -> Self {
        let Lengths { batch, context, .. } = lengths;
        let kept = rows.min(context);
        let last = |row: usize| word(row + (context - 1 - row) / rows * rows);
        let positions = (0..batch).flat_map(|_| (0..kept).map(last)).collect();
        Self {
            stream: builder.stream("ring", streams * batch * rows, columns),
            rows,
            streams,
            lengths,
            saved: builder.stream("saved ring", streams * batch * rows, columns),
            positions: builder.upload_words("ring positions", positions),
            kept,
        }
    }

    /// Records the storage of the last rows of the context, `[batch, context]`, in the copy.
    pub fn keep(&self, builder: &mut Builder, index: usize, x: Stream) {
        let Lengths { batch, context, .. } = self.lengths;
        move_rows(
            builder,
            Move::Gather,
            (x, context),
            (self.positions, 0),
            (self.saved.down(index * batch * self.rows), self.rows),
            [batch, self.kept, self.stream.stride],
        );
    }

    /// Records the return to the state after the context.
    pub fn restore(&self, builder: &mut Builder) {
        let sizes = [self.streams * self.lengths.batch * self.rows, self.stream.stride];
        copy(builder, self.saved, self.stream, sizes);
    }
}
