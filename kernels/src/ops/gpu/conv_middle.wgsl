// The middle of a long convolution without workgroup memory: the last step of the transforms, the products with the
// filters' spectra, and the first step of the inverse, whose numbers have their parts swapped. complex.wgsl, line.wgsl,
// conv_octet.wgsl and spectrum.wgsl are prepended.
//
// The last step's thread t makes the frequencies t + m · size / 8, which are what thread t of the inverse's first step
// takes; those of thread size / 8 − t are their negatives. One thread here is both, for two pairs of channels. The
// frequencies of threads 0 and size / 16 are each other's negatives within the thread: these two are thread 0.
//
// binding 1: spectra, [size / 2, pairs of channels]
// binding 2: roots of unity, exp(−2πi k / size), k < size / 2
// binding 3, 4: work before and after, [sequences, size, chunk]

struct Sizes {
    // Vectors of two pairs.
    chunk: u32,
    log_size: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> spectra: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

fn load(start: u32, apart: u32) -> Octet {
    return Octet(
        x[start],
        x[start + apart],
        x[start + 2u * apart],
        x[start + 3u * apart],
        x[start + 4u * apart],
        x[start + 5u * apart],
        x[start + 6u * apart],
        x[start + 7u * apart],
    );
}

fn store(start: u32, t: u32, value: Octet) {
    let at = start + 8u * t * sizes.chunk;
    let w1 = roots[t];
    let w2 = roots[2u * t];
    let w3 = times(w2, w1);
    let w4 = roots[4u * t];
    y[at] = value.a;
    y[at + sizes.chunk] = both_times(value.b, w1);
    y[at + 2u * sizes.chunk] = both_times(value.c, w2);
    y[at + 3u * sizes.chunk] = both_times(value.d, w3);
    y[at + 4u * sizes.chunk] = both_times(value.e, w4);
    y[at + 5u * sizes.chunk] = both_times(value.f, times(w4, w1));
    y[at + 6u * sizes.chunk] = both_times(value.g, times(w4, w2));
    y[at + 7u * sizes.chunk] = both_times(value.h, times(w4, w3));
}

// A frequency and its negative.
struct Conjugates {
    here: vec4<f32>,
    there: vec4<f32>,
}

fn product(here: vec4<f32>, there: vec4<f32>, at: u32, alone: bool) -> Conjugates {
    let first = filtered(here.xy, there.xy, spectra[at], alone);
    let second = filtered(here.zw, there.zw, spectra[at + 1u], alone);
    return Conjugates(vec4<f32>(first.yx, second.yx), vec4<f32>(first.wz, second.wz));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    let eighth = 1u << (sizes.log_size - 3u);
    let t = item / sizes.chunk;
    let lane = item % sizes.chunk;
    if (t >= max(eighth / 2u, 1u)) {
        return;
    }
    let within = t == 0u;
    let other = select(eighth - t, eighth / 2u, within);
    let start = (workgroup.z << sizes.log_size) * sizes.chunk + lane;
    let apart = eighth * sizes.chunk;
    let p = transformed(load(start + t * sizes.chunk, apart));
    let q = transformed(load(start + other * sizes.chunk, apart));

    let at_p = 2u * (t * sizes.chunk + lane);
    let at_q = 2u * (other * sizes.chunk + lane);
    let p0 = product(p.a, select(q.h, p.e, within), at_p, within);
    let p1 = product(p.b, select(q.g, p.h, within), at_p + 2u * apart, false);
    let p2 = product(p.c, select(q.f, p.g, within), at_p + 4u * apart, false);
    let p3 = product(p.d, select(q.e, p.f, within), at_p + 6u * apart, false);
    let q0 = product(q.a, select(p.h, q.h, within), at_q, false);
    let q1 = product(q.b, select(p.g, q.g, within), at_q + 2u * apart, false);
    let q2 = product(q.c, select(p.f, q.f, within), at_q + 4u * apart, false);
    let q3 = product(q.d, select(p.e, q.e, within), at_q + 6u * apart, false);
    let back_p = Octet(
        p0.here,
        p1.here,
        p2.here,
        p3.here,
        select(q3.there, p0.there, within),
        select(q2.there, p3.there, within),
        select(q1.there, p2.there, within),
        select(q0.there, p1.there, within),
    );
    let back_q = Octet(
        q0.here,
        q1.here,
        q2.here,
        q3.here,
        select(p3.there, q3.there, within),
        select(p2.there, q2.there, within),
        select(p1.there, q1.there, within),
        select(p0.there, q0.there, within),
    );
    store(start, t, transformed(back_p));
    // A transform of eight has a single thread.
    if (eighth > 1u) {
        store(start, other, transformed(back_q));
    }
}
