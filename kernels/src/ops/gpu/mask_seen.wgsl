// Part of mask files for attention.wgsl that only define which of four keys are `seen`.

// Keys within [query − before, query + after].
fn in_band(query: u32, key: vec4<u32>, before: u32, after: u32) -> vec4<bool> {
    let at = vec4<u32>(query);
    return select(at - key <= vec4<u32>(before), key - at <= vec4<u32>(after), key > at);
}

fn hide(row: vec4<f32>, query: u32, key: u32) -> vec4<f32> {
    return select(vec4<f32>(LOWEST), row, seen(query, vec4<u32>(key, key + 1u, key + 2u, key + 3u)));
}
