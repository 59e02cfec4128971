// Mask file of attention.wgsl: keys within a band around the query, [query − before, query + after]. Dense
// attention and causal attention are bands as wide as the sequence.

// First key visible to any query of the block, rounded down to a tile.
fn band_start(block: u32) -> u32 {
    let first = block * 64u;
    return select(0u, (first - sizes.before) / 32u * 32u, first > sizes.before);
}

fn n_tiles(block: u32, sequence: u32, head: u32) -> u32 {
    let last = min(block * 64u + 63u, sizes.n_queries - 1u);
    // Written so that it cannot overflow for the largest `after`.
    var end = sizes.n_keys;
    if (last < sizes.n_keys && sizes.after < sizes.n_keys - last) {
        end = min(end, last + sizes.after + 1u);
    }
    let start = band_start(block);
    return select(0u, (end - start + 31u) / 32u, end > start);
}

fn tile_start(block: u32, sequence: u32, head: u32, tile: u32) -> u32 {
    return band_start(block) + tile * 32u;
}

// Whether any pair of the tile is hidden.
fn needs_mask(block: u32, first_key: u32) -> bool {
    let first = block * 64u;
    let last = first + 63u;
    let late = first_key + 31u > first && first_key + 31u - first > sizes.after;
    let early = last > first_key && last - first_key > sizes.before;
    return late || early || first_key + 32u > sizes.n_keys;
}

fn seen(query: u32, key: vec4<u32>) -> vec4<bool> {
    return (key < vec4<u32>(sizes.n_keys)) & in_band(query, key, sizes.before, sizes.after);
}
