// The input of the next generated token: its own input, plus the answer to the token before, limited to ±1.
//
// binding 0: sizes; binding 1: the clock; binding 2: own inputs, padded rows [tokens, batch]
// binding 3: answers [tokens, batch, width]; binding 4: the next token's input, padded rows [batch]

override FED: u32 = 1u;

struct Sizes {
    items: u32,
    stride: u32,
    columns: u32,
    run: u32,
    answer: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> clock: array<u32>;
@group(0) @binding(2) var<storage, read> own: array<f32>;
@group(0) @binding(3) var<storage, read> answers: array<f32>;
@group(0) @binding(4) var<storage, read_write> next: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let item = place_in_line(workgroup) * 256u + thread;
    if (item >= sizes.items) {
        return;
    }
    let generated = clock[0];
    let sequence = item / sizes.stride;
    let padded = item % sizes.stride;
    var value = own[generated * sizes.items + item];
    // Columns in groups of `columns`, each padded to `run`. Padding stays zero.
    let inside = padded % sizes.run;
    if (FED == 1u && generated > 0u && inside < sizes.columns) {
        let column = padded / sizes.run * sizes.columns + inside;
        let batch = sizes.items / sizes.stride;
        let answer = answers[((generated - 1u) * batch + sequence) * sizes.answer + column % sizes.answer];
        value += clamp(answer, -1.0, 1.0);
    }
    next[item] = value;
}
