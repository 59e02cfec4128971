//! The native `crossover` command: races, verification, the list of systems, links. Results go to standard output, all
//! other text to standard error. The exit status is 0 on success, 1 where a verification failed (including that of a
//! raced lane), 2 where the request was invalid or failed, 3 where a race measured nothing.

mod args;
mod error;
mod form;
mod link;
mod machine;
mod pattern;
mod race_command;
mod systems;
mod table;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::error::CliError;

/// Longest message shown, in characters.
const MAX_MESSAGE: usize = 2000;

/// Prints the JSON Schema of reports.
fn schema() -> Result<ExitCode, CliError> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&report::report_schema())?)?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Race(args) => race_command::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Systems(args) => systems::run(&args),
        Command::Link(args) => link::run(&args),
        Command::Schema => schema(),
    };
    match outcome {
        Ok(code) => code,
        // The reader of the pipe has exited, so an error message would have no reader.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // The message may quote a path, a file or a link, and a terminal obeys control characters.
            eprintln!("error[{}]: {}", error.code(), mixer::text::clean(&error.to_string(), MAX_MESSAGE));
            ExitCode::from(2)
        }
    }
}
