// Running sums along one axis: y[o, t, c] = Σ x[o, s, c] over s ≤ t, or s < t with EXCLUSIVE. An invocation processes
// all steps of four neighbouring columns of one outer index, for axes of a few hundred steps (chunks of a sequence).
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: x, [outer, steps, columns]; binding 2: y, like x

override EXCLUSIVE: u32 = 0u;

struct Sizes {
    items: u32,
    vectors: u32,
    steps: u32,
    x_offset: u32,
    x_step: u32,
    x_outer: u32,
    y_offset: u32,
    y_step: u32,
    y_outer: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    if (item >= sizes.items) {
        return;
    }
    let outer = item / sizes.vectors;
    var source = sizes.x_offset + outer * sizes.x_outer + item % sizes.vectors;
    var to = sizes.y_offset + outer * sizes.y_outer + item % sizes.vectors;
    var sum = vec4<f32>(0.0);
    for (var step = 0u; step < sizes.steps; step++) {
        let next = sum + x[source];
        y[to] = select(next, sum, EXCLUSIVE == 1u);
        sum = next;
        source += sizes.x_step;
        to += sizes.y_step;
    }
}
