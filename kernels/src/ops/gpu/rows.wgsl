// Reorders rows: y row i = x row index[i] within each sequence; with SCATTER y row index[i] = x row i.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: x; binding 2: index, [batch, rows]; binding 3: y

override SCATTER: u32 = 0u;

struct Sizes {
    items: u32,
    vectors: u32,
    // Rows of a sequence in the index, in x and in y.
    rows: u32,
    x_rows: u32,
    y_rows: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
    index_offset: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> index: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let row = item / sizes.vectors;
    let column = item % sizes.vectors;
    let sequence = row / sizes.rows;
    var source = row % sizes.rows;
    var to = source;
    if (SCATTER == 1u) {
        to = index[sizes.index_offset + row];
    } else {
        source = index[sizes.index_offset + row];
    }
    source += sequence * sizes.x_rows;
    to += sequence * sizes.y_rows;
    y[sizes.y_offset + to * sizes.y_stride + column] = x[sizes.x_offset + source * sizes.x_stride + column];
}
