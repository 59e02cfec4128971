// Joins the parts of `cache_attention.wgsl` to the output of each head. An invocation computes one vector.
//
// binding 0: sizes; strides in vectors of four floats
// binding 1: results, [batch, heads, parts] of [run + 1] vectors; binding 2: y, padded rows [batch]

override RUN: u32 = 16u;

struct Sizes {
    items: u32,
    heads: u32,
    parts: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> results: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    if (item >= sizes.items) {
        return;
    }
    let row = item / RUN;
    let column = item % RUN;
    let first = row * sizes.parts * (RUN + 1u);
    var maximum = -1e30;
    for (var part = 0u; part < sizes.parts; part++) {
        maximum = max(maximum, results[first + part * (RUN + 1u) + RUN].x);
    }
    var sum = vec4<f32>(0.0);
    var total = 0.0;
    for (var part = 0u; part < sizes.parts; part++) {
        let at = first + part * (RUN + 1u);
        let last = results[at + RUN];
        let factor = exp2(last.x - maximum);
        sum += factor * results[at + column];
        total += factor * last.y;
    }
    y[sizes.y_offset + row / sizes.heads * sizes.y_stride + row % sizes.heads * RUN + column] = sum / total;
}
