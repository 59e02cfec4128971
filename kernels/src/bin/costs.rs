//! Prints the costs of every system for a grid of sizes, one line each. A wasm build exports the lines. `cargo xtask
//! test` compares the native and the wasm lines, because `usize` has 32 bits in a browser and 64 natively.

#![expect(unsafe_code, reason = "a script calls these functions by their names")]

use std::fmt::Write;
use std::sync::OnceLock;

use mixer::{Level, Params, Problem};

/// log₂ of the shortest and of the longest sequence.
const LENGTHS: std::ops::RangeInclusive<u32> = 8..=24;

/// Widths and heads: ordinary, wide, and a width that is no multiple of a vector.
const WIDTHS: [(usize, usize); 4] = [(64, 4), (256, 4), (1024, 16), (60, 3)];

const BATCHES: [usize; 2] = [1, 8];

fn costs() -> String {
    let mut lines = String::new();
    for system in kernels::systems() {
        let info = system.info();
        let params = Params::new();
        for level in [Level::Core, Level::Layer] {
            for causal in [false, true] {
                for (d_model, n_heads) in WIDTHS {
                    for batch in BATCHES {
                        for seq_len in LENGTHS.map(|log| 1 << log) {
                            let problem = Problem {
                                batch,
                                seq_len,
                                d_model,
                                n_heads,
                                causal,
                                level,
                                seed: 0,
                                task: mixer::Task::Forward,
                            };
                            let (id, level) = (info.id, level.name());
                            let form = if causal { "causal" } else { "bidirectional" };
                            // Prints every field, including fields added later.
                            let cost = match system.cost(&problem, &params) {
                                Ok(cost) => format!("{cost:?}"),
                                Err(error) => error.to_string(),
                            };
                            let sizes = format!("batch {batch} length {seq_len} width {d_model}");
                            let _ = writeln!(lines, "{id} {level} {form} {sizes}: {cost}");
                        }
                    }
                }
            }
        }
    }
    lines
}

static TEXT: OnceLock<String> = OnceLock::new();

/// Address of the lines, in UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn costs_start() -> *const u8 {
    TEXT.get_or_init(costs).as_ptr()
}

/// Length of the lines, in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn costs_len() -> usize {
    TEXT.get_or_init(costs).len()
}

fn main() {
    print!("{}", costs());
}
