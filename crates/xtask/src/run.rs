//! Starting other programs: always by argument list, never through a shell, and with errors that say what to do.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::error::TaskError;

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// A program to be run in the repository's root, with no standard input.
pub fn program(name: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program to its end, its output passed through.
///
/// # Errors
/// [`TaskError::Start`] or [`TaskError::Failed`].
pub fn run(mut command: Command) -> Outcome {
    let status = command.status().map_err(|source| start_error(&command, source))?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { command: line(&command), status }) }
}

/// Runs a program and returns its standard output; its standard error is passed through.
///
/// # Errors
/// [`TaskError::Start`], [`TaskError::Failed`], or [`TaskError::Output`] for output that is no UTF-8.
pub fn read(mut command: Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|source| start_error(&command, source))?;
    if !output.status.success() {
        return Err(TaskError::Failed { command: line(&command), status: output.status });
    }
    String::from_utf8(output.stdout)
        .map_err(|error| TaskError::Output { program: line(&command), message: error.to_string() })
}

/// Standard output of a program that may be missing or fail: `None` then. Nothing is passed through.
pub fn probe(name: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Option<String> {
    let output = program(name, args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program, passes its standard output through and returns it with whether the program succeeded.
///
/// # Errors
/// [`TaskError::Start`].
pub fn run_teed(mut command: Command) -> Outcome<(String, bool)> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|source| start_error(&command, source))?;
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            output.push_str(&line);
            output.push('\n');
        }
    }
    let status = child.wait().map_err(|source| start_error(&command, source))?;
    Ok((output, status.success()))
}

/// Full path of a program on the PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn start_error(command: &Command, source: std::io::Error) -> TaskError {
    TaskError::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
