// Mask file of attention.wgsl: lists of key blocks for each head and each block of positions; mirrors `cpu.rs`.
//
// Query numbers: block · stride + index in the block. The stride is the block's size rounded up to 64, so that the 64
// queries of a workgroup belong to one block. Key numbers are positions.
//
// binding 6: header of eight words; then for each head and block `row` words: the number of key blocks, and the key
// blocks. No key blocks means all keys.

@group(0) @binding(6) var<storage, read> lists: array<u32>;

const BLOCK_SIZE = 0u;
const STRIDE = 1u;
const BLOCKS = 2u;
const LENGTH = 3u;
const ROW = 4u;
const HEADER = 8u;

// Start of the list of the workgroup's block, and end of the keys of its current tile.
var<private> list: u32;
var<private> run_end: u32;

fn enter(block: u32, sequence: u32, head: u32) {
    let query_block = min(block * 64u / lists[STRIDE], lists[BLOCKS] - 1u);
    list = HEADER + (head * lists[BLOCKS] + query_block) * lists[ROW];
}

fn query_row(query: u32) -> u32 {
    return query / lists[STRIDE] * lists[BLOCK_SIZE] + query % lists[STRIDE];
}

fn has_query(query: u32) -> bool {
    return query % lists[STRIDE] < lists[BLOCK_SIZE] && query_row(query) < lists[LENGTH];
}

fn key_row(key: u32) -> u32 {
    return key;
}

fn has_key(key: u32) -> bool {
    return key < min(run_end, lists[LENGTH]);
}

fn tiles_of_block() -> u32 {
    return (lists[BLOCK_SIZE] + 31u) / 32u;
}

fn n_tiles(block: u32, sequence: u32, head: u32) -> u32 {
    if (lists[list] == 0u) {
        return (lists[LENGTH] + 31u) / 32u;
    }
    return lists[list] * tiles_of_block();
}

fn tile_start(block: u32, sequence: u32, head: u32, tile: u32) -> u32 {
    if (lists[list] == 0u) {
        run_end = lists[LENGTH];
        return tile * 32u;
    }
    let first = lists[list + 1u + tile / tiles_of_block()] * lists[BLOCK_SIZE];
    run_end = first + lists[BLOCK_SIZE];
    return first + tile % tiles_of_block() * 32u;
}

fn needs_mask(block: u32, first_key: u32) -> bool {
    return first_key + 32u > min(run_end, lists[LENGTH]);
}

fn seen(query: u32, key: vec4<u32>) -> vec4<bool> {
    return key < vec4<u32>(min(run_end, lists[LENGTH]));
}
