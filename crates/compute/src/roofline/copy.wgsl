// Copy bandwidth: reads and writes every word once.
// 1 read   from [n]
// 2 write  to   [n]

@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sink: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < arrayLength(&sink)) {
        sink[id.x] = source[id.x];
    }
}
