//! Benchmarks of native programs as one section of the benchmarks' file: every system on the CPU, attention and Hyena
//! on the native GPU adapter, and single kernels.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use report::{Environment, Point, Report};

use crate::error::TaskError;
use crate::run::{program, read, root};
use crate::{Outcome, step};

/// The section's heading in the benchmarks' file.
const HEADING: &str = "## Native programs";

/// Sequence length of the benchmark of all systems.
const LENGTH: &str = "4096";

/// Sequence lengths on the GPU.
const GPU_LENGTHS: &str = "256,1024,4096";

/// Milliseconds per race.
const BUDGET_MS: &str = "300000";

/// Workloads of single kernels; the peak comes first.
const KERNELS: [&str; 11] = [
    "registers",
    "tile",
    "gemm:256",
    "gemm:512",
    "gemm:1024",
    "attention:1024",
    "attention:4096",
    "attention:4096:causal",
    "conv:1024",
    "conv:4096",
    "conv:16384",
];

/// A measured kernel: `name`, seconds of the best and of the median round, and operations per run.
#[derive(Debug, Clone, PartialEq)]
struct Kernel {
    name: String,
    best_s: f64,
    median_s: f64,
    flops: f64,
}

/// Measures native programs, prints the section and writes it to `output`.
///
/// # Errors
/// If a program does not build or fails, or if its output cannot be parsed.
pub fn bench(output: Option<&Path>) -> Outcome {
    step("native programs");
    let kernels = kernels(&read(cargo("microbench", &[&["--tsv"][..], &KERNELS].concat()))?)?;
    let ids = ids(&read(cargo("cli", &["systems", "--json"]))?)?.join(",");
    let on_cpu = |threads: &str| {
        race(&["--systems", &ids, "--lengths", LENGTH, "--backend", "cpu", "--threads", threads])
    };
    let (alone, together) = (on_cpu("1")?, on_cpu("auto")?);
    let gpu = race(&["--systems", "attention@gpu,hyena@gpu", "--lengths", GPU_LENGTHS])?;
    let text = section(&kernels, &alone, &together, &gpu);
    println!("{text}");
    let path = file(output);
    write(&path, &text)?;
    println!("written to {}", path.display());
    Ok(())
}

/// The benchmarks' file.
pub fn file(output: Option<&Path>) -> PathBuf {
    output.map_or_else(|| root().join("docs/benchmarks.md"), Path::to_path_buf)
}

/// The section in the file at `path`, if there is one.
pub fn kept(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    place(&text).map(|range| text[range].to_owned())
}

/// Writes the section to the file at `path`, replacing an older one.
///
/// # Errors
/// [`TaskError::File`].
pub fn write(path: &Path, section: &str) -> Outcome {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "# Benchmarks\n".to_owned(),
        other => other.map_err(TaskError::file("read", path))?,
    };
    std::fs::write(path, with_section(&text, section)).map_err(TaskError::file("write", path))
}

/// A program of this workspace with its arguments.
fn cargo(package: &str, args: &[&str]) -> std::process::Command {
    let mut command = program("cargo", &["run", "--release", "--quiet", "--package", package, "--"]);
    command.args(args);
    command
}

fn race(args: &[&str]) -> Outcome<Report> {
    let fixed = ["race", "--json", "--quiet", "--level", "core", "--budget-ms", BUDGET_MS];
    let command = cargo("cli", &[&fixed, args].concat());
    Report::from_json(&read(command)?).map_err(|error| unreadable("crossover race", &error))
}

fn unreadable(program: &str, error: &dyn std::fmt::Display) -> TaskError {
    TaskError::Output { program: program.to_owned(), message: error.to_string() }
}

/// The systems' names in the output of `crossover systems --json`.
fn ids(json: &str) -> Outcome<Vec<String>> {
    let systems: Vec<serde_json::Value> =
        serde_json::from_str(json).map_err(|error| unreadable("crossover systems", &error))?;
    let id = |system: &serde_json::Value| system["id"].as_str().map(str::to_owned);
    systems
        .iter()
        .map(|system| id(system).ok_or_else(|| unreadable("crossover systems", &"a system has no id")))
        .collect()
}

/// Parses the output of `microbench --tsv`.
fn kernels(tsv: &str) -> Outcome<Vec<Kernel>> {
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let name = cells.next()?.to_owned();
        let mut number = || cells.next()?.parse().ok();
        Some(Kernel { name, best_s: number()?, median_s: number()?, flops: number()? })
    };
    tsv.lines().map(|line| row(line).ok_or_else(|| unreadable("microbench", &format!("`{line}`")))).collect()
}

/// Range of the section in `text`: up to the next heading of its level, or the end.
fn place(text: &str) -> Option<std::ops::Range<usize>> {
    let start = text.find(&format!("{HEADING}\n"))?;
    let body = start + HEADING.len();
    let end = text[body..].find("\n## ").map_or(text.len(), |at| body + at + 1);
    Some(start..end)
}

/// `text` with `section` in place of the older one, or at the end.
fn with_section(text: &str, section: &str) -> String {
    let (before, after) = match place(text) {
        Some(range) => (&text[..range.start], &text[range.end..]),
        None => (text, ""),
    };
    let parts = [before.trim_end(), section.trim_end(), after.trim_end()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

fn section(kernels: &[Kernel], alone: &Report, together: &Report, gpu: &Report) -> String {
    let machine = &together.environment;
    let threads = machine.threads;
    [
        HEADING.to_owned(),
        format!(
            "Written by `cargo xtask bench --native`: the `crossover` command and the kernels alone, without a browser. \
             {}, {} threads of {}, {} kernels.{}",
            machine.agent, threads, machine.cores, machine.simd, load()
        ),
        "The kernels alone, one thread: the best of interleaved rounds. The peak is what multiply-adds in registers \
         reach with the same instructions. GEMM N is a linear layer of width N on N rows; attention and the long \
         convolution have width 256 and 4 heads."
            .to_owned(),
        kernel_table(kernels),
        format!(
            "Every system on the CPU, core level, L = {LENGTH}, width 256, 4 heads, causal where the system can be, \
             default parameters, timed by the race, with the shares of its measured roofline."
        ),
        system_table(alone, together),
        gpu_note(&gpu.environment),
        gpu_table(gpu),
    ]
    .join("\n\n")
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .map_or_else(String::new, |load| format!(" The machine's load average was {load} at the end."))
}

fn gpu_note(machine: &Environment) -> String {
    let adapter = match (&machine.gpu, &machine.gpu_missing) {
        (Some(gpu), _) => {
            let name = if gpu.description.is_empty() { &gpu.vendor } else { &gpu.description };
            let kind = if gpu.fallback { "a software adapter" } else { "a hardware adapter" };
            format!("{name} ({}, {kind})", gpu.api)
        }
        (None, Some(reason)) => format!("none: {reason}"),
        (None, None) => "none".to_owned(),
    };
    format!(
        "Attention and Hyena on the native GPU adapter, causal, core level, width 256, 4 heads, median ms and share of \
         the roofline. Adapter: {adapter}."
    )
}

/// A Markdown table whose first column is aligned to the left.
fn table(head: &[String], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n| ---{} |", head.join(" | "), " | --:".repeat(head.len() - 1));
    for row in rows {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n| {} |", row.join(" | "));
    }
    text
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn kernel_table(kernels: &[Kernel]) -> String {
    let rate = |kernel: &Kernel| kernel.flops / kernel.best_s / 1e9;
    let peak = kernels.iter().find(|kernel| kernel.name == KERNELS[0]).map(rate);
    let rows = kernels.iter().map(|kernel| {
        let share = peak.map_or_else(|| "–".to_owned(), |peak| percent(rate(kernel) / peak));
        vec![
            kernel.name.clone(),
            figure(1e3 * kernel.best_s),
            figure(1e3 * kernel.median_s),
            format!("{:.1}", rate(kernel)),
            share,
        ]
    });
    table(&words(&["kernel", "best ms", "median ms", "GFLOP/s", "of the peak"]), rows)
}

fn system_table(alone: &Report, together: &Report) -> String {
    let threads = format!("ms, {} threads", together.environment.threads);
    let head = ["system", "ms, 1 thread", "of the roofline", &threads, "of the roofline", "speed-up"];
    let rows = alone.lanes.iter().zip(&together.lanes).map(|(one, all)| {
        let (one_point, all_point) = (one.points.first(), all.points.first());
        let median = |point: Option<&Point>| point.filter(|point| point.outcome == "ok")?.median_ms;
        let speed_up = match (median(one_point), median(all_point)) {
            (Some(one), Some(all)) => format!("{:.2}", one / all),
            _ => "–".to_owned(),
        };
        vec![
            one.system.clone(),
            time(one_point),
            share(one_point),
            time(all_point),
            share(all_point),
            speed_up,
        ]
    });
    table(&words(&head), rows)
}

fn gpu_table(gpu: &Report) -> String {
    let mut lengths: Vec<u32> =
        gpu.lanes.iter().flat_map(|lane| &lane.points).map(|point| point.length).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let mut head = words(&["system"]);
    head.extend(lengths.iter().map(|length| format!("L = {length}")));
    let rows = gpu.lanes.iter().map(|lane| {
        let cells = lengths.iter().map(|length| {
            let point = lane.points.iter().find(|point| point.length == *length);
            match share(point).as_str() {
                "–" => time(point),
                share => format!("{} ({share})", time(point)),
            }
        });
        std::iter::once(lane.system.clone()).chain(cells).collect()
    });
    table(&head, rows)
}

/// The median of a point, or the reason why it has none.
fn time(point: Option<&Point>) -> String {
    match point {
        Some(Point { outcome, median_ms: Some(ms), .. }) if outcome == "ok" => figure(*ms),
        Some(point) => point.outcome.clone(),
        None => "–".to_owned(),
    }
}

fn share(point: Option<&Point>) -> String {
    point.and_then(|point| point.roofline_share).map_or_else(|| "–".to_owned(), percent)
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// Three significant digits, the precision of such measurements.
fn figure(value: f64) -> String {
    let digits = (2.0 - value.abs().max(f64::MIN_POSITIVE).log10().floor()).clamp(0.0, 6.0);
    format!("{value:.0$}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(length: u32, outcome: &str, median_ms: Option<f64>, share: Option<f64>) -> Point {
        Point {
            length,
            outcome: outcome.to_owned(),
            median_ms,
            q1_ms: median_ms,
            q3_ms: median_ms,
            min_ms: median_ms,
            samples: 3,
            repeats: 1,
            flops: 1.0,
            bytes: 1.0,
            peak_bytes: 1.0,
            decode_state_bytes: 1.0,
            roofline_share: share,
            ..Point::default()
        }
    }

    fn report(lanes: &[(&str, Vec<Point>)], environment: Environment) -> Report {
        let lane = |(system, points): &(&str, Vec<Point>)| report::Lane {
            system: (*system).to_owned(),
            title: (*system).to_owned(),
            backend: "cpu".to_owned(),
            params: std::collections::BTreeMap::default(),
            causal: true,
            verification: None,
            points: points.clone(),
            exponent: None,
        };
        Report {
            schema: report::Config::default().schema(),
            config: report::Config::default(),
            environment,
            started_at_ms: None,
            status: report::Status::Done,
            lanes: lanes.iter().map(lane).collect(),
            crossovers: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn systems_are_listed_with_both_times_or_a_reason() {
        let lanes = |ms: f64| {
            report(
                &[
                    ("attention", vec![point(4096, "ok", Some(ms), Some(ms / 200.0))]),
                    ("ltc", vec![point(4096, "time-budget", None, None)]),
                ],
                Environment { threads: 2, ..Environment::default() },
            )
        };
        let text = system_table(&lanes(120.0), &lanes(80.0));
        assert!(text.contains("| system | ms, 1 thread | of the roofline | ms, 2 threads |"), "{text}");
        assert!(text.contains("| attention | 120 | 60% | 80.0 | 40% | 1.50 |"), "{text}");
        assert!(text.contains("| ltc | time-budget | – | time-budget | – | – |"), "{text}");
    }

    #[test]
    fn the_gpu_table_has_the_adapter_and_a_column_per_length() {
        let gpu = report::Gpu {
            description: "Some GPU".to_owned(),
            api: "vulkan".to_owned(),
            fallback: true,
            ..report::Gpu::default()
        };
        let points = vec![point(256, "ok", Some(1.5), Some(0.25)), point(1024, "time-budget", None, None)];
        let environment = Environment { gpu: Some(gpu), ..Environment::default() };
        let gpu = report(&[("hyena", points), ("attention", Vec::new())], environment);
        let text = gpu_table(&gpu);
        assert!(text.contains("| system | L = 256 | L = 1024 |"), "{text}");
        assert!(text.contains("| hyena | 1.50 (25%) | time-budget |"), "{text}");
        assert!(text.contains("| attention | – | – |"), "{text}");
        let note = gpu_note(&gpu.environment);
        assert!(note.contains("Some GPU (vulkan, a software adapter)"), "{note}");
        let none = Environment { gpu_missing: Some("no driver".to_owned()), ..Environment::default() };
        assert!(gpu_note(&none).contains("none: no driver"));
    }

    #[test]
    fn the_kernels_table_compares_each_with_the_peak() {
        let rows = kernels("registers\t0.001\t0.0011\t1e8\ngemm:256\t0.0005\t0.0006\t4e7\n").unwrap();
        let text = kernel_table(&rows);
        assert!(text.contains("| registers | 1.00 | 1.10 | 100.0 | 100% |"), "{text}");
        assert!(text.contains("| gemm:256 | 0.500 | 0.600 | 80.0 | 80% |"), "{text}");
        assert!(kernels("registers\t0.001\n").is_err());
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([0.012_34, 1.234, 12.34, 1234.5].map(figure), ["0.0123", "1.23", "12.3", "1234"]);
    }

    #[test]
    fn a_section_replaces_an_older_one() {
        let section = format!("{HEADING}\n\nnew");
        let end = with_section("# Benchmarks\n\n## A\n\na\n", &section);
        assert_eq!(end, format!("# Benchmarks\n\n## A\n\na\n\n{HEADING}\n\nnew\n"));
        let old = format!("# Benchmarks\n\n{HEADING}\n\nold\n\n### part\n\n## A\n\na\n");
        assert_eq!(with_section(&old, &section), format!("# Benchmarks\n\n{HEADING}\n\nnew\n\n## A\n\na\n"));
        assert_eq!(place("# Benchmarks\n"), None);
    }
}
