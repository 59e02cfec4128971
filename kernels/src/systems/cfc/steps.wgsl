// A chunk of steps of a closed-form network, with its state in workgroup memory; recurrence.wgsl is prepended. Mirrors
// `step` of cpu.rs. A workgroup processes one sequence and runs the layers of `program` in each step.
//
// binding 0: sizes
// binding 1: weights and biases in vectors of four, at the offsets in the program; initial states, [batch, vectors,
// slots], at `initial_at`
// binding 2: the program: for each layer the twelve words that `run` reads
// binding 3: the inputs' part of the first layer with biases, [batch, chunk, entry_stride]
// binding 4: elapsed times, [batch · length, times_stride], with TIMES
// binding 5: h, and with a mixed memory m, [batch, vectors, slots]
// binding 6: the last cell's states, [batch, room, hidden_stride], from row `hidden_row` on

// Numbers as in gpu.rs.
override MODE: u32 = 0u;
override ACTIVATION: u32 = 0u;
override TIMES: u32 = 0u;

struct Sizes {
    // Floats of a state vector; cells are padded to vectors of four.
    slots: u32,
    // 2 with a mixed memory, otherwise 1.
    vectors: u32,
    layers: u32,
    first_sequence: u32,
    first_step: u32,
    steps: u32,
    length: u32,
    chunk: u32,
    entry_stride: u32,
    times_stride: u32,
    // Values of the last cell.
    hidden: u32,
    hidden_slot: u32,
    hidden_stride: u32,
    hidden_row: u32,
    hidden_room: u32,
    // Whether the first step follows the initial state.
    starts: u32,
    initial_at: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> program: array<u32>;
@group(0) @binding(3) var<storage, read> entries: array<f32>;
@group(0) @binding(4) var<storage, read> times: array<f32>;
@group(0) @binding(5) var<storage, read_write> state: array<f32>;
@group(0) @binding(6) var<storage, read_write> hidden: array<f32>;

const HIDDEN: u32 = 0u;
const HEADS: u32 = 1u;
const MEMORY: u32 = 2u;

fn activate(x: f32) -> f32 {
    switch ACTIVATION {
        case 0u: { return 1.7159 * hyperbolic_tangent(0.666 * x); }
        case 1u: { return x * sigmoid(x); }
        case 2u: { return max(x, 0.0); }
        case 3u: { return hyperbolic_tangent(x); }
        default: { return 0.5 * x * (1.0 + erf(vec4<f32>(x * 0.7071067811865476)).x); }
    }
}

// The next state of a unit from its heads.
fn combined(heads: vec4<f32>, pure_at: u32, elapsed: f32) -> f32 {
    if (MODE == 2u) {
        // |w_τ| and A.
        let constants = weights[pure_at];
        let f = heads.x;
        return constants.y - constants.y * f * exp(-elapsed * (constants.x + abs(f)));
    }
    let f = hyperbolic_tangent(heads.x);
    let g = hyperbolic_tangent(heads.y);
    var time = heads.z;
    if (TIMES == 1u) {
        time = elapsed * heads.z + heads.w;
    }
    let s = sigmoid(time);
    if (MODE == 1u) {
        return f + s * g;
    }
    return f + s * (g - f);
}

// Values of a unit's heads before the state's part is added.
fn bias(at: u32, is_entry: bool, heads: u32, unit: u32, row: u32) -> vec4<f32> {
    if (!is_entry) {
        return weights[at + unit];
    }
    let start = row * sizes.entry_stride + at;
    if (heads == 1u) {
        return vec4<f32>(entries[start + unit], 0.0, 0.0, 0.0);
    }
    let begin = start + 4u * unit;
    return vec4<f32>(entries[begin], entries[begin + 1u], entries[begin + 2u], entries[begin + 3u]);
}

fn run(at: u32, row: u32, elapsed: f32, cells: u32, thread: u32) {
    let kind = program[at];
    let width = program[at + 1u];
    let parts = program[at + 2u];
    let layer = Layer(program[at + 3u], program[at + 4u], program[at + 5u], program[at + 6u], program[at + 7u]);
    let bias_at = program[at + 8u];
    let is_entry = program[at + 9u] == 1u;
    let to = program[at + 10u];
    let pure_at = program[at + 11u];
    let lane = thread % width;
    let part = thread / width;
    var next: array<f32, 12>;
    var group = 0u;
    for (var first = 0u; first < layer.units; first += width) {
        let unit = first + lane;
        var sum = vec4<f32>(0.0);
        if (unit < layer.units) {
            sum = products(layer, unit, part, parts);
        }
        if (parts > 1u) {
            sum = joined(sum, thread, width, parts);
        }
        if (part == 0u && unit < layer.units) {
            sum += bias(bias_at, is_entry, layer.heads, unit, row);
            if (kind == HIDDEN) {
                next[group] = activate(sum.x);
            } else if (kind == HEADS) {
                next[group] = combined(sum, pure_at + unit, elapsed);
            } else {
                let step = remember(sum, state[cells + unit]);
                next[group] = step.x;
                state[cells + unit] = step.y;
            }
        }
        group++;
    }
    workgroupBarrier();
    if (part == 0u) {
        for (var unit = lane; unit < layer.units; unit += width) {
            memory[to + unit] = next[unit / width];
        }
    }
    workgroupBarrier();
}

// A float of the states before the first step.
fn before(at: u32) -> f32 {
    if (sizes.starts == 1u) {
        return weights[sizes.initial_at + at / 4u][at % 4u];
    }
    return state[at];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let sequence = sizes.first_sequence + workgroup.x;
    let current = sequence * sizes.vectors * sizes.slots;
    let cells = current + sizes.slots;
    for (var slot = thread; slot < sizes.slots; slot += 256u) {
        memory[slot] = before(current + slot);
        if (sizes.vectors == 2u) {
            // Each thread reads only the m that it wrote.
            state[cells + slot] = before(cells + slot);
        }
    }
    workgroupBarrier();
    for (var step = 0u; step < sizes.steps; step++) {
        let row = sequence * sizes.chunk + step;
        var elapsed = 1.0;
        if (TIMES == 1u) {
            elapsed = times[(sequence * sizes.length + sizes.first_step + step) * sizes.times_stride];
        }
        for (var index = 0u; index < sizes.layers; index++) {
            run(12u * index, row, elapsed, cells, thread);
        }
        let to = (sequence * sizes.hidden_room + sizes.hidden_row + step) * sizes.hidden_stride;
        for (var unit = thread; unit < sizes.hidden; unit += 256u) {
            hidden[to + unit] = memory[sizes.hidden_slot + unit];
        }
    }
    for (var slot = thread; slot < sizes.slots; slot += 256u) {
        state[current + slot] = memory[slot];
    }
}
