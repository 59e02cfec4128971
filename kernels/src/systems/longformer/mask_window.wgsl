// Mask file of attention.wgsl: a window around each position, and the global positions; mirrors `cpu.rs`.
//
// A head of dilation δ has δ residue classes of positions, each with a plain window. Query and key numbers: class ·
// stride + index in the class. The stride is the length of a class rounded up to 64, so that the 64 queries of a
// workgroup belong to one class. Key numbers from `base` on are the global positions, which are visited only there.
//
// binding 6: header of eight words; the dilation of each head; for each sequence the offset of its global positions in
// words and their number; the global positions; for each sequence one bit per position, set where it is global

@group(0) @binding(6) var<storage, read> lists: array<u32>;

const LENGTH = 0u;
const REACH = 1u;
const AHEAD = 2u;
const BASE = 3u;
const SEQUENCES = 4u;
const BITS = 5u;
const HEADER = 8u;

// Values of the workgroup.
var<private> dilation: u32;
var<private> stride: u32;
var<private> globals: u32;
var<private> n_globals: u32;
var<private> bits: u32;

fn enter(block: u32, sequence: u32, head: u32) {
    dilation = lists[HEADER + head];
    stride = ((lists[LENGTH] + dilation - 1u) / dilation + 63u) / 64u * 64u;
    globals = lists[lists[SEQUENCES] + 2u * sequence];
    n_globals = lists[lists[SEQUENCES] + 2u * sequence + 1u];
    bits = lists[BITS] + sequence * ((lists[LENGTH] + 31u) / 32u);
}

fn position(number: u32) -> u32 {
    return number % stride * dilation + number / stride;
}

fn is_position(number: u32) -> bool {
    return number / stride < dilation && position(number) < lists[LENGTH];
}

fn is_global(position: u32) -> bool {
    return n_globals > 0u && ((lists[bits + position / 32u] >> (position % 32u)) & 1u) == 1u;
}

fn query_row(query: u32) -> u32 {
    return position(query);
}

// Another pass writes the global rows.
fn has_query(query: u32) -> bool {
    return is_position(query) && !is_global(position(query));
}

fn key_row(key: u32) -> u32 {
    if (key >= lists[BASE]) {
        return lists[globals + key - lists[BASE]];
    }
    return position(key);
}

fn has_key(key: u32) -> bool {
    if (key >= lists[BASE]) {
        return key - lists[BASE] < n_globals;
    }
    return is_position(key);
}

// First index that a query of the block sees, rounded down to a tile.
fn window_start(block: u32) -> u32 {
    let first = block * 64u % stride;
    return select(0u, (first - lists[REACH]) / 32u * 32u, first > lists[REACH]);
}

fn window_tiles(block: u32) -> u32 {
    let number = block * 64u;
    if (!is_position(number)) {
        return 0u;
    }
    let in_class = (lists[LENGTH] - number / stride + dilation - 1u) / dilation;
    let end = min(in_class, number % stride + 64u + lists[AHEAD]);
    return (end - window_start(block) + 31u) / 32u;
}

fn n_tiles(block: u32, sequence: u32, head: u32) -> u32 {
    let window = window_tiles(block);
    return select(0u, window + (n_globals + 31u) / 32u, window > 0u);
}

fn tile_start(block: u32, sequence: u32, head: u32, tile: u32) -> u32 {
    let window = window_tiles(block);
    if (tile >= window) {
        return lists[BASE] + (tile - window) * 32u;
    }
    return block * 64u / stride * stride + window_start(block) + tile * 32u;
}

// Whether a pair of the tile may be hidden. In undilated heads, the only ones with global keys, tiles are words of
// bits.
fn needs_mask(block: u32, first_key: u32) -> bool {
    if (first_key >= lists[BASE]) {
        return first_key - lists[BASE] + 32u > n_globals;
    }
    let first = block * 64u;
    let late = first_key + 31u > first && first_key + 31u - first > lists[AHEAD];
    let early = first + 63u > first_key && first + 63u - first_key > lists[REACH];
    return late || early || !is_position(first_key + 31u)
        || (n_globals > 0u && lists[bits + first_key / 32u] != 0u);
}

fn seen(query: u32, key: vec4<u32>) -> vec4<bool> {
    let place = key % stride * dilation + key / stride;
    var seen = (key / stride < vec4<u32>(dilation)) & (place < vec4<u32>(lists[LENGTH]));
    seen &= in_band(query, key, lists[REACH], lists[AHEAD]);
    if (n_globals > 0u) {
        let at = bits + place / 32u;
        let words = vec4<u32>(lists[at.x], lists[at.y], lists[at.z], lists[at.w]);
        seen &= ((words >> (place % 32u)) & vec4<u32>(1u)) == vec4<u32>(0u);
    }
    return select(seen, key - lists[BASE] < vec4<u32>(n_globals), key >= vec4<u32>(lists[BASE]));
}
