//! Tests in real browsers: Chromium through Playwright, Firefox through WebDriver BiDi.

use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::counts::Counts;
use crate::error::TaskError;
use crate::run::{find, probe, program, root, run, run_teed};
use crate::slow::{self, Slow};
use crate::{Outcome, cache, install, step};

/// Program names of Chromium.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Program names of Firefox.
const FIREFOX: [&str; 2] = ["firefox-esr", "firefox"];

/// Paths of the browsers and of Node.js.
pub struct Tools {
    chromium: PathBuf,
    firefox: PathBuf,
}

/// Chromium on the PATH.
pub fn chromium() -> Option<PathBuf> {
    CHROMIUM.iter().find_map(|name| find(name))
}

/// Firefox on the PATH.
pub fn firefox() -> Option<PathBuf> {
    FIREFOX.iter().find_map(|name| find(name))
}

/// Finds the browsers, Node.js and the npm packages, and installs missing ones where possible.
///
/// # Errors
/// [`TaskError::Missing`] with the commands that install a missing program, or the error of `npm`.
pub fn prepare() -> Outcome<Tools> {
    let chromium = prepare_chromium()?;
    Ok(Tools { chromium, firefox: browser("Firefox", "firefox-esr", firefox)? })
}

/// [`prepare`] for tests that only need Chromium.
///
/// # Errors
/// Those of [`prepare`].
pub fn prepare_chromium() -> Outcome<PathBuf> {
    if find("node").is_none() || find("npm").is_none() {
        install::apt("Node.js", &["nodejs", "npm"])?;
    }
    packages("e2e")?;
    browser("Chromium", "chromium", chromium)
}

fn browser(name: &str, package: &str, find: impl Fn() -> Option<PathBuf>) -> Outcome<PathBuf> {
    if find().is_none() {
        install::apt(name, &[package])?;
    }
    find().ok_or_else(|| TaskError::Missing {
        what: name.to_owned(),
        commands: vec![install::command(&[package])],
    })
}

/// Installs the npm packages in the versions of the lock file, unless they are installed already.
pub fn packages(folder: &str) -> Outcome {
    let folder = root().join(folder);
    let lock = folder.join("package-lock.json");
    let wanted = fs::read(&lock).map_err(TaskError::file("read", &lock))?;
    let stamp = folder.join("node_modules/.installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step(&format!("npm packages of {}", folder.display()));
    // No browsers: the installed ones are used.
    let mut command = program("npm", &["ci", "--no-audit", "--no-fund"]);
    command.current_dir(&folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    run(command)?;
    cache::write(&stamp, &wanted)
}

/// Workers for tests without timings: one per core up to a limit, since each worker has a browser.
fn page_workers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(4)
}

/// Runs Playwright's projects and the tests in Firefox against `dist/`. Tests with timings run last and one at a time,
/// since page tests running beside them would disturb them.
///
/// # Errors
/// If a runner cannot be started. Failed tests are counted.
pub fn run_all(tools: &Tools, slow: &mut Vec<Slow>) -> Outcome<Counts> {
    step("tests in Chromium that time nothing");
    let mut counts = playwright(tools, &["page"], page_workers(), slow)?;
    step("tests in Chromium that time something");
    counts.add(playwright(tools, &["timing", "no-webgpu"], 1, slow)?);

    step("tests in Firefox, of the engine's client, and of the benchmark's statistics");
    let mut command = node(&["--test", "--test-reporter=tap", "firefox/race.test.js", "unit/", "bench/"])?;
    command.env("FIREFOX", &tools.firefox);
    let (output, succeeded) = run_teed(command)?;
    counts.add(Counts::from_tap(&output).or_failed(succeeded));
    Ok(counts)
}

/// Runs projects of `e2e/playwright.config.js`.
fn playwright(tools: &Tools, projects: &[&str], workers: usize, slow: &mut Vec<Slow>) -> Outcome<Counts> {
    let name = projects.join("-");
    let results = root().join(format!("e2e/test-results/{name}.json"));
    // A report of an earlier run must not be read as that of this run.
    let _ = fs::remove_file(&results);
    let mut command = node(&["node_modules/@playwright/test/cli.js", "test"])?;
    command
        .args(projects.iter().map(|project| format!("--project={project}")))
        .arg(format!("--workers={workers}"))
        .env("CHROMIUM", &tools.chromium)
        .env("CROSSOVER_RUN", &name);
    let (_, succeeded) = run_teed(command)?;
    let text = fs::read_to_string(&results).map_err(TaskError::file("read", &results))?;
    let report = serde_json::from_str(&text).unwrap_or(Value::Null);
    slow.extend(slow::of_playwright(&report));
    playwright_counts(&report).map(|counts| counts.or_failed(succeeded)).ok_or_else(|| TaskError::Output {
        program: "playwright".to_owned(),
        message: format!("no counts in {}", results.display()),
    })
}

/// Node.js in `e2e/`.
///
/// # Errors
/// If the path of this program is unknown.
pub fn node(args: &[&str]) -> Outcome<Command> {
    let mut command = program("node", args);
    let this = std::env::current_exe().map_err(TaskError::file("find", &PathBuf::from("xtask")))?;
    command.current_dir(root().join("e2e")).env("CROSSOVER_XTASK", this);
    Ok(command)
}

/// Counts in Playwright's JSON report. A run that could not start reports errors and no test.
fn playwright_counts(report: &Value) -> Option<Counts> {
    let stats = report.get("stats")?;
    let count = |name: &str| stats.get(name).and_then(Value::as_u64);
    let errors = report.get("errors").and_then(Value::as_array).map_or(0, Vec::len) as u64;
    Some(Counts {
        passed: count("expected")?,
        failed: count("unexpected")? + errors,
        skipped: count("skipped")?,
        flaky: count("flaky")?,
    })
}

/// Version of a program, for `doctor`.
pub fn version(path: PathBuf) -> Option<String> {
    probe(path, &["--version"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runner_errors_count_as_failures_and_flaky_tests_separately() {
        let report = serde_json::json!({
            "errors": [{ "message": "x" }],
            "stats": { "expected": 5, "skipped": 1, "unexpected": 2, "flaky": 1 },
        });
        assert_eq!(playwright_counts(&report), Some(Counts { passed: 5, failed: 3, skipped: 1, flaky: 1 }));
        assert_eq!(playwright_counts(&serde_json::json!({})), None);
        assert_eq!(playwright_counts(&Value::Null), None);
    }
}
