//! Rows brought into the first-level cache together.

use std::hint::black_box;

/// Floats of a cache line.
const LINE: usize = 16;

/// Loads one float of each cache line of `rows`. Memory is waited for once for all of them, as many as a core keeps under
/// way, and not again for every few lines that a longer computation reaches; there is no prefetch in wasm.
#[inline(always)]
pub fn touch<'a>(rows: impl IntoIterator<Item = &'a [f32]>) {
    let mut sum = 0.0;
    for row in rows {
        for line in row.chunks(LINE) {
            sum += line[0];
        }
    }
    black_box(sum);
}
