// Second step of a pass of the radix sort: converts counts to the first place of each tile's keys of each digit in the
// list.
//
// binding 0: sizes
// binding 1: counts, [lists, 16 digits, tiles], in place

struct Sizes {
    n: u32,
    tiles: u32,
    shift: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;

var<workgroup> partial: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let len = 16u * sizes.tiles;
    let first = workgroup.x * len;
    // Neighbouring counts per thread, so that one scan of 256 sums suffices.
    let each = (len + 255u) / 256u;
    let start = min(thread * each, len);
    let end = min(start + each, len);
    var sum = 0u;
    for (var i = start; i < end; i++) {
        sum += counts[first + i];
    }
    partial[thread] = sum;
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
        var before = 0u;
        if (thread >= step) {
            before = partial[thread - step];
        }
        workgroupBarrier();
        partial[thread] += before;
        workgroupBarrier();
    }
    var running = partial[thread] - sum;
    for (var i = start; i < end; i++) {
        let count = counts[first + i];
        counts[first + i] = running;
        running += count;
    }
}
