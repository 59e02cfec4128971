// Part of the mask files of tile_attention.wgsl whose queries and keys lie in order: a pair's score counts if `visible`.

fn enter(block: u32, sequence: u32, head: u32) {}

fn has_query(query: u32) -> bool {
    return query < sizes.n_queries;
}

fn has_key(key: u32) -> bool {
    return key < sizes.n_keys;
}

fn query_row(query: u32) -> u32 {
    return query;
}

fn key_row(key: u32) -> u32 {
    return key;
}

fn hide(row: vec4<f32>, query: u32, key: u32) -> vec4<f32> {
    let seen = vec4<bool>(
        visible(query, key),
        visible(query, key + 1u),
        visible(query, key + 2u),
        visible(query, key + 3u),
    );
    return select(vec4<f32>(LOWEST), row, seen);
}
