// Normalisation of rows: y = (x − mean) / √(variance + ε) · weight + bias, or with SCALE y = x · g / √(mean(x²) + ε).
// Mirrors `ops::norm`. A workgroup processes one row.
//
// binding 0: sizes; offsets and strides in vectors of four floats, the width in floats
// binding 1: x; binding 2: weight, then bias, [2, width] (unused with SCALE); binding 3: y

override SCALE: u32 = 0u;

struct Sizes {
    rows: u32,
    width: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
    epsilon: f32,
    g: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

// Zero in the padding.
fn within(value: vec4<f32>, vector: u32) -> vec4<f32> {
    let column = vec4<u32>(0u, 1u, 2u, 3u) + 4u * vector;
    return select(vec4<f32>(0.0), value, column < vec4<u32>(sizes.width));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = place_in_line(workgroup);
    if (row >= sizes.rows) {
        return;
    }
    let vectors = (sizes.width + 3u) / 4u;
    let source = sizes.x_offset + row * sizes.x_stride;
    let to = sizes.y_offset + row * sizes.y_stride;
    var mean = 0.0;
    if (SCALE == 0u) {
        var sum = 0.0;
        for (var vector = thread; vector < vectors; vector += 64u) {
            sum += dot(within(x[source + vector], vector), vec4<f32>(1.0));
        }
        mean = total(thread, sum) / f32(sizes.width);
    }
    var squares = 0.0;
    for (var vector = thread; vector < vectors; vector += 64u) {
        let centred = within(x[source + vector] - mean, vector);
        squares += dot(centred, centred);
    }
    let factor = 1.0 / sqrt(total(thread, squares) / f32(sizes.width) + sizes.epsilon);
    for (var vector = thread; vector < vectors; vector += 64u) {
        let centred = (x[source + vector] - mean) * factor;
        if (SCALE == 1u) {
            y[to + vector] = within(centred * sizes.g, vector);
        } else {
            y[to + vector] = within(fma(centred, weight[vector], weight[vectors + vector]), vector);
        }
    }
}
