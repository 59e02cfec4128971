// First step of a pass of the radix sort: counts each digit in each tile of 1024 keys.
//
// binding 0: sizes
// binding 1: keys, [lists, n]
// binding 2: counts, [lists, 16 digits, tiles]

struct Sizes {
    n: u32,
    tiles: u32,
    shift: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;

var<workgroup> tally: array<atomic<u32>, 16>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if (thread < 16u) {
        atomicStore(&tally[thread], 0u);
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) {
        let at = workgroup.x * 1024u + i * 128u + thread;
        if (at < sizes.n) {
            let digit = (keys[workgroup.y * sizes.n + at] >> sizes.shift) & 15u;
            atomicAdd(&tally[digit], 1u);
        }
    }
    workgroupBarrier();
    if (thread < 16u) {
        counts[(workgroup.y * 16u + thread) * sizes.tiles + workgroup.x] = atomicLoad(&tally[thread]);
    }
}
