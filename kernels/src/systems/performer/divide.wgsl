// Divides outputs by q′·(z + η), with CAUSAL plus the sum of the row's scores inside its chunk. With RUNNING, η is added
// to the z of the last feature alone.
//
// A workgroup processes eight rows of a head, 32 threads each.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: query features, [rows, heads · features]; binding 2: z before each chunk, [chunks, heads · features]
// binding 3: scores, [rows, heads · keys]; binding 4: outputs, [rows, heads · head]

override CAUSAL: u32 = 0u;
override RUNNING: u32 = 0u;

struct Sizes {
    // Rows · heads.
    items: u32,
    heads: u32,
    // Vectors of a head, of its features and of its scores.
    head: u32,
    vectors: u32,
    keys: u32,
    q_stride: u32,
    z_offset: u32,
    // Rows of a chunk, and the distance between the z of two chunks (zero where all chunks read one z).
    chunk: u32,
    z_stride: u32,
    s_stride: u32,
    o_offset: u32,
    o_stride: u32,
    eta: f32,
    // Number of the last feature, with RUNNING.
    last: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> scores: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;

const ONE = vec4<f32>(1.0);

// [8 rows, 32 threads].
var<workgroup> weights: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 8u + thread / 32u;
    let lane = thread % 32u;
    let row = item / sizes.heads;
    let head = item % sizes.heads;
    let exists = item < sizes.items;
    var weight = 0.0;
    if (exists) {
        let at_q = row * sizes.q_stride + head * sizes.vectors;
        let at_z = sizes.z_offset + row / sizes.chunk * sizes.z_stride + head * sizes.vectors;
        for (var column = lane; column < sizes.vectors; column += 32u) {
            // The padding of q′ is zero.
            var eta = vec4<f32>(sizes.eta);
            if (RUNNING == 1u) {
                let features = vec4<u32>(0u, 1u, 2u, 3u) + 4u * column;
                eta = select(vec4<f32>(0.0), eta, features == vec4<u32>(sizes.last));
            }
            weight += dot(q[at_q + column], z[at_z + column] + eta);
        }
        if (CAUSAL == 1u) {
            let at_s = row * sizes.s_stride + head * sizes.keys;
            for (var column = lane; column < sizes.keys; column += 32u) {
                weight += dot(scores[at_s + column], ONE);
            }
        }
    }
    weights[thread] = weight;
    workgroupBarrier();
    for (var step = 16u; step > 0u; step /= 2u) {
        if (lane < step) {
            weights[thread] += weights[thread + step];
        }
        workgroupBarrier();
    }
    if (!exists) {
        return;
    }
    let inverse = 1.0 / weights[thread - lane];
    let at_o = sizes.o_offset + row * sizes.o_stride + head * sizes.head;
    for (var column = lane; column < sizes.head; column += 32u) {
        o[at_o + column] *= inverse;
    }
}
