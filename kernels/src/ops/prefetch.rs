//! Rows brought into the first-level cache together.

use std::hint::black_box;

/// Floats of a cache line.
const LINE: usize = 16;

/// Most floats of a row: a panel's keys and values are then at most 16 KiB.
const MOST: usize = 16 * LINE;

/// Loads one float of each cache line of `rows`. Memory is waited for once for all of them, as many as a core keeps under
/// way, and not again for every few lines that a longer computation reaches; there is no prefetch in wasm.
#[inline(always)]
pub fn prefetch<'a>(rows: impl IntoIterator<Item = &'a [f32]>) {
    let mut bits = 0;
    for row in rows {
        let row = &row[..row.len().min(MOST)];
        // A row that does not begin with a line ends in one more.
        for float in row.iter().step_by(LINE).chain(row.last()) {
            bits |= float.to_bits();
        }
    }
    black_box(bits);
}
