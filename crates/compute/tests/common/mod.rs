//! Shared parts of the GPU tests: an adapter or a visible skip, golden files, problems.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use compute::Host;
use compute::gpu::{Gpu, GpuOptions};
use mixer::{Level, Problem};
use pollster::block_on;

/// Written past the test runner's capture, so that a skipped test is visible.
pub fn skip(what: &str) {
    writeln!(std::io::stderr(), "GPU TEST SKIPPED: {what}").ok();
}

/// One GPU test at a time: devices share the adapter's memory and cores.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device; `None`, with a printed message, without an adapter.
pub fn device(options: GpuOptions) -> Option<Gpu> {
    block_on(Gpu::open(&Host::native(), &options)).map_err(|error| skip(&error.to_string())).ok()
}

pub const PROBLEM: Problem = Problem {
    batch: 1,
    seq_len: 64,
    d_model: 32,
    n_heads: 2,
    causal: true,
    level: Level::Layer,
    seed: 1,
    task: mixer::Task::Forward,
};

/// All golden files, sorted, those of the fixture among them.
pub fn golden_files() -> Vec<PathBuf> {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
    let entries = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let fixtures = entries(kernels.join("src/fixture")).map(|folder| folder.join("golden"));
    let mut files: Vec<_> = entries(kernels.join("golden"))
        .chain(fixtures)
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    files
}

/// Shapes with edge cases: one, two and three tokens, one channel, one head, primes, tile borders.
pub fn edge_problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    for (seq_len, d_model, n_heads) in [
        (1, 1, 1),
        (2, 8, 8),
        (3, 6, 1),
        (7, 10, 2),
        (31, 64, 1),
        (64, 32, 4),
        (65, 12, 3),
        (127, 9, 3),
        (128, 32, 2),
        (257, 24, 2),
    ] {
        for level in [Level::Core, Level::Layer] {
            for causal in [true, false] {
                problems.push(Problem { seq_len, d_model, n_heads, level, causal, ..PROBLEM });
            }
        }
    }
    problems
}
