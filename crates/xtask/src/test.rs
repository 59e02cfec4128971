//! `cargo xtask test`: cheap checks first, then every test. Its last line counts what ran.
//!
//! Native tests leave cores idle now and then: many wait for a software GPU, and compilation ends with single crates. Hence the
//! modules of the site and the tests with 32-bit addresses, whose target folders are their own, are compiled beside them.
//! Browser tests run alone.

use std::thread;

use crate::counts::Counts;
use crate::error::TaskError;
use crate::run::{find, program, run, run_teed};
use crate::site::{self, Modules, Recipe};
use crate::slow::Slow;
use crate::toolchain::{self, TARGET, Toolchain};
use crate::{Outcome, budget, e2e, narrow, slow, step, steps, tidy, typos};

/// Runs everything, or only what needs no browser.
///
/// # Errors
/// The first check that failed, or how many tests did. Failed tests of one kind do not keep the others from running.
pub fn run_all(quick: bool) -> Outcome {
    step("formatting");
    run(program("cargo", &["fmt", "--all", "--check"]))?;
    let mut counts = spelling()?;
    lints()?;
    step("documentation");
    let mut documentation = program("cargo", &["doc", "--workspace", "--no-deps", "--quiet"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    run(documentation)?;
    // The rules count as one test: a missing page of text must not hide what the tests say.
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
    // What only a browser runs is compiled for its target alone. The distribution's toolchain has no linter.
    if toolchain::present() == Some(Toolchain::Rustup) {
        let modules =
            ["clippy", "--package", "www", "--package", "worker", "--target", TARGET, "--", "-D", "warnings"];
        run(program("cargo", &modules))?;
    }
    Ok(())
}

/// Checks the spelling of every tracked text and file name. Without the tool, which [`typos::find_or_install`] gets in seconds,
/// that counts as a skipped test.
fn spelling() -> Outcome<Counts> {
    step("spelling");
    let Some(typos) = typos::find_or_install() else {
        println!("   skipped: `typos` is missing; `{}` gets it", typos::COMMAND);
        return Ok(Counts { skipped: 1, ..Counts::default() });
    };
    run(program(typos, &[]))?;
    Ok(Counts { passed: 1, ..Counts::default() })
}

/// The native tests, and beside them all that needs neither their target folder nor a quiet machine; then the browsers'.
fn beside_native(counts: &mut Counts, slow: &mut Vec<Slow>) -> Outcome {
    let recipe = Recipe::tested();
    // Whatever has to be installed is, before anything runs beside anything.
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

/// The tests of the workspace's crates: with nextest where it is installed, which runs tests of all crates beside each other and
/// tells how long each took.
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
    // Its size is a test of its own, which must not hide the others.
    let kept = budget::tolerate(site::finish(recipe, modules))?;
    let mut counts = Counts { passed: u64::from(kept), failed: u64::from(!kept), ..Counts::default() };
    counts.add(e2e::run_all(tools, slow)?);
    Ok(counts)
}
