// Softmax attention without workgroup memory, with an online softmax; mirrors `ops::tile_attention`. For software
// adapters, which suspend every thread at a barrier and clear workgroup memory word by word; attention.wgsl and a mask
// file are prepended.
//
// A thread processes eight queries of one head, sixteen keys at a time. Their scores, sums of products of row elements,
// stay in registers; the weighted sums are stored in o in between.

// Keys per iteration: half a tile.
const KEYS: u32 = 16u;

// Positions of eight rows, or their numbers.
struct Rows {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn dots(row: vec4<f32>, k0: vec4<f32>, k1: vec4<f32>, k2: vec4<f32>, k3: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(row, k0), dot(row, k1), dot(row, k2), dot(row, k3));
}

// Adds the contribution of one vector of columns of four keys to the scores.
fn scores(s: Block, x: Block, at: vec4<u32>, column: u32) -> Block {
    let k0 = k[at.x + column];
    let k1 = k[at.y + column];
    let k2 = k[at.z + column];
    let k3 = k[at.w + column];
    return Block(
        s.r0 + dots(x.r0, k0, k1, k2, k3),
        s.r1 + dots(x.r1, k0, k1, k2, k3),
        s.r2 + dots(x.r2, k0, k1, k2, k3),
        s.r3 + dots(x.r3, k0, k1, k2, k3),
        s.r4 + dots(x.r4, k0, k1, k2, k3),
        s.r5 + dots(x.r5, k0, k1, k2, k3),
        s.r6 + dots(x.r6, k0, k1, k2, k3),
        s.r7 + dots(x.r7, k0, k1, k2, k3),
    );
}

fn blend(p: vec4<f32>, v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>) -> vec4<f32> {
    return p.x * v0 + p.y * v1 + p.z * v2 + p.w * v3;
}

// Adds one vector of columns of four values, weighted by p.
fn weigh(y: Block, p: Block, at: vec4<u32>, column: u32) -> Block {
    let v0 = v[at.x + column];
    let v1 = v[at.y + column];
    let v2 = v[at.z + column];
    let v3 = v[at.w + column];
    return Block(
        y.r0 + blend(p.r0, v0, v1, v2, v3),
        y.r1 + blend(p.r1, v0, v1, v2, v3),
        y.r2 + blend(p.r2, v0, v1, v2, v3),
        y.r3 + blend(p.r3, v0, v1, v2, v3),
        y.r4 + blend(p.r4, v0, v1, v2, v3),
        y.r5 + blend(p.r5, v0, v1, v2, v3),
        y.r6 + blend(p.r6, v0, v1, v2, v3),
        y.r7 + blend(p.r7, v0, v1, v2, v3),
    );
}

fn hidden(x: Block, number: Rows, key: u32) -> Block {
    return Block(
        hide(x.r0, number.low.x, key),
        hide(x.r1, number.low.y, key),
        hide(x.r2, number.low.z, key),
        hide(x.r3, number.low.w, key),
        hide(x.r4, number.high.x, key),
        hide(x.r5, number.high.y, key),
        hide(x.r6, number.high.z, key),
        hide(x.r7, number.high.w, key),
    );
}

// An existing row in any case; the mask hides its score.
fn row_of_key(key: u32) -> u32 {
    return select(0u, key_row(key), has_key(key));
}

fn rows_of_keys(key: u32) -> vec4<u32> {
    return vec4<u32>(row_of_key(key), row_of_key(key + 1u), row_of_key(key + 2u), row_of_key(key + 3u));
}

// The first existing one of eight query numbers.
fn first_query(query: u32) -> u32 {
    for (var index = 0u; index < 8u; index++) {
        if (has_query(query + index)) {
            return query + index;
        }
    }
    return query + 8u;
}

// A missing query is computed as a copy of an existing one, so that equal values are written to one place.
fn stand_in(query: u32, other: u32) -> u32 {
    return select(other, query, has_query(query));
}

fn load_q(at: Rows, column: u32) -> Block {
    let x = Block(
        q[at.low.x + column],
        q[at.low.y + column],
        q[at.low.z + column],
        q[at.low.w + column],
        q[at.high.x + column],
        q[at.high.y + column],
        q[at.high.z + column],
        q[at.high.w + column],
    );
    return scaled(x, Eight(vec4<f32>(sizes.scale), vec4<f32>(sizes.scale)));
}

fn load_o(at: Rows, column: u32) -> Block {
    return Block(
        o[at.low.x + column],
        o[at.low.y + column],
        o[at.low.z + column],
        o[at.low.w + column],
        o[at.high.x + column],
        o[at.high.y + column],
        o[at.high.z + column],
        o[at.high.w + column],
    );
}

fn store_o(at: Rows, column: u32, x: Block) {
    o[at.low.x + column] = x.r0;
    o[at.low.y + column] = x.r1;
    o[at.low.z + column] = x.r2;
    o[at.low.w + column] = x.r3;
    o[at.high.x + column] = x.r4;
    o[at.high.y + column] = x.r5;
    o[at.high.z + column] = x.r6;
    o[at.high.w + column] = x.r7;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let place = place_of(workgroup);
    let block = place.block;
    let sequence = place.sequence;
    let head = place.head;
    enter(block, sequence, head);
    let columns = min(CHUNKS * 8u, sizes.head - place.first_column);
    let start_k = place.start_k;
    let start_v = place.start_v + place.first_column;
    let slot = place.slot + 4u * thread;

    let query = block * 64u + thread * 8u;
    let first = first_query(query);
    if (first == query + 8u) {
        return;
    }
    let number = Rows(
        vec4<u32>(
            stand_in(query, first),
            stand_in(query + 1u, first),
            stand_in(query + 2u, first),
            stand_in(query + 3u, first),
        ),
        vec4<u32>(
            stand_in(query + 4u, first),
            stand_in(query + 5u, first),
            stand_in(query + 6u, first),
            stand_in(query + 7u, first),
        ),
    );
    let row = Rows(
        vec4<u32>(
            query_row(number.low.x),
            query_row(number.low.y),
            query_row(number.low.z),
            query_row(number.low.w),
        ),
        vec4<u32>(
            query_row(number.high.x),
            query_row(number.high.y),
            query_row(number.high.z),
            query_row(number.high.w),
        ),
    );
    let at_q = Rows(place.start_q + row.low * sizes.q_stride, place.start_q + row.high * sizes.q_stride);
    let start_o = place.start_o + place.first_column;
    let at_o = Rows(start_o + row.low * sizes.o_stride, start_o + row.high * sizes.o_stride);

    var maximum = lowest();
    var sum = Eight(ZERO, ZERO);
    if ((sizes.stage & 1u) == 0u) {
        maximum = Eight(state[slot], state[slot + 2u]);
        sum = Eight(state[slot + 1u], state[slot + 3u]);
    } else {
        for (var column = 0u; column < columns; column++) {
            store_o(at_o, column, zeros());
        }
    }
    let tiles = min(n_tiles(block, sequence, head), sizes.end_tile);
    for (var tile = sizes.first_tile; tile < tiles; tile++) {
        let first_key = tile_start(block, sequence, head, tile);
        let masked = needs_mask(block, first_key);
        for (var key = first_key; key < first_key + 32u; key += KEYS) {
            let row0 = rows_of_keys(key);
            let row1 = rows_of_keys(key + 4u);
            let row2 = rows_of_keys(key + 8u);
            let row3 = rows_of_keys(key + 12u);
            let k0 = start_k + row0 * sizes.k_stride;
            let k1 = start_k + row1 * sizes.k_stride;
            let k2 = start_k + row2 * sizes.k_stride;
            let k3 = start_k + row3 * sizes.k_stride;
            var s0 = zeros();
            var s1 = zeros();
            var s2 = zeros();
            var s3 = zeros();
            for (var column = 0u; column < sizes.head; column++) {
                let x = load_q(at_q, column);
                s0 = scores(s0, x, k0, column);
                s1 = scores(s1, x, k1, column);
                s2 = scores(s2, x, k2, column);
                s3 = scores(s3, x, k3, column);
            }
            if (masked) {
                s0 = hidden(s0, number, key);
                s1 = hidden(s1, number, key + 4u);
                s2 = hidden(s2, number, key + 8u);
                s3 = hidden(s3, number, key + 12u);
            }
            let low = higher(largest_of(s0), largest_of(s1));
            let high = higher(largest_of(s2), largest_of(s3));
            let next = higher(maximum, higher(low, high));
            let decay = decay_of(maximum, next);
            maximum = next;
            s0 = weights_of(s0, next);
            s1 = weights_of(s1, next);
            s2 = weights_of(s2, next);
            s3 = weights_of(s3, next);
            let added = plus(plus(across_of(s0), across_of(s1)), plus(across_of(s2), across_of(s3)));
            sum = plus(times(sum, decay), added);
            let v0 = start_v + row0 * sizes.v_stride;
            let v1 = start_v + row1 * sizes.v_stride;
            let v2 = start_v + row2 * sizes.v_stride;
            let v3 = start_v + row3 * sizes.v_stride;
            for (var column = 0u; column < columns; column++) {
                var y = scaled(load_o(at_o, column), decay);
                y = weigh(y, s0, v0, column);
                y = weigh(y, s1, v1, column);
                y = weigh(y, s2, v2, column);
                y = weigh(y, s3, v3, column);
                store_o(at_o, column, y);
            }
        }
    }
    if ((sizes.stage & 2u) == 0u) {
        state[slot] = maximum.low;
        state[slot + 1u] = sum.low;
        state[slot + 2u] = maximum.high;
        state[slot + 3u] = sum.high;
    } else {
        let inverse = inverse_of(sum);
        for (var column = 0u; column < columns; column++) {
            store_o(at_o, column, scaled(load_o(at_o, column), inverse));
        }
    }
}
