//! The spelling checker `typos`. PyPI has it as a program for every common system.

use std::path::PathBuf;

use crate::run::{find, probe, program, root, run};

/// Pinned version, since other versions have other word lists.
const VERSION: &str = "typos==1.52.0";

/// The command that installs the checker.
pub const COMMAND: &str = "pip install typos==1.52.0";

/// Folder of tools installed only for this repository.
fn folder() -> PathBuf {
    root().join("target/tools")
}

/// The checker of [`VERSION`] on the PATH or under `target/tools`, if there is one.
pub fn present() -> Option<PathBuf> {
    let own = folder().join("bin/typos");
    let of_path = find("typos").filter(|path| {
        let version = probe(path, &["--version"]);
        version
            .is_some_and(|version| VERSION.ends_with(version.trim().trim_start_matches("typos-cli ").trim()))
    });
    of_path.or_else(|| own.is_file().then_some(own))
}

/// [`present`], or else a checker newly installed under `target/tools`; `None` if the installation fails.
pub fn find_or_install() -> Option<PathBuf> {
    present().or_else(|| {
        probe("python3", &["--version"])?;
        println!("   it is missing: installing it under target/tools");
        run(program("python3", &["-m", "venv", &folder().to_string_lossy()])).ok()?;
        let pip = folder().join("bin/pip");
        run(program(pip, &["install", "--quiet", "--disable-pip-version-check", VERSION])).ok()?;
        present()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_version_that_is_installed() {
        assert!(COMMAND.ends_with(VERSION));
    }
}
