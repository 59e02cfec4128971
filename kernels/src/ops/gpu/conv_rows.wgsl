// Middle pass of a long convolution by the four-step FFT: transforms rows of work, multiplies by the filters' spectra,
// transforms back, in place; rows_pair.wgsl is prepended.
//
// binding 2: spectra
// binding 3: work

@group(0) @binding(2) var<storage, read> spectra: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> work: array<vec2<f32>>;

fn store(number: u32, place: Place, value: vec2<f32>) {
    if (place.exists) {
        work[place.start + (place.column + number * place.step) * sizes.chunk] = value.yx;
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let place = place_of(workgroup, t);
    transform_rows(place, t);
    // Each thread processes four pairs of conjugate frequencies.
    for (var item = t; item < 1024u; item += 256u) {
        let pair = conjugates(item, workgroup);
        if (pair.exists) {
            let product = filtered(fetch(pair.here), fetch(pair.there), spectra[pair.at], pair.alone);
            put(pair.here, product.xy);
            put(pair.there, product.zw);
        }
    }
    workgroupBarrier();
    var z = read_eight(t);
    workgroupBarrier();
    z = transform(swapped(z), t);
    store(0u, place, z.a);
    store(1u, place, z.b);
    store(2u, place, z.c);
    store(3u, place, z.d);
    store(4u, place, z.e);
    store(5u, place, z.f);
    store(6u, place, z.g);
    store(7u, place, z.h);
}
