// The last step of a block-diagonal layer: y = LN(x + extra) (NORM), or x + extra. Mirrors `mlp.rs` and `matrix.rs`. A
// workgroup processes a row. Rows of x lie in runs with gaps, rows of y in runs of another stride.
//
// binding 0: sizes in floats
// binding 1: x; binding 2: y
// binding 3: extra, weight, bias, [width] each

override NORM: u32 = 0u;

struct Sizes {
    rows: u32,
    width: u32,
    x_offset: u32,
    x_stride: u32,
    x_width: u32,
    x_run: u32,
    y_offset: u32,
    y_stride: u32,
    y_width: u32,
    y_run: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: array<f32>;

fn input(row: u32, column: u32) -> f32 {
    let at = column / sizes.x_width * sizes.x_run + column % sizes.x_width;
    return x[sizes.x_offset + row * sizes.x_stride + at] + params[column];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = place_in_line(workgroup);
    if (row >= sizes.rows) {
        return;
    }
    var mean = 0.0;
    if (NORM == 1u) {
        var sum = 0.0;
        for (var column = thread; column < sizes.width; column += 64u) {
            sum += input(row, column);
        }
        mean = total(thread, sum) / f32(sizes.width);
    }
    var factor = 1.0;
    if (NORM == 1u) {
        var sum = 0.0;
        for (var column = thread; column < sizes.width; column += 64u) {
            let value = input(row, column) - mean;
            sum += value * value;
        }
        factor = inverseSqrt(total(thread, sum) / f32(sizes.width) + sizes.eps);
    }
    for (var column = thread; column < sizes.width; column += 64u) {
        var value = (input(row, column) - mean) * factor;
        if (NORM == 1u) {
            value = value * params[sizes.width + column] + params[2u * sizes.width + column];
        }
        let at = column / sizes.y_width * sizes.y_run + column % sizes.y_width;
        y[sizes.y_offset + row * sizes.y_stride + at] = value;
    }
}
