// One step of the transforms of a long convolution without workgroup memory, for software adapters. complex.wgsl,
// line.wgsl and conv_points.wgsl are prepended.
//
// The transforms are those of a right-angle convolution: point n is first weighted by t(n) = exp(iπn / 2N), and the
// result by its inverse, so that N points convolve N positions of a channel (Crandall and Fagin 1994).
//
// Forward, a step splits blocks of 2^log_span points into RADIX smaller ones in place. With BACK it joins them, on
// numbers with real and imaginary parts swapped, which turns the inverse into a forward transform. The first step
// LOADs, the last one STOREs. A thread computes one butterfly of two channels. Software adapters execute both sides of
// a branch, so differences between steps are override constants.
//
// binding 1: x where LOAD, work where STORE; binding 2: gate_in or gate_out, where GATE
// binding 3: roots of unity, exp(−2πi k / 4N), k < 2N
// binding 4: y where STORE, or work, [sequences, N, pairs of channels, real and imaginary]

// 1 (weights alone), 2, 4, 8 or 16.
override RADIX: u32 = 16u;
// 1: x · gate_in; 2: taps, of which those in a circle's second half reach ahead.
override LOAD: u32 = 0u;
override STORE: u32 = 0u;
override GATE: u32 = 0u;
override BACK: u32 = 0u;

struct Sizes {
    // t(jN / RADIX), two per vector. Uniform, so that compilers see that all threads use equal values.
    weights: array<vec4<f32>, 8>,
    // Pairs of channels.
    chunk: u32,
    length: u32,
    log_points: u32,
    log_span: u32,
    // Positions of the taps' circle.
    circle: u32,
    first_sequence: u32,
    offset: u32,
    stride: u32,
    gate_offset: u32,
    gate_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> gate: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec2<f32>>;

// Positions of a butterfly's points.
struct Place {
    // The first point, and the distance between points, in a sequence and in work.
    point: u32,
    apart: u32,
    work: u32,
    work_apart: u32,
    // First row of a sequence in x or y.
    row: u32,
    lane: u32,
}

fn weight(j: u32) -> vec2<f32> {
    let two = sizes.weights[j / 2u];
    return select(two.xy, two.zw, j % 2u == 1u);
}

fn from_row(number: u32, exists: bool, place: Place) -> vec2<f32> {
    // Beyond the end of x, an existing row is read instead.
    let row = place.row + select(0u, number, exists);
    var value = x[sizes.offset + row * sizes.stride + place.lane];
    if (GATE == 1u) {
        value *= gate[sizes.gate_offset + row * sizes.gate_stride + place.lane];
    }
    return select(vec2<f32>(0.0), value, exists);
}

fn load(j: u32, place: Place) -> vec4<f32> {
    let point = place.point + j * place.apart;
    let at = place.work + j * place.work_apart;
    var value: vec4<f32>;
    if (LOAD == 1u) {
        let real = from_row(point, point < sizes.length, place);
        value = vec4<f32>(real * weight(j).x, real * weight(j).y);
    } else if (LOAD == 2u) {
        // A step back from position 0 leads to point N − 1 with the factor −i.
        let half = sizes.circle / 2u;
        let ahead = point + sizes.circle - (1u << sizes.log_points);
        let now = from_row(point, point < min(sizes.length, half), place);
        let later = from_row(ahead, ahead >= half && ahead < sizes.length, place);
        value = both_times(vec4<f32>(now, -later), weight(j));
    } else if (STORE == 1u) {
        value = vec4<f32>(x[at], x[at + 1u]);
    } else {
        value = vec4<f32>(y[at], y[at + 1u]);
    }
    return value;
}

fn store(j: u32, place: Place, value: vec4<f32>) {
    if (STORE == 1u) {
        let point = place.point + j * place.apart;
        if (point < sizes.length) {
            let row = place.row + point;
            var result = value.xy * weight(j).y + value.zw * weight(j).x;
            if (GATE == 1u) {
                result *= gate[sizes.gate_offset + row * sizes.gate_stride + place.lane];
            }
            y[sizes.offset + row * sizes.stride + place.lane] = result;
        }
    } else {
        let at = place.work + j * place.work_apart;
        y[at] = value.xy;
        y[at + 1u] = value.zw;
    }
}

// Multiplies by the powers of a root, and by the weights at the ends of the transform; t is the butterfly's index.
fn twiddled(x: Points, t: u32) -> Points {
    var w: array<vec2<f32>, 16>;
    w[0] = vec2<f32>(1.0, 0.0);
    if (LOAD > 0u || STORE == 1u) {
        w[0] = vec2<f32>(roots[t].x, -roots[t].y);
    }
    let turn = t << (sizes.log_points + 2u - sizes.log_span);
    if (RADIX > 1u) {
        w[1] = times(w[0], roots[turn]);
    }
    if (RADIX > 2u) {
        let root = roots[2u * turn];
        w[2] = times(w[0], root);
        w[3] = times(w[1], root);
    }
    if (RADIX > 4u) {
        let root = roots[4u * turn];
        w[4] = times(w[0], root);
        w[5] = times(w[1], root);
        w[6] = times(w[2], root);
        w[7] = times(w[3], root);
    }
    if (RADIX > 8u) {
        let root = roots[8u * turn];
        w[8] = times(w[0], root);
        w[9] = times(w[1], root);
        w[10] = times(w[2], root);
        w[11] = times(w[3], root);
        w[12] = times(w[4], root);
        w[13] = times(w[5], root);
        w[14] = times(w[6], root);
        w[15] = times(w[7], root);
    }
    return Points(
        both_times(x[0], w[0]),
        both_times(x[1], w[1]),
        both_times(x[2], w[2]),
        both_times(x[3], w[3]),
        both_times(x[4], w[4]),
        both_times(x[5], w[5]),
        both_times(x[6], w[6]),
        both_times(x[7], w[7]),
        both_times(x[8], w[8]),
        both_times(x[9], w[9]),
        both_times(x[10], w[10]),
        both_times(x[11], w[11]),
        both_times(x[12], w[12]),
        both_times(x[13], w[13]),
        both_times(x[14], w[14]),
        both_times(x[15], w[15]),
    );
}

fn transformed(x: Points) -> Points {
    var y = x;
    if (RADIX == 2u) {
        y[0] = x[0] + x[1];
        y[1] = x[0] - x[1];
    } else if (RADIX == 4u) {
        let all = four(x[0], x[1], x[2], x[3]);
        y[0] = all.a;
        y[1] = all.b;
        y[2] = all.c;
        y[3] = all.d;
    } else if (RADIX == 8u) {
        y = eight(x);
    } else if (RADIX == 16u) {
        y = sixteen(x);
    }
    return y;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    let butterfly = item / sizes.chunk;
    if (butterfly >= (1u << sizes.log_points) / RADIX) {
        return;
    }
    var place: Place;
    place.apart = (1u << sizes.log_span) / RADIX;
    let t = butterfly & (place.apart - 1u);
    place.point = (butterfly - t) * RADIX + t;
    place.lane = item % sizes.chunk;
    place.work = 2u * (((workgroup.z << sizes.log_points) + place.point) * sizes.chunk + place.lane);
    place.work_apart = 2u * place.apart * sizes.chunk;
    place.row = (sizes.first_sequence + workgroup.z) * sizes.length;

    var points: Points;
    points[0] = load(0u, place);
    if (RADIX > 1u) {
        points[1] = load(1u, place);
    }
    if (RADIX > 2u) {
        points[2] = load(2u, place);
        points[3] = load(3u, place);
    }
    if (RADIX > 4u) {
        points[4] = load(4u, place);
        points[5] = load(5u, place);
        points[6] = load(6u, place);
        points[7] = load(7u, place);
    }
    if (RADIX > 8u) {
        points[8] = load(8u, place);
        points[9] = load(9u, place);
        points[10] = load(10u, place);
        points[11] = load(11u, place);
        points[12] = load(12u, place);
        points[13] = load(13u, place);
        points[14] = load(14u, place);
        points[15] = load(15u, place);
    }
    if (BACK == 1u) {
        points = transformed(twiddled(points, t));
    } else {
        points = twiddled(transformed(points), t);
    }
    store(0u, place, points[0]);
    if (RADIX > 1u) {
        store(1u, place, points[1]);
    }
    if (RADIX > 2u) {
        store(2u, place, points[2]);
        store(3u, place, points[3]);
    }
    if (RADIX > 4u) {
        store(4u, place, points[4]);
        store(5u, place, points[5]);
        store(6u, place, points[6]);
        store(7u, place, points[7]);
    }
    if (RADIX > 8u) {
        store(8u, place, points[8]);
        store(9u, place, points[9]);
        store(10u, place, points[10]);
        store(11u, place, points[11]);
        store(12u, place, points[12]);
        store(13u, place, points[13]);
        store(14u, place, points[14]);
        store(15u, place, points[15]);
    }
}
