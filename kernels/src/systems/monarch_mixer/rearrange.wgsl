// Copies rows from one layout of columns to another, transposed: element (r, c) of a row seen as [source_rows,
// source_columns] goes to (c, r). With GATE, element i becomes gelu(element i) times element i + gate_distance; with
// only ACTIVATE, gelu(element i). Mirrors `matrix.rs` and `mlp.rs`.
//
// binding 0: sizes in floats; binding 1: x; binding 2: y, whose padding is not written

override GATE: u32 = 0u;
override ACTIVATE: u32 = 0u;

struct Sizes {
    items: u32,
    // Elements of an output row, and floats of an element.
    count: u32,
    floats: u32,
    source_columns: u32,
    gate_distance: u32,
    x_offset: u32,
    x_stride: u32,
    x_width: u32,
    x_run: u32,
    y_offset: u32,
    y_stride: u32,
    y_width: u32,
    y_run: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
fn gelu(value: f32) -> f32 {
    let a = abs(value) * 0.7071067811865476;
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return max(value, 0.0) - 0.5 * abs(value) * p * exp(-a * a);
}

fn input(row: u32, position: u32) -> f32 {
    return x[sizes.x_offset + row * sizes.x_stride + position / sizes.x_width * sizes.x_run + position % sizes.x_width];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let row = item / sizes.count;
    let element = item % sizes.count;
    let source_rows = sizes.count / sizes.source_columns;
    let source = element % source_rows * sizes.source_columns + element / source_rows;
    for (var part = 0u; part < sizes.floats; part++) {
        var value = input(row, source * sizes.floats + part);
        if (ACTIVATE == 1u) {
            value = gelu(value);
        }
        if (GATE == 1u) {
            value *= input(row, source * sizes.floats + part + sizes.gate_distance);
        }
        let position = element * sizes.floats + part;
        y[sizes.y_offset + row * sizes.y_stride + position / sizes.y_width * sizes.y_run + position % sizes.y_width] = value;
    }
}
