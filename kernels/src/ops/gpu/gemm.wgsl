// Y = combine(act(alpha · A·B + bias), C), batched. Mirrors `ops::gemm` and `ops::linear`.
//
// A workgroup computes 64 × 64 elements of Y with 128 threads, each with 8 rows × 4 columns in registers, in steps of
// 16 along the inner dimension through workgroup memory (8 KiB).
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: A, [rows, inner], or [inner, rows] with TRANSPOSE_A
// binding 2: B, [inner, columns], or [columns, inner] with TRANSPOSE_B
// binding 3: bias, [columns], where HAS_BIAS
// binding 4: C, shaped like Y, where COMBINE
// binding 5: Y, [rows, columns]; column c lies in plane c / plane_width

override TRANSPOSE_A: u32 = 0u;
override TRANSPOSE_B: u32 = 0u;
override HAS_BIAS: u32 = 0u;

struct Operand {
    offset: u32,
    stride: u32,
    // Distances between successive sequences, and between successive heads.
    outer: u32,
    inner: u32,
}

struct Sizes {
    rows: u32,
    columns: u32,
    inner: u32,
    heads: u32,
    first_row: u32,
    first_batch: u32,
    plane_width: u32,
    plane_stride: u32,
    a: Operand,
    b: Operand,
    c: Operand,
    y: Operand,
    alpha: f32,
    first_column: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

const ZERO = vec4<f32>(0.0);

// [16 inner, 16 vectors of four rows] and [16 inner, 16 vectors of four columns].
var<workgroup> tile_a: array<vec4<f32>, 256>;
var<workgroup> tile_b: array<vec4<f32>, 256>;

fn base(operand: Operand, batch: u32) -> u32 {
    return operand.offset + (batch / sizes.heads) * operand.outer + (batch % sizes.heads) * operand.inner;
}

// Four components from `first` on; those from `end` on become zero, since padding may have any content.
fn within(value: vec4<f32>, first: u32, end: u32) -> vec4<f32> {
    return select(ZERO, value, vec4<u32>(first, first + 1u, first + 2u, first + 3u) < vec4<u32>(end));
}

fn row_of_a(start: u32, row: u32, k: u32) -> vec4<f32> {
    if (row >= sizes.rows || k >= sizes.inner) {
        return ZERO;
    }
    return within(a[start + row * sizes.a.stride + k / 4u], k, sizes.inner);
}

fn row_of_b(start: u32, column: u32, k: u32) -> vec4<f32> {
    if (column >= sizes.columns || k >= sizes.inner) {
        return ZERO;
    }
    return within(b[start + column * sizes.b.stride + k / 4u], k, sizes.inner);
}

fn load_a(start: u32, first_row: u32, first_k: u32, thread: u32) {
    let quad = thread % 16u;
    if (TRANSPOSE_A == 1u) {
        for (var step = 0u; step < 4u; step++) {
            let k = step * 4u + thread / 16u;
            let row = first_row + quad * 4u;
            var value = ZERO;
            if (first_k + k < sizes.inner && row < sizes.rows) {
                value = within(a[start + (first_k + k) * sizes.a.stride + row / 4u], row, sizes.rows);
            }
            tile_a[k * 16u + quad] = value;
        }
    } else {
        let k = thread / 16u * 4u;
        let row = first_row + quad * 4u;
        let r0 = row_of_a(start, row, first_k + k);
        let r1 = row_of_a(start, row + 1u, first_k + k);
        let r2 = row_of_a(start, row + 2u, first_k + k);
        let r3 = row_of_a(start, row + 3u, first_k + k);
        tile_a[k * 16u + quad] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
        tile_a[(k + 1u) * 16u + quad] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
        tile_a[(k + 2u) * 16u + quad] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
        tile_a[(k + 3u) * 16u + quad] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
    }
}

fn load_b(start: u32, first_column: u32, first_k: u32, thread: u32) {
    let quad = thread % 16u;
    if (TRANSPOSE_B == 0u) {
        for (var step = 0u; step < 4u; step++) {
            let k = step * 4u + thread / 16u;
            let column = first_column + quad * 4u;
            var value = ZERO;
            if (first_k + k < sizes.inner && column < sizes.columns) {
                value = within(b[start + (first_k + k) * sizes.b.stride + column / 4u], column, sizes.columns);
            }
            tile_b[k * 16u + quad] = value;
        }
    } else {
        let k = thread / 16u * 4u;
        let column = first_column + quad * 4u;
        let r0 = row_of_b(start, column, first_k + k);
        let r1 = row_of_b(start, column + 1u, first_k + k);
        let r2 = row_of_b(start, column + 2u, first_k + k);
        let r3 = row_of_b(start, column + 3u, first_k + k);
        tile_b[k * 16u + quad] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
        tile_b[(k + 1u) * 16u + quad] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
        tile_b[(k + 2u) * 16u + quad] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
        tile_b[(k + 3u) * 16u + quad] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
    }
}

fn store(row: u32, column: u32, batch: u32, sum: vec4<f32>) {
    if (row >= sizes.rows || column >= sizes.columns) {
        return;
    }
    var value = sizes.alpha * sum;
    if (HAS_BIAS == 1u) {
        value += bias[column / 4u];
    }
    value = activate(value);
    if (COMBINE != 0u) {
        value = combine(value, c[base(sizes.c, batch) + row * sizes.c.stride + column / 4u]);
    }
    let plane = column / sizes.plane_width;
    let to = plane * sizes.plane_stride + (column % sizes.plane_width) / 4u;
    y[base(sizes.y, batch) + row * sizes.y.stride + to] = within(value, column, sizes.columns);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_row = sizes.first_row + workgroup.y * 64u;
    let first_column = sizes.first_column + workgroup.x * 64u;
    let batch = sizes.first_batch + workgroup.z;
    let start_a = base(sizes.a, batch);
    let start_b = base(sizes.b, batch);
    let column_quad = thread % 16u;
    let row_quad = thread / 16u * 2u;

    var acc0 = ZERO;
    var acc1 = ZERO;
    var acc2 = ZERO;
    var acc3 = ZERO;
    var acc4 = ZERO;
    var acc5 = ZERO;
    var acc6 = ZERO;
    var acc7 = ZERO;
    for (var first_k = 0u; first_k < sizes.inner; first_k += 16u) {
        if (thread < 64u) {
            load_a(start_a, first_row, first_k, thread);
        } else {
            load_b(start_b, first_column, first_k, thread - 64u);
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
            let low = tile_a[k * 16u + row_quad];
            let high = tile_a[k * 16u + row_quad + 1u];
            let right = tile_b[k * 16u + column_quad];
            acc0 = fma(vec4<f32>(low.x), right, acc0);
            acc1 = fma(vec4<f32>(low.y), right, acc1);
            acc2 = fma(vec4<f32>(low.z), right, acc2);
            acc3 = fma(vec4<f32>(low.w), right, acc3);
            acc4 = fma(vec4<f32>(high.x), right, acc4);
            acc5 = fma(vec4<f32>(high.y), right, acc5);
            acc6 = fma(vec4<f32>(high.z), right, acc6);
            acc7 = fma(vec4<f32>(high.w), right, acc7);
        }
        workgroupBarrier();
    }

    let row = first_row + row_quad * 4u;
    let column = first_column + column_quad * 4u;
    store(row, column, batch, acc0);
    store(row + 1u, column, batch, acc1);
    store(row + 2u, column, batch, acc2);
    store(row + 3u, column, batch, acc3);
    store(row + 4u, column, batch, acc4);
    store(row + 5u, column, batch, acc5);
    store(row + 6u, column, batch, acc6);
    store(row + 7u, column, batch, acc7);
}
