//! Benchmarks: the project's kernels and their alternatives in one Chromium. The script is `e2e/bench/run.js`.

use crate::run::run;
use crate::variant::Variant;
use crate::{Outcome, e2e, native_bench, step, toolchain, wasm};

/// Options of the benchmarks. By default: all parts, at the lengths of the goals, written to `docs/benchmarks.md`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Measures the existing dist/
    #[arg(long)]
    pub no_build: bool,
    /// Lengths of the comparison with peers, e.g. 256,1024
    #[arg(long)]
    lengths: Option<String>,
    /// cpu, webgpu or both
    #[arg(long)]
    backends: Option<String>,
    /// kernels, shares, memory, exponents, peers, or several of them
    #[arg(long)]
    parts: Option<String>,
    /// Rounds; every contender runs once per round
    #[arg(long)]
    rounds: Option<u32>,
    /// Time limit of one forward pass in seconds; slower contenders are skipped
    #[arg(long)]
    pass_limit: Option<f64>,
    /// Time limit in seconds of each race of the memory and growth parts
    #[arg(long)]
    budget: Option<f64>,
    /// Only measures these workloads of single kernels on one thread: gemm:512, conv:4096, attention:1024:causal:layer,
    /// any system's name
    #[arg(long, value_delimiter = ',')]
    pub kernels: Vec<String>,
    /// Only measures native programs: every system on the CPU, attention and Hyena on the GPU, single kernels. Replaces
    /// only their section of the file
    #[arg(long, conflicts_with_all = ["kernels", "lengths", "backends", "parts", "rounds", "pass_limit", "budget"])]
    pub native: bool,
    /// Output file of the tables
    #[arg(long)]
    pub output: Option<std::path::PathBuf>,
}

impl Options {
    /// Arguments of the script.
    fn words(&self) -> Vec<String> {
        let output = self.output.as_ref().map(|path| {
            // The script runs in another folder.
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        });
        let given = [
            ("lengths", self.lengths.clone()),
            ("backends", self.backends.clone()),
            ("parts", self.parts.clone()),
            ("rounds", self.rounds.map(|rounds| rounds.to_string())),
            ("pass-limit", self.pass_limit.map(|seconds| seconds.to_string())),
            ("budget", self.budget.map(|seconds| seconds.to_string())),
            ("output", output),
        ];
        given.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?))).collect()
    }
}

/// Runs the benchmarks.
///
/// # Errors
/// If Chromium or a package is missing, or the script fails.
pub fn bench(options: &Options) -> Outcome {
    let chromium = e2e::prepare_chromium()?;
    // Separate from the packages of the tests: they are large and used only here.
    e2e::packages("e2e/bench")?;
    let modules = modules()?;
    step("benchmarks");
    let mut command = e2e::node(&["bench/run.js"])?;
    command.args(options.words()).args(modules).env("CHROMIUM", chromium);
    // The script rewrites the file without this section, which another run measures.
    let file = native_bench::file(options.output.as_deref());
    let native = native_bench::kept(&file);
    let outcome = run(command);
    native.map_or(Ok(()), |section| native_bench::write(&file, &section))?;
    outcome
}

/// Variants for measurements of single kernels.
const MEASURED: [Variant; 2] = [Variant::RelaxedSimd, Variant::Simd128];

/// Compiled modules of the kernels as arguments of the scripts.
fn modules() -> Outcome<Vec<String>> {
    let toolchain = toolchain::find_or_install()?;
    MEASURED
        .into_iter()
        .map(|variant| Ok(format!("--module={variant}={}", wasm::microbench(&toolchain, variant)?.display())))
        .collect()
}

/// Measures single kernels, within seconds.
///
/// # Errors
/// If a toolchain or Chromium is missing, or a workload is unknown.
pub fn kernels(workloads: &[String]) -> Outcome {
    let chromium = e2e::prepare_chromium()?;
    e2e::packages("e2e/bench")?;
    let modules = modules()?;
    step("kernels");
    let mut command = e2e::node(&["bench/kernels.js"])?;
    command.args(modules).args(workloads).env("CHROMIUM", chromium);
    run(command)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn words(line: &[&str]) -> Vec<String> {
        let line = std::iter::once(&"bench").chain(line);
        Line::try_parse_from(line).unwrap().options.words()
    }

    #[test]
    fn only_given_options_are_passed_on() {
        assert!(words(&["--no-build"]).is_empty());
        assert_eq!(
            words(&["--lengths", "256,512", "--rounds", "3", "--pass-limit", "1.5"]),
            ["--lengths=256,512", "--rounds=3", "--pass-limit=1.5"]
        );
    }

    #[test]
    fn the_output_path_is_relative_to_the_current_folder() {
        let words = words(&["--output", "table.md"]);
        let expected = std::env::current_dir().unwrap().join("table.md");
        assert_eq!(words, [format!("--output={}", expected.display())]);
    }
}
