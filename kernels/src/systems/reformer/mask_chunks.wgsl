// Mask file of attention.wgsl: chunks of a list of positions attend to themselves and their neighbours; mirrors
// `chunks.rs`.
//
// Query numbers: indices in the round. Key numbers: indices in the ring of all rounds, counted without wrapping from
// the first key that the round's first chunk sees. A chunk that is seen twice has two ranges of numbers.
//
// binding 6: positions, [batch, n_heads, ring], where SORTED
// binding 7: header

@group(0) @binding(6) var<storage, read> order: array<u32>;
@group(0) @binding(7) var<storage, read> header: array<u32>;

const PADDED = 0u;
const LENGTH = 1u;
const CHUNK = 2u;
const SEEN = 3u;
// Index of key number 0 in the ring.
const BASE = 4u;
const RING = 5u;
// Index of the round's start in the ring.
const ROUND = 6u;
const N_HEADS = 7u;
const SORTED = 8u;
const CAUSAL = 9u;
const AVOIDS_SELF = 10u;

// Scores in units of log₂: −10⁹ for hidden keys, −10⁵ for a position with itself.
const HIDDEN: f32 = -1442695040.8889634;
const ITSELF: f32 = -144269.50408889634;

var<private> list: u32;

fn enter(block: u32, sequence: u32, head: u32) {
    list = (sequence * header[N_HEADS] + head) * header[RING];
}

fn position(place: u32) -> u32 {
    if (header[SORTED] == 1u) {
        return order[list + place];
    }
    return place;
}

fn query_row(query: u32) -> u32 {
    return position(header[ROUND] + query);
}

fn has_query(query: u32) -> bool {
    return query < header[PADDED] && query_row(query) < header[LENGTH];
}

fn key_row(key: u32) -> u32 {
    var place = header[BASE] + key;
    while (place >= header[RING]) {
        place -= header[RING];
    }
    return position(place);
}

fn has_key(key: u32) -> bool {
    return key < sizes.n_keys && key_row(key) < header[LENGTH];
}

fn first_key_of(block: u32) -> u32 {
    return block * 64u / header[CHUNK] * header[CHUNK];
}

fn n_tiles(block: u32, sequence: u32, head: u32) -> u32 {
    let last = min(block * 64u + 63u, header[PADDED] - 1u);
    let end = (last / header[CHUNK] + header[SEEN]) * header[CHUNK];
    return (end - first_key_of(block) + 31u) / 32u;
}

fn tile_start(block: u32, sequence: u32, head: u32, tile: u32) -> u32 {
    return first_key_of(block) + tile * 32u;
}

fn needs_mask(block: u32, first_key: u32) -> bool {
    return true;
}

fn hide(row: vec4<f32>, query: u32, key: u32) -> vec4<f32> {
    let low = query / header[CHUNK] * header[CHUNK];
    let high = low + header[SEEN] * header[CHUNK];
    let i = query_row(min(query, header[PADDED] - 1u));
    let last = select(header[LENGTH] - 1u, i, header[CAUSAL] == 1u);
    let number = vec4<u32>(key, key + 1u, key + 2u, key + 3u);
    let j = vec4<u32>(key_row(number.x), key_row(number.y), key_row(number.z), key_row(number.w));
    var score = select(row, vec4<f32>(HIDDEN), j > vec4<u32>(last));
    let is_self = vec4<bool>(header[AVOIDS_SELF] == 1u) & (j == vec4<u32>(i));
    score = select(score, vec4<f32>(ITSELF), is_self);
    return select(vec4<f32>(LOWEST), score, (number >= vec4<u32>(low)) & (number < vec4<u32>(high)));
}
