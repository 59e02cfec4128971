// First and last pass of a long convolution whose transform does not fit workgroup memory: the four-step FFT of
// size = rows · columns. Time is row-major, t = row · columns + column; this pass transforms the columns.
//
// Forward: loads x · gate_in, transforms along the rows (2^log_size of them), multiplies frequency k of column c by
// exp(−2πi k c / size), stores [frequency, column, pair]. With BACK the reverse, times gate_out, into y. A workgroup
// processes 2048 / rows neighbouring (column, pair)s of one sequence.
//
// binding 0: sizes; offsets and strides in pairs of floats
// binding 1: x or, with BACK, work
// binding 2: gate_in or, with BACK, gate_out, where GATE
// binding 3: roots of unity, see fft.wgsl; from 2048 on exp(−2πi j / size), j < 1024, then exp(−2πi 1024 j / size)
// binding 4: work or, with BACK, y
//
// work is [sequences, rows, columns, chunk].

override GATE: u32 = 0u;
override BACK: u32 = 0u;

struct Sizes {
    // Number of pairs of channels in this chunk, and the first pair.
    chunk: u32,
    first_pair: u32,
    length: u32,
    columns: u32,
    first_sequence: u32,
    offset: u32,
    stride: u32,
    gate_offset: u32,
    gate_stride: u32,
    log_size: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> gate: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> tables: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec2<f32>>;

// exp(−2πi k / size).
fn fine_root(k: u32) -> vec2<f32> {
    return times(tables[2048u + (k & 1023u)], tables[3072u + (k >> 10u)]);
}

struct Place {
    // Index of row 0 in work.
    work: u32,
    column: u32,
    pair: u32,
    // Row of time 0 in x or y.
    sequence_row: u32,
}

fn load_stream(row: u32, place: Place) -> vec2<f32> {
    let time = row * sizes.columns + place.column;
    if (time >= sizes.length) {
        return vec2<f32>(0.0);
    }
    let at = place.sequence_row + time;
    var value = x[sizes.offset + at * sizes.stride + place.pair];
    if (GATE == 1u) {
        value *= gate[sizes.gate_offset + at * sizes.gate_stride + place.pair];
    }
    return value;
}

fn store_stream(row: u32, place: Place, swapped_value: vec2<f32>) {
    let time = row * sizes.columns + place.column;
    if (time >= sizes.length) {
        return;
    }
    let at = place.sequence_row + time;
    var value = swapped_value.yx;
    if (GATE == 1u) {
        value *= gate[sizes.gate_offset + at * sizes.gate_stride + place.pair];
    }
    y[sizes.offset + at * sizes.stride + place.pair] = value;
}

fn load_work(row: u32, place: Place) -> vec2<f32> {
    return over(x[place.work + row * sizes.columns * sizes.chunk], fine_root(row * place.column)).yx;
}

fn store_work(row: u32, place: Place, value: vec2<f32>) {
    y[place.work + row * sizes.columns * sizes.chunk] = times(value, fine_root(row * place.column));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let log_count = 11u - sizes.log_size;
    let count = 1u << log_count;
    let item = workgroup.x * count + (t & (count - 1u));
    let work_row = sizes.columns * sizes.chunk;
    var place: Place;
    place.work = workgroup.y * (work_row << sizes.log_size) + item;
    place.column = item / sizes.chunk;
    place.pair = sizes.first_pair + item % sizes.chunk;
    place.sequence_row = (sizes.first_sequence + workgroup.y) * sizes.length;
    let row = t >> log_count;
    let step = 256u >> log_count;

    var z: Eight;
    if (BACK == 0u) {
        z = Eight(
            load_stream(row, place), load_stream(row + step, place),
            load_stream(row + 2u * step, place), load_stream(row + 3u * step, place),
            load_stream(row + 4u * step, place), load_stream(row + 5u * step, place),
            load_stream(row + 6u * step, place), load_stream(row + 7u * step, place),
        );
    } else {
        z = Eight(
            load_work(row, place), load_work(row + step, place),
            load_work(row + 2u * step, place), load_work(row + 3u * step, place),
            load_work(row + 4u * step, place), load_work(row + 5u * step, place),
            load_work(row + 6u * step, place), load_work(row + 7u * step, place),
        );
    }
    z = transform(z, t);
    if (BACK == 0u) {
        store_work(row, place, z.a);
        store_work(row + step, place, z.b);
        store_work(row + 2u * step, place, z.c);
        store_work(row + 3u * step, place, z.d);
        store_work(row + 4u * step, place, z.e);
        store_work(row + 5u * step, place, z.f);
        store_work(row + 6u * step, place, z.g);
        store_work(row + 7u * step, place, z.h);
    } else {
        store_stream(row, place, z.a);
        store_stream(row + step, place, z.b);
        store_stream(row + 2u * step, place, z.c);
        store_stream(row + 3u * step, place, z.d);
        store_stream(row + 4u * step, place, z.e);
        store_stream(row + 5u * step, place, z.f);
        store_stream(row + 6u * step, place, z.g);
        store_stream(row + 7u * step, place, z.h);
    }
}
