// One step of the transforms of a long convolution without workgroup memory, for software adapters: Stockham's
// algorithm from buffer to buffer. complex.wgsl, line.wgsl and conv_octet.wgsl are prepended.
//
// Forward the first step LOADs x · gate_in, half of it where LOAD is 2 and x ends there; of the inverse, whose numbers have their parts swapped, the last one STOREs
// times gate_out. Before a step, `done` transforms of size / done are interleaved. A thread makes one butterfly of two
// pairs of channels.
//
// binding 0: sizes; offsets and strides in vectors of two pairs
// binding 1: x where LOAD, or work; binding 2: gate_in or gate_out, where GATE
// binding 3: roots of unity, exp(−2πi k / size), k < size / 2
// binding 4: y where STORE, or work, [sequences, size, chunk]

override LOAD: u32 = 0u;
override STORE: u32 = 0u;
override GATE: u32 = 0u;

struct Sizes {
    chunk: u32,
    length: u32,
    log_size: u32,
    done: u32,
    // 1 (a copy), 2, 4 or 8; not a constant, so that all lengths share their pipelines.
    radix: u32,
    first_sequence: u32,
    offset: u32,
    stride: u32,
    gate_offset: u32,
    gate_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> gate: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

struct Place {
    // Of a sequence's first number in work, and of its first row in x or y.
    work: u32,
    row: u32,
    lane: u32,
}

// `upper`: whether the number is in the upper half.
fn load(number: u32, place: Place, upper: bool) -> vec4<f32> {
    if (LOAD == 0u) {
        return x[place.work + number * sizes.chunk];
    }
    if (LOAD == 2u && upper) {
        return vec4<f32>(0.0);
    }
    // Beyond the end of x it reads something that is there.
    let exists = number < sizes.length;
    let row = place.row + select(0u, number, exists);
    var value = x[sizes.offset + row * sizes.stride + place.lane];
    if (GATE == 1u) {
        value *= gate[sizes.gate_offset + row * sizes.gate_stride + place.lane];
    }
    return select(vec4<f32>(0.0), value, exists);
}

fn store(number: u32, place: Place, value: vec4<f32>) {
    if (STORE == 0u) {
        y[place.work + number * sizes.chunk] = value;
        return;
    }
    if (number >= sizes.length) {
        return;
    }
    let row = place.row + number;
    var result = value.yxwz;
    if (GATE == 1u) {
        result *= gate[sizes.gate_offset + row * sizes.gate_stride + place.lane];
    }
    y[sizes.offset + row * sizes.stride + place.lane] = result;
}

fn step2(t: u32, apart: u32, k: u32, place: Place) {
    let a = load(t, place, false);
    let b = load(t + apart, place, true);
    store(t + k, place, a + b);
    store(t + k + sizes.done, place, both_times(a - b, roots[k]));
}

fn step4(t: u32, apart: u32, k: u32, place: Place) {
    let a = load(t, place, false);
    let b = load(t + apart, place, false);
    let c = load(t + 2u * apart, place, true);
    let d = load(t + 3u * apart, place, true);
    let b_d = turned(b - d);
    let w1 = roots[k];
    let w2 = roots[2u * k];
    let to = t + 3u * k;
    store(to, place, (a + c) + (b + d));
    store(to + sizes.done, place, both_times((a - c) + b_d, w1));
    store(to + 2u * sizes.done, place, both_times((a + c) - (b + d), w2));
    store(to + 3u * sizes.done, place, both_times((a - c) - b_d, times(w2, w1)));
}

fn step8(t: u32, apart: u32, k: u32, place: Place) {
    let x = transformed(Octet(
        load(t, place, false),
        load(t + apart, place, false),
        load(t + 2u * apart, place, false),
        load(t + 3u * apart, place, false),
        load(t + 4u * apart, place, true),
        load(t + 5u * apart, place, true),
        load(t + 6u * apart, place, true),
        load(t + 7u * apart, place, true),
    ));
    let w1 = roots[k];
    let w2 = roots[2u * k];
    let w3 = times(w2, w1);
    let w4 = roots[4u * k];
    let to = t + 7u * k;
    store(to, place, x.a);
    store(to + sizes.done, place, both_times(x.b, w1));
    store(to + 2u * sizes.done, place, both_times(x.c, w2));
    store(to + 3u * sizes.done, place, both_times(x.d, w3));
    store(to + 4u * sizes.done, place, both_times(x.e, w4));
    store(to + 5u * sizes.done, place, both_times(x.f, times(w4, w1)));
    store(to + 6u * sizes.done, place, both_times(x.g, times(w4, w2)));
    store(to + 7u * sizes.done, place, both_times(x.h, times(w4, w3)));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    let apart = (1u << sizes.log_size) / sizes.radix;
    let t = item / sizes.chunk;
    if (t >= apart) {
        return;
    }
    var place: Place;
    place.lane = item % sizes.chunk;
    place.work = (workgroup.z << sizes.log_size) * sizes.chunk + place.lane;
    place.row = (sizes.first_sequence + workgroup.z) * sizes.length;
    let k = t & ~(sizes.done - 1u);
    switch sizes.radix {
        case 1u: { store(t, place, load(t, place, false)); }
        case 2u: { step2(t, apart, k, place); }
        case 4u: { step4(t, apart, k, place); }
        default: { step8(t, apart, k, place); }
    }
}
