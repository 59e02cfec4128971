// The clock of a run of generated tokens: word 0 counts the tokens generated so far, word 1 is the position of the next token.
//
// binding 0: the words after a rewind; binding 1: the clock

override REWIND: u32 = 0u;

struct Start {
    generated: u32,
    position: u32,
}

@group(0) @binding(0) var<uniform> start: Start;
@group(0) @binding(1) var<storage, read_write> clock: array<u32>;

@compute @workgroup_size(1)
fn main() {
    clock[0] = select(clock[0] + 1u, start.generated, REWIND == 1u);
    clock[1] = select(clock[1] + 1u, start.position, REWIND == 1u);
}
