// Middle pass of the four-step FFT of filters: transforms rows of work (2^LOG_SIZE columns) and stores the spectra that
// conv_rows.wgsl multiplies by.
//
// Row r holds the frequencies r + rows · k. A workgroup takes two rows that are each other's conjugates, r and
// rows − r (workgroup 0: rows 0 and rows / 2, each its own), of 1024 / columns neighbouring pairs of channels.
//
// binding 0: sizes
// binding 1: roots of unity, see fft.wgsl
// binding 2: work, [rows, columns, chunk]
// binding 3: the spectra, [rows / 2, columns, chunk], see spectrum.wgsl

struct Sizes {
    chunk: u32,
    rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> tables: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> work: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> spectra: array<vec4<f32>>;

// Where this thread's numbers lie: number n is column n >> log_count of a row.
struct Place {
    start: u32,
    exists: bool,
}

fn load(column: u32, place: Place) -> vec2<f32> {
    if (place.exists) {
        return work[place.start + column * sizes.chunk];
    }
    return vec2<f32>(0.0);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let log_count = 11u - LOG_SIZE;
    // Pairs of channels, of which each has two rows here.
    let log_pairs = log_count - 1u;
    let n_pairs = 1u << log_pairs;
    let columns = 1u << LOG_SIZE;
    let first = workgroup.x;
    let second = select(sizes.rows - first, sizes.rows / 2u, first == 0u);
    let pair = workgroup.y * n_pairs + (t & (n_pairs - 1u));
    let row = select(first, second, (t & n_pairs) != 0u);
    let place = Place(
        (workgroup.z * sizes.rows + row) * columns * sizes.chunk + pair,
        pair < sizes.chunk,
    );
    let column = t >> log_count;
    let step = 256u >> log_count;

    let z = transform(
        Eight(
            load(column, place), load(column + step, place),
            load(column + 2u * step, place), load(column + 3u * step, place),
            load(column + 4u * step, place), load(column + 5u * step, place),
            load(column + 6u * step, place), load(column + 7u * step, place),
        ),
        t,
    );
    write_eight(t, z);
    workgroupBarrier();

    // Each thread takes four pairs of conjugate frequencies.
    for (var item = t; item < 1024u; item += 256u) {
        let q = item >> log_pairs;
        let lane = item & (n_pairs - 1u);
        let channel = workgroup.y * n_pairs + lane;
        var here = (q << log_count) + lane;
        var there = ((columns - 1u - q) << log_count) + n_pairs + lane;
        if (first == 0u) {
            let half = columns / 2u;
            if (q < half) {
                // Row 0, whose frequencies 0 and half the size are their own conjugates and share an entry.
                there = (select(columns - q, half, q == 0u) << log_count) + lane;
            } else {
                here = ((q - half) << log_count) + n_pairs + lane;
                there = ((columns - 1u - (q - half)) << log_count) + n_pairs + lane;
            }
        }
        if (channel < sizes.chunk) {
            let alone = first == 0u && q == 0u;
            let at = (first * columns + q) * sizes.chunk + channel;
            let z_here = fetch(here);
            let z_there = fetch(there);
            spectra[at] = entry(z_here, z_there, alone) * sizes.scale;
        }
    }
}
