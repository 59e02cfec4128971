// Long convolution whose transform fits workgroup memory: y = gate_out · (filter ∗ (x · gate_in)), two real channels
// to a complex transform; with FILTER, the transform of the filter itself. Mirrors `ops::long_conv`.
//
// A workgroup processes 2048 / size neighbouring pairs of channels of one sequence.
//
// binding 0: sizes; offsets and strides in pairs of floats
// binding 1: x, [batch · length, pairs]
// binding 2: gate_in, like x, where GATE_IN
// binding 3: gate_out, like y, where GATE_OUT
// binding 4: roots of unity, see fft.wgsl
// binding 5: spectra, [size / 2, pairs], see `entry`
// binding 6: y, or where FILTER the spectra

override GATE_IN: u32 = 0u;
override GATE_OUT: u32 = 0u;
override FILTER: u32 = 0u;

struct Sizes {
    pairs: u32,
    length: u32,
    x_offset: u32,
    x_stride: u32,
    in_offset: u32,
    in_stride: u32,
    out_offset: u32,
    out_stride: u32,
    y_offset: u32,
    y_stride: u32,
    first_sequence: u32,
    scale: f32,
    log_size: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> gate_in: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> gate_out: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> tables: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> spectra: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec2<f32>>;

fn load(number: u32, sequence: u32, pair: u32) -> vec2<f32> {
    let time = number >> (11u - sizes.log_size);
    if (time >= sizes.length || pair >= sizes.pairs) {
        return vec2<f32>(0.0);
    }
    let row = sequence * sizes.length + time;
    var value = x[sizes.x_offset + row * sizes.x_stride + pair];
    if (GATE_IN == 1u) {
        value *= gate_in[sizes.in_offset + row * sizes.in_stride + pair];
    }
    return value;
}

fn store(number: u32, sequence: u32, pair: u32, swapped_value: vec2<f32>) {
    let time = number >> (11u - sizes.log_size);
    if (time >= sizes.length || pair >= sizes.pairs) {
        return;
    }
    let row = sequence * sizes.length + time;
    var value = swapped_value.yx;
    if (GATE_OUT == 1u) {
        value *= gate_out[sizes.out_offset + row * sizes.out_stride + pair];
    }
    y[sizes.y_offset + row * sizes.y_stride + pair] = value;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let log_count = 11u - sizes.log_size;
    let count = 1u << log_count;
    let size = 1u << sizes.log_size;
    let pair = workgroup.x * count + (t & (count - 1u));
    let sequence = sizes.first_sequence + workgroup.y;

    var z = transform(
        Eight(
            load(t, sequence, pair), load(t + 256u, sequence, pair),
            load(t + 512u, sequence, pair), load(t + 768u, sequence, pair),
            load(t + 1024u, sequence, pair), load(t + 1280u, sequence, pair),
            load(t + 1536u, sequence, pair), load(t + 1792u, sequence, pair),
        ),
        t,
    );
    write_eight(t, z);
    workgroupBarrier();

    // Each thread processes four pairs of conjugate frequencies.
    for (var number = t; number < 1024u; number += 256u) {
        let frequency = number >> log_count;
        let column = number & (count - 1u);
        // Frequencies 0 and size / 2 are their own conjugates and share an entry.
        let partner = (select(size - frequency, size / 2u, frequency == 0u) << log_count) + column;
        let channel = workgroup.x * count + column;
        if (channel < sizes.pairs) {
            let here = fetch(number);
            let there = fetch(partner);
            let at = frequency * sizes.pairs + channel;
            if (FILTER == 1u) {
                let value = entry(here, there, frequency == 0u) * sizes.scale;
                y[2u * at] = value.xy;
                y[2u * at + 1u] = value.zw;
            } else {
                let product = filtered(here, there, spectra[at], frequency == 0u);
                put(number, product.xy);
                put(partner, product.zw);
            }
        }
    }
    if (FILTER == 1u) {
        return;
    }
    workgroupBarrier();
    z = read_eight(t);
    workgroupBarrier();
    z = transform(swapped(z), t);
    store(t, sequence, pair, z.a);
    store(t + 256u, sequence, pair, z.b);
    store(t + 512u, sequence, pair, z.c);
    store(t + 768u, sequence, pair, z.d);
    store(t + 1024u, sequence, pair, z.e);
    store(t + 1280u, sequence, pair, z.f);
    store(t + 1536u, sequence, pair, z.g);
    store(t + 1792u, sequence, pair, z.h);
}
