// The two conjugate frequencies, of a pair of channels, that one thread takes after a transform by conv_step.wgsl.
// line.wgsl is prepended; conv_entry.wgsl follows.

struct Sizes {
    // Pairs of channels.
    chunk: u32,
    log_size: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;

struct Pair {
    item: u32,
    // Whether there is such a pair.
    exists: bool,
    // Frequency 0 is its own conjugate, and so is size / 2: they share an entry.
    alone: bool,
    // Places in a sequence, [size, chunk].
    here: u32,
    there: u32,
}

fn pair_of(workgroup: vec3<u32>, thread: u32) -> Pair {
    let item = place_in_line(workgroup) * 64u + thread;
    let frequency = item / sizes.chunk;
    let lane = item % sizes.chunk;
    let size = 1u << sizes.log_size;
    let alone = frequency == 0u;
    let partner = select(size - frequency, size / 2u, alone);
    return Pair(
        item,
        2u * frequency < size,
        alone,
        frequency * sizes.chunk + lane,
        partner * sizes.chunk + lane,
    );
}
