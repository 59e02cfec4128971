// S ← factor · S + k′ vᵀ, and then q′ᵀS, in one pass over S; k′, q′ and the factor are from token_features.wgsl. The last
// feature's row has no factor.
//
// A workgroup has four vectors of columns of a head, a thread every 64th row of one of them.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: features; binding 2: values, [batch]; binding 3: S, [batch, heads, features + 1, head]; binding 4: y, [batch]

struct Sizes {
    heads: u32,
    head: u32,
    features: u32,
    // Floats of a head's features, padding included.
    run: u32,
    v_offset: u32,
    v_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> features: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> products: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const COLUMNS: u32 = 4u;
const ROWS: u32 = 64u;

var<workgroup> partial: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = workgroup.y;
    let sequence = workgroup.z;
    let place = sequence * sizes.heads + head;
    let key = place * (2u * sizes.run + 4u);
    let query = key + sizes.run;
    let column = workgroup.x * COLUMNS + thread % COLUMNS;
    let exists = column < sizes.head;
    var sum = vec4<f32>(0.0);
    if (exists) {
        let value = v[sizes.v_offset + sequence * sizes.v_stride + head * sizes.head + column];
        let factor = features[query + sizes.run];
        let first = place * (sizes.features + 1u);
        for (var row = thread / COLUMNS; row <= sizes.features; row += ROWS) {
            let at = (first + row) * sizes.head + column;
            let kept = products[at] * select(factor, 1.0, row == sizes.features);
            let next = fma(vec4<f32>(features[key + row]), value, kept);
            products[at] = next;
            sum = fma(vec4<f32>(features[query + row]), next, sum);
        }
    }
    partial[thread] = sum;
    workgroupBarrier();
    for (var half = ROWS * COLUMNS / 2u; half >= COLUMNS; half /= 2u) {
        if (thread < half) {
            partial[thread] += partial[thread + half];
        }
        workgroupBarrier();
    }
    if (exists && thread < COLUMNS) {
        y[sizes.y_offset + sequence * sizes.y_stride + head * sizes.head + column] = partial[thread];
    }
}
