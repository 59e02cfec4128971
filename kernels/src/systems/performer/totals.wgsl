// z of each chunk: its key features summed over its rows. An invocation sums four neighbouring columns of a chunk.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: key features, [chunks · rows, columns]; binding 2: z, [chunks, columns]

struct Sizes {
    items: u32,
    vectors: u32,
    rows: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let chunk = item / sizes.vectors;
    let column = item % sizes.vectors;
    var at = chunk * sizes.rows * sizes.x_stride + column;
    var sum = vec4<f32>(0.0);
    for (var row = 0u; row < sizes.rows; row++) {
        sum += x[at];
        at += sizes.x_stride;
    }
    y[sizes.y_offset + chunk * sizes.y_stride + column] = sum;
}
