//! The project's tasks: `cargo xtask <command>`.
//!
//! `build` compiles the wasm modules and writes the static site to `dist/`; `play` builds a developer's site and serves
//! it; `test` runs all tests; `doctor` lists missing programs. Tasks look for the programs that they need and install
//! missing ones where that needs no confirmation; otherwise they print the command that installs them.

mod bench;
mod budget;
mod cache;
mod compress;
mod counts;
mod doctor;
mod e2e;
mod error;
mod headers;
mod install;
mod narrow;
mod native_bench;
mod oembed;
mod offline;
mod package;
mod play;
mod run;
mod sections;
mod serve;
mod site;
mod slow;
mod steps;
mod test;
mod tidy;
mod toolchain;
mod typos;
mod variant;
mod wasm;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::TaskError;
use crate::site::Recipe;
use crate::steps::step;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds a site for trying changes as soon as possible, and serves it on this machine
    Play(PlayArguments),
    /// Writes the static site to dist/
    Build {
        /// Builds only these variants of the worker module (comma-separated)
        #[arg(long, value_delimiter = ',')]
        variants: Vec<variant::Variant>,
        /// Address of the published site, for files that other sites read (oembed.json)
        #[arg(long)]
        site: Option<String>,
        /// Does not split the wasm modules; for use if the splitting tool fails
        #[arg(long)]
        no_split: bool,
    },
    /// Serves the existing dist/
    Serve(ServeArguments),
    /// Runs all tests; the last line has their counts
    Test {
        /// Skips tests that need a browser
        #[arg(long)]
        quick: bool,
    },
    /// Compares the playground with its peers and writes docs/benchmarks.md
    Bench(bench::Options),
    /// Checks rules that no compiler checks
    Tidy,
    /// Lists the programs that tasks need, and how to install missing ones
    Doctor,
}

#[derive(clap::Args)]
struct PlayArguments {
    #[command(flatten)]
    serve: ServeArguments,
    /// Variants of the worker module (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = variant::LARGEST.name())]
    variants: Vec<variant::Variant>,
    /// Does not split the wasm modules; for use if the splitting tool fails
    #[arg(long)]
    no_split: bool,
}

#[derive(clap::Args)]
struct ServeArguments {
    /// Port on the loopback address; 0 selects a free one
    #[arg(long, default_value_t = 4173)]
    port: u16,
    /// Omits the headers that isolate the page, as many static hosts do: no threads, a coarser clock
    #[arg(long)]
    no_threads_headers: bool,
}

impl ServeArguments {
    fn options(&self) -> serve::Options {
        serve::Options { port: self.port, isolated: !self.no_threads_headers }
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Play(arguments) => {
            play::play(&arguments.variants, !arguments.no_split, &arguments.serve.options())
        }
        Task::Build { variants, site, no_split } => {
            let variants = if variants.is_empty() { variant::ALL.to_vec() } else { variants };
            let recipe = Recipe { split: !no_split, ..Recipe::shipped(&variants, site.as_deref()) };
            site::build(&recipe)
        }
        Task::Serve(arguments) => serve::serve(&arguments.options()),
        Task::Test { quick } => test::run_all(quick),
        Task::Bench(options) if !options.kernels.is_empty() => bench::kernels(&options.kernels),
        Task::Bench(options) if options.native => native_bench::bench(options.output.as_deref()),
        Task::Bench(options) if options.no_build => bench::bench(&options),
        Task::Bench(options) => budget::tolerate(site::build(&Recipe::shipped(&variant::ALL, None)))
            .and_then(|_| bench::bench(&options)),
        Task::Tidy => tidy::run(),
        Task::Doctor => doctor::run(),
    };
    steps::end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(TaskError::Tests) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Result type of the tasks.
type Outcome<T = ()> = Result<T, TaskError>;
