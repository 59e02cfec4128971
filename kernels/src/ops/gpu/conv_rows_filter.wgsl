// Middle pass of the four-step FFT for filters: transforms rows of work and stores the spectra for conv_rows.wgsl;
// rows_pair.wgsl is prepended.
//
// binding 2: work, of one sequence
// binding 3: the spectra

@group(0) @binding(2) var<storage, read> work: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> spectra: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    transform_rows(place_of(workgroup, t), t);
    // Each thread processes four pairs of conjugate frequencies.
    for (var item = t; item < 1024u; item += 256u) {
        let pair = conjugates(item, workgroup);
        if (pair.exists) {
            spectra[pair.at] = entry(fetch(pair.here), fetch(pair.there), pair.alone) * sizes.scale;
        }
    }
}
