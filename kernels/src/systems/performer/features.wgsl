// Replaces the projections p by positive features: exp(p − n − maximum) + ε, with the maximum of the row for queries
// and of the head for keys. Mirrors features.rs; the factor m^(−1/2) is omitted. Padding becomes zero.
//
// With RUNNING, a further feature carries the ε of the keys, whose own features are without it: it is ε in a key, and in a
// query the sum of its features times exp(largest projection up to the query's row − the head's maximum).
//
// A workgroup processes eight rows of a head, 32 threads each.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: the queries or keys, [rows, heads · head]; binding 2: the keys' maxima, one for each head
// binding 3: the largest projections up to each row, [heads, length], where RUNNING
// binding 4: p, [rows, heads · features]

override KEYS: u32 = 0u;
override RUNNING: u32 = 0u;

struct Sizes {
    // Rows · heads.
    items: u32,
    heads: u32,
    // Vectors of a head, and of a head's features.
    head: u32,
    vectors: u32,
    features: u32,
    x_offset: u32,
    x_stride: u32,
    p_stride: u32,
    first_head: u32,
    norm: f32,
    epsilon: f32,
    running_offset: u32,
    running_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> maxima: array<f32>;
@group(0) @binding(3) var<storage, read> running: array<f32>;
@group(0) @binding(4) var<storage, read_write> p: array<vec4<f32>>;

const ZERO = vec4<f32>(0.0);
const ONE = vec4<f32>(1.0);
const LOWEST = vec4<f32>(-3e38);

// [8 rows, 32 threads].
var<workgroup> squares: array<f32, 256>;
var<workgroup> highest: array<f32, 256>;

fn valid(column: u32) -> vec4<bool> {
    let first = column * 4u;
    return vec4<u32>(first, first + 1u, first + 2u, first + 3u) < vec4<u32>(sizes.features);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 8u + thread / 32u;
    let lane = thread % 32u;
    let row = item / sizes.heads;
    let head = item % sizes.heads;
    let exists = item < sizes.items;
    let start = row * sizes.p_stride + head * sizes.vectors;
    var square = 0.0;
    var most = LOWEST;
    if (exists) {
        let at = sizes.x_offset + row * sizes.x_stride + head * sizes.head;
        for (var column = lane; column < sizes.head; column += 32u) {
            square += dot(x[at + column], x[at + column]);
        }
        if (KEYS == 0u) {
            for (var column = lane; column < sizes.vectors; column += 32u) {
                most = max(most, select(LOWEST, p[start + column], valid(column)));
            }
        }
    }
    squares[thread] = square;
    highest[thread] = max(max(most.x, most.y), max(most.z, most.w));
    workgroupBarrier();
    for (var step = 16u; step > 0u; step /= 2u) {
        if (lane < step) {
            squares[thread] += squares[thread + step];
            highest[thread] = max(highest[thread], highest[thread + step]);
        }
        workgroupBarrier();
    }
    var maximum = highest[thread - lane];
    if (KEYS == 1u && exists) {
        maximum = maxima[sizes.first_head + head];
    }
    let shift = sizes.norm * squares[thread - lane] + maximum;
    let epsilon = select(sizes.epsilon, 0.0, KEYS == 1u && RUNNING == 1u);
    var sum = 0.0;
    if (exists) {
        for (var column = lane; column < sizes.vectors; column += 32u) {
            let feature = select(ZERO, exp(p[start + column] - shift) + epsilon, valid(column));
            p[start + column] = feature;
            sum += dot(feature, ONE);
        }
    }
    if (RUNNING == 1u) {
        workgroupBarrier();
        squares[thread] = sum;
        workgroupBarrier();
        for (var step = 16u; step > 0u; step /= 2u) {
            if (lane < step) {
                squares[thread] += squares[thread + step];
            }
            workgroupBarrier();
        }
        // The thread that wrote the vector of the last feature.
        if (exists && lane == sizes.features / 4u % 32u) {
            var last = sizes.epsilon;
            if (KEYS == 0u) {
                let here = running[sizes.running_offset + head * sizes.running_stride + row];
                last = squares[thread - lane] * exp(here - maxima[sizes.first_head + head]);
            }
            p[start + sizes.features / 4u][sizes.features % 4u] = last;
        }
    }
}
