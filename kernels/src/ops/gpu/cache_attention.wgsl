// Attention of one query of each head over the keys of a cache, up to the clock's position (Dao et al., flash-decoding): the keys
// are divided into parts, one workgroup each, and `merge_parts.wgsl` joins the parts' results.
//
// A workgroup takes 64 keys at a time: an invocation computes one score, then the invocations divide the columns of the
// values among them, with several groups of invocations on different keys. Heads of more than 64 vectors take several
// passes over the columns, which all compute the scores.
//
// With WINDOW, a query sees the keys 0, δ, …, reach · δ positions before it, where δ is its head's dilation, and the cache is a
// ring.
//
// binding 0: sizes; strides in vectors of four floats
// binding 1: the clock; binding 2: q, padded rows [batch]; bindings 3 and 4: keys and values, rows [batch, capacity]
// binding 5: the dilation of each head, where WINDOW
// binding 6: results, [batch, heads, parts] of [run / 4 + 1] vectors: Σ w v, then (maximum, Σ w) with scores in units of log₂

// Vectors of a head.
override RUN: u32 = 16u;
// Heads of queries that share a head of keys.
override SHARED: u32 = 1u;
override WINDOW: u32 = 0u;

struct Sizes {
    heads: u32,
    parts: u32,
    capacity: u32,
    q_offset: u32,
    q_stride: u32,
    kv_stride: u32,
    scale: f32,
    reach: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> keys: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> values: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> dilations: array<u32>;
@group(0) @binding(6) var<storage, read_write> results: array<vec4<f32>>;

const THREADS: u32 = 64u;

var<workgroup> scores: array<f32, 64>;
var<workgroup> sums: array<vec4<f32>, 64>;
var<workgroup> keys_seen: u32;

// The cache's row of a key among the visible ones.
fn place(key: u32, visible: u32, position: u32, dilation: u32) -> u32 {
    if (WINDOW == 1u) {
        return (position - (visible - 1u - key) * dilation) % sizes.capacity;
    }
    return key;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let part = workgroup.x % sizes.parts;
    let first_column = workgroup.x / sizes.parts * THREADS;
    let head = workgroup.y;
    let sequence = workgroup.z;
    let position = clock[1];
    var dilation = 1u;
    // The present token's key is in the cache already.
    var seen = position + 1u;
    if (WINDOW == 1u) {
        dilation = dilations[head];
        seen = min(sizes.reach, position / dilation) + 1u;
    }
    if (thread == 0u) {
        keys_seen = seen;
    }
    let query = sizes.q_offset + sequence * sizes.q_stride + head * RUN;
    let visible = workgroupUniformLoad(&keys_seen);
    let tiles = (visible + THREADS - 1u) / THREADS;
    let each = (tiles + sizes.parts - 1u) / sizes.parts;
    let first = part * each;
    let end = min(first + each, tiles);
    let row = sequence * sizes.capacity * sizes.kv_stride + head / SHARED * RUN;

    // Groups of invocations, one vector of columns each.
    let columns = min(THREADS, RUN - first_column);
    let groups = THREADS / columns;
    let group = thread / columns;
    let column = first_column + thread % columns;
    var maximum = -1e30;
    var total = 0.0;
    var sum = vec4<f32>(0.0);
    for (var tile = first; tile < end; tile++) {
        let key = tile * THREADS + thread;
        var score = -1e30;
        if (key < visible) {
            let at = row + place(key, visible, position, dilation) * sizes.kv_stride;
            var dots = vec4<f32>(0.0);
            for (var i = 0u; i < RUN; i++) {
                dots += q[query + i] * keys[at + i];
            }
            score = sizes.scale * (dots.x + dots.y + dots.z + dots.w);
        }
        scores[thread] = score;
        workgroupBarrier();
        var highest = maximum;
        for (var i = 0u; i < THREADS; i++) {
            highest = max(highest, scores[i]);
        }
        let factor = exp2(maximum - highest);
        maximum = highest;
        total *= factor;
        sum *= factor;
        let keys_here = min(THREADS, visible - tile * THREADS);
        if (group < groups) {
            for (var i = group; i < keys_here; i += groups) {
                let weight = exp2(scores[i] - maximum);
                total += weight;
                let at = row + place(tile * THREADS + i, visible, position, dilation) * sizes.kv_stride;
                sum += weight * values[at + column];
            }
        }
        workgroupBarrier();
    }
    // The groups' sums are joined by the first one.
    sums[thread] = sum;
    scores[thread] = total;
    workgroupBarrier();
    if (thread < columns) {
        for (var i = 1u; i < groups; i++) {
            sum += sums[i * columns + thread];
            total += scores[i * columns + thread];
        }
        let to = ((sequence * sizes.heads + head) * sizes.parts + part) * (RUN + 1u);
        results[to + column] = sum;
        if (column == 0u) {
            results[to + RUN] = vec4<f32>(maximum, total, 0.0, 0.0);
        }
    }
}
