// Elementwise functions, and the combination with a second stream; prepended to gemm.wgsl and map.wgsl. The numbers are
// those of `Activation` and `Combine` in elementwise.rs. WGSL's tanh may overflow, so it is written out.

override ACTIVATION: u32 = 0u;
override COMBINE: u32 = 0u;

fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-x));
}

fn activate(x: vec4<f32>) -> vec4<f32> {
    switch ACTIVATION {
        case 1u: { return max(x, vec4<f32>(0.0)); }
        case 2u: { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
        case 3u: { return x * sigmoid(x); }
        case 4u: { return sigmoid(x); }
        case 5u: { return 2.0 * sigmoid(2.0 * x) - 1.0; }
        case 6u: { return max(x, vec4<f32>(0.0)) + log(1.0 + exp(-abs(x))); }
        case 7u: { return x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x)); }
        case 8u: { return exp(x); }
        // The Laplace function of Mega.
        case 9u: { return 0.5 * (1.0 + erf((x - 0.707107) / (0.282095 * 1.4142135623730951))); }
        default: { return x; }
    }
}

fn combine(value: vec4<f32>, other: vec4<f32>) -> vec4<f32> {
    switch COMBINE {
        case 1u: { return value * other; }
        case 2u: { return value + other; }
        default: { return value; }
    }
}
