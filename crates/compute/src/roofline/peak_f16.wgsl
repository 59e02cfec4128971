// Peak multiply-adds in f16, like peak.wgsl: independent chains in registers. Reads nothing and writes one word per
// invocation.
// 0 uniform  Block { rounds }
// 1 write    out [workgroups · 64]
// An invocation does 32 multiply-adds per round: 8 chains of four lanes.

enable f16;

struct Block {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> block: Block;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let a = vec4<f16>(0.999h - f16(id.x % 7u) * 0.01h);
    let b = vec4<f16>(1e-3h);
    var c0 = vec4<f16>(f16(id.x % 64u));
    var c1 = c0 + 1.0h;
    var c2 = c0 + 2.0h;
    var c3 = c0 + 3.0h;
    var c4 = c0 + 4.0h;
    var c5 = c0 + 5.0h;
    var c6 = c0 + 6.0h;
    var c7 = c0 + 7.0h;
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
    out[id.x] = f32((sum.x + sum.y) + (sum.z + sum.w));
}
