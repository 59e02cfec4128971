//! `cargo xtask test`: cheap checks first, then every test. Its last line counts what ran.

use crate::counts::Counts;
use crate::error::TaskError;
use crate::run::{program, run, run_teed};
use crate::toolchain::{self, TARGET, Toolchain};
use crate::{Outcome, budget, e2e, narrow, site, step, tidy, variant};

/// Runs everything, or only what needs no browser.
///
/// # Errors
/// The first check that failed, or how many tests did. Failed tests of one kind do not keep the others from running.
pub fn run_all(quick: bool) -> Outcome {
    step("formatting");
    run(program("cargo", &["fmt", "--all", "--check"]))?;
    step("lints");
    run(program("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // What only a browser runs is compiled for its target alone. The distribution's toolchain has no linter.
    if toolchain::present() == Some(Toolchain::Rustup) {
        let modules =
            ["clippy", "--package", "www", "--package", "worker", "--target", TARGET, "--", "-D", "warnings"];
        run(program("cargo", &modules))?;
    }
    let mut counts = Counts::default();
    // The rules count as one test: a missing page of text must not hide what the tests say.
    match tidy::run() {
        Ok(()) => counts.passed += 1,
        Err(error) => {
            counts.failed += 1;
            eprintln!("xtask: {error}");
        }
    }
    counts.add(native()?);
    if !quick {
        for (what, tests) in [
            ("the comparison of costs", narrow::costs as fn() -> Outcome<Counts>),
            ("the tests with 32-bit addresses", narrow::tests),
            ("the browser tests", browsers),
        ] {
            match tests() {
                Ok(more) => counts.add(more),
                Err(error) => {
                    counts.failed += 1;
                    eprintln!("xtask: {what} did not run: {error}");
                }
            }
        }
    }
    if counts.failed > 0 {
        println!("Tests failed; they are listed above.");
    } else if counts.passed == 0 {
        println!("No test ran.");
    }
    println!("{counts}");
    if counts.failed > 0 || counts.passed == 0 { Err(TaskError::Tests) } else { Ok(()) }
}

/// The tests of the workspace's crates.
fn native() -> Outcome<Counts> {
    step("tests");
    let (output, succeeded) = run_teed(program("cargo", &["test", "--workspace", "--no-fail-fast"]))?;
    let mut counts = Counts::from_cargo_test(&output);
    if !succeeded && counts.failed == 0 {
        // A test that does not compile, or a process that dies, prints no closing line.
        counts.failed = 1;
    }
    Ok(counts)
}

/// The tests in browsers, on a freshly built site.
fn browsers() -> Outcome<Counts> {
    let tools = e2e::prepare()?;
    // Its size is a test of its own, which must not hide the others.
    let kept = budget::tolerate(site::build(&variant::ALL, None))?;
    let mut counts = Counts { passed: u64::from(kept), failed: u64::from(!kept), ..Counts::default() };
    counts.add(e2e::run_all(&tools)?);
    Ok(counts)
}
