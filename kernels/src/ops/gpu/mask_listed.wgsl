// Mask file of attention.wgsl: runs of keys listed for each block of queries, within a band.
//
// binding 6: [blocks, 2]: start of a block's runs, in words, and their number; then all runs, [start, end)

@group(0) @binding(6) var<storage, read> lists: array<u32>;

// End of the workgroup's current run.
var<private> run_end: u32;

fn n_tiles(block: u32, sequence: u32, head: u32) -> u32 {
    return lists[2u * block + 1u];
}

fn tile_start(block: u32, sequence: u32, head: u32, tile: u32) -> u32 {
    let run = lists[2u * block] + 2u * tile;
    run_end = lists[run + 1u];
    return lists[run];
}

fn needs_mask(block: u32, first_key: u32) -> bool {
    return true;
}

fn seen(query: u32, key: vec4<u32>) -> vec4<bool> {
    return (key < vec4<u32>(min(run_end, sizes.n_keys))) & in_band(query, key, sizes.before, sizes.after);
}
