// Rows of work and their conjugates, for the middle pass of the four-step FFT; prepended to conv_rows.wgsl and
// conv_rows_filter.wgsl, which process their frequencies.
//
// Row r holds the frequencies r + rows · k. A workgroup processes two conjugate rows, r and rows − r (workgroup 0: rows
// 0 and rows / 2, each its own conjugate), of 1024 / columns neighbouring pairs of channels.
//
// binding 0: sizes
// binding 1: roots of unity, see fft.wgsl
// `work`: [sequences, rows, columns, chunk]; `spectra`: [rows / 2, columns, chunk], see spectrum.wgsl

struct Sizes {
    chunk: u32,
    rows: u32,
    scale: f32,
    // log₂ of the number of columns.
    log_size: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> tables: array<vec2<f32>>;

// Positions of this thread's numbers: number n is in column n >> (11 − log_size) of a row, and neighbours are `step`
// apart.
struct Place {
    start: u32,
    exists: bool,
    column: u32,
    step: u32,
}

fn log_pairs() -> u32 {
    // Each pair of channels has two rows in workgroup memory.
    return 10u - sizes.log_size;
}

fn place_of(workgroup: vec3<u32>, t: u32) -> Place {
    let n_pairs = 1u << log_pairs();
    let first = workgroup.x;
    let second = select(sizes.rows - first, sizes.rows / 2u, first == 0u);
    let pair = workgroup.y * n_pairs + (t & (n_pairs - 1u));
    let row = select(first, second, (t & n_pairs) != 0u);
    let exists = pair < sizes.chunk;
    let log_count = log_pairs() + 1u;
    let start = ((workgroup.z * sizes.rows + row) << sizes.log_size) * sizes.chunk + pair;
    return Place(start, exists, t >> log_count, 256u >> log_count);
}

fn load(number: u32, place: Place) -> vec2<f32> {
    if (place.exists) {
        return work[place.start + (place.column + number * place.step) * sizes.chunk];
    }
    return vec2<f32>(0.0);
}

// Computes the rows' frequencies in workgroup memory.
fn transform_rows(place: Place, t: u32) {
    let z = transform(
        Eight(
            load(0u, place), load(1u, place), load(2u, place), load(3u, place),
            load(4u, place), load(5u, place), load(6u, place), load(7u, place),
        ),
        t,
    );
    write_eight(t, z);
    workgroupBarrier();
}

// Two conjugate frequencies: their positions in workgroup memory, and their entry in the spectra.
struct Conjugates {
    here: u32,
    there: u32,
    at: u32,
    // Whether both frequencies are their own conjugates.
    alone: bool,
    exists: bool,
}

// Pair number `item` of the workgroup's 1024.
fn conjugates(item: u32, workgroup: vec3<u32>) -> Conjugates {
    let log_count = log_pairs() + 1u;
    let n_pairs = 1u << log_pairs();
    let columns = 1u << sizes.log_size;
    let first = workgroup.x;
    let q = item >> log_pairs();
    let lane = item & (n_pairs - 1u);
    var here = (q << log_count) + lane;
    var there = ((columns - 1u - q) << log_count) + n_pairs + lane;
    if (first == 0u) {
        let half = columns / 2u;
        if (q < half) {
            // In row 0, frequencies 0 and half the size are their own conjugates and share an entry.
            there = (select(columns - q, half, q == 0u) << log_count) + lane;
        } else {
            here = ((q - half) << log_count) + n_pairs + lane;
            there = ((columns - 1u - (q - half)) << log_count) + n_pairs + lane;
        }
    }
    let channel = workgroup.y * n_pairs + lane;
    let at = (first * columns + q) * sizes.chunk + channel;
    let alone = first == 0u && q == 0u;
    let exists = channel < sizes.chunk;
    return Conjugates(here, there, at, alone, exists);
}
