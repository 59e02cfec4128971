// Softmax of rows in place; a workgroup takes one row. Columns behind the causal mask and padding become zero.
//
// binding 0: sizes; offsets and strides in floats; binding 1: x, [matrices, rows, stride]

override CAUSAL: u32 = 0u;

struct Sizes {
    rows: u32,
    columns: u32,
    offset: u32,
    stride: u32,
    // Rows of all matrices together; row r of them is row r % rows of its matrix.
    all_rows: u32,
    first_row: u32,
    // log₂ e times the scores' scale: the exponential is taken to base two.
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

// Finite, so that differences of two of them stay defined.
const LOWEST: f32 = -1e30;

var<workgroup> partial: array<f32, 256>;

fn highest(thread: u32, value: f32) -> f32 {
    partial[thread] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (thread < half) {
            partial[thread] = max(partial[thread], partial[thread + half]);
        }
        workgroupBarrier();
    }
    let result = partial[0];
    workgroupBarrier();
    return result;
}

fn total(thread: u32, value: f32) -> f32 {
    partial[thread] = value;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (thread < half) {
            partial[thread] += partial[thread + half];
        }
        workgroupBarrier();
    }
    let result = partial[0];
    workgroupBarrier();
    return result;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = sizes.first_row + workgroup.y * 65535u + workgroup.x;
    if (row >= sizes.all_rows) {
        return;
    }
    let start = sizes.offset + row * sizes.stride;
    var end = sizes.columns;
    if (CAUSAL == 1u) {
        end = min(end, row % sizes.rows + 1u);
    }
    var largest = LOWEST;
    for (var column = thread; column < end; column += 256u) {
        largest = max(largest, x[start + column]);
    }
    largest = highest(thread, largest);
    var sum = 0.0;
    for (var column = thread; column < sizes.stride; column += 256u) {
        var value = 0.0;
        if (column < end) {
            value = exp2((x[start + column] - largest) * sizes.scale);
        }
        x[start + column] = value;
        sum += value;
    }
    let inverse = 1.0 / total(thread, sum);
    for (var column = thread; column < end; column += 256u) {
        x[start + column] *= inverse;
    }
}
