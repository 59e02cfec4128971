// Common part of both kernels of softmax attention; followed by tile_attention.wgsl or direct_attention.wgsl and
// preceded by a mask file. The mask file defines which tiles of 32 keys a block of 64 queries visits, the positions of
// their rows, and the masking of the scores of a query with four keys: `enter`, `n_tiles`, `tile_start`, `has_query`,
// `has_key`, `query_row`, `key_row`, `needs_mask`, `hide`. It may keep the tile of the last call of `tile_start` as
// state.
//
// binding 0: sizes; offsets and strides in vectors of four floats
// binding 1..3: q, k, v; rows of heads
// binding 4: o; holds unnormalised sums between the dispatches of one pass
// binding 5: running maxima and sums between dispatches, [head · pass, query / 4, 2]
// binding 6, 7: for the mask file

// Chunks of 32 output columns.
override CHUNKS: u32 = 1u;

struct Sizes {
    n_queries: u32,
    n_keys: u32,
    // Number of vectors per head.
    head: u32,
    // Number of passes over the output columns, each of 8 · CHUNKS vectors.
    passes: u32,
    q_offset: u32,
    q_stride: u32,
    k_offset: u32,
    k_stride: u32,
    v_offset: u32,
    v_stride: u32,
    o_offset: u32,
    o_stride: u32,
    // Blocks of queries in this dispatch.
    first_block: u32,
    end_block: u32,
    first_head: u32,
    first_sequence: u32,
    // Heads times passes.
    heads: u32,
    blocks: u32,
    // Range of tiles in this dispatch, counted from a block's first tile.
    first_tile: u32,
    end_tile: u32,
    // Bit 0: first dispatch of its blocks; bit 1: last dispatch.
    stage: u32,
    // log₂ e times the scale of the scores, since exponentials have base two.
    scale: f32,
    // Band of visible keys: key + before ≥ query and key ≤ query + after.
    before: u32,
    after: u32,
    // Rows of a sequence in q and o, and in k and v.
    query_rows: u32,
    key_rows: u32,
    // Successive heads that share a head of keys and values.
    group: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> state: array<vec4<f32>>;

const ZERO = vec4<f32>(0.0);

// Position of a workgroup's part: its block of queries, its head, and the beginning of the head's rows in each buffer.
struct Place {
    block: u32,
    // Head · pass.
    head_pass: u32,
    sequence: u32,
    head: u32,
    // First column of this pass over the output columns, in vectors.
    first_column: u32,
    start_q: u32,
    start_k: u32,
    start_v: u32,
    start_o: u32,
    // Index in `state` of the block's first four queries.
    slot: u32,
}

fn place_of(workgroup: vec3<u32>) -> Place {
    // The longest causal rows come first, so that no long workgroup starts last.
    let block = sizes.end_block - 1u - workgroup.x;
    let head_pass = sizes.first_head + workgroup.y;
    let sequence = sizes.first_sequence + workgroup.z;
    let head = head_pass / sizes.passes;
    return Place(
        block,
        head_pass,
        sequence,
        head,
        head_pass % sizes.passes * CHUNKS * 8u,
        sizes.q_offset + sequence * sizes.query_rows * sizes.q_stride + head * sizes.head,
        sizes.k_offset + sequence * sizes.key_rows * sizes.k_stride + head / sizes.group * sizes.head,
        sizes.v_offset + sequence * sizes.key_rows * sizes.v_stride + head / sizes.group * sizes.head,
        sizes.o_offset + sequence * sizes.query_rows * sizes.o_stride + head * sizes.head,
        ((sequence * sizes.heads + head_pass) * sizes.blocks + block) * 32u,
    );
}

// Stands for −∞. Finite, so that the difference of two of them is defined.
const LOWEST: f32 = -1e30;

// A thread's values for eight queries by four keys or columns.
struct Block {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
    r4: vec4<f32>,
    r5: vec4<f32>,
    r6: vec4<f32>,
    r7: vec4<f32>,
}

// A number for each of eight queries.
struct Eight {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn zeros() -> Block {
    return Block(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO);
}

fn scaled(x: Block, by: Eight) -> Block {
    return Block(
        x.r0 * by.low.x, x.r1 * by.low.y, x.r2 * by.low.z, x.r3 * by.low.w,
        x.r4 * by.high.x, x.r5 * by.high.y, x.r6 * by.high.z, x.r7 * by.high.w,
    );
}

fn largest(row: vec4<f32>) -> f32 {
    return max(max(row.x, row.y), max(row.z, row.w));
}

fn across(row: vec4<f32>) -> f32 {
    return (row.x + row.y) + (row.z + row.w);
}

fn largest_of(x: Block) -> Eight {
    return Eight(
        vec4<f32>(largest(x.r0), largest(x.r1), largest(x.r2), largest(x.r3)),
        vec4<f32>(largest(x.r4), largest(x.r5), largest(x.r6), largest(x.r7)),
    );
}

fn across_of(x: Block) -> Eight {
    return Eight(
        vec4<f32>(across(x.r0), across(x.r1), across(x.r2), across(x.r3)),
        vec4<f32>(across(x.r4), across(x.r5), across(x.r6), across(x.r7)),
    );
}

// Weights of one query's scores. Hidden keys have weight zero even where all keys are hidden. A NaN stays a NaN.
fn weights(row: vec4<f32>, maximum: f32) -> vec4<f32> {
    return select(exp2(row - maximum), ZERO, row < vec4<f32>(0.5 * LOWEST));
}

fn weights_of(x: Block, maximum: Eight) -> Block {
    return Block(
        weights(x.r0, maximum.low.x),
        weights(x.r1, maximum.low.y),
        weights(x.r2, maximum.low.z),
        weights(x.r3, maximum.low.w),
        weights(x.r4, maximum.high.x),
        weights(x.r5, maximum.high.y),
        weights(x.r6, maximum.high.z),
        weights(x.r7, maximum.high.w),
    );
}

fn lowest() -> Eight {
    return Eight(vec4<f32>(LOWEST), vec4<f32>(LOWEST));
}

fn higher(a: Eight, b: Eight) -> Eight {
    return Eight(max(a.low, b.low), max(a.high, b.high));
}

fn times(a: Eight, b: Eight) -> Eight {
    return Eight(a.low * b.low, a.high * b.high);
}

fn plus(a: Eight, b: Eight) -> Eight {
    return Eight(a.low + b.low, a.high + b.high);
}

// Factor that rescales sums from one maximum to the next.
fn decay_of(maximum: Eight, next: Eight) -> Eight {
    return Eight(exp2(maximum.low - next.low), exp2(maximum.high - next.high));
}

// The output of a query without visible keys is zero.
fn inverse_of(sum: Eight) -> Eight {
    return Eight(select(1.0 / sum.low, ZERO, sum.low == ZERO), select(1.0 / sum.high, ZERO, sum.high == ZERO));
}
