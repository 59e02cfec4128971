//! Differences between reports other than their times, and whether they make the times incomparable.

use mixer::Task;

use crate::compare::ComparedLane;
use crate::{LevelName, Report, Status, Threads};

/// Ratio of clock steps from which a difference is reported.
const CLOCK_FACTOR: f64 = 2.0;

/// A property that differs between reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The property.
    pub field: Field,
    /// Each report's value as untranslated text: numbers, names and codes.
    pub values: Vec<String>,
}

/// A property that can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The forward pass or decoding.
    Mode,
    /// Tokens generated in a run.
    Tokens,
    /// Model width.
    Width,
    /// Heads.
    Heads,
    /// Sequences in a batch.
    Batch,
    /// Causal or bidirectional.
    Causal,
    /// Core or whole layer.
    Level,
    /// Systems and their parameters.
    Lanes,
    /// Sequence lengths, or lengths of contexts.
    Lengths,
    /// The backend on which a lane ran.
    Backend,
    /// CPU threads.
    Threads,
    /// The vector instructions of CPU lanes.
    Simd,
    /// The clock's step.
    ClockStep,
    /// Whether the GPU is emulated.
    SoftwareGpu,
    /// Version of Crossover.
    Build,
    /// Seed of inputs and weights.
    Seed,
    /// Whether the race ran to its end.
    Status,
}

impl Field {
    /// Whether a difference in this property means that the reports timed different work.
    pub fn other_work(self) -> bool {
        matches!(
            self,
            Self::Mode | Self::Tokens | Self::Width | Self::Heads | Self::Batch | Self::Causal | Self::Level
        )
    }
}

/// All differences. Those that mean different work come first.
pub(super) fn differences(reports: &[&Report], lanes: &[ComparedLane]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |field: Field, value: &dyn Fn(&Report) -> String| {
        let values: Vec<String> = reports.iter().map(|report| value(report)).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            found.push(Difference { field, values });
        }
    };
    add(Field::Mode, &|report| {
        match report.config.mode {
            Task::Forward => "forward",
            Task::Decode { .. } => "decode",
        }
        .to_owned()
    });
    if super::is_one_mode(reports) {
        add(Field::Tokens, &|report| match report.config.mode {
            Task::Forward => "–".to_owned(),
            Task::Decode { tokens } => tokens.to_string(),
        });
    }
    add(Field::Width, &|report| report.config.width.to_string());
    add(Field::Heads, &|report| report.config.heads.to_string());
    add(Field::Batch, &|report| report.config.batch.to_string());
    add(Field::Causal, &|report| if report.config.causal { "causal" } else { "bidirectional" }.to_owned());
    add(Field::Level, &|report| {
        match report.config.level {
            LevelName::Core => "core",
            LevelName::Layer => "layer",
        }
        .to_owned()
    });
    add(Field::Lengths, &|report| spans(&report.config.sorted_lengths()));
    add(Field::Threads, &|report| match (cpu_lanes(report), report.config.threads) {
        (false, _) => "–".to_owned(),
        (true, Threads::Count(count)) => count.to_string(),
        (true, Threads::Auto) => report.environment.threads.to_string(),
    });
    add(Field::Simd, &|report| {
        if cpu_lanes(report) { report.environment.simd.clone() } else { "–".to_owned() }
    });
    add(Field::SoftwareGpu, &|report| {
        let software = report.environment.gpu.as_ref().is_some_and(|gpu| gpu.fallback);
        if software && report.lanes.iter().any(|lane| lane.backend != "cpu") {
            "software"
        } else {
            "hardware"
        }
        .to_owned()
    });
    add(Field::Build, &|report| report.environment.build.clone());
    add(Field::Seed, &|report| report.config.seed.to_string());
    add(Field::Status, &|report| {
        match report.status {
            Status::Done => "done",
            Status::Cancelled => "cancelled",
            Status::Running => "running",
        }
        .to_owned()
    });
    found.extend(missing_lanes(reports, lanes));
    found.extend(backends(lanes));
    found.extend(clocks(reports));
    found.sort_by_key(|difference| !difference.field.other_work());
    found
}

fn cpu_lanes(report: &Report) -> bool {
    report.lanes.iter().any(|lane| lane.backend == "cpu")
}

fn spans(lengths: &[u32]) -> String {
    match (lengths.first(), lengths.last()) {
        (Some(first), Some(last)) => format!("{first}–{last} ({})", lengths.len()),
        _ => "–".to_owned(),
    }
}

/// Lanes that some reports lack, as the number of lanes that each report has out of all.
fn missing_lanes(reports: &[&Report], lanes: &[ComparedLane]) -> Option<Difference> {
    let whole = lanes.iter().all(|lane| lane.at.iter().all(Option::is_some));
    (reports.len() > 1 && !whole).then(|| Difference {
        field: Field::Lanes,
        values: (0..reports.len())
            .map(|report| {
                let own =
                    lanes.iter().filter(|lane| lane.at.get(report).is_some_and(Option::is_some)).count();
                format!("{own}/{}", lanes.len())
            })
            .collect(),
    })
}

/// Lanes that ran on the CPU in one report and on the GPU in another.
fn backends(lanes: &[ComparedLane]) -> Option<Difference> {
    let moved = |lane: &&ComparedLane| {
        let mut own = lane.backends.iter().flatten();
        own.next().is_some_and(|first| own.any(|other| other != first))
    };
    let lane = lanes.iter().find(moved)?;
    let values =
        lane.backends.iter().map(|backend| backend.clone().unwrap_or_else(|| "–".to_owned())).collect();
    Some(Difference { field: Field::Backend, values })
}

fn clocks(reports: &[&Report]) -> Option<Difference> {
    let steps: Vec<f64> = reports.iter().map(|report| report.environment.tick_ms).collect();
    let low = steps.iter().copied().fold(f64::INFINITY, f64::min);
    let high = steps.iter().copied().fold(0.0, f64::max);
    (high > low * CLOCK_FACTOR).then(|| Difference {
        field: Field::ClockStep,
        values: steps.iter().map(|step| crate::units::time(*step)).collect(),
    })
}
