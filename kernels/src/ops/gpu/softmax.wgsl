// Softmax of rows in place; a workgroup processes one row. Columns beyond the causal mask and padding become zero.
//
// A row is read twice and written once. Maxima and sums are computed together: each thread rescales its sum as its
// maximum grows, and the threads' results are joined in two steps of eight, with one barrier each.
//
// binding 0: sizes; offset and stride in vectors of four floats; binding 1: x, [matrices, rows, stride]

override CAUSAL: u32 = 0u;

struct Sizes {
    rows: u32,
    columns: u32,
    offset: u32,
    stride: u32,
    // Rows of all matrices together; row r is row r % rows of its matrix.
    all_rows: u32,
    first_row: u32,
    // log₂ e times the scale of the scores, since exponentials have base two.
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

const ZERO = vec4<f32>(0.0);

// Finite, so that the difference of two of them is defined.
const LOWEST: f32 = -1e30;

var<workgroup> of_threads: array<vec2<f32>, 64>;
var<workgroup> of_eighths: array<vec2<f32>, 8>;

fn seen(vector: u32, end: u32) -> vec4<bool> {
    let column = 4u * vector;
    return vec4<u32>(column, column + 1u, column + 2u, column + 3u) < vec4<u32>(end);
}

fn powers(value: vec4<f32>, largest: f32) -> vec4<f32> {
    return exp2((value - largest) * sizes.scale);
}

// Joins two parts of a row: the larger maximum, and the sum of powers relative to it.
fn joined(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    let largest = max(a.x, b.x);
    return vec2<f32>(largest, a.y * exp2((a.x - largest) * sizes.scale) + b.y * exp2((b.x - largest) * sizes.scale));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = sizes.first_row + place_in_line(workgroup);
    if (row >= sizes.all_rows) {
        return;
    }
    let start = sizes.offset + row * sizes.stride;
    var end = sizes.columns;
    if (CAUSAL == 1u) {
        end = min(end, row % sizes.rows + 1u);
    }
    var part = vec2<f32>(LOWEST, 0.0);
    for (var vector = thread; 4u * vector < end; vector += 64u) {
        let value = x[start + vector];
        let counts = seen(vector, end);
        let visible = select(vec4<f32>(LOWEST), value, counts);
        let largest = max(max(visible.x, visible.y), max(visible.z, visible.w));
        let next = max(part.x, largest);
        let power = select(ZERO, powers(value, next), counts);
        let sum = (power.x + power.y) + (power.z + power.w);
        part = vec2<f32>(next, part.y * exp2((part.x - next) * sizes.scale) + sum);
    }
    of_threads[thread] = part;
    workgroupBarrier();
    if (thread < 8u) {
        var eighth = of_threads[thread];
        for (var other = thread + 8u; other < 64u; other += 8u) {
            eighth = joined(eighth, of_threads[other]);
        }
        of_eighths[thread] = eighth;
    }
    workgroupBarrier();
    var all = of_eighths[0];
    for (var other = 1u; other < 8u; other++) {
        all = joined(all, of_eighths[other]);
    }
    let inverse = 1.0 / all.y;
    for (var vector = thread; vector < sizes.stride; vector += 64u) {
        var value = ZERO;
        if (4u * vector < end) {
            value = select(ZERO, powers(x[start + vector], all.x) * inverse, seen(vector, end));
        }
        x[start + vector] = value;
    }
}
