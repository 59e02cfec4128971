//! Installing the distribution's packages, where this process may: on Debian and its relatives, as root.

use std::process::Command;

use crate::error::TaskError;
use crate::run::{find, probe, run};
use crate::{Outcome, step};

/// Whether [`apt`] can install here.
pub fn possible() -> bool {
    find("apt-get").is_some() && probe("id", &["-u"]).as_deref() == Some("0")
}

/// The command that a person would type.
pub fn command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs packages and says so.
///
/// # Errors
/// [`TaskError::Missing`] with the command where this process may not, else the error of `apt-get`.
pub fn apt(what: &str, packages: &[&str]) -> Outcome {
    if !possible() {
        return Err(TaskError::Missing { what: what.to_owned(), commands: vec![command(packages)] });
    }
    step(&format!("{what} is missing: installing the packages {}", packages.join(" ")));
    // Lists may be stale or absent; a failure shows itself in the install below.
    let _ = run(quiet(&["update", "--quiet=2"]));
    let mut args = vec!["install", "--yes", "--quiet=2", "--no-install-recommends"];
    args.extend(packages);
    run(quiet(&args))
}

fn quiet(args: &[&str]) -> Command {
    let mut command = crate::run::program("apt-get", args);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
