//! The spelling checker `typos`, which PyPI has as a program for every common system.

use std::path::PathBuf;

use crate::run::{find, probe, program, root, run};

/// Its version: another one may know other words.
const VERSION: &str = "typos==1.52.0";

/// The command that gets it.
pub const COMMAND: &str = "pip install typos==1.52.0";

/// Folder of the tools that were installed for this repository alone.
fn folder() -> PathBuf {
    root().join("target/tools")
}

/// The checker on the PATH or under `target/tools`.
pub fn present() -> Option<PathBuf> {
    let own = folder().join("bin/typos");
    find("typos").or_else(|| own.is_file().then_some(own))
}

/// [`present`], or else one that is installed under `target/tools`; `None` where it cannot be had.
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
