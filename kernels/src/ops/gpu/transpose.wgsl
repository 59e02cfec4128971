// y[b, j, i] = x[b, i, j] by tiles of 32 × 32 in workgroup memory, so that reads and writes are both contiguous.
//
// binding 0: sizes; offsets and strides in floats
// binding 1: x, [batches, rows, columns]; binding 2: y, [batches, columns, rows]

struct Sizes {
    rows: u32,
    columns: u32,
    x_offset: u32,
    x_stride: u32,
    x_batch: u32,
    y_offset: u32,
    y_stride: u32,
    y_batch: u32,
    first_row_tile: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// One unused column per row, so that a column's elements are in different banks.
var<workgroup> tile: array<f32, 1056>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % 32u;
    let first_row = (sizes.first_row_tile + workgroup.y) * 32u;
    let first_column = workgroup.x * 32u;
    for (var line = thread / 32u; line < 32u; line += 8u) {
        let row = first_row + line;
        let column = first_column + lane;
        if (row < sizes.rows && column < sizes.columns) {
            tile[line * 33u + lane] =
                x[sizes.x_offset + workgroup.z * sizes.x_batch + row * sizes.x_stride + column];
        }
    }
    workgroupBarrier();
    for (var line = thread / 32u; line < 32u; line += 8u) {
        let row = first_column + line;
        let column = first_row + lane;
        if (row < sizes.columns && column < sizes.rows) {
            y[sizes.y_offset + workgroup.z * sizes.y_batch + row * sizes.y_stride + column] =
                tile[lane * 33u + line];
        }
    }
}
