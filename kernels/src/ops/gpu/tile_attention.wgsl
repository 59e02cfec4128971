// Softmax attention by tiles in workgroup memory, with an online softmax; mirrors `ops::tile_attention`. For hardware,
// whose threads run together; attention.wgsl and a mask file are prepended.
//
// A workgroup processes 64 queries of one head, two tiles of keys at a time. With 64 threads, thread (tx, ty) of 8 × 8
// holds queries 4 ty to 4 ty + 3 and 32 + 4 ty to 32 + 4 ty + 3, by keys 4 tx to 4 tx + 3 of both tiles, so that four
// vectors from workgroup memory make 64 multiply-adds; and these queries by the vectors tx, 8 + tx, … of output
// columns. All of these values are in registers. With 128 threads, each holds half as much: thread (tx, ty) of 8 × 16
// has queries 4 ty to 4 ty + 3, and three vectors make 32 multiply-adds. The second four queries of a block are then
// unused.

// Quads of queries per thread: 2, or 1 on devices with few registers.
override QUADS: u32 = 2u;
override THREADS: u32 = 128u / QUADS;

// [16 columns, 16 vectors of four queries], then [16 keys, 16] weights. Vectors are permuted within groups of eight to
// avoid bank conflicts: their index is combined with a number of the row by exclusive or.
var<workgroup> tile_q: array<vec4<f32>, 256>;
// [16 columns, 16 vectors of four keys], then [16 keys, 8 · CHUNKS vectors of output columns].
var<workgroup> tile_k: array<vec4<f32>, 512>;
// [8 tx, 16 vectors of four queries].
var<workgroup> partial: array<vec4<f32>, 128>;
var<workgroup> visited_tiles: u32;

// Adds the outer product of one number per query and four columns.
fn outer(sum: Block, left: Eight, right: vec4<f32>) -> Block {
    var result = sum;
    result.r0 = fma(vec4<f32>(left.low.x), right, sum.r0);
    result.r1 = fma(vec4<f32>(left.low.y), right, sum.r1);
    result.r2 = fma(vec4<f32>(left.low.z), right, sum.r2);
    result.r3 = fma(vec4<f32>(left.low.w), right, sum.r3);
    if (QUADS > 1u) {
        result.r4 = fma(vec4<f32>(left.high.x), right, sum.r4);
        result.r5 = fma(vec4<f32>(left.high.y), right, sum.r5);
        result.r6 = fma(vec4<f32>(left.high.z), right, sum.r6);
        result.r7 = fma(vec4<f32>(left.high.w), right, sum.r7);
    }
    return result;
}

fn load_q(row: u32, start: u32, column: u32) -> vec4<f32> {
    if (!has_query(row) || column >= sizes.head) {
        return ZERO;
    }
    return q[start + query_row(row) * sizes.q_stride + column] * sizes.scale;
}

fn load_k(key: u32, start: u32, column: u32) -> vec4<f32> {
    if (!has_key(key) || column >= sizes.head) {
        return ZERO;
    }
    return k[start + key_row(key) * sizes.k_stride + column];
}

fn load_v(key: u32, start: u32, column: u32) -> vec4<f32> {
    if (!has_key(key) || column >= sizes.head) {
        return ZERO;
    }
    return v[start + key_row(key) * sizes.v_stride + column];
}

// Stores a thread's values for the other seven threads with its queries.
fn share(value: Eight, tx: u32, ty: u32) {
    let at = tx * 16u + (ty ^ tx);
    partial[at] = value.low;
    if (QUADS > 1u) { partial[at + 8u] = value.high; }
    workgroupBarrier();
}

fn shared_by(other: u32, ty: u32) -> Eight {
    let at = other * 16u + (ty ^ other);
    if (QUADS > 1u) { return Eight(partial[at], partial[at + 8u]); }
    return Eight(partial[at], ZERO);
}

// The values of four or eight queries in `tile_q`.
fn left_at(at: u32) -> Eight {
    if (QUADS > 1u) { return Eight(tile_q[at], tile_q[at + 8u]); }
    return Eight(tile_q[at], ZERO);
}

fn highest(value: Eight, tx: u32, ty: u32) -> Eight {
    share(value, tx, ty);
    var result = value;
    for (var other = 0u; other < 8u; other++) {
        result = higher(result, shared_by(other, ty));
    }
    return result;
}

// Every thread adds in the same fixed order.
fn total(value: Eight, tx: u32, ty: u32) -> Eight {
    share(value, tx, ty);
    var result = Eight(ZERO, ZERO);
    for (var other = 0u; other < 8u; other++) {
        result = plus(result, shared_by(other, ty));
    }
    return result;
}

fn hidden(x: Block, query: u32, key: u32) -> Block {
    var result = x;
    result.r0 = hide(x.r0, query, key);
    result.r1 = hide(x.r1, query + 1u, key);
    result.r2 = hide(x.r2, query + 2u, key);
    result.r3 = hide(x.r3, query + 3u, key);
    if (QUADS > 1u) {
        result.r4 = hide(x.r4, query + 32u, key);
        result.r5 = hide(x.r5, query + 33u, key);
        result.r6 = hide(x.r6, query + 34u, key);
        result.r7 = hide(x.r7, query + 35u, key);
    }
    return result;
}

// Transposes 4 × 4 blocks: the keys of four queries become the queries of four keys.
fn turned(x: Block) -> Block {
    return Block(
        vec4<f32>(x.r0.x, x.r1.x, x.r2.x, x.r3.x),
        vec4<f32>(x.r0.y, x.r1.y, x.r2.y, x.r3.y),
        vec4<f32>(x.r0.z, x.r1.z, x.r2.z, x.r3.z),
        vec4<f32>(x.r0.w, x.r1.w, x.r2.w, x.r3.w),
        vec4<f32>(x.r4.x, x.r5.x, x.r6.x, x.r7.x),
        vec4<f32>(x.r4.y, x.r5.y, x.r6.y, x.r7.y),
        vec4<f32>(x.r4.z, x.r5.z, x.r6.z, x.r7.z),
        vec4<f32>(x.r4.w, x.r5.w, x.r6.w, x.r7.w),
    );
}

fn store(start: u32, row: u32, column: u32, value: vec4<f32>) {
    if (has_query(row) && column < sizes.head) {
        o[start + query_row(row) * sizes.o_stride + column] = value;
    }
}

fn store_block(start: u32, row: u32, column: u32, x: Block) {
    store(start, row, column, x.r0);
    store(start, row + 1u, column, x.r1);
    store(start, row + 2u, column, x.r2);
    store(start, row + 3u, column, x.r3);
    if (QUADS > 1u) {
        store(start, row + 32u, column, x.r4);
        store(start, row + 33u, column, x.r5);
        store(start, row + 34u, column, x.r6);
        store(start, row + 35u, column, x.r7);
    }
}

fn held(start: u32, row: u32, column: u32) -> vec4<f32> {
    if (has_query(row) && column < sizes.head) {
        return o[start + query_row(row) * sizes.o_stride + column];
    }
    return ZERO;
}

fn held_block(start: u32, row: u32, column: u32) -> Block {
    var result = zeros();
    result.r0 = held(start, row, column);
    result.r1 = held(start, row + 1u, column);
    result.r2 = held(start, row + 2u, column);
    result.r3 = held(start, row + 3u, column);
    if (QUADS > 1u) {
        result.r4 = held(start, row + 32u, column);
        result.r5 = held(start, row + 33u, column);
        result.r6 = held(start, row + 34u, column);
        result.r7 = held(start, row + 35u, column);
    }
    return result;
}

// Stores the weights of sixteen keys, two per thread, one from each tile.
fn stage(low: vec4<f32>, high: vec4<f32>, low_next: vec4<f32>, high_next: vec4<f32>, tx: u32, ty: u32) {
    let at = tx * 16u + (ty ^ tx);
    tile_q[at] = low;
    tile_q[at + 128u] = low_next;
    if (QUADS > 1u) {
        tile_q[at + 8u] = high;
        tile_q[at + 136u] = high_next;
    }
}

// Loads the values for these weights: slot s is key 4 · (s % 8) + `part` of tile s / 8. Half of the threads load each
// tile.
fn stage_v(own_key: u32, part: u32, start: u32, first_column: u32, thread: u32) {
    let first_slot = thread / 32u % 2u * 8u;
    for (var item = thread % 32u + thread / 64u * 32u; item < 64u * CHUNKS; item += THREADS / 2u) {
        let slot = item / (8u * CHUNKS);
        let column = item % (8u * CHUNKS);
        let value = load_v(own_key + 4u * slot + part, start, first_column + column);
        tile_k[(first_slot + slot) * 8u * CHUNKS + column] = value;
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let place = place_of(workgroup);
    let block = place.block;
    let sequence = place.sequence;
    let head = place.head;
    enter(block, sequence, head);
    let first_column = place.first_column;
    let start_q = place.start_q;
    let start_k = place.start_k;
    let start_v = place.start_v;
    let start_o = place.start_o;

    let tx = thread % 8u;
    let ty = thread / 8u;
    let query = block * 64u + ty * 4u;
    let column = first_column + tx;
    let slot = place.slot + ty * 2u;
    // This thread loads a vector of four rows of one tile of keys. With 128 threads, the first half loads queries
    // and the second half keys.
    let load_column = thread % 4u;
    let load_quad = thread / 4u % 16u;
    let load_at = load_column * 64u + (load_quad ^ (2u * load_column));
    let loads_q = QUADS == 2u || thread < 64u;
    let loads_k = QUADS == 2u || thread >= 64u;

    var maximum = lowest();
    // Sums over this thread's own keys. The eight threads of a query add them up at the end.
    var sum = Eight(ZERO, ZERO);
    var o0 = zeros();
    var o1 = zeros();
    var o2 = zeros();
    var o3 = zeros();
    if ((sizes.stage & 1u) == 0u) {
        maximum.low = state[slot];
        if (QUADS > 1u) { maximum.high = state[slot + 16u]; }
        if (tx == 0u) {
            sum.low = state[slot + 1u];
            if (QUADS > 1u) { sum.high = state[slot + 17u]; }
        }
        o0 = held_block(start_o, query, column);
        if (CHUNKS > 1u) { o1 = held_block(start_o, query, column + 8u); }
        if (CHUNKS > 2u) { o2 = held_block(start_o, query, column + 16u); }
        if (CHUNKS > 3u) { o3 = held_block(start_o, query, column + 24u); }
    }

    // A mask file may keep its list in private variables, which browsers' uniformity analysis does not accept, so one
    // thread's count is broadcast to all.
    if (thread == 0u) {
        visited_tiles = min(n_tiles(block, sequence, head), sizes.end_tile);
    }
    let tiles = workgroupUniformLoad(&visited_tiles);
    for (var tile = sizes.first_tile; tile < tiles; tile += 2u) {
        let has_second = tile + 1u < tiles;
        // The tile whose keys and values this thread loads. Beyond the last tile, the first one is loaded again, and
        // its scores are hidden below.
        let own_tile = select(tile, tile + 1u, thread / 32u % 2u == 1u && has_second);
        let own_key = tile_start(block, sequence, head, own_tile);

        // Scores: q·k over the head, 16 columns at a time.
        var a = zeros();
        var b = zeros();
        for (var chunk = 0u; chunk < sizes.head; chunk += 4u) {
            // All loads come before the stores, so that their latencies overlap.
            var x = zeros();
            if (loads_q) {
                let row = block * 64u + load_quad * 4u;
                x.r0 = load_q(row, start_q, chunk + load_column);
                x.r1 = load_q(row + 1u, start_q, chunk + load_column);
                x.r2 = load_q(row + 2u, start_q, chunk + load_column);
                x.r3 = load_q(row + 3u, start_q, chunk + load_column);
            }
            if (loads_k) {
                let key = own_key + load_quad % 8u * 4u;
                x.r4 = load_k(key, start_k, chunk + load_column);
                x.r5 = load_k(key + 1u, start_k, chunk + load_column);
                x.r6 = load_k(key + 2u, start_k, chunk + load_column);
                x.r7 = load_k(key + 3u, start_k, chunk + load_column);
            }
            x = turned(x);
            if (loads_q) {
                tile_q[load_at] = x.r0;
                tile_q[load_at + 16u] = x.r1;
                tile_q[load_at + 32u] = x.r2;
                tile_q[load_at + 48u] = x.r3;
            }
            if (loads_k) {
                tile_k[load_at] = x.r4;
                tile_k[load_at + 16u] = x.r5;
                tile_k[load_at + 32u] = x.r6;
                tile_k[load_at + 48u] = x.r7;
            }
            workgroupBarrier();
            let depths = 4u * min(4u, sizes.head - chunk);
            for (var depth = 0u; depth < depths; depth++) {
                let shuffle = depth / 4u * 2u;
                let at_q = depth * 16u + (ty ^ shuffle);
                let at_k = depth * 16u + (tx ^ shuffle);
                let left = left_at(at_q);
                a = outer(a, left, tile_k[at_k]);
                b = outer(b, left, tile_k[at_k + 8u]);
            }
            workgroupBarrier();
        }

        let first_key = tile_start(block, sequence, head, tile);
        if (needs_mask(block, first_key)) {
            a = hidden(a, query, first_key + tx * 4u);
        }
        if (has_second) {
            let second_key = tile_start(block, sequence, head, tile + 1u);
            if (needs_mask(block, second_key)) {
                b = hidden(b, query, second_key + tx * 4u);
            }
        } else {
            let none = vec4<f32>(LOWEST);
            b = Block(none, none, none, none, none, none, none, none);
        }
        let next = higher(maximum, highest(higher(largest_of(a), largest_of(b)), tx, ty));
        let decay = decay_of(maximum, next);
        maximum = next;
        a = weights_of(a, next);
        b = weights_of(b, next);
        sum = plus(times(sum, decay), plus(across_of(a), across_of(b)));
        o0 = scaled(o0, decay);
        if (CHUNKS > 1u) { o1 = scaled(o1, decay); }
        if (CHUNKS > 2u) { o2 = scaled(o2, decay); }
        if (CHUNKS > 3u) { o3 = scaled(o3, decay); }

        // Weights times values, sixteen keys at a time.
        a = turned(a);
        b = turned(b);
        // Called again, since a mask file may keep the last requested tile as state.
        let value_key = tile_start(block, sequence, head, own_tile);
        for (var part = 0u; part < 4u; part++) {
            switch part {
                case 0u: { stage(a.r0, a.r4, b.r0, b.r4, tx, ty); }
                case 1u: { stage(a.r1, a.r5, b.r1, b.r5, tx, ty); }
                case 2u: { stage(a.r2, a.r6, b.r2, b.r6, tx, ty); }
                default: { stage(a.r3, a.r7, b.r3, b.r7, tx, ty); }
            }
            stage_v(value_key, part, start_v, first_column, thread);
            workgroupBarrier();
            for (var key = 0u; key < 16u; key++) {
                let at = key * 16u + (ty ^ (key % 8u));
                let left = left_at(at);
                let at_v = key * 8u * CHUNKS + tx;
                o0 = outer(o0, left, tile_k[at_v]);
                if (CHUNKS > 1u) { o1 = outer(o1, left, tile_k[at_v + 8u]); }
                if (CHUNKS > 2u) { o2 = outer(o2, left, tile_k[at_v + 16u]); }
                if (CHUNKS > 3u) { o3 = outer(o3, left, tile_k[at_v + 24u]); }
            }
            workgroupBarrier();
        }
    }

    sum = total(sum, tx, ty);
    if ((sizes.stage & 2u) == 0u) {
        if (tx == 0u) {
            state[slot] = maximum.low;
            state[slot + 1u] = sum.low;
            if (QUADS > 1u) {
                state[slot + 16u] = maximum.high;
                state[slot + 17u] = sum.high;
            }
        }
    } else {
        let inverse = inverse_of(sum);
        o0 = scaled(o0, inverse);
        if (CHUNKS > 1u) { o1 = scaled(o1, inverse); }
        if (CHUNKS > 2u) { o2 = scaled(o2, inverse); }
        if (CHUNKS > 3u) { o3 = scaled(o3, inverse); }
    }
    store_block(start_o, query, column, o0);
    if (CHUNKS > 1u) { store_block(start_o, query, column + 8u, o1); }
    if (CHUNKS > 2u) { store_block(start_o, query, column + 16u, o2); }
    if (CHUNKS > 3u) { store_block(start_o, query, column + 24u, o3); }
}
