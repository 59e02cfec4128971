// A test plan: out[i] = scale · a[i] + b[i].
// 0 uniform  Block { n, scale }
// 1 read     a    [n]
// 2 read     b    [n]
// 3 write    out  [n]

struct Block {
    n: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> block: Block;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

override SIZE: u32 = 64;

@compute @workgroup_size(SIZE)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    if (i >= block.n) {
        return;
    }
    out[i] = block.scale * a[i] + b[i];
}
