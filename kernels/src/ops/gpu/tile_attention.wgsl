// Softmax attention by tiles with an online softmax; mirrors `ops::tile_attention`. A mask file is prepended: it says
// which tiles of 32 keys a block of 64 queries visits, where their rows lie, and what becomes of a pair's score:
// `enter`, `n_tiles`, `tile_start`, `has_query`, `has_key`, `query_row`, `key_row`, `needs_mask`, `hide`.
//
// A workgroup takes 64 queries of one head. 128 threads: thread (tx, ty) of 8 × 16 holds 4 queries × 4 keys of a tile
// of scores and the same 4 queries × 4 columns of up to four chunks of 32 output columns, all in registers.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1..3: q, k, v; rows of heads
// binding 4: o; holds unnormalised sums between the dispatches of one pass
// binding 5: running maxima and sums between dispatches, [head · pass, query / 4, 2]
// binding 6, 7: for the mask file

override CHUNKS: u32 = 1u;

struct Sizes {
    n_queries: u32,
    n_keys: u32,
    // Vectors of a head.
    head: u32,
    // Passes over the output columns, each of 8 · CHUNKS vectors.
    passes: u32,
    q_offset: u32,
    q_stride: u32,
    k_offset: u32,
    k_stride: u32,
    v_offset: u32,
    v_stride: u32,
    o_offset: u32,
    o_stride: u32,
    // Blocks of queries that this dispatch takes.
    first_block: u32,
    end_block: u32,
    first_head: u32,
    first_sequence: u32,
    // Heads times passes.
    heads: u32,
    blocks: u32,
    // Range of tiles, counted from a block's first, that this dispatch visits.
    first_tile: u32,
    end_tile: u32,
    // Whether it is the first, and the last, of its blocks' dispatches: bits 0 and 1.
    stage: u32,
    // log₂ e times the scores' scale: the exponential is taken to base two.
    scale: f32,
    // Band of visible keys: key + before ≥ query and key ≤ query + after.
    before: u32,
    after: u32,
    // Rows of a sequence in q and o, and in k and v.
    query_rows: u32,
    key_rows: u32,
    // Vectors from one head's keys and values to the next's: none where all share one.
    kv_head: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> state: array<vec4<f32>>;

const ZERO = vec4<f32>(0.0);

// Stands for −∞: finite, so that differences of two of them stay defined.
const LOWEST: f32 = -1e30;

// [32 columns, 16 vectors of four queries], then [32 keys, 16] weights.
var<workgroup> tile_q: array<vec4<f32>, 512>;
// [32 columns, 8 vectors of four keys], then [32 keys, 8 vectors of output columns].
var<workgroup> tile_k: array<vec4<f32>, 256>;
// [8 tx, 16 ty].
var<workgroup> partial: array<vec4<f32>, 128>;
var<workgroup> visited_tiles: u32;

// Four queries by four columns.
struct Quad {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

fn zeros() -> Quad {
    return Quad(ZERO, ZERO, ZERO, ZERO);
}

fn scaled(quad: Quad, by: vec4<f32>) -> Quad {
    return Quad(quad.r0 * by.x, quad.r1 * by.y, quad.r2 * by.z, quad.r3 * by.w);
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

// Chunk `chunk` of the values of a tile, to workgroup memory.
fn stage_v(first_key: u32, start: u32, first_column: u32, thread: u32) {
    let column = first_column + thread % 8u;
    let key = thread / 8u;
    tile_k[thread] = load_v(first_key + key, start, column);
    tile_k[thread + 128u] = load_v(first_key + key + 16u, start, column);
}

fn weigh(sum: Quad, tx: u32, ty: u32) -> Quad {
    var result = sum;
    for (var tile_quad = 0u; tile_quad < 8u; tile_quad++) {
        let at = ty ^ tile_quad;
        for (var j = 0u; j < 4u; j++) {
            let key = tile_quad * 4u + j;
            let p = tile_q[key * 16u + at];
            let value = tile_k[key * 8u + tx];
            result.r0 = fma(vec4<f32>(p.x), value, result.r0);
            result.r1 = fma(vec4<f32>(p.y), value, result.r1);
            result.r2 = fma(vec4<f32>(p.z), value, result.r2);
            result.r3 = fma(vec4<f32>(p.w), value, result.r3);
        }
    }
    return result;
}

// The largest of the eight threads that share four queries, for each of these.
fn highest(value: vec4<f32>, tx: u32, ty: u32) -> vec4<f32> {
    partial[tx * 16u + (ty ^ tx)] = value;
    workgroupBarrier();
    var result = partial[ty];
    for (var other = 1u; other < 8u; other++) {
        result = max(result, partial[other * 16u + (ty ^ other)]);
    }
    return result;
}

fn total(value: vec4<f32>, tx: u32, ty: u32) -> vec4<f32> {
    partial[tx * 16u + (ty ^ tx)] = value;
    workgroupBarrier();
    var result = partial[ty];
    for (var other = 1u; other < 8u; other++) {
        result += partial[other * 16u + (ty ^ other)];
    }
    return result;
}

fn largest(row: vec4<f32>) -> f32 {
    return max(max(row.x, row.y), max(row.z, row.w));
}

fn across(row: vec4<f32>) -> f32 {
    return (row.x + row.y) + (row.z + row.w);
}

// Weights of one query's scores; what is hidden stays zero even where all is hidden. A NaN stays a NaN.
fn weights(row: vec4<f32>, maximum: f32) -> vec4<f32> {
    return select(exp2(row - maximum), ZERO, row < vec4<f32>(0.5 * LOWEST));
}

fn store(start: u32, row: u32, column: u32, value: vec4<f32>) {
    if (has_query(row) && column < sizes.head) {
        o[start + query_row(row) * sizes.o_stride + column] = value;
    }
}

fn store_quad(start: u32, row: u32, column: u32, quad: Quad) {
    store(start, row, column, quad.r0);
    store(start, row + 1u, column, quad.r1);
    store(start, row + 2u, column, quad.r2);
    store(start, row + 3u, column, quad.r3);
}

fn held(start: u32, row: u32, column: u32) -> vec4<f32> {
    if (has_query(row) && column < sizes.head) {
        return o[start + query_row(row) * sizes.o_stride + column];
    }
    return ZERO;
}

fn held_quad(start: u32, row: u32, column: u32) -> Quad {
    return Quad(
        held(start, row, column),
        held(start, row + 1u, column),
        held(start, row + 2u, column),
        held(start, row + 3u, column),
    );
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    // The longest causal rows first, so that no straggler starts last.
    let block = sizes.end_block - 1u - workgroup.x;
    let head_pass = sizes.first_head + workgroup.y;
    let sequence = sizes.first_sequence + workgroup.z;
    let head = head_pass / sizes.passes;
    enter(block, sequence, head);
    let first_column = head_pass % sizes.passes * CHUNKS * 8u;
    let start_q = sizes.q_offset + sequence * sizes.query_rows * sizes.q_stride + head * sizes.head;
    let start_k = sizes.k_offset + sequence * sizes.key_rows * sizes.k_stride + head * sizes.kv_head;
    let start_v = sizes.v_offset + sequence * sizes.key_rows * sizes.v_stride + head * sizes.kv_head;
    let start_o = sizes.o_offset + sequence * sizes.query_rows * sizes.o_stride + head * sizes.head;

    let tx = thread % 8u;
    let ty = thread / 8u;
    let query = block * 64u + ty * 4u;
    let column = first_column + tx;
    let slot = (((sequence * sizes.heads + head_pass) * sizes.blocks + block) * 16u + ty) * 2u;

    var maximum = vec4<f32>(LOWEST);
    // Of this thread's own keys; the eight threads of a query add up at the end.
    var sum = ZERO;
    var o0 = zeros();
    var o1 = zeros();
    var o2 = zeros();
    var o3 = zeros();
    if ((sizes.stage & 1u) == 0u) {
        maximum = state[slot];
        if (tx == 0u) {
            sum = state[slot + 1u];
        }
        o0 = held_quad(start_o, query, column);
        if (CHUNKS > 1u) { o1 = held_quad(start_o, query, column + 8u); }
        if (CHUNKS > 2u) { o2 = held_quad(start_o, query, column + 16u); }
        if (CHUNKS > 3u) { o3 = held_quad(start_o, query, column + 24u); }
    }

    // A mask file may know its list by private variables, which no browser's analysis takes for uniform: one thread's
    // count is everybody's.
    if (thread == 0u) {
        visited_tiles = min(n_tiles(block, sequence, head), sizes.end_tile);
    }
    let tiles = workgroupUniformLoad(&visited_tiles);
    for (var tile = sizes.first_tile; tile < tiles; tile++) {
        let first_key = tile_start(block, sequence, head, tile);

        // Scores: q·k over the head, 32 columns at a time.
        var s = zeros();
        for (var chunk = 0u; chunk < sizes.head; chunk += 8u) {
            let quad_q = thread % 16u;
            let column_q = thread / 16u;
            let row = block * 64u + quad_q * 4u;
            let q0 = load_q(row, start_q, chunk + column_q);
            let q1 = load_q(row + 1u, start_q, chunk + column_q);
            let q2 = load_q(row + 2u, start_q, chunk + column_q);
            let q3 = load_q(row + 3u, start_q, chunk + column_q);
            tile_q[column_q * 64u + quad_q] = vec4<f32>(q0.x, q1.x, q2.x, q3.x);
            tile_q[column_q * 64u + 16u + quad_q] = vec4<f32>(q0.y, q1.y, q2.y, q3.y);
            tile_q[column_q * 64u + 32u + quad_q] = vec4<f32>(q0.z, q1.z, q2.z, q3.z);
            tile_q[column_q * 64u + 48u + quad_q] = vec4<f32>(q0.w, q1.w, q2.w, q3.w);
            if (thread < 64u) {
                let key = first_key + tx * 4u;
                let k0 = load_k(key, start_k, chunk + ty);
                let k1 = load_k(key + 1u, start_k, chunk + ty);
                let k2 = load_k(key + 2u, start_k, chunk + ty);
                let k3 = load_k(key + 3u, start_k, chunk + ty);
                tile_k[ty * 32u + tx] = vec4<f32>(k0.x, k1.x, k2.x, k3.x);
                tile_k[ty * 32u + 8u + tx] = vec4<f32>(k0.y, k1.y, k2.y, k3.y);
                tile_k[ty * 32u + 16u + tx] = vec4<f32>(k0.z, k1.z, k2.z, k3.z);
                tile_k[ty * 32u + 24u + tx] = vec4<f32>(k0.w, k1.w, k2.w, k3.w);
            }
            workgroupBarrier();
            let quads = min(8u, sizes.head - chunk);
            for (var quad = 0u; quad < quads; quad++) {
                for (var j = 0u; j < 4u; j++) {
                    let depth = quad * 4u + j;
                    let left = tile_q[depth * 16u + ty];
                    let right = tile_k[depth * 8u + tx];
                    s.r0 = fma(vec4<f32>(left.x), right, s.r0);
                    s.r1 = fma(vec4<f32>(left.y), right, s.r1);
                    s.r2 = fma(vec4<f32>(left.z), right, s.r2);
                    s.r3 = fma(vec4<f32>(left.w), right, s.r3);
                }
            }
            workgroupBarrier();
        }

        let key = first_key + tx * 4u;
        let masked = needs_mask(block, first_key);
        if (masked) {
            s.r0 = hide(s.r0, query, key);
            s.r1 = hide(s.r1, query + 1u, key);
            s.r2 = hide(s.r2, query + 2u, key);
            s.r3 = hide(s.r3, query + 3u, key);
        }
        let tile_maximum = vec4<f32>(largest(s.r0), largest(s.r1), largest(s.r2), largest(s.r3));
        let next = max(maximum, highest(tile_maximum, tx, ty));
        let decay = exp2(maximum - next);
        maximum = next;
        s.r0 = weights(s.r0, next.x);
        s.r1 = weights(s.r1, next.y);
        s.r2 = weights(s.r2, next.z);
        s.r3 = weights(s.r3, next.w);
        sum = fma(sum, decay, vec4<f32>(across(s.r0), across(s.r1), across(s.r2), across(s.r3)));

        // The weights go where the queries were, turned: [key, query], shuffled against bank conflicts.
        let at = tx * 64u + (ty ^ tx);
        tile_q[at] = vec4<f32>(s.r0.x, s.r1.x, s.r2.x, s.r3.x);
        tile_q[at + 16u] = vec4<f32>(s.r0.y, s.r1.y, s.r2.y, s.r3.y);
        tile_q[at + 32u] = vec4<f32>(s.r0.z, s.r1.z, s.r2.z, s.r3.z);
        tile_q[at + 48u] = vec4<f32>(s.r0.w, s.r1.w, s.r2.w, s.r3.w);
        stage_v(first_key, start_v, first_column, thread);
        workgroupBarrier();
        o0 = weigh(scaled(o0, decay), tx, ty);
        if (CHUNKS > 1u) {
            workgroupBarrier();
            stage_v(first_key, start_v, first_column + 8u, thread);
            workgroupBarrier();
            o1 = weigh(scaled(o1, decay), tx, ty);
        }
        if (CHUNKS > 2u) {
            workgroupBarrier();
            stage_v(first_key, start_v, first_column + 16u, thread);
            workgroupBarrier();
            o2 = weigh(scaled(o2, decay), tx, ty);
        }
        if (CHUNKS > 3u) {
            workgroupBarrier();
            stage_v(first_key, start_v, first_column + 24u, thread);
            workgroupBarrier();
            o3 = weigh(scaled(o3, decay), tx, ty);
        }
        workgroupBarrier();
    }

    sum = total(sum, tx, ty);
    if ((sizes.stage & 2u) == 0u) {
        if (tx == 0u) {
            state[slot] = maximum;
            state[slot + 1u] = sum;
        }
    } else {
        // A query that saw no key is zero.
        let inverse = select(1.0 / sum, ZERO, sum == ZERO);
        o0 = scaled(o0, inverse);
        o1 = scaled(o1, inverse);
        o2 = scaled(o2, inverse);
        o3 = scaled(o3, inverse);
    }
    store_quad(start_o, query, column, o0);
    if (CHUNKS > 1u) { store_quad(start_o, query, column + 8u, o1); }
    if (CHUNKS > 2u) { store_quad(start_o, query, column + 16u, o2); }
    if (CHUNKS > 3u) { store_quad(start_o, query, column + 24u, o3); }
}
