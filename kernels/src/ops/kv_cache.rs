//! Keys and values of the tokens so far: the state of a decoder of softmax attention.

use mixer::{Count, Floats, Memory, MixerError};

/// Keys and values of `batch` sequences, row by row. A position's row is `position` modulo the number of rows, so that a cache
/// with as many rows as positions keeps all of them, and a smaller one is a ring of the latest.
#[derive(Debug)]
pub struct KvCache {
    rows: usize,
    width: usize,
    /// `[batch, rows, width]`.
    keys: Floats,
    /// `[batch, rows, width]`.
    values: Floats,
}

impl KvCache {
    /// Floats that [`KvCache::new`] takes from the memory budget.
    pub fn floats(batch: usize, rows: usize, width: usize) -> Count {
        let [batch, rows, width] = Count::all([batch, rows, width]);
        2 * batch * rows * width
    }

    /// A cache with `rows` rows of `width` floats for each of `batch` sequences.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, batch: usize, rows: usize, width: usize) -> Result<Self, MixerError> {
        let half = || memory.floats(Count::from(batch) * Count::from(rows) * Count::from(width));
        Ok(Self { rows, width, keys: half()?, values: half()? })
    }

    /// Keys, `[batch, rows, width]`.
    pub fn keys(&self) -> &[f32] {
        &self.keys
    }

    /// Values, `[batch, rows, width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Rows of each sequence.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Floats of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Sets the keys from `position` on to `keys`, `[batch, count, width]`.
    pub fn set_keys(&mut self, position: usize, count: usize, keys: &[f32]) {
        set(&mut self.keys, [self.rows, self.width], position, count, keys);
    }

    /// Sets the values from `position` on to `values`, `[batch, count, width]`.
    pub fn set_values(&mut self, position: usize, count: usize, values: &[f32]) {
        set(&mut self.values, [self.rows, self.width], position, count, values);
    }
}

impl KvCache {
    /// Sets the first `count` rows to those of the `count` positions of `ring` before `position`.
    pub fn copy_latest(&mut self, ring: &Self, position: usize, count: usize) {
        self.copy(ring, (0, position - count), count);
    }

    /// Sets the rows of the latest positions before `position` to the latest of the first `count` rows of `span`, as many as
    /// there is room for.
    pub fn keep_latest(&mut self, span: &Self, position: usize, count: usize) {
        let n = count.min(self.rows);
        self.copy(span, (position - n, count - n), n);
    }

    /// Copies a cache of equal sizes.
    pub fn copy_all(&mut self, from: &Self) {
        self.keys.copy_from_slice(&from.keys);
        self.values.copy_from_slice(&from.values);
    }

    /// Copies `count` positions of `from` from the second of the positions on to this one's from the first on.
    fn copy(&mut self, from: &Self, (to, first): (usize, usize), count: usize) {
        let (rows, from_rows, width) = (self.rows, from.rows, self.width);
        let halves = [(&mut self.keys, &from.keys), (&mut self.values, &from.values)];
        for (to_half, from_half) in halves {
            let sequences =
                to_half.chunks_exact_mut(rows * width).zip(from_half.chunks_exact(from_rows * width));
            for (to_rows, from) in sequences {
                for index in 0..count {
                    let (to, from_row) = ((to + index) % rows, (first + index) % from_rows);
                    let row = &from[from_row * width..][..width];
                    to_rows[to * width..][..width].copy_from_slice(row);
                }
            }
        }
    }
}

/// Copies the latest of `count` rows of each sequence, as many as there is room for.
fn set(cache: &mut [f32], [rows, width]: [usize; 2], position: usize, count: usize, from: &[f32]) {
    if count == 0 {
        return;
    }
    for (to, from) in cache.chunks_exact_mut(rows * width).zip(from.chunks_exact(count * width)) {
        let mut index = count.saturating_sub(rows);
        while index < count {
            let row = (position + index) % rows;
            let n = (count - index).min(rows - row);
            to[row * width..][..n * width].copy_from_slice(&from[index * width..][..n * width]);
            index += n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_latest_rows_of_each_sequence() {
        let (batch, width) = (2, 3);
        for rows in [1, 4, 5, 40] {
            let mut cache = KvCache::new(&Memory::new(1 << 20), batch, rows, width).unwrap();
            let value = |sequence: usize, position: usize, column: usize| {
                (1000 * sequence + 10 * position + column) as f32
            };
            let mut position = 0;
            for count in [1, 3, 0, 2, 13, 1, 7] {
                let at = |i: usize| value(i / (count * width), position + i / width % count, i % width);
                let floats: Vec<f32> = (0..batch * count * width).map(at).collect();
                cache.set_keys(position, count, &floats);
                cache.set_values(position, count, &floats.iter().map(|key| -key).collect::<Vec<_>>());
                position += count;
                for sequence in 0..batch {
                    for kept in position.saturating_sub(rows)..position {
                        for column in 0..width {
                            let at = (sequence * rows + kept % rows) * width + column;
                            assert_eq!(cache.keys()[at], value(sequence, kept, column));
                            assert_eq!(cache.values()[at], -value(sequence, kept, column));
                        }
                    }
                }
            }
        }
        assert_eq!(KvCache::floats(2, 5, 3).get(), 60);
    }
}
