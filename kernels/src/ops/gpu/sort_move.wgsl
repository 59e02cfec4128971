// Third step of a pass of the radix sort: moves every key to its place; keys with equal digits keep their order.
//
// binding 0: sizes
// binding 1: keys, [lists, n]
// binding 2: values, [lists, n]; unused in the first pass, where a value is its own index
// binding 3: first place of each tile's keys, [lists, 16 digits, tiles]
// binding 4, 5: sorted keys and values

struct Sizes {
    n: u32,
    tiles: u32,
    shift: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>;
@group(0) @binding(2) var<storage, read> values: array<u32>;
@group(0) @binding(3) var<storage, read> starts: array<u32>;
@group(0) @binding(4) var<storage, read_write> sorted_keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> sorted_values: array<u32>;

// [16 digits, 128 threads]: counts, then places within the tile.
var<workgroup> places: array<u32, 2048>;
var<workgroup> partial: array<u32, 128>;
var<workgroup> digit_starts: array<u32, 16>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let list = workgroup.y * sizes.n;
    // Eight neighbouring keys per thread, so that the order of threads is the order of keys.
    let first = workgroup.x * 1024u + thread * 8u;
    for (var digit = 0u; digit < 16u; digit++) {
        places[digit * 128u + thread] = 0u;
    }
    for (var i = 0u; i < 8u; i++) {
        if (first + i < sizes.n) {
            let digit = (keys[list + first + i] >> sizes.shift) & 15u;
            places[digit * 128u + thread] += 1u;
        }
    }
    workgroupBarrier();
    var sum = 0u;
    for (var i = 0u; i < 16u; i++) {
        sum += places[thread * 16u + i];
    }
    partial[thread] = sum;
    workgroupBarrier();
    for (var step = 1u; step < 128u; step *= 2u) {
        var before = 0u;
        if (thread >= step) {
            before = partial[thread - step];
        }
        workgroupBarrier();
        partial[thread] += before;
        workgroupBarrier();
    }
    var running = partial[thread] - sum;
    for (var i = 0u; i < 16u; i++) {
        let count = places[thread * 16u + i];
        places[thread * 16u + i] = running;
        running += count;
    }
    workgroupBarrier();
    if (thread < 16u) {
        digit_starts[thread] = places[thread * 128u];
    }
    workgroupBarrier();
    for (var i = 0u; i < 8u; i++) {
        if (first + i < sizes.n) {
            let key = keys[list + first + i];
            let digit = (key >> sizes.shift) & 15u;
            let place = places[digit * 128u + thread];
            places[digit * 128u + thread] = place + 1u;
            let start = starts[(workgroup.y * 16u + digit) * sizes.tiles + workgroup.x];
            let to = list + start + place - digit_starts[digit];
            sorted_keys[to] = key;
            var value = first + i;
            if (sizes.shift > 0u) {
                value = values[list + value];
            }
            sorted_values[to] = value;
        }
    }
}
