// Between the transforms of conv_step.wgsl: multiplies by the filters' spectra, in place, and swaps real and imaginary
// parts for the inverse. complex.wgsl, spectrum.wgsl, line.wgsl and conv_pair.wgsl are prepended.
//
// binding 1: spectra, [size / 2, chunk]; binding 2: work, [sequences, size, chunk]

@group(0) @binding(1) var<storage, read> spectra: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> work: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = pair_of(workgroup, thread);
    if (!pair.exists) {
        return;
    }
    let start = (workgroup.z << sizes.log_size) * sizes.chunk;
    let here = start + pair.here;
    let there = start + pair.there;
    let product = filtered(work[here], work[there], spectra[pair.item], pair.alone);
    work[here] = product.yx;
    work[there] = product.wz;
}
