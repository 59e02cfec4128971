// What the kernels of recurrences share; prepended to ltc/solve.wgsl and cfc/steps.wgsl. A workgroup of 256 walks the
// steps of one sequence with the state in its memory; the units of a layer are dealt out over its threads, and where
// there are fewer units than threads several threads share a unit's sum. Packed as `recurrence.rs` says.

// State, and room for what layers compute: 12 KiB.
var<workgroup> memory: array<f32, 3072>;
// Sums that several threads share: 4 KiB.
var<workgroup> partial: array<vec4<f32>, 256>;

// A matrix of up to four heads that each unit has a row in.
struct Layer {
    units: u32,
    heads: u32,
    // Where its inputs lie in `memory`, and how many vectors of four they are.
    input: u32,
    quads: u32,
    // Where its weights lie, [quads, heads, units] vectors of four inputs.
    weights: u32,
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(min(-x, 80.0)));
}

// WGSL's own tanh is only promised to 1e-5.
fn hyperbolic_tangent(x: f32) -> f32 {
    let e = exp(-2.0 * abs(x));
    return sign(x) * (1.0 - e) / (1.0 + e);
}

// Every `parts`-th term, from `part` on, of what a unit's heads sum up.
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

// The sum of all parts, for the thread of part 0. `partial` may be used again after the caller's next barrier.
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
