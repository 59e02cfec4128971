// Copies rows of each sequence to a cache, from the clock's position on, or from its beginning.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1: the clock; binding 2: x, [batch, rows]; binding 3: cache, [batch, capacity]

override FROM_CLOCK: u32 = 0u;

struct Sizes {
    items: u32,
    vectors: u32,
    rows: u32,
    capacity: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> cache: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let row = item / sizes.vectors;
    let column = item % sizes.vectors;
    let first = select(0u, clock[1], FROM_CLOCK == 1u);
    // A ring: rows beyond the capacity overwrite the oldest ones.
    let to = row / sizes.rows * sizes.capacity + (first + row % sizes.rows) % sizes.capacity;
    cache[sizes.y_offset + to * sizes.y_stride + column] = x[sizes.x_offset + row * sizes.x_stride + column];
}
