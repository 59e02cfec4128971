// After a transform of filters by conv_step.wgsl: the spectra that conv_product.wgsl multiplies by. complex.wgsl,
// spectrum.wgsl, line.wgsl and conv_pair.wgsl are prepended.
//
// binding 1: work, [size, chunk]; binding 2: spectra, [size / 2, chunk]

@group(0) @binding(1) var<storage, read> work: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> spectra: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let pair = pair_of(workgroup, thread);
    if (!pair.exists) {
        return;
    }
    spectra[pair.item] = entry(work[pair.here], work[pair.there], pair.alone) * sizes.scale;
}
