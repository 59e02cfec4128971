//! The `crossover` command: races, verification, the list of systems and links, natively. Results go to standard output,
//! everything else to standard error. It exits with 0 where all went well, 1 where a verification failed, that of a raced
//! lane too, 2 where the request itself was wrong or could not be carried out, 3 where a race measured nothing.

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

/// Longest message that is shown, in characters.
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
        // The reader of a pipe has gone: there is nobody left to tell.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // It may quote a path, a file or a link, and a terminal obeys control characters.
            eprintln!("error[{}]: {}", error.code(), mixer::text::clean(&error.to_string(), MAX_MESSAGE));
            ExitCode::from(2)
        }
    }
}
