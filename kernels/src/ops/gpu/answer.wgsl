// Stores the answer to the present token without its padding.
//
// binding 0: sizes in floats; binding 1: the clock; binding 2: x, padded rows [batch]; binding 3: answers [tokens, batch, width]

struct Sizes {
    items: u32,
    columns: u32,
    width: u32,
    run: u32,
    offset: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> answers: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let column = item % sizes.columns;
    let at = column / sizes.width * sizes.run + column % sizes.width;
    answers[clock[0] * sizes.items + item] = x[sizes.offset + item / sizes.columns * sizes.stride + at];
}
