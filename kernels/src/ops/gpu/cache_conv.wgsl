// Long convolution of one generated token: Σ_s taps[t − s] history[s] over all positions s ≤ t of the clock, for each
// channel. The positions are divided into parts, one workgroup each, and `merge_conv.wgsl` adds the parts' results.
//
// A workgroup has COLUMNS vectors of channels; its threads divide the positions among them.
//
// binding 0: sizes; strides in vectors of four floats
// binding 1: the clock; binding 2: history, rows [batch, capacity]; binding 3: taps, rows [capacity], by lag
// binding 4: results, [batch, parts, vectors]

// A power of two, at most 16.
override COLUMNS: u32 = 16u;

struct Sizes {
    vectors: u32,
    parts: u32,
    capacity: u32,
    history_offset: u32,
    history_stride: u32,
    taps_offset: u32,
    taps_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> history: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> taps: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> results: array<vec4<f32>>;

const THREADS: u32 = 256u;
// Positions whose products a thread adds at once, so that their loads overlap.
const AT_ONCE: u32 = 4u;

var<workgroup> partial: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let part = workgroup.x;
    let sequence = workgroup.z;
    let column = workgroup.y * COLUMNS + thread % COLUMNS;
    let groups = THREADS / COLUMNS;
    let position = clock[1];
    let each = (position + sizes.parts) / sizes.parts;
    let first = part * each;
    let end = min(first + each, position + 1u);
    var sum = vec4<f32>(0.0);
    if (column < sizes.vectors) {
        let inputs = sizes.history_offset + sequence * sizes.capacity * sizes.history_stride + column;
        let filters = sizes.taps_offset + column;
        var row = first + thread / COLUMNS;
        for (; row + (AT_ONCE - 1u) * groups < end; row += AT_ONCE * groups) {
            var more = vec4<f32>(0.0);
            for (var i = 0u; i < AT_ONCE; i++) {
                let at = row + i * groups;
                let tap = taps[filters + (position - at) * sizes.taps_stride];
                more = fma(tap, history[inputs + at * sizes.history_stride], more);
            }
            sum += more;
        }
        for (; row < end; row += groups) {
            let tap = taps[filters + (position - row) * sizes.taps_stride];
            sum = fma(tap, history[inputs + row * sizes.history_stride], sum);
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
        results[(sequence * sizes.parts + part) * sizes.vectors + column] = partial[thread];
    }
}
