// Largest entry of each block of rows of a group (a head): first over the projections of keys, then over those maxima.
//
// binding 0: sizes; offsets and strides in floats
// binding 1: x, groups of [rows, columns]; binding 2: y, one number for each group and block of BLOCK rows

struct Sizes {
    rows: u32,
    columns: u32,
    x_offset: u32,
    x_stride: u32,
    x_group: u32,
    block: u32,
    y_offset: u32,
    y_group: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const LOWEST: f32 = -3e38;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let start = sizes.x_offset + workgroup.y * sizes.x_group;
    let first = workgroup.x * sizes.block;
    let items = (min(first + sizes.block, sizes.rows) - first) * sizes.columns;
    var highest = LOWEST;
    for (var item = thread; item < items; item += 256u) {
        let row = first + item / sizes.columns;
        highest = max(highest, x[start + row * sizes.x_stride + item % sizes.columns]);
    }
    partial[thread] = highest;
    workgroupBarrier();
    for (var step = 128u; step > 0u; step /= 2u) {
        if (thread < step) {
            partial[thread] = max(partial[thread], partial[thread + step]);
        }
        workgroupBarrier();
    }
    if (thread == 0u) {
        y[sizes.y_offset + workgroup.y * sizes.y_group + workgroup.x] = partial[0];
    }
}
