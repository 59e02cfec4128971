// Adds the parts of `cache_conv.wgsl`, and combines the sum with another stream: y = combine(Σ parts, b). With FROM_CLOCK, y is
// the row of the clock's position in each sequence.
//
// A workgroup has COLUMNS vectors of channels; its threads divide the parts among them.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: the clock; binding 2: results, [batch, parts, vectors]; binding 3: b, [batch], where COMBINE
// binding 4: y, [batch] or with FROM_CLOCK [batch, capacity]

// A power of two, at most 16.
override COLUMNS: u32 = 16u;
override FROM_CLOCK: u32 = 0u;

struct Sizes {
    vectors: u32,
    parts: u32,
    b_offset: u32,
    b_stride: u32,
    // Rows of a sequence in y.
    rows: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> results: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const THREADS: u32 = 256u;

var<workgroup> partial: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let sequence = workgroup.y;
    let column = workgroup.x * COLUMNS + thread % COLUMNS;
    var sum = vec4<f32>(0.0);
    if (column < sizes.vectors) {
        for (var part = thread / COLUMNS; part < sizes.parts; part += THREADS / COLUMNS) {
            sum += results[(sequence * sizes.parts + part) * sizes.vectors + column];
        }
    }
    partial[thread] = sum;
    workgroupBarrier();
    for (var half = THREADS / 2u; half >= COLUMNS; half /= 2u) {
        if (thread < half) {
            partial[thread] += partial[thread + half];
        }
        workgroupBarrier();
    }
    if (thread < COLUMNS && column < sizes.vectors) {
        var value = partial[thread];
        if (COMBINE != 0u) {
            value = combine(value, b[sizes.b_offset + sequence * sizes.b_stride + column]);
        }
        let row = sequence * sizes.rows + select(0u, clock[1], FROM_CLOCK == 1u);
        y[sizes.y_offset + row * sizes.y_stride + column] = value;
    }
}
