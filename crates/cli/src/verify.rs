//! `crossover verify`: golden files, one line each.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compute::golden::MAX_FILE_BYTES;
use compute::{ComputeError, CpuPool, GoldenResult, Machine};
use mixer::{Backend, System};

use crate::args::{VerifyArgs, VerifyBackend};
use crate::error::CliError;
use crate::machine;

/// Deepest folder that is searched, so that a loop of links ends.
const MAX_DEPTH: usize = 8;

/// Verifies every file; status 1 where one of them does not pass.
///
/// # Errors
/// A path that is not there, an unknown system, a machine that cannot be set up, no GPU. What is wrong with a single file is
/// said in its line.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, CliError> {
    let system = args.system.as_deref().map(kernels::find).transpose()?;
    let backend = match args.backend {
        VerifyBackend::Cpu => Backend::Cpu,
        VerifyBackend::Gpu => Backend::WebGpu,
    };
    let mut files = Vec::new();
    for path in &args.paths {
        let before = files.len();
        collect(path, 0, &mut files)?;
        if files.len() == before {
            return Err(CliError::NoGolden { path: path.clone() });
        }
    }
    let threads = args.threads.unwrap_or_else(CpuPool::available_threads);
    let mut machine = machine::open(threads, backend == Backend::WebGpu)?;
    if backend == Backend::WebGpu {
        machine.gpu()?;
    }

    let mut out = std::io::stdout().lock();
    let (mut passed, mut failed, mut errors) = (0_usize, 0_usize, 0_usize);
    for path in &files {
        let name = path.display();
        match verify(path, system, backend, &mut machine) {
            Ok(result) => {
                let word = if result.deviation.pass { "ok  " } else { "FAIL" };
                *(if result.deviation.pass { &mut passed } else { &mut failed }) += 1;
                writeln!(
                    out,
                    "{word}  {} {} {} on {}: max |Δ| {:.2e}, relative {:.2e}  {name}",
                    result.system,
                    result.case_name,
                    result.level.name(),
                    backend.name(),
                    result.deviation.max_abs,
                    result.deviation.max_rel,
                )?;
            }
            Err(error) => {
                errors += 1;
                writeln!(out, "error[{}]  {name}: {error}", error.code())?;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed, {errors} could not be verified")?;
    Ok(if failed + errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify(
    path: &Path,
    system: Option<&'static dyn System>,
    backend: Backend,
    machine: &mut Machine,
) -> Result<GoldenResult, CliError> {
    let failed = |error| CliError::File { path: path.to_owned(), error };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_FILE_BYTES as u64 {
        let got = usize::try_from(bytes).unwrap_or(usize::MAX);
        return Err(ComputeError::from(compute::golden::GoldenError::TooLarge { got }).into());
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    Ok(pollster::block_on(machine.verify_golden(&bytes, system, backend))?)
}

/// The golden files at `path`, in order of their names.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error| CliError::File { path: path.to_owned(), error };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "safetensors") {
            collect(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}
