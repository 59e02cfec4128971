// Bucket numbers: for each factor the largest of the products with half as many rotations and of their negatives.
// Mirrors `hash.rs`. An invocation hashes one position of one head in one round.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: u, rows of heads
// binding 2: rotations, [n_heads, rounds, columns, head]
// binding 3: factors
// binding 4: stated bucket numbers, [batch, n_heads, rounds, length], read for near-ties
// binding 5: bucket numbers, [batch, n_heads, rounds, padded]

struct Sizes {
    length: u32,
    padded: u32,
    n_heads: u32,
    rounds: u32,
    columns: u32,
    // Vectors of a head.
    head: u32,
    u_offset: u32,
    u_stride: u32,
    n_factors: u32,
    buckets: u32,
    has_given: u32,
    first_tile: u32,
    first_sequence: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> u: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> rotations: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> factors: array<u32>;
@group(0) @binding(4) var<storage, read> given: array<u32>;
@group(0) @binding(5) var<storage, read_write> found: array<u32>;

// Two products with a smaller relative difference may be in another order on another device.
const CLOSE: f32 = 2e-5;

// The largest candidate so far, its number, and the second largest.
var<private> best: f32;
var<private> best_idx: u32;
var<private> second: f32;

fn offer(value: f32, idx: u32) {
    // In a tie the lowest number wins, whatever the order of calls.
    if (value > best || (value == best && idx < best_idx)) {
        second = best;
        best = value;
        best_idx = idx;
    } else {
        second = max(second, value);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let position = (sizes.first_tile + workgroup.x) * 64u + thread;
    let head = workgroup.y / sizes.rounds;
    let round = workgroup.y % sizes.rounds;
    let sequence = sizes.first_sequence + workgroup.z;
    if (position >= sizes.padded) {
        return;
    }
    let list = (sequence * sizes.n_heads + head) * sizes.rounds + round;
    if (position >= sizes.length) {
        found[list * sizes.padded + position] = sizes.buckets;
        return;
    }
    let start = sizes.u_offset + (sequence * sizes.length + position) * sizes.u_stride + head * sizes.head;
    var first = (head * sizes.rounds + round) * sizes.columns;
    var bucket = 0u;
    var weight = 1u;
    var is_close = false;
    for (var i = 0u; i < sizes.n_factors; i++) {
        let half = factors[i] / 2u;
        best = -3.4e38;
        best_idx = 0u;
        second = -3.4e38;
        for (var column = 0u; column < half; column += 4u) {
            var product = vec4<f32>(0.0);
            let row0 = (first + column) * sizes.head;
            let row1 = (first + min(column + 1u, half - 1u)) * sizes.head;
            let row2 = (first + min(column + 2u, half - 1u)) * sizes.head;
            let row3 = (first + min(column + 3u, half - 1u)) * sizes.head;
            for (var c = 0u; c < sizes.head; c++) {
                let value = u[start + c];
                product += vec4<f32>(
                    dot(value, rotations[row0 + c]),
                    dot(value, rotations[row1 + c]),
                    dot(value, rotations[row2 + c]),
                    dot(value, rotations[row3 + c]),
                );
            }
            for (var j = 0u; j < min(4u, half - column); j++) {
                offer(product[j], column + j);
                offer(-product[j], half + column + j);
            }
        }
        is_close = is_close || best - second <= CLOSE * abs(best);
        bucket += weight * best_idx;
        weight *= factors[i];
        first += half;
    }
    if (is_close && sizes.has_given == 1u) {
        bucket = given[list * sizes.length + position];
    }
    found[list * sizes.padded + position] = bucket;
}
