//! Runs other programs: always with an argument list, never through a shell, and with errors that state the next
//! action.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::Outcome;
use crate::error::TaskError;

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// A command to run in the repository's root, without standard input.
pub fn program(name: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program and passes its output through.
///
/// # Errors
/// [`TaskError::Start`] or [`TaskError::Failed`].
pub fn run(mut command: Command) -> Outcome {
    let status = command.status().map_err(|source| start_error(&command, source))?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { command: line(&command), status }) }
}

/// Runs a program and returns its standard output. Passes its standard error through.
///
/// # Errors
/// [`TaskError::Start`], [`TaskError::Failed`], or [`TaskError::Output`] for output that is not UTF-8.
pub fn read(mut command: Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|source| start_error(&command, source))?;
    if !output.status.success() {
        return Err(TaskError::Failed { command: line(&command), status: output.status });
    }
    String::from_utf8(output.stdout)
        .map_err(|error| TaskError::Output { program: line(&command), message: error.to_string() })
}

/// Standard output of a program; `None` if it is missing or fails. Passes nothing through.
pub fn probe(name: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Option<String> {
    let output = program(name, args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program, passes its output through, and returns it with whether the program succeeded. Standard error is
/// passed through on standard output; the order of whole lines is kept.
///
/// # Errors
/// [`TaskError::Start`].
pub fn run_teed(mut command: Command) -> Outcome<(String, bool)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| start_error(&command, source))?;
    let output = Mutex::new(String::new());
    thread::scope(|scope| {
        if let Some(stderr) = child.stderr.take() {
            scope.spawn(|| tee(stderr, &output));
        }
        if let Some(stdout) = child.stdout.take() {
            tee(stdout, &output);
        }
    });
    let status = child.wait().map_err(|source| start_error(&command, source))?;
    Ok((output.into_inner().unwrap_or_else(PoisonError::into_inner), status.success()))
}

fn tee(stream: impl Read, output: &Mutex<String>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    // Drivers may print bytes that are not UTF-8.
    while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        println!("{text}");
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.push_str(text);
        output.push('\n');
        drop(output);
        line.clear();
    }
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
