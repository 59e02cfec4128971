//! The benchmarks: our kernels against what people would use instead, in one Chromium. The script is `e2e/bench/run.js`.

use crate::run::run;
use crate::variant::Variant;
use crate::{Outcome, e2e, native_bench, step, toolchain, wasm};

/// What to measure. Without any of it: everything, at the lengths of the goals, into `docs/benchmarks.md`.
#[derive(Debug, Default, clap::Args)]
pub struct Options {
    /// Measures dist/ as it is
    #[arg(long)]
    pub no_build: bool,
    /// Lengths at which the peers are met, e.g. 256,1024
    #[arg(long)]
    lengths: Option<String>,
    /// cpu, webgpu or both
    #[arg(long)]
    backends: Option<String>,
    /// kernels, shares, memory, exponents, peers, or several of them
    #[arg(long)]
    parts: Option<String>,
    /// In each round every contender has its turn
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds that one forward pass may take; a contender that is expected to take longer is left out
    #[arg(long)]
    pass_limit: Option<f64>,
    /// Seconds that each race of the memory and growth parts may take
    #[arg(long)]
    budget: Option<f64>,
    /// Measures these workloads of the kernels alone instead, on one thread: gemm:512, conv:4096,
    /// attention:1024:causal:layer, any system's name
    #[arg(long, value_delimiter = ',')]
    pub kernels: Vec<String>,
    /// Measures native programs instead: every system on the CPU, attention and Hyena on the GPU, the kernels alone. Their
    /// section of the file is replaced, the rest stays
    #[arg(long, conflicts_with_all = ["kernels", "lengths", "backends", "parts", "rounds", "pass_limit", "budget"])]
    pub native: bool,
    /// File that the tables are written to
    #[arg(long)]
    pub output: Option<std::path::PathBuf>,
}

impl Options {
    /// The script's arguments.
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
/// Where Chromium or a package is missing, or the script fails.
pub fn bench(options: &Options) -> Outcome {
    let chromium = e2e::prepare_chromium()?;
    // Apart from the tests' packages: they are large, and nothing else needs them.
    e2e::packages("e2e/bench")?;
    let modules = modules()?;
    step("benchmarks");
    let mut command = e2e::node(&["bench/run.js"])?;
    command.args(options.words()).args(modules).env("CHROMIUM", chromium);
    // The script writes the file anew; native programs have a run of their own.
    let file = native_bench::file(options.output.as_deref());
    let native = native_bench::kept(&file);
    let outcome = run(command);
    native.map_or(Ok(()), |section| native_bench::write(&file, &section))?;
    outcome
}

/// Variants of which the kernels are measured alone.
const MEASURED: [Variant; 2] = [Variant::RelaxedSimd, Variant::Simd128];

/// The kernels alone, compiled, as arguments of the scripts.
fn modules() -> Outcome<Vec<String>> {
    let toolchain = toolchain::find_or_install()?;
    MEASURED
        .into_iter()
        .map(|variant| Ok(format!("--module={variant}={}", wasm::microbench(&toolchain, variant)?.display())))
        .collect()
}

/// Measures the kernels alone, which takes seconds.
///
/// # Errors
/// Where a toolchain or Chromium is missing, or a workload has no such name.
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
    fn only_what_is_given_is_passed_on() {
        assert!(words(&["--no-build"]).is_empty());
        assert_eq!(
            words(&["--lengths", "256,512", "--rounds", "3", "--pass-limit", "1.5"]),
            ["--lengths=256,512", "--rounds=3", "--pass-limit=1.5"]
        );
    }

    #[test]
    fn the_output_is_meant_from_where_the_command_was_given() {
        let words = words(&["--output", "table.md"]);
        let expected = std::env::current_dir().unwrap().join("table.md");
        assert_eq!(words, [format!("--output={}", expected.display())]);
    }
}
