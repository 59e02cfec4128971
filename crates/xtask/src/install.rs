//! Installs packages of the distribution, if this process may: on Debian and its derivatives, as root.

use std::process::Command;

use crate::error::TaskError;
use crate::run::{find, probe, run};
use crate::{Outcome, step};

/// Whether [`apt`] can install here.
pub fn possible() -> bool {
    find("apt-get").is_some() && probe("id", &["-u"]).as_deref() == Some("0")
}

/// The command for a person to type.
pub fn command(packages: &[&str]) -> String {
    format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

/// Installs packages and prints that it does.
///
/// # Errors
/// [`TaskError::Missing`] with the command if this process may not install, else the error of `apt-get`.
pub fn apt(what: &str, packages: &[&str]) -> Outcome {
    if !possible() {
        return Err(TaskError::Missing { what: what.to_owned(), commands: vec![command(packages)] });
    }
    step(&format!("{what} is missing: installing the packages {}", packages.join(" ")));
    // Package lists may be outdated or missing. If this update fails, the installation below reports it.
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
