//! Layout of activations in GPU buffers.

use mixer::{BufferId, Count, MixerError, gather, zeros};

/// Floats that a shader loads at once.
pub(super) const LANES: usize = 4;

/// Layout of the columns of a row: `groups` runs (such as heads) of `width` floats, each padded with zeros to a
/// multiple of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Number of runs.
    pub groups: usize,
    /// Columns per run, padding excluded.
    pub width: usize,
}

impl Columns {
    /// One run of `width` floats.
    pub fn plain(width: usize) -> Self {
        Self { groups: 1, width }
    }

    /// `n_heads` runs of `d_head` floats.
    pub fn heads(n_heads: usize, d_head: usize) -> Self {
        Self { groups: n_heads, width: d_head }
    }

    /// Columns per row, padding excluded.
    #[expect(clippy::len_without_is_empty, reason = "a row is never empty")]
    pub fn len(self) -> usize {
        self.groups * self.width
    }

    /// Floats of one run, padding included.
    pub fn run(self) -> usize {
        self.width.next_multiple_of(LANES)
    }

    /// Floats of a row, padding included: the stride of a stream without other columns.
    pub fn stride(self) -> usize {
        self.groups * self.run()
    }

    /// Whether there is no padding, so that rows have the layout of a golden file.
    pub fn is_packed(self) -> bool {
        self.stride() == self.len()
    }

    /// Position of column `column` in a padded row.
    pub fn position(self, column: usize) -> usize {
        column / self.width * self.run() + column % self.width
    }

    /// Pads `rows` from `[rows, len]` to `[rows, stride]`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn pad(self, rows: &[f32]) -> Result<Vec<f32>, MixerError> {
        if self.is_packed() {
            return gather(rows.len(), rows.iter().copied());
        }
        let mut padded = zeros(Count::from(rows.len() / self.len().max(1)) * Count::from(self.stride()))?;
        for (to, from) in padded.chunks_exact_mut(self.run()).zip(rows.chunks_exact(self.width)) {
            to[..self.width].copy_from_slice(from);
        }
        Ok(padded)
    }
}

/// Rows of floats in a buffer. `offset` and `stride` are in floats, multiples of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The buffer.
    pub buffer: BufferId,
    /// Start of row 0.
    pub offset: usize,
    /// Distance between successive rows.
    pub stride: usize,
}

impl Stream {
    /// These rows, `columns` floats further right.
    #[must_use]
    pub fn right(self, columns: usize) -> Self {
        Self { offset: self.offset + columns, ..self }
    }

    /// These columns, `rows` rows further down.
    #[must_use]
    pub fn down(self, rows: usize) -> Self {
        Self { offset: self.offset + rows * self.stride, ..self }
    }
}

/// Converts a size to a uniform word. A larger size saturates: its buffer would exceed every adapter's limit, so
/// `Plan::check` refuses the plan before it runs.
pub fn word(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Converts a multiple of four floats to a number of vectors.
pub fn vectors(floats: usize) -> u32 {
    debug_assert!(floats.is_multiple_of(LANES), "{floats} floats are not aligned");
    word(floats / LANES)
}
