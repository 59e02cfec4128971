// The solver over a chunk of steps, with its state in workgroup memory; recurrence.wgsl is prepended. Mirrors `solve`
// of cpu.rs. A workgroup processes one sequence.
//
// binding 0: sizes
// binding 1: for each neuron (c · unfolds, output scale, output shift, 0), then synapses, [count, padded], see gpu.rs;
// then the initial states, [batch, vectors, padded], at `initial_at`
// binding 2: the number of synapses of each neuron, then the source of each synapse, [count, padded]; not read with
// DENSE
// binding 3: numerators and denominators of the inputs' synapses, [batch, chunk, padded]
// binding 4: recurrent map of the mixed memory, see recurrence.wgsl; binding 5: product of its input map, [batch,
// chunk, padded] vectors of four gates; neither is read without MIXED
// binding 6: elapsed times, [batch · length, times_stride], with TIMES
// binding 7: v, and with MIXED m, [batch, vectors, padded]
// binding 8: y, [batch · length, y_stride]

// Whether every neuron has a synapse from every neuron including itself, in order.
override DENSE: u32 = 0u;
override MIXED: u32 = 0u;
override TIMES: u32 = 0u;

struct Sizes {
    units: u32,
    padded: u32,
    outputs: u32,
    unfolds: u32,
    first_sequence: u32,
    first_step: u32,
    steps: u32,
    length: u32,
    chunk: u32,
    times_stride: u32,
    y_stride: u32,
    // Neurons processed at once, and threads per neuron.
    width: u32,
    parts: u32,
    // Whether the first step follows the initial state.
    starts: u32,
    initial_at: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> synapses: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sources: array<u32>;
@group(0) @binding(3) var<storage, read> sensed: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> entries: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> times: array<f32>;
@group(0) @binding(7) var<storage, read_write> state: array<f32>;
@group(0) @binding(8) var<storage, read_write> y: array<f32>;

// Every `parts`-th term, starting at `part`, of a neuron's Σ a E and Σ a.
fn synaptic(unit: u32, part: u32) -> vec2<f32> {
    var count = sizes.units;
    if (DENSE == 0u) {
        count = sources[unit];
    }
    var sums = vec2<f32>(0.0);
    for (var index = part; index < count; index += sizes.parts) {
        var source = index;
        if (DENSE == 0u) {
            source = sources[(1u + index) * sizes.padded + unit];
        }
        let synapse = synapses[(1u + index) * sizes.padded + unit];
        let gate = 1.0 / (1.0 + exp2(min(fma(synapse.x, memory[source], synapse.y), 120.0)));
        sums += synapse.wz * gate;
    }
    return sums;
}

fn recall(row: u32, cells: u32, lane: u32, part: u32, thread: u32) {
    let layer = Layer(sizes.units, 4u, 0u, sizes.padded / 4u, 0u);
    var next: array<f32, 12>;
    var group = 0u;
    for (var first = 0u; first < sizes.units; first += sizes.width) {
        let unit = first + lane;
        var gates = vec4<f32>(0.0);
        if (unit < sizes.units) {
            gates = products(layer, unit, part, sizes.parts);
        }
        if (sizes.parts > 1u) {
            gates = joined(gates, thread, sizes.width, sizes.parts);
        }
        if (part == 0u && unit < sizes.units) {
            let step = remember(gates + entries[row * sizes.padded + unit], state[cells + unit]);
            next[group] = step.x;
            state[cells + unit] = step.y;
        }
        group++;
    }
    workgroupBarrier();
    if (part == 0u) {
        for (var unit = lane; unit < sizes.units; unit += sizes.width) {
            memory[unit] = next[unit / sizes.width];
        }
    }
    workgroupBarrier();
}

// One step of the solver: every neuron from the old v.
fn advance(row: u32, per_time: f32, lane: u32, part: u32, thread: u32) {
    var next: array<f32, 12>;
    var group = 0u;
    for (var first = 0u; first < sizes.units; first += sizes.width) {
        let unit = first + lane;
        var sums = vec2<f32>(0.0);
        if (unit < sizes.units) {
            sums = synaptic(unit, part);
        }
        if (sizes.parts > 1u) {
            sums = joined(vec4<f32>(sums, 0.0, 0.0), thread, sizes.width, sizes.parts).xy;
        }
        if (part == 0u && unit < sizes.units) {
            sums += sensed[row * sizes.padded + unit];
            let capacity = synapses[unit].x * per_time;
            next[group] = (capacity * memory[unit] + sums.x) / (capacity + sums.y);
        }
        group++;
    }
    workgroupBarrier();
    if (part == 0u) {
        for (var unit = lane; unit < sizes.units; unit += sizes.width) {
            memory[unit] = next[unit / sizes.width];
        }
    }
    workgroupBarrier();
}

// A float of the states before the first step.
fn before(at: u32) -> f32 {
    if (sizes.starts == 1u) {
        return synapses[sizes.initial_at + at / 4u][at % 4u];
    }
    return state[at];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let sequence = sizes.first_sequence + workgroup.x;
    let lane = thread % sizes.width;
    let part = thread / sizes.width;
    // Vectors of a sequence's state: v, and with MIXED m.
    let current = sequence * (1u + MIXED) * sizes.padded;
    let cells = current + sizes.padded;
    for (var unit = thread; unit < sizes.padded; unit += 256u) {
        memory[unit] = before(current + unit);
        if (MIXED == 1u) {
            // Each thread reads only the m that it wrote.
            state[cells + unit] = before(cells + unit);
        }
    }
    workgroupBarrier();
    for (var step = 0u; step < sizes.steps; step++) {
        let row = sequence * sizes.chunk + step;
        let at = sequence * sizes.length + sizes.first_step + step;
        if (MIXED == 1u) {
            recall(row, cells, lane, part, thread);
        }
        var per_time = 1.0;
        if (TIMES == 1u) {
            per_time = 1.0 / times[at * sizes.times_stride];
        }
        for (var unfold = 0u; unfold < sizes.unfolds; unfold++) {
            advance(row, per_time, lane, part, thread);
        }
        for (var unit = thread; unit < sizes.outputs; unit += 256u) {
            let neuron = synapses[unit];
            y[at * sizes.y_stride + unit] = memory[unit] * neuron.y + neuron.z;
        }
    }
    for (var unit = thread; unit < sizes.units; unit += 256u) {
        state[current + unit] = memory[unit];
    }
}
