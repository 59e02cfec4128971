// Causal depthwise convolution with few taps; with GATE the product of two such convolutions of two streams. y[t, c] =
// (bias[c] + Σ_j w[j, c] · x[t − TAPS + 1 + j, c]) · (the gate's convolution), x = 0 at negative times.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: x, [batch · length, channels]; binding 2: its taps, then its bias, [TAPS + 1, channels]
// binding 3, 4: the gate's, where GATE
// binding 5: y, like x

override TAPS: u32 = 1u;
override GATE: u32 = 0u;

struct Sizes {
    vectors: u32,
    length: u32,
    x_offset: u32,
    x_stride: u32,
    gate_offset: u32,
    gate_stride: u32,
    y_offset: u32,
    y_stride: u32,
    taps_offset: u32,
    gate_taps_offset: u32,
    taps_stride: u32,
    gate_taps_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> taps: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> gate_taps: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;

// Time steps per thread. Neighbouring times share all inputs but one, which stay in the first-level cache.
const RUN: u32 = 8u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    // Neighbouring threads process neighbouring vectors of channels, then the next run of times.
    let item = place_in_line(workgroup) * 64u + thread;
    let column = item % sizes.vectors;
    let first = item / sizes.vectors * RUN;
    let first_row = workgroup.z * sizes.length;
    for (var time = first; time < min(first + RUN, sizes.length); time++) {
        let skipped = select(0u, TAPS - 1u - time, time + 1u < TAPS);
        var sum = taps[sizes.taps_offset + TAPS * sizes.taps_stride + column];
        for (var j = skipped; j < TAPS; j++) {
            let row = first_row + time + 1u + j - TAPS;
            let tap = taps[sizes.taps_offset + j * sizes.taps_stride + column];
            sum = fma(tap, x[sizes.x_offset + row * sizes.x_stride + column], sum);
        }
        sum = activate(sum);
        if (GATE == 1u) {
            var other = gate_taps[sizes.gate_taps_offset + TAPS * sizes.gate_taps_stride + column];
            for (var j = skipped; j < TAPS; j++) {
                let row = first_row + time + 1u + j - TAPS;
                let tap = gate_taps[sizes.gate_taps_offset + j * sizes.gate_taps_stride + column];
                other = fma(tap, gate[sizes.gate_offset + row * sizes.gate_stride + column], other);
            }
            sum *= other;
        }
        y[sizes.y_offset + (first_row + time) * sizes.y_stride + column] = sum;
    }
}
