//! Errors of tasks. Messages state the next action where it is known.

use std::path::{Path, PathBuf};

/// The errors of the tasks.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A program could not be started.
    #[error(
        "cannot start `{program}`: {source}; is it installed and on the PATH? `cargo xtask doctor` says how to get it"
    )]
    Start {
        /// The program.
        program: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// Exit status.
        status: std::process::ExitStatus,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// The operation: `read`, `write`, ….
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A missing program or file that can't be installed automatically.
    #[error("{what} is missing.\nGet it with:\n{}", commands.iter().map(|c| format!("  {c}")).collect::<Vec<_>>().join("\n"))]
    Missing {
        /// Name of the missing program or file.
        what: String,
        /// Commands that install it; any one suffices.
        commands: Vec<String>,
    },
    /// wasm-bindgen refused a module.
    #[error("wasm-bindgen cannot process the {module} module: {message}")]
    Bindgen {
        /// The module.
        module: String,
        /// Message of wasm-bindgen.
        message: String,
    },
    /// The page module could not be split.
    #[error("cannot split the page module: {0}")]
    Split(String),
    /// A page refers to an asset that isn't there.
    #[error("{} refers to the asset `{name}`, which is not part of the site", page.display())]
    Asset {
        /// The page.
        page: PathBuf,
        /// The name.
        name: String,
    },
    /// The README of a system lacks a part.
    #[error("{name}: {message}")]
    Readme {
        /// The file.
        name: String,
        /// Description of the problem.
        message: String,
    },
    /// A module exceeds its budget.
    #[error("over the size budget: {0}")]
    Budget(String),
    /// The server could not start.
    #[error(
        "cannot serve on 127.0.0.1:{port}: {source}; another program may use the port, `--port 0` takes a free one"
    )]
    Serve {
        /// The port.
        port: u16,
        /// The system's error.
        source: std::io::Error,
    },
    /// `dist/` isn't there.
    #[error("there is no site in dist/; `cargo xtask build` writes it")]
    NoSite,
    /// The output of a program could not be parsed.
    #[error("cannot make sense of what `{program}` printed: {message}")]
    Output {
        /// The program.
        program: String,
        /// Description of the problem.
        message: String,
    },
    /// Rules of the repository are broken.
    #[error("{0} breaches of the repository's rules; they are listed above")]
    Tidy(usize),
    /// Tests failed, or none ran. The count in the last line gives the numbers.
    #[error("tests failed, or none ran")]
    Tests,
}

impl TaskError {
    /// Makes a [`TaskError::File`], for `map_err`.
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }
}
