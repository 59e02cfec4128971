//! Starting other programs: always by argument list, never through a shell, and with errors that say what to do.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why a task ended early.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The command line is off.
    #[error("{message}")]
    Usage {
        /// What to print.
        message: String,
    },
    /// A program could not be started.
    #[error("cannot start `{program}`: {source}; is it installed and on the PATH?")]
    Start {
        /// The program.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Tests failed, or none ran.
    #[error("{0}")]
    Tests(String),
}

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).map_or_else(|| manifest.clone(), std::path::Path::to_path_buf)
}

/// A program to be run in the repository's root, with no standard input.
pub fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a program to its end, its output passed through.
///
/// # Errors
/// [`TaskError::Start`] or [`TaskError::Failed`].
pub fn run(mut command: Command) -> Result<(), TaskError> {
    let status = command.status().map_err(|source| start_error(&command, source))?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { command: line(&command), status }) }
}

/// Runs a program, passes its standard output through and returns it with whether the program succeeded.
///
/// # Errors
/// [`TaskError::Start`].
pub fn run_teed(mut command: Command) -> Result<(String, bool), TaskError> {
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
