// Keys from queries: divided by their root mean square and by √d. Mirrors `chunks.rs`.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: u, rows of heads
// binding 2: k, rows of heads

struct Sizes {
    items: u32,
    n_heads: u32,
    // Vectors of a head, and floats of a head without padding.
    head: u32,
    d_head: f32,
    u_offset: u32,
    u_stride: u32,
    k_offset: u32,
    k_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> u: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> k: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let row = item / sizes.n_heads;
    let first = item % sizes.n_heads * sizes.head;
    let source = sizes.u_offset + row * sizes.u_stride + first;
    let to = sizes.k_offset + row * sizes.k_stride + first;
    var square = 0.0;
    for (var c = 0u; c < sizes.head; c++) {
        square += dot(u[source + c], u[source + c]);
    }
    // The reference adds 10⁻⁶.
    let scale = 1.0 / sqrt((square / sizes.d_head + 1e-6) * sizes.d_head);
    for (var c = 0u; c < sizes.head; c++) {
        k[to + c] = scale * u[source + c];
    }
}
