//! The project's tasks: `cargo xtask <command>`. See [`USAGE`].

mod counts;
mod run;
mod test;

use std::process::ExitCode;

const USAGE: &str = "cargo xtask <command>

  test     formatting, lints and every test; its last line counts what ran
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let outcome = match args.next().as_deref() {
        Some("test") => test::run_all(),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(run::TaskError::Usage { message: format!("no command `{other}`\n\n{USAGE}") }),
        None => Err(run::TaskError::Usage { message: USAGE.to_owned() }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::TaskError::Usage { message }) => {
            eprint!("{message}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
