// Part of mask files for attention.wgsl with queries and keys in natural order.

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
