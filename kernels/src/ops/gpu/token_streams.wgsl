// The streams of one generated token: their short convolutions over a ring of earlier inputs, and the product of two
// streams as the history's row of the clock's position. A thread computes one vector of channels of all streams.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: the clock; binding 2: x, [streams, batch]
// binding 3: the streams' taps as in short_conv.wgsl, [streams, TAPS + 1], where SHORT
// binding 4: the ring, [streams, batch, RING], where SHORT; binding 5: y, [streams, batch]
// binding 6: history, [batch, capacity]

override SHORT: u32 = 0u;
// Taps of the short convolutions, with SHORT.
override TAPS: u32 = 1u;
// Rows of the ring: TAPS − 1, at least 1.
override RING: u32 = 1u;

struct Sizes {
    batch: u32,
    vectors: u32,
    streams: u32,
    x_offset: u32,
    x_stride: u32,
    // Distance between streams of x.
    x_apart: u32,
    taps_offset: u32,
    taps_stride: u32,
    capacity: u32,
    // The streams that are multiplied.
    left: u32,
    right: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> taps: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> ring: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> history: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    if (item >= sizes.batch * sizes.vectors) {
        return;
    }
    let sequence = item / sizes.vectors;
    let column = item % sizes.vectors;
    let position = clock[1];
    var left = vec4<f32>(0.0);
    var right = vec4<f32>(0.0);
    for (var stream = 0u; stream < sizes.streams; stream++) {
        let row = stream * sizes.batch + sequence;
        var value = x[sizes.x_offset + stream * sizes.x_apart + sequence * sizes.x_stride + column];
        if (SHORT == 1u) {
            let input = value;
            let tap = sizes.taps_offset + stream * (TAPS + 1u) * sizes.taps_stride + column;
            value = fma(taps[tap + (TAPS - 1u) * sizes.taps_stride], input, taps[tap + TAPS * sizes.taps_stride]);
            for (var lag = 1u; lag < TAPS; lag++) {
                let at = (row * RING + (position + RING - lag) % RING) * sizes.vectors + column;
                value = fma(taps[tap + (TAPS - 1u - lag) * sizes.taps_stride], ring[at], value);
            }
            if (TAPS > 1u) {
                ring[(row * RING + position % RING) * sizes.vectors + column] = input;
            }
        }
        y[row * sizes.vectors + column] = value;
        left = select(left, value, stream == sizes.left);
        right = select(right, value, stream == sizes.right);
    }
    history[(sequence * sizes.capacity + position) * sizes.vectors + column] = left * right;
}
