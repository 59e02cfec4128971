// After a transform of filters by conv_step.wgsl: the spectra that conv_product.wgsl multiplies by. complex.wgsl,
// spectrum.wgsl and line.wgsl are prepended.
//
// binding 1: work, [size, chunk]; binding 2: spectra, [size / 2, chunk]

struct Sizes {
    // Pairs of channels.
    chunk: u32,
    log_size: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> work: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> spectra: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 64u + thread;
    let frequency = item / sizes.chunk;
    let lane = item % sizes.chunk;
    let size = 1u << sizes.log_size;
    if (2u * frequency >= size) {
        return;
    }
    // Frequency 0 is its own conjugate, and so is size / 2: they share an entry.
    let alone = frequency == 0u;
    let partner = select(size - frequency, size / 2u, alone);
    let here = work[frequency * sizes.chunk + lane];
    let there = work[partner * sizes.chunk + lane];
    spectra[item] = entry(here, there, alone) * sizes.scale;
}
