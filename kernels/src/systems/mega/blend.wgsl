// AFFINE: y = a · b + c, with one row b and one row c for all rows. Otherwise Mega's gate: y = a + b · (SiLU(c) − a),
// element by element.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: a; binding 2: b; binding 3: c; binding 4: y, [rows, vectors]

override AFFINE: u32 = 0u;

struct Sizes {
    items: u32,
    vectors: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    c_offset: u32,
    c_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let row = item / sizes.vectors;
    let column = item % sizes.vectors;
    let first = a[sizes.a_offset + row * sizes.a_stride + column];
    let factor = b[sizes.b_offset + row * sizes.b_stride + column];
    let other = c[sizes.c_offset + row * sizes.c_stride + column];
    var value = first * factor + other;
    if (AFFINE == 0u) {
        value = first + factor * (other / (1.0 + exp(-other)) - first);
    }
    y[sizes.y_offset + row * sizes.y_stride + column] = value;
}
