//! `crossover verify`: verifies golden files and prints a line for each.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use compute::golden::{GoldenError, MAX_FILE_BYTES};
use compute::{ComputeError, CpuPool, GoldenResult, Machine};
use mixer::{Backend, LaneError, MixerError, System, text};

use crate::args::{VerifyArgs, VerifyBackend};
use crate::error::CliError;
use crate::machine;

/// Deepest folder that is searched, so that a cycle of links ends.
const MAX_DEPTH: usize = 8;

/// Longest path shown, in characters.
const MAX_SHOWN: usize = 300;

/// Verifies every file. The status is 1 where a file does not pass or cannot be verified. When decoding, files of forms that
/// do not decode are named and skipped.
///
/// # Errors
/// An unknown system, a machine that cannot be set up, or a missing GPU. Errors of a single path are in its line.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, CliError> {
    let system = args.system.as_deref().map(kernels::find).transpose()?;
    let backend = match args.backend {
        VerifyBackend::Cpu => Backend::Cpu,
        VerifyBackend::Gpu => Backend::WebGpu,
    };
    let mut files = Vec::new();
    for path in &args.paths {
        let before = files.len();
        collect(path, 0, &mut files);
        if files.len() == before {
            files.push(Err(CliError::NoGolden { path: path.clone() }));
        }
    }
    let threads = args.threads.unwrap_or_else(CpuPool::available_threads);
    let mut machine = machine::open(threads, backend == Backend::WebGpu)?;
    if backend == Backend::WebGpu {
        machine.gpu()?;
    }

    let mut out = std::io::stdout().lock();
    let (mut passed, mut failed, mut skipped, mut errors) = (0_usize, 0_usize, 0_usize, 0_usize);
    for file in files {
        let verified =
            file.and_then(|path| match verify(&path, args.decode, system, backend, &mut machine) {
                Ok(result) => Ok((path, result)),
                Err(CliError::Compute(error)) => Err(CliError::Golden { path, error }),
                Err(error) => Err(error),
            });
        match verified {
            Ok((path, result)) => {
                *(if result.deviation.pass { &mut passed } else { &mut failed }) += 1;
                writeln!(out, "{}", line(&result, backend, &path))?;
            }
            Err(CliError::Golden {
                path,
                error: ComputeError::Lane(LaneError::Mixer(why @ MixerError::NoDecode { .. })),
            }) => {
                skipped += 1;
                writeln!(out, "skip  {why}  {}", shown(&path))?;
            }
            Err(error) => {
                errors += 1;
                let words = text::clean(&error.to_string(), 2 * MAX_SHOWN);
                writeln!(out, "error[{}]  {words}", error.code())?;
            }
        }
    }
    let skipped = if args.decode { format!("{skipped} skipped, ") } else { String::new() };
    writeln!(out, "{passed} passed, {failed} failed, {skipped}{errors} could not be verified")?;
    Ok(if failed + errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The result of a file's verification in one line.
fn line(result: &GoldenResult, backend: Backend, path: &Path) -> String {
    let unread = if result.unread.is_empty() {
        String::new()
    } else {
        format!("; not read: {}", result.unread.join(", "))
    };
    format!(
        "{}  {} {} {} on {}: max |Δ| {:.2e}, relative {:.2e}, within {:e} + {:e}·|y|{}{unread}  {}",
        if result.deviation.pass { "ok  " } else { "FAIL" },
        result.system,
        result.case_name,
        result.level.name(),
        backend.name(),
        result.deviation.max_abs,
        result.deviation.max_rel,
        result.tolerance.abs,
        result.tolerance.rel,
        if result.deviation.pass { "" } else { " wanted" },
        shown(path),
    )
}

fn shown(path: &Path) -> String {
    text::clean(&path.display().to_string(), MAX_SHOWN)
}

fn verify(
    path: &Path,
    decode: bool,
    system: Option<&'static System>,
    backend: Backend,
    machine: &mut Machine,
) -> Result<GoldenResult, CliError> {
    let bytes = read(path)?;
    Ok(if decode {
        pollster::block_on(machine.verify_golden_decode(&bytes, system, backend))?
    } else {
        pollster::block_on(machine.verify_golden(&bytes, system, backend))?
    })
}

/// The bytes of a regular file, up to the size limit of golden files. Pipes and devices may have no end.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |error| CliError::File { path: path.to_owned(), error };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(CliError::NotAFile { path: path.to_owned() });
    }
    let too_large = |got: u64| {
        let got = usize::try_from(got).unwrap_or(usize::MAX);
        CliError::from(ComputeError::from(GoldenError::TooLarge { got }))
    };
    let limit = MAX_FILE_BYTES as u64;
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // The file may have grown since its size was read.
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

/// The golden files at `path`, in order of their names, and the errors of unreadable paths.
fn collect(path: &Path, depth: usize, files: &mut Vec<Result<PathBuf, CliError>>) {
    let failed = |error| CliError::File { path: path.to_owned(), error };
    let is_dir = match std::fs::metadata(path) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) => return files.push(Err(failed(error))),
    };
    if !is_dir {
        return files.push(Ok(path.to_owned()));
    }
    if depth > MAX_DEPTH {
        return;
    }
    let entries = std::fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
    });
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return files.push(Err(failed(error))),
    };
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "safetensors") {
            collect(&entry, depth + 1, files);
        }
    }
}
