// Y = combine(act(alpha · A), B), elementwise on rows of vectors of four floats.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: A; binding 2: B, where COMBINE; binding 3: Y

struct Sizes {
    rows: u32,
    vectors: u32,
    first_row: u32,
    alpha: f32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    // A grid in x and y, because one dimension has at most 65,535 workgroups.
    let item = place_in_line(workgroup) * 256u + thread;
    let row = item / sizes.vectors;
    let column = item % sizes.vectors;
    if (row >= sizes.rows) {
        return;
    }
    var value = activate(sizes.alpha * a[sizes.a_offset + row * sizes.a_stride + column]);
    if (COMBINE != 0u) {
        value = combine(value, b[sizes.b_offset + row * sizes.b_stride + column]);
    }
    y[sizes.y_offset + row * sizes.y_stride + column] = value;
}
