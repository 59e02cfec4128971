//! `cargo xtask test`: cheap checks first, then every test. Its last line counts the tests.
//!
//! Native tests leave cores idle: many wait for a software GPU, and compilation ends with single crates. The site's
//! modules and the tests with 32-bit addresses, which have their own target folders, are therefore compiled in
//! parallel. Browser tests run alone.

use std::thread;

use crate::counts::Counts;
use crate::error::TaskError;
use crate::run::{find, program, run, run_teed};
use crate::site::{self, Modules, Recipe};
use crate::slow::Slow;
use crate::toolchain::{self, TARGET, Toolchain};
use crate::{Outcome, budget, e2e, narrow, slow, step, steps, tidy, typos};

/// Runs all tests, or only those that need no browser.
///
/// # Errors
/// The first failed check, or the number of failed tests. Failed tests of one kind do not stop tests of another kind.
pub fn run_all(quick: bool) -> Outcome {
    step("formatting");
    run(program("cargo", &["fmt", "--all", "--check"]))?;
    let mut counts = spelling()?;
    lints()?;
    step("documentation");
    let mut documentation = program("cargo", &["doc", "--workspace", "--no-deps", "--quiet"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    run(documentation)?;
    // The rules count as one test, so that a broken rule, such as a missing README, does not hide test results.
    match tidy::run() {
        Ok(()) => counts.passed += 1,
        Err(error) => {
            counts.failed += 1;
            eprintln!("xtask: {error}");
        }
    }
    let mut slow = Vec::new();
    if quick {
        counts.add(native(&mut slow)?);
    } else {
        beside_native(&mut counts, &mut slow)?;
    }
    print!("{}", slow::summary(slow));
    println!("── time of each step");
    print!("{}", steps::summary());
    if counts.failed > 0 {
        println!("Tests failed; they are listed above.");
    } else if counts.passed == 0 {
        println!("No test ran.");
    }
    println!("{counts}");
    if counts.failed > 0 || counts.passed == 0 { Err(TaskError::Tests) } else { Ok(()) }
}

fn lints() -> Outcome {
    step("lints");
    run(program("cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // Code that runs only in browsers is compiled only for wasm. The distribution's toolchain has no clippy.
    if toolchain::present() == Some(Toolchain::Rustup) {
        let modules =
            ["clippy", "--package", "www", "--package", "worker", "--target", TARGET, "--", "-D", "warnings"];
        run(program("cargo", &modules))?;
    }
    Ok(())
}

/// Checks the spelling of all tracked texts and file names. Without the tool, which [`typos::find_or_install`] installs
/// within seconds, the check counts as a skipped test.
fn spelling() -> Outcome<Counts> {
    step("spelling");
    let Some(typos) = typos::find_or_install() else {
        println!("   skipped: `typos` is missing; `{}` gets it", typos::COMMAND);
        return Ok(Counts { skipped: 1, ..Counts::default() });
    };
    run(program(typos, &[]))?;
    Ok(Counts { passed: 1, ..Counts::default() })
}

/// Runs the native tests, in parallel with all work that has its own target folder and tolerates load; then browser
/// tests.
fn beside_native(counts: &mut Counts, slow: &mut Vec<Slow>) -> Outcome {
    let recipe = Recipe::tested();
    // Install missing programs before anything runs in parallel.
    let tools = e2e::prepare();
    let (tested, beside) = thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let modules = site::compile(&recipe);
            let narrow = [
                ("the comparison of costs", narrow::costs()),
                ("the tests with 32-bit addresses", narrow::tests()),
            ];
            steps::end();
            (modules, narrow)
        });
        (native(slow), beside.join())
    });
    counts.add(tested?);
    let Ok((modules, narrow)) = beside else {
        counts.failed += 1;
        return Ok(());
    };
    let mut add = |what: &str, outcome: Outcome<Counts>| match outcome {
        Ok(more) => counts.add(more),
        Err(error) => {
            counts.failed += 1;
            eprintln!("xtask: {what} did not run: {error}");
        }
    };
    for (what, outcome) in narrow {
        add(what, outcome);
    }
    let browsers = tools.and_then(|tools| browsers(&tools, &recipe, &modules?, slow));
    add("the browser tests", browsers);
    Ok(())
}

/// Tests of the workspace's crates: with nextest, if it is installed, which runs tests of all crates in parallel and
/// reports the time of each test.
fn native(slow: &mut Vec<Slow>) -> Outcome<Counts> {
    step("native tests");
    if find("cargo-nextest").is_none() {
        let (output, succeeded) = run_teed(program("cargo", &["test", "--workspace", "--no-fail-fast"]))?;
        return Ok(Counts::from_cargo_test(&output).or_failed(succeeded));
    }
    let arguments = ["nextest", "run", "--workspace", "--no-fail-fast", "--cargo-quiet"];
    let (output, succeeded) = run_teed(program("cargo", &arguments))?;
    slow.extend(slow::of_nextest(&output));
    let mut counts = Counts::from_nextest(&output).or_failed(succeeded);
    step("examples in the documentation");
    let (output, succeeded) =
        run_teed(program("cargo", &["test", "--workspace", "--doc", "--no-fail-fast"]))?;
    counts.add(Counts::from_cargo_test(&output).or_failed(succeeded));
    Ok(counts)
}

/// The tests in browsers, on a freshly built site.
fn browsers(
    tools: &e2e::Tools,
    recipe: &Recipe<'_>,
    modules: &Modules,
    slow: &mut Vec<Slow>,
) -> Outcome<Counts> {
    // The size check counts as a test of its own and must not hide test results.
    let kept = budget::tolerate(site::finish(recipe, modules))?;
    let mut counts = Counts { passed: u64::from(kept), failed: u64::from(!kept), ..Counts::default() };
    counts.add(e2e::run_all(tools, slow)?);
    Ok(counts)
}
