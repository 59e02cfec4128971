// The middle step of a long convolution without workgroup memory: the last step of the transforms, on sixteen adjacent
// points; the products with the filters' spectra; and the first step of the inverse, on numbers with real and imaginary
// parts swapped. complex.wgsl, line.wgsl and conv_points.wgsl are prepended.
//
// binding 1: spectra, [N, pairs of channels, real and imaginary], in the order of the steps
// binding 2: work, in place, [sequences, N, pairs of channels, real and imaginary]

struct Sizes {
    // Pairs of channels.
    chunk: u32,
    log_points: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> spectra: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> work: array<vec2<f32>>;

fn load(at: u32) -> vec4<f32> {
    return vec4<f32>(work[at], work[at + 1u]);
}

fn store(at: u32, value: vec4<f32>) {
    work[at] = value.xy;
    work[at + 1u] = value.zw;
}

fn product(x: vec4<f32>, at: u32) -> vec4<f32> {
    let real = spectra[at];
    let imaginary = spectra[at + 1u];
    return vec4<f32>(x.xy * imaginary + x.zw * real, x.xy * real - x.zw * imaginary);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    let sixteenth = item / sizes.chunk;
    if (sixteenth >= 1u << (sizes.log_points - 4u)) {
        return;
    }
    let apart = 2u * sizes.chunk;
    let entry = 16u * sixteenth * apart + 2u * (item % sizes.chunk);
    let start = (workgroup.z << sizes.log_points) * apart + entry;
    let x = sixteen(Points(
        load(start),
        load(start + apart),
        load(start + 2u * apart),
        load(start + 3u * apart),
        load(start + 4u * apart),
        load(start + 5u * apart),
        load(start + 6u * apart),
        load(start + 7u * apart),
        load(start + 8u * apart),
        load(start + 9u * apart),
        load(start + 10u * apart),
        load(start + 11u * apart),
        load(start + 12u * apart),
        load(start + 13u * apart),
        load(start + 14u * apart),
        load(start + 15u * apart),
    ));
    let y = sixteen(Points(
        product(x[0], entry),
        product(x[1], entry + apart),
        product(x[2], entry + 2u * apart),
        product(x[3], entry + 3u * apart),
        product(x[4], entry + 4u * apart),
        product(x[5], entry + 5u * apart),
        product(x[6], entry + 6u * apart),
        product(x[7], entry + 7u * apart),
        product(x[8], entry + 8u * apart),
        product(x[9], entry + 9u * apart),
        product(x[10], entry + 10u * apart),
        product(x[11], entry + 11u * apart),
        product(x[12], entry + 12u * apart),
        product(x[13], entry + 13u * apart),
        product(x[14], entry + 14u * apart),
        product(x[15], entry + 15u * apart),
    ));
    store(start, y[0]);
    store(start + apart, y[1]);
    store(start + 2u * apart, y[2]);
    store(start + 3u * apart, y[3]);
    store(start + 4u * apart, y[4]);
    store(start + 5u * apart, y[5]);
    store(start + 6u * apart, y[6]);
    store(start + 7u * apart, y[7]);
    store(start + 8u * apart, y[8]);
    store(start + 9u * apart, y[9]);
    store(start + 10u * apart, y[10]);
    store(start + 11u * apart, y[11]);
    store(start + 12u * apart, y[12]);
    store(start + 13u * apart, y[13]);
    store(start + 14u * apart, y[14]);
    store(start + 15u * apart, y[15]);
}
