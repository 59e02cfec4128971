// Sums over the synapses from the inputs for many steps at once, since they do not depend on the state. Mirrors `sense`
// of cpu.rs. The synapses' parameters include the inputs' scale and shift.
//
// A thread processes one neuron and four steps of one sequence.
//
// binding 0: sizes
// binding 1: for each neuron (g · vleak, g + ε, 0, 0), then synapses, [count, padded], see gpu.rs
// binding 2: the number of synapses of each neuron, then the input of each synapse, [count, padded]; not read with
// DENSE
// binding 3: x, [batch · length, x_stride]
// binding 4: numerators and denominators, [batch, chunk, padded]

// Whether every neuron has a synapse from every input, in order.
override DENSE: u32 = 0u;

struct Sizes {
    units: u32,
    padded: u32,
    inputs: u32,
    first_sequence: u32,
    first_step: u32,
    steps: u32,
    length: u32,
    chunk: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> synapses: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sources: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let unit = workgroup.x * 64u + thread;
    if (unit >= sizes.units) {
        return;
    }
    let first = workgroup.y * 4u;
    let sequence = sizes.first_sequence + workgroup.z;
    let row = sequence * sizes.length + sizes.first_step;
    let last = sizes.steps - 1u;
    // Steps beyond the last repeat it and are not stored.
    let at = (vec4<u32>(row) + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(last)))
        * sizes.x_stride;
    var count = sizes.inputs;
    if (DENSE == 0u) {
        count = sources[unit];
    }
    var numerator = vec4<f32>(synapses[unit].x);
    var denominator = vec4<f32>(synapses[unit].y);
    for (var index = 0u; index < count; index++) {
        var source = index;
        if (DENSE == 0u) {
            source = sources[(1u + index) * sizes.padded + unit];
        }
        let synapse = synapses[(1u + index) * sizes.padded + unit];
        let u = vec4<f32>(x[at.x + source], x[at.y + source], x[at.z + source], x[at.w + source]);
        let gate = 1.0 / (1.0 + exp2(min(synapse.x * u + synapse.y, vec4<f32>(120.0))));
        numerator += synapse.w * gate;
        denominator += synapse.z * gate;
    }
    for (var step = 0u; step < 4u; step++) {
        if (first + step <= last) {
            let to = (sequence * sizes.chunk + first + step) * sizes.padded + unit;
            sums[to] = vec2<f32>(numerator[step], denominator[step]);
        }
    }
}
