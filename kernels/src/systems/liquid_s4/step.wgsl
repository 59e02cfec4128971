// One step of the recurrence of scan.wgsl. Eight threads share the modes of a channel.
//
// binding 0: sizes in floats
// binding 1: x, [batch, channels]
// binding 2: for each channel and mode (Ā re, im, B̄ re, im) and (2C re, im, 0, 0), modes padded to eight
// binding 3: e, [channels]
// binding 4: h of each sequence, channel and mode
// binding 5: y, in the layout of x

struct Sizes {
    items: u32,
    channels: u32,
    modes: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> skip: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const TOGETHER: u32 = 8u;

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % TOGETHER;
    let item = place_in_line(workgroup) * TOGETHER + thread / TOGETHER;
    let channel = item % sizes.channels;
    let sequence = item / sizes.channels;
    var input = 0.0;
    var sum = 0.0;
    if (item < sizes.items) {
        input = x[sequence * sizes.x_stride + channel];
        for (var mode = lane; mode < sizes.modes; mode += TOGETHER) {
            let at = 2u * (channel * sizes.modes + mode);
            let model = params[at];
            let c = params[at + 1u].xy;
            let b = model.zw * input;
            let h = times(transition(model.xy, b), state[item * sizes.modes + mode]) + b;
            state[item * sizes.modes + mode] = h;
            sum += c.x * h.x - c.y * h.y;
        }
    }
    partial[thread] = sum;
    workgroupBarrier();
    if (lane == 0u && item < sizes.items) {
        var total = skip[channel] * input;
        for (var other = 0u; other < TOGETHER; other++) {
            total += partial[thread + other];
        }
        y[sequence * sizes.y_stride + channel] = total;
    }
}
