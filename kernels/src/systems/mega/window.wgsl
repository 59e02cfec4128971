// One step of a truncated average, SiLU(Σ k[s] x[t − s] + ω x[t]), over a ring of the last inputs. Sixteen threads share
// the lags of a channel.
//
// binding 0: sizes in floats
// binding 1: the clock; binding 2: k, [lags, stride]; binding 3: the last inputs, [batch, lags, stride]
// binding 4: ω, [channels]; binding 5: y, [batch, y_stride]

struct Sizes {
    channels: u32,
    lags: u32,
    stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> kernel: array<f32>;
@group(0) @binding(3) var<storage, read> inputs: array<f32>;
@group(0) @binding(4) var<storage, read> omega: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const PARTS: u32 = 16u;

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % PARTS;
    let part = thread / PARTS;
    let channel = workgroup.x * PARTS + lane;
    let first = workgroup.y * sizes.lags;
    let newest = clock[1] % sizes.lags;
    var sum = 0.0;
    if (channel < sizes.channels) {
        // Before the ring is full, its other rows may be left over from an earlier run.
        let seen = min(clock[1] + 1u, sizes.lags);
        for (var lag = part; lag < seen; lag += PARTS) {
            let row = first + (newest + sizes.lags - lag) % sizes.lags;
            sum += kernel[lag * sizes.stride + channel] * inputs[row * sizes.stride + channel];
        }
    }
    partial[thread] = sum;
    workgroupBarrier();
    if (part == 0u && channel < sizes.channels) {
        for (var other = 1u; other < PARTS; other++) {
            sum += partial[other * PARTS + lane];
        }
        let value = sum + omega[channel] * inputs[(first + newest) * sizes.stride + channel];
        y[workgroup.y * sizes.y_stride + channel] = value / (1.0 + exp(-value));
    }
}
