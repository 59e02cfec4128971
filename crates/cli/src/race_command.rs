//! `crossover race`: runs a race and prints its report.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use mixer::{Backend, Task};
use race::{Activity, Progress, Record, Watch};
use report::{Config, Linked, Report, units};
use serde_json::{Map, Value, json};

use crate::args::{Format, RaceArgs};
use crate::error::CliError;
use crate::machine::{self, NativeClock};
use crate::{form, link, table};

/// Exit status of a race in which nothing was measured.
const NOTHING_MEASURED: u8 = 3;

/// Runs a race and prints its report. The status is 1 where a lane's output was wrong, and 3 where nothing was
/// measured.
///
/// # Errors
/// An invalid configuration, or a machine that cannot be set up. A lane that cannot run is part of the report.
pub fn run(args: &RaceArgs) -> Result<ExitCode, CliError> {
    let config = config(args)?;
    let infos = kernels::infos();
    // Validates before looking for a GPU.
    let wanted = config.resolve(infos, true)?;
    let gpu_wanted = wanted.lanes.iter().any(|lane| lane.backend == Backend::WebGpu);
    let threads = config.thread_count(compute::CpuPool::available_threads());
    let mut machine = machine::open(threads, gpu_wanted)?;
    let facts = machine.facts();
    let spec = config.resolve(infos, facts.prefers_gpu())?;
    if let (true, Some(reason)) = (gpu_wanted, facts.gpu_missing) {
        eprintln!("no GPU: {reason}");
    }

    let switch = machine.cancel_switch();
    let cancelled = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&cancelled);
    ctrlc::set_handler(move || {
        // A second Ctrl-C ends the program immediately.
        if heard.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        switch.cancel();
    })?;

    let started_at_ms = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs_f64() * 1e3)
        .map(f64::round);
    let watch = Terminal::new(args.quiet, cancelled);
    let clock = NativeClock::new();
    let record = pollster::block_on(race::run(spec, &machine::cost, &mut machine, &clock, &watch))?;
    watch.finish();
    if record.status == race::Status::Done {
        let backends: Vec<Backend> = record.spec.lanes.iter().map(|lane| lane.backend).collect();
        // A cancellation here affects only the roofline: the race is over and its report complete.
        let _ = pollster::block_on(machine.measure_roofline(&backends));
    }

    let environment = machine::environment(&machine, record.tick_ns);
    let report = Report::from_record(&record, &config, &environment, started_at_ms, infos);
    form::print(&report, args.form.or(Format::Table))?;
    if args.link {
        eprintln!("{}", report::encode_link(&report)?);
    }
    if has_wrong_lane(&report) {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(message) = nothing_measured(&report) {
        // The reasons may contain a device's message, and a terminal obeys control characters.
        eprintln!("error[nothing-measured]: {}", mixer::text::clean(&message, crate::MAX_MESSAGE));
        return Ok(ExitCode::from(NOTHING_MEASURED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a race has no measured point; `None` if it has one.
fn nothing_measured(report: &Report) -> Option<String> {
    let mut points = report.lanes.iter().flat_map(|lane| &lane.points);
    if points.any(|point| point.outcome == "ok") {
        return None;
    }
    let reasons: Vec<String> =
        report.lanes.iter().filter_map(table::reason).map(|reason| reason.text).collect();
    let mut message = format!("nothing was measured ({})", reasons.join("; "));
    let short_of_time =
        report.lanes.iter().flat_map(|lane| &lane.points).any(|point| point.outcome == "time-budget");
    if short_of_time {
        message += "; give the race more time with --budget-ms, or shorter lengths";
    }
    Some(message)
}

/// Whether an output of a lane was wrong. Scripts must be able to detect this by the status.
fn has_wrong_lane(report: &Report) -> bool {
    report.lanes.iter().flat_map(|lane| &lane.points).any(|point| point.outcome == "not-verified")
}

/// The configuration described by the options, validated like those of pages and files.
fn config(args: &RaceArgs) -> Result<Config, CliError> {
    let mut base = match &args.config {
        None => Config::default(),
        Some(given) => {
            let linked = if report::is_link(given) {
                report::decode_link(given)?
            } else {
                report::read_file(&link::read(Path::new(given))?)?
            };
            match linked {
                Linked::Config(config) => config,
                Linked::Report(report) => report.config,
            }
        }
    };
    // Lengths that are not given stay those of the base, whose mode may be another.
    match (args.mode.as_deref(), base.mode) {
        (Some("decode"), Task::Forward) => base.mode = Task::Decode { tokens: Config::DEFAULT_TOKENS },
        (Some("forward"), Task::Decode { .. }) => base.mode = Task::Forward,
        _ => {}
    }
    let Value::Object(mut fields) = serde_json::to_value(&base)? else { return Ok(base) };
    if let Some(systems) = &args.systems {
        let lanes = systems.split(',').map(lane).collect::<Result<Vec<Value>, CliError>>()?;
        fields.insert("systems".to_owned(), Value::Array(lanes));
    }
    for (name, lengths) in [("lengths", &args.lengths), ("contexts", &args.contexts)] {
        if let Some(lengths) = lengths {
            fields.insert(name.to_owned(), Value::String(lengths.clone()));
        }
    }
    let mut set = |name: &str, text: Option<&String>| {
        if let Some(text) = text {
            fields.insert(name.to_owned(), value(text));
        }
    };
    set("mode", args.mode.as_ref());
    set("tokens", args.tokens.as_ref());
    set("width", args.width.as_ref());
    set("heads", args.heads.as_ref());
    set("batch", args.batch.as_ref());
    set("threads", args.threads.as_ref());
    set("budgetMs", args.budget_ms.as_ref());
    set("seed", args.seed.as_ref());
    set("level", args.level.as_ref());
    set("backend", args.backend.as_ref().map(backend).as_ref());
    if args.causal || args.no_causal {
        fields.insert("causal".to_owned(), Value::Bool(!args.no_causal));
    }
    Ok(Config::from_value(&Value::Object(fields))?)
}

/// The public name of a backend, with `gpu` as a short form.
fn backend(name: &String) -> String {
    if name == "gpu" { "webgpu".to_owned() } else { name.clone() }
}

/// Text as a JSON value: a number, a flag, or a string.
fn value(text: &str) -> Value {
    match text.trim() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => {
            let whole = text.parse::<i64>().map(Value::from).ok();
            let whole = whole.or_else(|| report::parse_whole(text).map(Value::from));
            let number = whole.or_else(|| {
                text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
            });
            number.unwrap_or_else(|| Value::String(text.to_owned()))
        }
    }
}

/// `name[@backend][:param=value]…`.
fn lane(text: &str) -> Result<Value, CliError> {
    let mut parts = text.trim().split(':');
    let head = parts.next().unwrap_or_default();
    let (system, own_backend) = match head.split_once('@') {
        Some((system, name)) => (system, Some(backend(&name.to_owned()))),
        None => (head, None),
    };
    let mut params = Map::new();
    for part in parts {
        let Some((name, given)) = part.split_once('=') else {
            return Err(CliError::Lane { lane: text.chars().take(60).collect() });
        };
        params.insert(name.to_owned(), value(given));
    }
    if own_backend.is_none() && params.is_empty() {
        return Ok(json!(system));
    }
    let mut lane = Map::from_iter([("system".to_owned(), json!(system))]);
    if let Some(name) = own_backend {
        lane.insert("backend".to_owned(), json!(name));
    }
    lane.insert("params".to_owned(), Value::Object(params));
    Ok(Value::Object(lane))
}

/// Shows the progress of a race: one line that is overwritten on a terminal, a line per step elsewhere.
struct Terminal {
    quiet: bool,
    overwrite: bool,
    cancelled: Arc<AtomicBool>,
    lanes: RefCell<Vec<String>>,
    /// The lane and the length shown last.
    shown: Cell<Option<(usize, usize)>>,
    width: Cell<usize>,
}

impl Terminal {
    fn new(quiet: bool, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            quiet,
            overwrite: std::io::stderr().is_terminal(),
            cancelled,
            lanes: RefCell::default(),
            shown: Cell::new(None),
            width: Cell::new(0),
        }
    }

    /// Clears the line for further output.
    fn finish(&self) {
        if self.overwrite && self.width.get() > 0 {
            eprint!("\r{:width$}\r", "", width = self.width.get());
        }
    }
}

impl Watch for Terminal {
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    // Unlike a tab, a terminal is never throttled when it is hidden.
    fn disturbances(&self) -> u64 {
        0
    }

    fn disturbed(&self) -> bool {
        false
    }

    fn record(&self, record: &Record) {
        let mut lanes = self.lanes.borrow_mut();
        if lanes.is_empty() {
            lanes.extend(
                record
                    .lanes
                    .iter()
                    .map(|lane| format!("{} on {}", lane.spec.system, lane.spec.backend.name())),
            );
        }
    }

    fn progress(&self, progress: &Progress) {
        if self.quiet {
            return;
        }
        // Samples alternate between lanes, which would write thousands of lines to a file.
        let step = match progress.activity {
            Activity::Verifying | Activity::Preparing => Some((progress.lane, progress.seq_len)),
            Activity::CheckingDrift => Some((usize::MAX, progress.seq_len)),
            Activity::WarmingUp | Activity::Sampling | Activity::Prefilling => None,
        };
        if !self.overwrite && (step.is_none() || self.shown.get() == step) {
            return;
        }
        self.shown.set(step);
        let lanes = self.lanes.borrow();
        let lane = lanes.get(progress.lane).map_or("lane", String::as_str);
        let activity = match progress.activity {
            Activity::Verifying => "verifying",
            Activity::Preparing => "preparing",
            Activity::WarmingUp => "warming up",
            Activity::Sampling => "sampling",
            Activity::Prefilling => "timing the prefill",
            Activity::CheckingDrift => "checking for drift",
        };
        let line = format!(
            "{:3.0} %  {activity} {lane} at {}, {} left",
            100.0 * progress.fraction.clamp(0.0, 1.0),
            units::length(progress.seq_len as f64),
            units::time((progress.remaining_ns / 1e6).max(0.0)),
        );
        if self.overwrite {
            let width = line.chars().count();
            eprint!("\r{line:before$}", before = self.width.get());
            self.width.set(width);
        } else {
            eprintln!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn values_are_numbers_flags_or_words() {
        for (text, expected) in [
            ("64", json!(64)),
            ("1,024", json!(1024)),
            ("1K", json!(1024)),
            ("1e3", json!(1000)),
            ("-1", json!(-1)),
            ("0.5", json!(0.5)),
            ("2,5", json!("2,5")),
            ("true", json!(true)),
            ("full", json!("full")),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn lanes_have_a_backend_and_parameters() {
        assert_eq!(lane("hyena").unwrap(), json!("hyena"));
        assert_eq!(
            lane("hyena@gpu:order=3:wiring=full:bias=true").unwrap(),
            json!({"system": "hyena", "backend": "webgpu", "params": {"order": 3, "wiring": "full", "bias": true}})
        );
        assert_eq!(lane("hyena:order").unwrap_err().code(), "lane-syntax");
    }

    #[test]
    fn the_mode_decides_which_lengths_there_are() {
        let config = |options: &[&str]| {
            let all = ["crossover", "race"].into_iter().chain(options.iter().copied());
            let Command::Race(args) = Args::try_parse_from(all).unwrap().command else { panic!("a race") };
            super::config(&args)
        };
        let decode = config(&["--mode", "decode", "--contexts", "64..256", "--tokens", "9"]).unwrap();
        assert_eq!((decode.mode, decode.lengths), (Task::Decode { tokens: 9 }, vec![64, 128, 256]));
        let decode = config(&["--mode", "decode"]).unwrap();
        assert_eq!((decode.mode, decode.lengths), (Task::Decode { tokens: 128 }, Config::default().lengths));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, r#"{"mode": "decode", "contexts": [32], "tokens": 5}"#).unwrap();
        let file = file.to_str().unwrap();
        let again = config(&["--config", file]).unwrap();
        assert_eq!((again.mode, again.lengths), (Task::Decode { tokens: 5 }, vec![32]));
        let forward = config(&["--config", file, "--mode", "forward"]).unwrap();
        assert_eq!((forward.mode, forward.lengths), (Task::Forward, vec![32]));
        for (options, field) in [
            (&["--contexts", "64"][..], "contexts"),
            (&["--tokens", "9"], "tokens"),
            (&["--mode", "decode", "--lengths", "64"], "lengths"),
            (&["--mode", "chat"], "mode"),
        ] {
            let Err(CliError::Config(error)) = config(options) else { panic!("{options:?}") };
            assert_eq!(error.field(), Some(field), "{options:?}");
        }
    }

    #[test]
    fn a_race_without_points_states_the_time_needed() {
        let fixture = include_str!("../../report/tests/fixtures/v4-report.json");
        let mut report = Report::from_json(fixture).unwrap();
        assert_eq!(nothing_measured(&report), None);
        report.lanes.truncate(1);
        report.lanes[0].points.truncate(1);
        let point = &mut report.lanes[0].points[0];
        (point.outcome, point.needed_ms) = ("time-budget".to_owned(), Some(1_300_000.0));
        assert_eq!(
            nothing_measured(&report).unwrap(),
            "nothing was measured (Attention on cpu at 256: time-budget: needs about 1300 s); give the race more time \
             with --budget-ms, or shorter lengths"
        );
    }

    #[test]
    fn a_wrong_output_sets_the_exit_status() {
        let fixture = include_str!("../../report/tests/fixtures/v1-report.json");
        let mut report = Report::from_json(fixture).unwrap();
        assert!(!has_wrong_lane(&report));
        report.lanes[0].points[0].outcome = "not-verified".to_owned();
        assert!(has_wrong_lane(&report));
    }
}
