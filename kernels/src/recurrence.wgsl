// Common part of the kernels of recurrences; prepended to ltc/solve.wgsl and cfc/steps.wgsl. A workgroup of 256 threads
// steps through one sequence with the state in its memory. The units of a layer are divided among the threads; where
// there are fewer units than threads, several threads share a unit's sum. The layout of matrices is described in
// `recurrence.rs`.

// The state, and the layers' intermediate values: 12 KiB.
var<workgroup> memory: array<f32, 3072>;
// Partial sums of several threads: 4 KiB.
var<workgroup> partial: array<vec4<f32>, 256>;

// A matrix with up to four heads, each with a row per unit.
struct Layer {
    units: u32,
    heads: u32,
    // Position of its inputs in `memory`, and their number in vectors of four.
    input: u32,
    quads: u32,
    // Position of its weights, [quads, heads, units] vectors of four inputs.
    weights: u32,
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(min(-x, 80.0)));
}

// The precision of WGSL's tanh is guaranteed to 1e-5 only.
fn hyperbolic_tangent(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    return sign(x) * (1.0 - e) / (1.0 + e);
}

// Every `parts`-th term, from `part` on, of the sums of a unit's heads.
fn products(layer: Layer, unit: u32, part: u32, parts: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var quad = part; quad < layer.quads; quad += parts) {
        let at = layer.input + 4u * quad;
        let x = vec4<f32>(memory[at], memory[at + 1u], memory[at + 2u], memory[at + 3u]);
        let row = layer.weights + quad * layer.heads * layer.units + unit;
        sum.x += dot(weights[row], x);
        if (layer.heads > 1u) { sum.y += dot(weights[row + layer.units], x); }
        if (layer.heads > 2u) { sum.z += dot(weights[row + 2u * layer.units], x); }
        if (layer.heads > 3u) { sum.w += dot(weights[row + 3u * layer.units], x); }
    }
    return sum;
}

// The sum of all parts, for the thread of part 0. `partial` may be overwritten after the caller's next barrier.
fn joined(sum: vec4<f32>, thread: u32, width: u32, parts: u32) -> vec4<f32> {
    partial[thread] = sum;
    workgroupBarrier();
    var total = sum;
    if (thread < width) {
        for (var part = 1u; part < parts; part++) {
            total += partial[part * width + thread];
        }
    }
    return total;
}

// The long short-term memory step of lstm.rs for one unit: (h, m) from its gates' sums and m.
fn remember(gates: vec4<f32>, m: f32) -> vec2<f32> {
    let kept = m * sigmoid(gates.z + 1.0) + hyperbolic_tangent(gates.x) * sigmoid(gates.y);
    return vec2<f32>(hyperbolic_tangent(kept) * sigmoid(gates.w), kept);
}
