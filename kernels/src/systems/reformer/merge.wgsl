// Merges a round into the previous rounds, both rescaled to the larger maximum; mirrors the running softmax of
// `chunks.rs`. An invocation merges one position of one head's round. The last round divides by the sum.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: the round's unnormalised sums, rows of heads
// binding 2: its maxima and totals, [batch, heads · passes, quads of indices, 2, 4]
// binding 3: its positions, [batch, n_heads, rounds, padded]
// binding 4: merged sums, rows of heads
// binding 5: merged maxima and totals, [batch, n_heads, length, 2]

struct Sizes {
    items: u32,
    length: u32,
    padded: u32,
    n_heads: u32,
    head: u32,
    rounds: u32,
    round: u32,
    passes: u32,
    // Quads of indices in a round, whole blocks.
    quads: u32,
    from_offset: u32,
    from_stride: u32,
    to_offset: u32,
    to_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read_write> merged: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> merged_state: array<vec2<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let place = item % sizes.padded;
    let head_idx = item / sizes.padded;
    let position = order[(head_idx * sizes.rounds + sizes.round) * sizes.padded + place];
    if (position >= sizes.length) {
        return;
    }
    let row = head_idx / sizes.n_heads * sizes.length + position;
    let first = head_idx % sizes.n_heads * sizes.head;
    let source = sizes.from_offset + row * sizes.from_stride + first;
    let to = sizes.to_offset + row * sizes.to_stride + first;
    let slot = ((head_idx * sizes.passes * sizes.quads + place / 4u) * 2u) * 4u + place % 4u;
    let mine = vec2<f32>(state[slot], state[slot + 4u]);
    let at = head_idx * sizes.length + position;
    var before = vec2<f32>(-1e30, 0.0);
    if (sizes.round > 0u) {
        before = merged_state[at];
    }
    let maximum = max(mine.x, before.x);
    var scale = exp2(vec2<f32>(mine.x - maximum, before.x - maximum));
    let total = dot(scale, vec2<f32>(mine.y, before.y));
    merged_state[at] = vec2<f32>(maximum, total);
    if (sizes.round + 1u == sizes.rounds) {
        scale /= total;
    }
    for (var c = 0u; c < sizes.head; c++) {
        var sum = scale.x * sums[source + c];
        if (sizes.round > 0u) {
            sum += scale.y * merged[to + c];
        }
        merged[to + c] = sum;
    }
}
