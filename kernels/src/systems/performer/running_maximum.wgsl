// Replaces the entries of each row of numbers by the largest one up to each of them. A thread traverses neighbouring entries,
// a workgroup has one row.
//
// binding 0: sizes in floats; binding 1: x, [rows, length]

struct Sizes {
    length: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

const LOWEST: f32 = -3e38;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let each = (sizes.length + 255u) / 256u;
    let start = workgroup.y * sizes.stride;
    let first = min(thread * each, sizes.length);
    let end = min(first + each, sizes.length);
    var highest = LOWEST;
    for (var at = first; at < end; at++) {
        highest = max(highest, x[start + at]);
    }
    partial[thread] = highest;
    workgroupBarrier();
    highest = LOWEST;
    for (var before = 0u; before < thread; before++) {
        highest = max(highest, partial[before]);
    }
    for (var at = first; at < end; at++) {
        highest = max(highest, x[start + at]);
        x[start + at] = highest;
    }
}
