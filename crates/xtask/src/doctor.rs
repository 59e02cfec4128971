//! `cargo xtask doctor`: lists the programs that tasks need, the installed ones, and how to install missing ones.

use std::path::{Path, PathBuf};

use crate::error::TaskError;
use crate::run::{probe, root};
use crate::toolchain::{self, Toolchain};
use crate::{Outcome, e2e, install, narrow, typos};

/// A requirement of a task.
struct Need {
    name: &'static str,
    used_for: &'static str,
    /// Version or path found; `None` if missing.
    found: Option<String>,
    /// Commands that install it; any one suffices.
    commands: Vec<String>,
    /// Whether a task fails without it.
    required: bool,
}

/// Prints the table.
///
/// # Errors
/// [`TaskError::Missing`] if a required program is missing.
pub fn run() -> Outcome {
    let needs = needs();
    let mut missing = Vec::new();
    for need in &needs {
        let state = need.found.as_deref().unwrap_or("missing");
        println!("{:<24} {state}", need.name);
        if need.found.is_none() {
            println!("{:<24}   for: {}", "", need.used_for);
            for command in &need.commands {
                println!("{:<24}   get: {command}", "");
            }
            if need.required {
                missing.push(need);
            }
        }
    }
    if missing.is_empty() {
        println!("Nothing that the tasks need is missing.");
        return Ok(());
    }
    if install::possible() {
        println!("The tasks install what is missing by themselves here.");
    }
    Err(TaskError::Missing {
        what: missing.iter().map(|need| need.name).collect::<Vec<_>>().join(", "),
        commands: missing.iter().filter_map(|need| need.commands.first().cloned()).collect(),
    })
}

fn needs() -> Vec<Need> {
    vec![
        Need {
            name: "Rust",
            used_for: "everything",
            found: probe("rustc", &["--version"]),
            commands: vec!["see https://rustup.rs".to_owned()],
            required: true,
        },
        Need {
            name: "rustfmt, clippy",
            used_for: "test",
            found: probe("cargo", &["fmt", "--version"]).and(probe("cargo", &["clippy", "--version"])),
            commands: vec!["rustup component add rustfmt clippy".to_owned()],
            required: true,
        },
        Need {
            name: "Rust for wasm",
            used_for: "play, build, test",
            found: toolchain::present().map(|toolchain| match toolchain {
                Toolchain::Rustup => "rustup's target and sources".to_owned(),
                Toolchain::Distribution { linker } => {
                    let version = probe("/usr/bin/rustc", &["--version"]).unwrap_or_default();
                    format!("{version}, {}", linker.display())
                }
            }),
            commands: toolchain::commands(),
            required: true,
        },
        Need {
            name: "Node.js and npm",
            used_for: "the browser tests and the benchmark",
            found: probe("node", &["--version"])
                .and_then(|node| Some(format!("{node}, npm {}", probe("npm", &["--version"])?))),
            commands: vec![install::command(&["nodejs", "npm"])],
            required: true,
        },
        Need {
            name: "32-bit C library",
            used_for: "the tests with 32-bit addresses, which Linux on x86-64 runs",
            found: narrow::can_link().then(|| "gcc -m32".to_owned()),
            commands: vec![install::command(&[narrow::PACKAGE])],
            required: narrow::RUNS,
        },
        Need {
            name: "npm packages",
            used_for: "the browser tests, which fetch them by themselves",
            found: existing(root().join("e2e/node_modules")).map(|_| "e2e/node_modules".to_owned()),
            commands: vec!["npm --prefix e2e ci".to_owned()],
            required: false,
        },
        Need {
            name: "Chromium",
            used_for: "the browser tests",
            found: e2e::chromium().and_then(e2e::version),
            commands: vec![install::command(&["chromium"])],
            required: true,
        },
        Need {
            name: "Firefox",
            used_for: "the browser tests",
            found: e2e::firefox().and_then(e2e::version),
            commands: vec![install::command(&["firefox-esr"])],
            required: true,
        },
        Need {
            name: "nextest",
            used_for: "the native tests, which are faster with it and have times; cargo runs them otherwise",
            found: probe("cargo-nextest", &["nextest", "--version"])
                .and_then(|text| text.lines().next().map(str::to_owned)),
            commands: vec![
                "cargo install cargo-nextest --locked".to_owned(),
                "see https://nexte.st".to_owned(),
            ],
            required: false,
        },
        Need {
            name: "typos",
            used_for: "the check of spelling, which fetches it by itself where there is Python",
            found: typos::present().map(|path| path.display().to_string()),
            commands: vec![typos::COMMAND.to_owned()],
            required: false,
        },
        Need {
            name: "Vulkan driver",
            used_for: "native GPU races and tests; a software one will do",
            found: vulkan_driver(),
            commands: vec![install::command(&["mesa-vulkan-drivers", "libvulkan1"])],
            required: false,
        },
    ]
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

/// Drivers that the Vulkan loader would find; `None` without a loader.
fn vulkan_driver() -> Option<String> {
    if cfg!(not(target_os = "linux")) {
        return Some("the system's own graphics interface".to_owned());
    }
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let mut names: Vec<String> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(Path::new(folder)).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().trim_end_matches(".json").to_owned())
        .collect();
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}
