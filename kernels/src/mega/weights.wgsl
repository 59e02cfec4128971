// Scores of a chunk into weights, in place: scale, bias by distance, mask, then softmax (ACTIVATION 0), the Laplace
// function (1) or the squared positive part (2). Mirrors `weigh` of attention.rs.
//
// A workgroup takes a row, which is a query.
//
// binding 0: sizes in floats
// binding 1: scores, [rows, columns]
// binding 2: bias, one for each distance, distance 0 at `centre`

override ACTIVATION: u32 = 0u;
override CAUSAL: u32 = 0u;

struct Sizes {
    rows: u32,
    // Queries, and keys, of a chunk; rows of further chunks follow.
    chunk: u32,
    stride: u32,
    centre: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;

const LOWEST: f32 = -1e30;

var<workgroup> partial: array<f32, 64>;

fn total(thread: u32, value: f32) -> f32 {
    workgroupBarrier();
    partial[thread] = value;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step /= 2u) {
        if (thread < step) {
            partial[thread] += partial[thread + step];
        }
        workgroupBarrier();
    }
    return partial[0];
}

fn highest(thread: u32, value: f32) -> f32 {
    workgroupBarrier();
    partial[thread] = value;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step /= 2u) {
        if (thread < step) {
            partial[thread] = max(partial[thread], partial[thread + step]);
        }
        workgroupBarrier();
    }
    return partial[0];
}

// The error function by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
fn erf(value: f32) -> f32 {
    let a = abs(value);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(value) * (1.0 - p * exp(-a * a));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = workgroup.y * 65535u + workgroup.x;
    if (row >= sizes.rows) {
        return;
    }
    let start = row * sizes.stride;
    let query = row % sizes.chunk;
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
                value = 0.5 * (1.0 + erf((value - 0.707107) / (0.282095 * 1.4142135623730951)));
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
