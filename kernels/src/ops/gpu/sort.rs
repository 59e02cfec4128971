//! A stable radix sort of many lists of small numbers at once, four bits per pass (Harada and Howes 2011, after Zagha
//! and Blelloch 1991).

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::stream::word;

const COUNT: Shader = Shader {
    label: "sort_count",
    source: wgsl!("ops/gpu/sort_count.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

const SCAN: Shader = Shader {
    label: "sort_scan",
    source: wgsl!("ops/gpu/sort_scan.wgsl"),
    entry: "main",
    bindings: &[Access::ReadWrite],
};

const MOVE: Shader = Shader {
    label: "sort_move",
    source: wgsl!("ops/gpu/sort_move.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite],
};

/// Keys per workgroup.
const TILE: usize = 1024;

/// Bits of a digit, and number of its values.
const BITS: u32 = 4;
const DIGITS: usize = 1 << BITS;

/// Sorts each of `lists` lists of `n` numbers below `bound` and returns a buffer of the sorted indices, `[lists, n]`;
/// equal numbers keep their order. `keys`, `[lists, n]`, is overwritten.
pub fn stable_sort(builder: &mut Builder, keys: BufferId, [lists, n]: [usize; 2], bound: usize) -> BufferId {
    let tiles = n.div_ceil(TILE);
    let counts = builder.scratch("sort counts", lists * DIGITS * tiles);
    let other_keys = builder.scratch("sorted keys", lists * n);
    let values = [0, 1].map(|_| builder.scratch("sorted indices", lists * n));
    let keys = [keys, other_keys];
    let passes = (usize::BITS - bound.saturating_sub(1).leading_zeros()).div_ceil(BITS).max(1);
    let flops = (lists * n) as u64;
    for pass in 0..passes {
        let (from, to) = (pass as usize % 2, (pass as usize + 1) % 2);
        let uniforms = [word(n), word(tiles), BITS * pass];
        builder.dispatch(COUNT, &[], &uniforms, &[keys[from], counts], [tiles, lists, 1], flops);
        builder.dispatch(SCAN, &[], &uniforms, &[counts], [lists, 1, 1], (lists * DIGITS * tiles) as u64);
        let old = if pass == 0 { keys[from] } else { values[from] };
        let bindings = [keys[from], old, counts, keys[to], values[to]];
        builder.dispatch(MOVE, &[], &uniforms, &bindings, [tiles, lists, 1], flops);
    }
    values[passes as usize % 2]
}
