// Peak exponentials, like peak.wgsl: independent chains in registers. Reads nothing and writes one word per invocation.
// 0 uniform  Block { rounds }
// 1 write    out [workgroups · 64]
// An invocation does 32 exponentials per round: 8 chains of four lanes.

struct Block {
    rounds: u32,
}

@group(0) @binding(0) var<uniform> block: Block;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var c0 = vec4<f32>(f32(id.x % 64u));
    var c1 = c0 + 1.0;
    var c2 = c0 + 2.0;
    var c3 = c0 + 3.0;
    var c4 = c0 + 4.0;
    var c5 = c0 + 5.0;
    var c6 = c0 + 6.0;
    var c7 = c0 + 7.0;
    for (var round = 0u; round < block.rounds; round++) {
        c0 = exp2(-c0);
        c1 = exp2(-c1);
        c2 = exp2(-c2);
        c3 = exp2(-c3);
        c4 = exp2(-c4);
        c5 = exp2(-c5);
        c6 = exp2(-c6);
        c7 = exp2(-c7);
    }
    let sum = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
    out[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
