//! `cargo xtask tidy`: rules that no compiler checks. Dependencies between crates are acyclic and listed; the worker
//! module contains no GPU code of native programs; no tracked file contains a path of a private machine. Rules about
//! systems are tests over the registry: `kernels/tests/folders.rs` and `words/tests.rs`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::TaskError;
use crate::run::{program, read, root};
use crate::toolchain::TARGET;
use crate::{Outcome, step};

/// Allowed dependencies of each crate on other crates of this workspace.
const EDGES: [(&str, &[&str]); 13] = [
    ("mixer", &[]),
    ("algebra", &[]),
    ("race", &["mixer"]),
    ("report", &["mixer", "race"]),
    ("kernels", &["mixer", "algebra"]),
    ("compute", &["mixer", "kernels"]),
    ("protocol", &["mixer", "report"]),
    ("worker", &["protocol", "compute", "race", "report", "mixer", "kernels"]),
    ("chart", &["mixer", "report"]),
    ("cli", &["compute", "race", "report", "chart", "mixer", "kernels"]),
    ("www", &["mixer", "report", "chart", "protocol"]),
    ("microbench", &["mixer", "kernels", "compute"]),
    ("xtask", &["report"]),
];

/// Crates without browser and GPU dependencies.
const PURE: [&str; 6] = ["mixer", "algebra", "race", "report", "chart", "kernels"];

/// Crates for the browser and the GPU.
const IMPURE: [&str; 6] = ["wasm-bindgen", "js-sys", "web-sys", "wgpu", "leptos", "wasm-bindgen-futures"];

/// Native GPU code, which must not be in the worker module: browsers have their own.
const NATIVE_GPU: [&str; 3] = ["wgpu-core", "wgpu-hal", "naga"];

/// Checks all rules and prints violations.
///
/// # Errors
/// [`TaskError::Tidy`] with the number of violations, or the error that prevented a check.
pub fn run() -> Outcome {
    step("tidy");
    let mut breaches = edges()?;
    breaches.extend(browser_module()?);
    breaches.extend(tracked_files()?);
    for breach in &breaches {
        println!("   {breach}");
    }
    if breaches.is_empty() { Ok(()) } else { Err(TaskError::Tidy(breaches.len())) }
}

fn edges() -> Outcome<Vec<String>> {
    let text = read(program("cargo", &["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata = serde_json::from_str(&text).map_err(|error| TaskError::Output {
        program: "cargo metadata".to_owned(),
        message: error.to_string(),
    })?;
    Ok(forbidden_edges(&metadata))
}

/// Violations of [`EDGES`] and [`PURE`] in the output of `cargo metadata`. Test dependencies are not restricted.
fn forbidden_edges(metadata: &Value) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in array(metadata, "packages") {
        let name = text(package, "name");
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            breaches.push(format!("{name}: a crate that the table of dependencies does not know"));
            continue;
        };
        for dependency in
            array(package, "dependencies").iter().filter(|dependency| dependency["kind"] != "dev")
        {
            let other = text(dependency, "name");
            let ours = !dependency["path"].is_null();
            if ours && !allowed.contains(&other) {
                breaches.push(format!("{name} may not depend on {other}"));
            }
            if PURE.contains(&name) && IMPURE.contains(&other) {
                breaches.push(format!("{name} may not depend on {other}: it knows no browser and no GPU"));
            }
        }
    }
    breaches
}

/// Violations in the crates of the worker module.
fn browser_module() -> Outcome<Vec<String>> {
    let tree = read(program(
        "cargo",
        &[
            "tree",
            "--package",
            "worker",
            "--target",
            TARGET,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ],
    ))?;
    Ok(native_gpu_code(&tree))
}

fn native_gpu_code(tree: &str) -> Vec<String> {
    let crates = tree.lines().filter_map(|line| line.split_whitespace().next());
    let mut found: Vec<&str> = crates.filter(|name| NATIVE_GPU.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    found
        .iter()
        .map(|name| format!("the worker module contains {name}, which only native programs need"))
        .collect()
}

/// Paths of all tracked text files.
fn tracked_files() -> Outcome<Vec<String>> {
    let mut breaches = Vec::new();
    for name in read(program("git", &["ls-files", "-z"]))?.split('\0').filter(|name| !name.is_empty()) {
        // Skip binary files, and removed files whose removal is not committed.
        if let Ok(text) = fs::read_to_string(root().join(name)) {
            breaches.extend(blemishes(name, &text));
        }
    }
    Ok(breaches)
}

fn blemishes(name: &str, text: &str) -> Vec<String> {
    // Split into pieces, so that this file passes its own check.
    let homes = [["/ho", "me/"], ["/Us", "ers/"], ["/ro", "ot/"], ["/tm", "p/"], ["C:", "\\Users"]]
        .map(|parts| parts.concat());
    let mut breaches = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", index + 1);
        if let Some(home) = homes.iter().find(|home| line.contains(home.as_str())) {
            breaches.push(format!("{place}: names a place on a machine ({home})"));
        }
        if name.ends_with("package-lock.json") && line.contains("\"resolved\"") {
            breaches.push(format!("{place}: names a registry; set npm's omit-lockfile-registry-resolved"));
        }
        let prose_or_code = ["rs", "js", "wgsl", "css", "toml"].iter().any(|ending| has_ending(name, ending));
        if prose_or_code && line.trim_end() != line {
            breaches.push(format!("{place}: ends in blanks"));
        }
    }
    breaches
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind, ours)| json!({ "name": name, "kind": kind, "path": ours.then_some("somewhere") }))
            .collect();
        json!({ "packages": [{ "name": name, "dependencies": dependencies }] })
    }

    #[test]
    fn forbidden_dependencies_are_found() {
        assert!(
            forbidden_edges(&package("compute", &[("kernels", None, true), ("rayon", None, false)]))
                .is_empty()
        );
        assert_eq!(forbidden_edges(&package("mixer", &[("race", None, true)])).len(), 1);
        assert_eq!(forbidden_edges(&package("www", &[("kernels", None, true)])).len(), 1);
        assert_eq!(forbidden_edges(&package("kernels", &[("wgpu", None, false)])).len(), 1);
        assert!(forbidden_edges(&package("kernels", &[("wgpu", Some("dev"), false)])).is_empty());
        assert_eq!(forbidden_edges(&package("newcomer", &[])).len(), 1);
    }

    #[test]
    fn the_workspace_follows_its_table() {
        assert_eq!(edges().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn native_gpu_code_is_distinguished_from_its_types() {
        assert!(native_gpu_code("wgpu v30.0.1\nwgpu-types v30.0.0\nnaga-types v30.0.0 (*)\n").is_empty());
        assert_eq!(
            native_gpu_code("wgpu v30.0.1\nnaga v30.0.0\nwgpu-core v30.0.0\nnaga v30.0.0 (*)").len(),
            2
        );
    }

    #[test]
    fn private_paths_and_trailing_blanks_are_found() {
        let home = ["/ho", "me/someone/x"].concat();
        assert_eq!(blemishes("README.md", &home).len(), 1);
        assert_eq!(blemishes("a.rs", "let a = 1; \n").len(), 1);
        assert!(blemishes("a.md", "two blanks end a line  \n").is_empty());
        assert_eq!(blemishes("e2e/package-lock.json", "\"resolved\": \"…\"").len(), 1);
        assert!(blemishes("a.rs", "\"/usr/bin/chromium\"").is_empty());
    }
}
