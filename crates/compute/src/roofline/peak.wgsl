// Peak multiply-adds: independent chains in registers. Reads nothing and writes one word per invocation.
// 0 uniform  Block { rounds }
// 1 write    out [workgroups · 64]
// An invocation does 32 multiply-adds per round: 8 chains of four lanes.

struct Block {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> block: Block;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let a = vec4<f32>(0.999 + f32(id.x % 7u) * 1e-6);
    let b = vec4<f32>(1e-3);
    var c0 = vec4<f32>(f32(id.x));
    var c1 = c0 + 1.0;
    var c2 = c0 + 2.0;
    var c3 = c0 + 3.0;
    var c4 = c0 + 4.0;
    var c5 = c0 + 5.0;
    var c6 = c0 + 6.0;
    var c7 = c0 + 7.0;
    for (var round = 0u; round < block.rounds; round++) {
        c0 = fma(c0, a, b);
        c1 = fma(c1, a, b);
        c2 = fma(c2, a, b);
        c3 = fma(c3, a, b);
        c4 = fma(c4, a, b);
        c5 = fma(c5, a, b);
        c6 = fma(c6, a, b);
        c7 = fma(c7, a, b);
    }
    let sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
    out[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
