// The damped exponential moving average as a scan over chunks of time: h ← q h + x, m = Σ g h, then SiLU(m + ω x).
// Mirrors `ema.rs`.
//
// STAGE 0: the last h of each chunk from h = 0. STAGE 1: the first h of each chunk, chunk after chunk.
// STAGE 2: the sums of each chunk, added to y with ADD, and with LAST turned into the output.
// STAGE 3: only SiLU(y + ω x). BACKWARD runs from the end of each sequence.
// With KEEP, STAGE 1 also stores h after the last step at `kept`. STAGE 2 with KEEP is a step of decoding: a chunk of one
// step whose h is at `kept` before and after it.
//
// A thread processes a channel of a chunk and up to sixteen dimensions; in STAGE 1, four dimensions of a channel.
//
// binding 0: sizes in floats
// binding 1: x, [batch · length, channels]
// binding 2: for each channel four vectors of decays, then four of gains
// binding 3: ω, [channels]
// binding 4: states, four vectors for each sequence, chunk and channel; at `kept`, for each sequence and channel
// binding 5: y, in the layout of x

override STAGE: u32 = 0u;
override BACKWARD: u32 = 0u;
override ADD: u32 = 0u;
override LAST: u32 = 0u;
override KEEP: u32 = 0u;

struct Sizes {
    first: u32,
    end: u32,
    channels: u32,
    length: u32,
    chunk: u32,
    chunks: u32,
    x_stride: u32,
    y_stride: u32,
    kept: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> omega: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

fn row_of(sequence: u32, step: u32) -> u32 {
    return sequence * sizes.length + select(step, sizes.length - 1u - step, BACKWARD == 1u);
}

fn run(item: u32) {
    let channel = item % sizes.channels;
    let chunk = item / sizes.channels % sizes.chunks;
    let sequence = item / sizes.channels / sizes.chunks;
    let q0 = params[8u * channel];
    let q1 = params[8u * channel + 1u];
    let q2 = params[8u * channel + 2u];
    let q3 = params[8u * channel + 3u];
    let end = min((chunk + 1u) * sizes.chunk, sizes.length);
    let at = 4u * item + select(0u, sizes.kept, STAGE == 2u && KEEP == 1u);
    if (STAGE == 0u) {
        var h0 = vec4<f32>(0.0);
        var h1 = vec4<f32>(0.0);
        var h2 = vec4<f32>(0.0);
        var h3 = vec4<f32>(0.0);
        for (var step = chunk * sizes.chunk; step < end; step++) {
            let input = vec4<f32>(x[row_of(sequence, step) * sizes.x_stride + channel]);
            h0 = fma(q0, h0, input);
            h1 = fma(q1, h1, input);
            h2 = fma(q2, h2, input);
            h3 = fma(q3, h3, input);
        }
        states[at] = h0;
        states[at + 1u] = h1;
        states[at + 2u] = h2;
        states[at + 3u] = h3;
        return;
    }
    let g0 = params[8u * channel + 4u];
    let g1 = params[8u * channel + 5u];
    let g2 = params[8u * channel + 6u];
    let g3 = params[8u * channel + 7u];
    var h0 = states[at];
    var h1 = states[at + 1u];
    var h2 = states[at + 2u];
    var h3 = states[at + 3u];
    for (var step = chunk * sizes.chunk; step < end; step++) {
        let row = row_of(sequence, step);
        let input = x[row * sizes.x_stride + channel];
        h0 = fma(q0, h0, vec4<f32>(input));
        h1 = fma(q1, h1, vec4<f32>(input));
        h2 = fma(q2, h2, vec4<f32>(input));
        h3 = fma(q3, h3, vec4<f32>(input));
        var sum = dot(g0, h0) + dot(g1, h1) + dot(g2, h2) + dot(g3, h3);
        let to = row * sizes.y_stride + channel;
        if (ADD == 1u) {
            sum += y[to];
        }
        if (LAST == 1u) {
            let value = sum + omega[channel] * input;
            sum = value / (1.0 + exp(-value));
        }
        y[to] = sum;
    }
    if (KEEP == 1u) {
        states[at] = h0;
        states[at + 1u] = h1;
        states[at + 2u] = h2;
        states[at + 3u] = h3;
    }
}

fn carry(item: u32) {
    let part = item % 4u;
    let channel = item / 4u % sizes.channels;
    let sequence = item / 4u / sizes.channels;
    let decay = params[8u * channel + part];
    var power = vec4<f32>(1.0);
    for (var step = 0u; step < sizes.chunk; step++) {
        power *= decay;
    }
    var h = vec4<f32>(0.0);
    var first = h;
    var last = h;
    for (var chunk = 0u; chunk < sizes.chunks; chunk++) {
        let at = 4u * ((sequence * sizes.chunks + chunk) * sizes.channels + channel) + part;
        last = states[at];
        states[at] = h;
        first = h;
        h = fma(power, h, last);
    }
    if (KEEP == 1u) {
        // The last chunk may be shorter.
        for (var step = (sizes.chunks - 1u) * sizes.chunk; step < sizes.length; step++) {
            first *= decay;
        }
        states[sizes.kept + item] = first + last;
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = sizes.first + place_in_line(workgroup) * 64u + thread;
    if (item >= sizes.end) {
        return;
    }
    if (STAGE == 1u) {
        carry(item);
    } else if (STAGE == 3u) {
        let row = item / sizes.channels;
        let channel = item % sizes.channels;
        let to = row * sizes.y_stride + channel;
        let value = y[to] + omega[channel] * x[row * sizes.x_stride + channel];
        y[to] = value / (1.0 + exp(-value));
    } else {
        run(item);
    }
}
