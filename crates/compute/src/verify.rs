//! Verification: against golden files, and of a lane on a small seeded problem before it is timed.

use mixer::{Deviation, Level, OpCount, Params, Problem, System};

use crate::golden::{self, GoldenCase};
use crate::{ComputeError, CpuLane, CpuPool};

/// What a verification against a golden file found.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenResult {
    /// Name of the system that ran: `attention` files are also for `attention-naive`.
    pub system: String,
    /// Name of the case.
    pub case_name: String,
    /// Core or layer.
    pub level: Level,
    /// How far it was.
    pub deviation: Deviation,
}

/// Runs a golden file's case on the CPU and compares. `system` overrides the file's own.
///
/// # Errors
/// What is wrong with the file or its case; a deviation beyond the tolerance is a result, not an error.
pub fn verify_golden(
    bytes: &[u8],
    system: Option<&'static dyn System>,
    pool: &CpuPool,
    limit_bytes: u64,
) -> Result<GoldenResult, ComputeError> {
    let GoldenCase { system: name, case_name, case, expected, tolerance } = golden::read(bytes)?;
    let system = match system {
        Some(system) => system,
        None => kernels::find(&name)?,
    };
    let level = case.level;
    let mut lane = CpuLane::new(system, case, pool, limit_bytes)?;
    let deviation = match lane.run(1) {
        Ok(_) | Err(ComputeError::NotFinite { .. }) => tolerance.compare_f32(lane.output(), &expected),
        Err(error) => return Err(error),
    };
    Ok(GoldenResult { system: system.info().id.to_owned(), case_name, level, deviation })
}

/// Longest sequence on which a lane is compared with the f64 reference in full.
const VERIFY_LENGTH: usize = 160;

/// Compares a system's whole output on a small problem like `problem` with its f64 reference.
///
/// # Errors
/// What the system refuses, or [`ComputeError::Cancelled`].
pub fn verify_seeded(
    system: &'static dyn System,
    problem: &Problem,
    params: &Params,
    pool: &CpuPool,
    limit_bytes: u64,
) -> Result<(usize, Deviation), ComputeError> {
    let seq_len = problem.seq_len.min(VERIFY_LENGTH);
    let small = Problem { seq_len, batch: problem.batch.min(2), ..*problem };
    let mut lane = CpuLane::seeded(system, &small, params, pool, limit_bytes)?;
    lane.run(1)?;
    let expected = system.reference(lane.case(), &mut OpCount::default())?;
    Ok((seq_len, system.info().tolerance.compare_f32(lane.output(), &expected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn golden_files() -> Vec<std::path::PathBuf> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/golden");
        let mut files = Vec::new();
        for folder in std::fs::read_dir(root).unwrap() {
            files.extend(std::fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
        }
        files.sort();
        files
    }

    #[test]
    fn every_golden_file_passes() {
        let pool = CpuPool::new(2).unwrap();
        let files = golden_files();
        assert!(files.len() >= 25);
        for path in files {
            let result = verify_golden(&std::fs::read(&path).unwrap(), None, &pool, GIB).unwrap();
            assert!(result.deviation.pass, "{result:?}");
        }
    }

    #[test]
    fn another_system_fails_a_golden_file_or_refuses_it() {
        let pool = CpuPool::new(1).unwrap();
        let hyena = kernels::find("hyena").unwrap();
        for path in golden_files().iter().filter(|path| path.to_string_lossy().contains("/attention/")) {
            let result = verify_golden(&std::fs::read(path).unwrap(), Some(hyena), &pool, GIB);
            assert!(result.map_or(true, |result| !result.deviation.pass));
        }
    }

    #[test]
    fn every_system_verifies_on_a_small_problem() {
        let pool = CpuPool::new(2).unwrap();
        for &system in kernels::systems() {
            for level in [Level::Core, Level::Layer] {
                let problem = Problem {
                    batch: 1,
                    seq_len: 4096,
                    d_model: 64,
                    n_heads: 4,
                    causal: true,
                    level,
                    seed: 9,
                };
                let (length, deviation) =
                    verify_seeded(system, &problem, &Params::new(), &pool, GIB).unwrap();
                assert!(deviation.pass && length == VERIFY_LENGTH, "{}: {deviation:?}", system.info().id);
            }
        }
    }
}
