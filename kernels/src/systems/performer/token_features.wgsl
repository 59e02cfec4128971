// Absorbs one key of each head into z, and writes what S needs: the features of key and query as in features.wgsl with
// RUNNING, the query's divided by q′·(z + η), and the factor by which earlier sums shrink because the maximum rises.
//
// A workgroup processes a head of a sequence; a thread computes every 256th feature.
//
// binding 0: sizes; offsets and strides in floats
// binding 1: queries, [batch]; binding 2: keys, [batch]; binding 3: the projection, [d, m]
// binding 4: the largest projections so far, [batch · heads]; binding 5: z, [batch · heads, run]
// binding 6: [batch · heads] of key features [run], query features [run], and four floats with the factor first

struct Sizes {
    heads: u32,
    d_head: u32,
    // Floats of a head in q and k, padding included.
    head: u32,
    features: u32,
    // Floats of a head's features, padding included.
    run: u32,
    q_offset: u32,
    q_stride: u32,
    k_offset: u32,
    k_stride: u32,
    p_stride: u32,
    norm: f32,
    epsilon: f32,
    eta: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<f32>;
@group(0) @binding(3) var<storage, read> projection: array<f32>;
@group(0) @binding(4) var<storage, read_write> maxima: array<f32>;
@group(0) @binding(5) var<storage, read_write> z: array<f32>;
@group(0) @binding(6) var<storage, read_write> result: array<f32>;

const LOWEST: f32 = -3e38;
const THREADS: u32 = 256u;

// The largest projections of query and key, and the squares of their entries; then sums.
var<workgroup> partial: array<vec4<f32>, 256>;
var<workgroup> before: f32;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = workgroup.x;
    let sequence = workgroup.y;
    let place = sequence * sizes.heads + head;
    let at_q = sizes.q_offset + sequence * sizes.q_stride + head * sizes.head;
    let at_k = sizes.k_offset + sequence * sizes.k_stride + head * sizes.head;
    let key = place * (2u * sizes.run + 4u);
    let query = key + sizes.run;
    let at_z = place * sizes.run;
    if (thread == 0u) {
        before = maxima[place];
    }
    var own = vec4<f32>(LOWEST, LOWEST, 0.0, 0.0);
    for (var i = thread; i < sizes.d_head; i += THREADS) {
        own.z += q[at_q + i] * q[at_q + i];
        own.w += k[at_k + i] * k[at_k + i];
    }
    for (var feature = thread; feature < sizes.features; feature += THREADS) {
        var of_query = 0.0;
        var of_key = 0.0;
        for (var i = 0u; i < sizes.d_head; i++) {
            let weight = projection[i * sizes.p_stride + feature];
            of_query = fma(weight, q[at_q + i], of_query);
            of_key = fma(weight, k[at_k + i], of_key);
        }
        own.x = max(own.x, of_query);
        own.y = max(own.y, of_key);
        result[query + feature] = of_query;
        result[key + feature] = of_key;
    }
    partial[thread] = own;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (thread < half) {
            let other = partial[thread + half];
            let mine = partial[thread];
            partial[thread] = vec4<f32>(max(mine.xy, other.xy), mine.zw + other.zw);
        }
        workgroupBarrier();
    }
    let joint = partial[0];
    let highest = max(before, joint.y);
    let factor = exp(before - highest);
    let query_shift = sizes.norm * joint.z + joint.x;
    let key_shift = sizes.norm * joint.w + highest;
    workgroupBarrier();

    // Σ q′ z, Σ q′, and the z of the last feature.
    var sums = vec4<f32>(0.0);
    for (var feature = thread; feature < sizes.features; feature += THREADS) {
        let of_key = exp(result[key + feature] - key_shift);
        let of_query = exp(result[query + feature] - query_shift) + sizes.epsilon;
        let total = fma(z[at_z + feature], factor, of_key);
        z[at_z + feature] = total;
        result[key + feature] = of_key;
        result[query + feature] = of_query;
        sums += vec4<f32>(of_query * total, of_query, 0.0, 0.0);
    }
    if (thread == 0u) {
        sums.z = z[at_z + sizes.features] + sizes.epsilon;
        z[at_z + sizes.features] = sums.z;
    }
    partial[thread] = sums;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        if (thread < half) {
            partial[thread] += partial[thread + half];
        }
        workgroupBarrier();
    }
    let total = partial[0];
    let scale = 1.0 / (total.x + total.y * (total.z + sizes.eta));
    for (var feature = thread; feature < sizes.features; feature += THREADS) {
        result[query + feature] *= scale;
    }
    if (thread == 0u) {
        result[key + sizes.features] = sizes.epsilon;
        result[query + sizes.features] = total.y * scale;
        result[query + sizes.run] = factor;
        maxima[place] = highest;
    }
}
