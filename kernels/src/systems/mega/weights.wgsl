// Replaces the scores of a chunk by weights: scale, bias by distance, mask, then softmax (ACTIVATION 0), the Laplace
// function (1) or the squared positive part (2). Mirrors `weigh` of attention.rs.
//
// A workgroup processes a row, which is a query.
//
// binding 0: sizes in floats
// binding 1: scores, [rows, columns]
// binding 2: bias, one for each distance, distance 0 at `centre`
// binding 3: the clock, with CACHE

// Whether a row is the query at the clock's position, and the keys a cache of its chunk.
override CACHE: u32 = 0u;

override ACTIVATION: u32 = 0u;
override CAUSAL: u32 = 0u;

struct Sizes {
    rows: u32,
    // Keys of a chunk; rows of further chunks follow.
    chunk: u32,
    stride: u32,
    centre: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> clock: array<u32>;

const LOWEST: f32 = -1e30;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = place_in_line(workgroup);
    if (row >= sizes.rows) {
        return;
    }
    let start = row * sizes.stride;
    var query = row % sizes.chunk;
    if (CACHE == 1u) {
        query = clock[1] % sizes.chunk;
    }
    let keys = select(sizes.chunk, query + 1u, CAUSAL == 1u);
    var scale = sizes.scale;
    if (ACTIVATION != 0u) {
        scale = 1.0 / f32(keys);
    }
    var largest = LOWEST;
    for (var key = thread; key < sizes.stride; key += 64u) {
        var value = 0.0;
        if (key < keys) {
            value = scores[start + key] * scale + bias[sizes.centre + key - query];
            largest = max(largest, value);
            if (ACTIVATION == 1u) {
                let z = (value - 0.707107) / (0.282095 * 1.4142135623730951);
                value = 0.5 * (1.0 + erf(vec4<f32>(z)).x);
            } else if (ACTIVATION == 2u) {
                value = max(value, 0.0) * max(value, 0.0);
            }
        }
        scores[start + key] = value;
    }
    if (ACTIVATION != 0u) {
        return;
    }
    largest = highest(thread, largest);
    var sum = 0.0;
    for (var key = thread; key < keys; key += 64u) {
        let value = exp(scores[start + key] - largest);
        scores[start + key] = value;
        sum += value;
    }
    let inverse = 1.0 / total(thread, sum);
    for (var key = thread; key < keys; key += 64u) {
        scores[start + key] *= inverse;
    }
}
