//! Finds the Rust toolchain that compiles the wasm modules.
//!
//! The standard library is built with the flags of each module: threads need atomics in it, and all modules are smaller
//! without its panic messages. This requires the library's source and `-Z build-std`, which `RUSTC_BOOTSTRAP` allows
//! with a stable compiler. Two installations can be complete: the rustup toolchain that runs this task, and the
//! distribution's packages. The first complete one is used. If there is none, rustup installs what is missing, else the
//! distribution's package manager.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::run::{find, probe, program};
use crate::{Outcome, install, step};

/// The compilation target.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's packages: a current compiler, packaged for its browsers, its sources, and a linker for wasm.
pub const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];

/// Features of the standard library: its smaller algorithms. No timed code of the kernels sorts or formats.
const BUILD_STD_FEATURES: &str = "build-std-features=optimize_for_size";

/// Oldest supported compiler: `rust-version` of the manifest.
const OLDEST_MINOR: u32 = 95;

/// Time limit of rustup, which downloads about 30 MB.
const RUSTUP_PATIENCE: Duration = Duration::from_mins(3);

/// A Rust that can compile to wasm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Toolchain {
    /// The toolchain that runs this task, with its own linker.
    Rustup,
    /// The distribution's toolchain.
    Distribution {
        /// The linker.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// A `cargo` command for the wasm target, with a standard library built with the flags of the module.
    pub fn cargo(&self, args: &[&str], rustflags: &[String]) -> Command {
        let mut command = self.cargo_for(TARGET, "std,panic_abort", args);
        command.args(["-Z", BUILD_STD_FEATURES, "-Z", "build-dir-new-layout"]);
        command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\u{1f}"));
        command
    }

    /// A `cargo` command for any target that also builds these crates of the standard library.
    pub fn cargo_for(&self, target: &str, library: &str, args: &[&str]) -> Command {
        let mut command = match self {
            Self::Rustup => program("cargo", args),
            Self::Distribution { linker } => {
                let mut command = program(Path::new("/usr/bin/cargo"), args);
                let path = std::env::var("PATH").unwrap_or_default();
                command
                    .env("PATH", format!("/usr/bin:{path}"))
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTDOC", "/usr/bin/rustdoc")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    // The running cargo sets this variable for the libraries of the other compiler.
                    .env_remove("LD_LIBRARY_PATH");
                command
            }
        };
        command.args(["--target", target, "-Z", &format!("build-std={library}")]).env("RUSTC_BOOTSTRAP", "1");
        command
    }
}

/// Finds a toolchain, and installs one if that needs no confirmation.
///
/// # Errors
/// [`TaskError::Missing`] with the commands that install one.
pub fn find_or_install() -> Outcome<Toolchain> {
    if let Some(toolchain) = present() {
        return Ok(toolchain);
    }
    if find("rustup").is_some() {
        step("the Rust target wasm32-unknown-unknown is missing: asking rustup for it");
        if run_rustup(&["target", "add", TARGET])
            && run_rustup(&["component", "add", "rust-src"])
            && let Some(toolchain) = present()
        {
            return Ok(toolchain);
        }
        println!("   rustup cannot supply it here; trying the distribution's packages");
    }
    if install::possible() {
        install::apt("a Rust toolchain for wasm", &PACKAGES)?;
        if let Some(toolchain) = present() {
            return Ok(toolchain);
        }
    }
    Err(TaskError::Missing { what: "a Rust toolchain for wasm".to_owned(), commands: commands() })
}

/// Commands that install a toolchain; either one suffices.
pub fn commands() -> Vec<String> {
    vec![
        format!("rustup target add {TARGET} && rustup component add rust-src"),
        format!("{}   (Debian 12)", install::command(&PACKAGES)),
    ]
}

/// The complete toolchain on this machine, or `None`. If both are complete, the environment variable
/// `CROSSOVER_TOOLCHAIN` (`rustup` or `distribution`) selects one.
pub fn present() -> Option<Toolchain> {
    match std::env::var("CROSSOVER_TOOLCHAIN").as_deref() {
        Ok("distribution") => distribution(),
        Ok("rustup") => rustup(),
        _ => rustup().or_else(distribution),
    }
}

fn rustup() -> Option<Toolchain> {
    rustup_complete().then_some(Toolchain::Rustup)
}

fn rustup_complete() -> bool {
    let Some(sysroot) = probe("rustc", &["--print", "sysroot"]) else { return false };
    let libraries = Path::new(&sysroot).join("lib/rustlib");
    libraries.join(TARGET).join("lib").is_dir() && libraries.join("src/rust/library/std").is_dir()
}

fn distribution() -> Option<Toolchain> {
    let version = probe("/usr/bin/rustc", &["--version"])?;
    let source = probe("/usr/bin/rustc", &["--print", "sysroot"])?;
    let complete = recent_enough(&version)
        && Path::new("/usr/bin/cargo").is_file()
        && Path::new(&source).join("lib/rustlib/src/rust/library/std").is_dir();
    let linker = complete.then(wasm_linker)??;
    Some(Toolchain::Distribution { linker })
}

/// The newest `wasm-ld` in `/usr/bin`.
fn wasm_linker() -> Option<PathBuf> {
    let numbered = (20..=30).rev().map(|version| format!("/usr/bin/wasm-ld-{version}"));
    numbered.map(PathBuf::from).find(|path| path.is_file())
}

/// Whether `rustc 1.96.0 (…)` is new enough.
fn recent_enough(version: &str) -> bool {
    let mut numbers = version.split_whitespace().nth(1).unwrap_or_default().split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => major > 1 || minor >= OLDEST_MINOR,
        _ => false,
    }
}

/// Runs rustup with a time limit; returns whether it succeeded.
fn run_rustup(args: &[&str]) -> bool {
    let mut command = program("rustup", args);
    let Ok(mut child) = command.stdout(Stdio::inherit()).spawn() else { return false };
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if started.elapsed() < RUSTUP_PATIENCE => std::thread::sleep(Duration::from_millis(100)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(recent_enough("rustc 1.96.0 (30a34c682 2026-05-25) (built from a source tarball)"));
        assert!(recent_enough("rustc 1.100.1"));
        assert!(!recent_enough("rustc 1.63.0 (4b91a6ea7 2022-08-08)"));
        assert!(!recent_enough("command not found"));
    }

    #[test]
    fn the_manifest_and_this_file_agree_on_the_oldest_compiler() {
        let manifest = std::fs::read_to_string(crate::run::root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("rust-version = \"1.{OLDEST_MINOR}\"")));
    }

    #[test]
    fn flags_and_bootstrap_reach_the_compiler() {
        let flags = vec!["-Ctarget-feature=+simd128".to_owned(), "-Clink-arg=--shared-memory".to_owned()];
        let command =
            Toolchain::Distribution { linker: "/usr/bin/wasm-ld-22".into() }.cargo(&["build"], &flags);
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(
            arguments,
            [
                "build",
                "--target",
                TARGET,
                "-Z",
                "build-std=std,panic_abort",
                "-Z",
                BUILD_STD_FEATURES,
                "-Z",
                "build-dir-new-layout"
            ]
        );
        let value = |command: &Command, name: &str| {
            command
                .get_envs()
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value.map(|v| v.to_string_lossy().into_owned()))
        };
        assert_eq!(value(&command, "RUSTC_BOOTSTRAP").as_deref(), Some("1"));
        assert_eq!(
            value(&command, "CARGO_ENCODED_RUSTFLAGS").as_deref(),
            Some("-Ctarget-feature=+simd128\u{1f}-Clink-arg=--shared-memory")
        );
        // Both toolchains build the library, so that shipped modules contain no panic messages.
        let command = Toolchain::Rustup.cargo(&["build"], &flags);
        assert!(command.get_args().any(|word| word == "build-std=std,panic_abort"));
        assert_eq!(value(&command, "RUSTC_BOOTSTRAP").as_deref(), Some("1"));
    }
}
