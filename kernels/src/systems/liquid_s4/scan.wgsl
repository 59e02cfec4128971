// The recurrence h ← (Ā + B̄x) h + B̄x, or h ← Ā h + B̄x, with s = 2·Re Σ C h + e x, as a scan over chunks of time;
// transition.wgsl is prepended. Mirrors `scan.rs`.
//
// STAGE 0: from h = 0, the product of transitions of each chunk and its last h, eight modes per thread.
// STAGE 1: the first h of each chunk and the last h of all, one mode per thread, chunk after chunk.
// STAGE 2: the outputs of each chunk, one channel per thread, eight modes at a time.
//
// binding 0: sizes in floats
// binding 1: x, [batch · length, channels]
// binding 2: for each channel and mode (Ā re, im, B̄ re, im) and (2C re, im, 0, 0), modes padded to eight
// binding 3: e, [channels]
// binding 4: for each sequence, chunk, channel and mode (product re, im, h re, im); after stage 1, h is the first h
// binding 5: the last h of each sequence, channel and mode
// binding 6: y, in the layout of x

override STAGE: u32 = 0u;

struct Sizes {
    // Items of this dispatch and of all dispatches.
    first: u32,
    end: u32,
    channels: u32,
    modes: u32,
    length: u32,
    chunk: u32,
    chunks: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> params: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> skip: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> last: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const TOGETHER: u32 = 8u;

fn state_at(sequence: u32, chunk: u32, channel: u32) -> u32 {
    return ((sequence * sizes.chunks + chunk) * sizes.channels + channel) * sizes.modes;
}

fn local(item: u32) {
    let groups = sizes.modes / TOGETHER;
    let channel = item % sizes.channels;
    let first = item / sizes.channels % groups * TOGETHER;
    let chunk = item / sizes.channels / groups % sizes.chunks;
    let sequence = item / sizes.channels / groups / sizes.chunks;
    var product: array<vec2<f32>, 8>;
    var h: array<vec2<f32>, 8>;
    var model: array<vec4<f32>, 8>;
    for (var m = 0u; m < TOGETHER; m++) {
        product[m] = vec2<f32>(1.0, 0.0);
        h[m] = vec2<f32>(0.0);
        model[m] = params[2u * (channel * sizes.modes + first + m)];
    }
    let end = min((chunk + 1u) * sizes.chunk, sizes.length);
    for (var time = chunk * sizes.chunk; time < end; time++) {
        let input = x[(sequence * sizes.length + time) * sizes.x_stride + channel];
        for (var m = 0u; m < TOGETHER; m++) {
            let b = model[m].zw * input;
            let a = transition(model[m].xy, b);
            product[m] = times(a, product[m]);
            h[m] = times(a, h[m]) + b;
        }
    }
    let at = state_at(sequence, chunk, channel) + first;
    for (var m = 0u; m < TOGETHER; m++) {
        states[at + m] = vec4<f32>(product[m], h[m]);
    }
}

fn carry(item: u32) {
    let mode = item % (sizes.channels * sizes.modes);
    let sequence = item / (sizes.channels * sizes.modes);
    var h = vec2<f32>(0.0);
    for (var chunk = 0u; chunk < sizes.chunks; chunk++) {
        let at = state_at(sequence, chunk, 0u) + mode;
        let state = states[at];
        states[at] = vec4<f32>(state.xy, h);
        h = times(state.xy, h) + state.zw;
    }
    last[item] = h;
}

fn output(item: u32) {
    let channel = item % sizes.channels;
    let chunk = item / sizes.channels % sizes.chunks;
    let sequence = item / sizes.channels / sizes.chunks;
    let start = chunk * sizes.chunk;
    let end = min(start + sizes.chunk, sizes.length);
    for (var first = 0u; first < sizes.modes; first += TOGETHER) {
        var h: array<vec2<f32>, 8>;
        var model: array<vec4<f32>, 8>;
        var c: array<vec2<f32>, 8>;
        for (var m = 0u; m < TOGETHER; m++) {
            h[m] = states[state_at(sequence, chunk, channel) + first + m].zw;
            model[m] = params[2u * (channel * sizes.modes + first + m)];
            c[m] = params[2u * (channel * sizes.modes + first + m) + 1u].xy;
        }
        for (var time = start; time < end; time++) {
            let row = sequence * sizes.length + time;
            let input = x[row * sizes.x_stride + channel];
            let at = row * sizes.y_stride + channel;
            var sum = 0.0;
            if (first == 0u) {
                sum = skip[channel] * input;
            } else {
                sum = y[at];
            }
            for (var m = 0u; m < TOGETHER; m++) {
                let b = model[m].zw * input;
                h[m] = times(transition(model[m].xy, b), h[m]) + b;
                sum += c[m].x * h[m].x - c[m].y * h[m].y;
            }
            y[at] = sum;
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = sizes.first + place_in_line(workgroup) * 64u + thread;
    if (item >= sizes.end) {
        return;
    }
    if (STAGE == 0u) {
        local(item);
    } else if (STAGE == 1u) {
        carry(item);
    } else {
        output(item);
    }
}
