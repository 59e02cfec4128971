//! Loads rows into the first-level cache together.

use std::hint::black_box;

/// Floats per cache line.
const LINE: usize = 16;

/// Most floats of a row, so that a panel's keys and values take at most 16 KiB.
const MOST: usize = 16 * LINE;

/// Loads one float of each cache line of `rows`. The loads overlap, as many as a core can have in flight, so that
/// memory latency is paid once and not again after every few lines of a longer computation. Wasm has no prefetch
/// instruction.
#[inline(always)]
pub fn prefetch<'a>(rows: impl IntoIterator<Item = &'a [f32]>) {
    let mut bits = 0;
    for row in rows {
        let row = &row[..row.len().min(MOST)];
        // An unaligned row ends in a further line.
        for float in row.iter().step_by(LINE).chain(row.last()) {
            bits |= float.to_bits();
        }
    }
    black_box(bits);
}
