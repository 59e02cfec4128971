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
