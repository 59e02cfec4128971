// Adds the products of one degree to the output of the state-space model: y[t] += gain · contract(Π x[positions]).
// Mirrors `Spec::add_products` of cpu.rs.
//
// A thread processes four neighbouring channels at one time step.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: x, [batch · length, channels]
// binding 2: positions of each product, [length, factors]; NOWHERE makes the product zero
// binding 3: gains, [channels]
// binding 4: y, in the layout of x; written with SET, otherwise added to

override CONTRACTION: u32 = 0u;
override REVERSED: u32 = 0u;
override SET: u32 = 0u;

struct Sizes {
    items: u32,
    vectors: u32,
    length: u32,
    factors: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> gains: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

const NOWHERE: u32 = 0xffffffffu;

fn tanh_of(value: vec4<f32>) -> vec4<f32> {
    return 2.0 / (1.0 + exp(-2.0 * value)) - 1.0;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let column = item % sizes.vectors;
    let row = item / sizes.vectors;
    let time = row % sizes.length;
    let first_row = row - time;
    let index = select(time, sizes.length - 1u - time, REVERSED == 1u);
    var product = vec4<f32>(1.0);
    for (var factor = 0u; factor < sizes.factors; factor++) {
        let position = positions[index * sizes.factors + factor];
        if (position == NOWHERE) {
            product = vec4<f32>(0.0);
            break;
        }
        product *= x[(first_row + position) * sizes.x_stride + column];
    }
    if (CONTRACTION == 1u) {
        product = tanh_of(product);
    } else if (CONTRACTION == 2u) {
        product = 1.7159 * tanh_of(0.666 * product);
    }
    var value = gains[column] * product;
    let at = row * sizes.y_stride + column;
    if (SET == 0u) {
        value += y[at];
    }
    y[at] = value;
}
