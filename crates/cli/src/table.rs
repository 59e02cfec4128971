//! Formats a report as a table for a terminal: one row per length, one column per lane, with ratios to attention beside
//! the times.

use std::fmt::Write;

use mixer::Task;
use report::units::{length, ratio, time};
use report::{CrossoverKind, Decoding, Lane, LevelName, Point, Report, Status};

/// Widest line, which fits a usual terminal.
const MAX_WIDTH: usize = 120;

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    header(report, &mut text);
    let lanes = 0..report.lanes.len();
    let columns: Vec<Vec<String>> = lanes.clone().map(|lane| column(report, lane)).collect();
    table(&labels(report), &columns, &mut text);
    legend(report, &mut text);
    if report.config.mode != Task::Forward {
        let columns: Vec<Vec<String>> = lanes.map(|lane| decode_column(report, lane)).collect();
        table(&length_labels(report), &columns, &mut text);
        text.push_str("\nstate, prefill of the context, 99th percentile and slowest of single tokens\n");
    }
    reasons(report, &mut text);
    for warning in &report.warnings {
        let _ = writeln!(text, "\nwarning[{}]: {}", warning.code, warning.message);
    }
    text
}

/// A table, wrapped where the columns do not fit in a line.
fn table(labels: &[String], columns: &[Vec<String>], text: &mut String) {
    let mut rest = columns;
    while !rest.is_empty() {
        let fitting = fitting(labels, rest);
        let (group, after) = rest.split_at(fitting);
        text.push('\n');
        rows(labels, group, text);
        rest = after;
    }
}

fn header(report: &Report, text: &mut String) {
    let config = &report.config;
    let level = match config.level {
        LevelName::Core => "core",
        LevelName::Layer => "layer",
    };
    let causal = if config.causal { "causal" } else { "bidirectional" };
    let _ = writeln!(
        text,
        "{}width {}, {} heads, batch {}, {causal}, {level}; seed {}",
        report.mode_words(),
        config.width,
        config.heads,
        config.batch,
        config.seed
    );
    let machine = &report.environment;
    let _ =
        write!(text, "{}, {} of {} threads, {}", machine.agent, machine.threads, machine.cores, machine.simd);
    if let Some(gpu) = &machine.gpu {
        let software = if gpu.fallback { " (software)" } else { "" };
        let names = [&gpu.vendor, &gpu.architecture, &gpu.description];
        let names: Vec<&str> =
            names.iter().map(|name| name.as_str()).filter(|name| !name.is_empty()).collect();
        let _ = write!(text, "; GPU {} by {}{software}", names.join(" "), gpu.api);
    }
    text.push('\n');
    if report.status == Status::Cancelled {
        text.push_str("stopped before its end\n");
    }
}

fn point(lane: &Lane, length: u32) -> Option<&Point> {
    lane.points.iter().find(|point| point.length == length)
}

/// The first column: labels of the rows.
fn labels(report: &Report) -> Vec<String> {
    let mut labels = length_labels(report);
    labels.extend(["exponent", "95 %", "crossover", "95 %"].map(str::to_owned));
    labels
}

/// The part of the first column that names the lengths.
fn length_labels(report: &Report) -> Vec<String> {
    let mut labels = vec![report.length_word().to_owned(), String::new()];
    labels.extend(report.config.sorted_lengths().into_iter().map(|each| length(f64::from(each))));
    labels
}

/// The cell of a point's decoding measurements other than the time of a token.
fn decode_column(report: &Report, index: usize) -> Vec<String> {
    let Some(lane) = report.lanes.get(index) else { return Vec::new() };
    let mut cells = vec![lane.title.clone(), lane.backend.clone()];
    for each in report.config.sorted_lengths() {
        let decode = point(lane, each).and_then(|point| point.decode.as_ref());
        cells.push(decode.map_or_else(|| "–".to_owned(), decode_cell));
    }
    cells
}

fn decode_cell(decode: &Decoding) -> String {
    let or_dash = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), time);
    let steps = decode.steps.as_ref();
    let (prefill, p99, worst) =
        (decode.prefill_ms, steps.map(|steps| steps.p99_ms), steps.map(|steps| steps.worst_ms));
    let state = chart::format::bytes(decode.state_bytes);
    [state, or_dash(prefill), or_dash(p99), or_dash(worst)].join(", ")
}

fn column(report: &Report, index: usize) -> Vec<String> {
    let Some(lane) = report.lanes.get(index) else { return Vec::new() };
    let form = match (lane.causal, report.config.causal) {
        (true, false) => ", causal only",
        (false, true) => ", bidirectional only",
        _ => "",
    };
    let mut cells = vec![lane.title.clone(), format!("{}{form}", lane.backend)];
    for each in report.config.sorted_lengths() {
        cells
            .push(point(lane, each).map_or_else(|| "–".to_owned(), |point| cell(report, index, lane, point)));
    }
    match &lane.exponent {
        Some(fit) => {
            cells.push(format!("L^{:.2}", fit.estimate));
            cells.push(format!("{:.2} to {:.2}", fit.low, fit.high));
        }
        None => cells.extend(["–".to_owned(), String::new()]),
    }
    let crossover = report.crossovers.iter().find(|crossover| crossover.challenger as usize == index);
    match crossover {
        None => cells.extend(["–".to_owned(), String::new()]),
        Some(crossover) => {
            cells.push(report.crossover_word(crossover));
            cells.push(match (crossover.low, crossover.high) {
                // A bound has no interval.
                _ if crossover.kind == CrossoverKind::AtMost => String::new(),
                (Some(low), Some(high)) => format!("{} to {}", length(low), length(high)),
                (Some(low), None) => format!("from {}", length(low)),
                (None, Some(high)) => format!("to {}", length(high)),
                (None, None) => String::new(),
            });
        }
    }
    cells
}

/// Mark of a point that ran full attention.
const FULL: char = '†';

fn cell(report: &Report, index: usize, lane: &Lane, point: &Point) -> String {
    match (point.outcome.as_str(), point.median_ms, point.needed_ms, lane.predicted_ms(point)) {
        ("ok", Some(ms), ..) => {
            let mut cell = time(ms);
            if let Some(speedup) = report.speedup(index, point) {
                let word = speedup
                    .judged
                    .map_or_else(|| "no interval".to_owned(), |(.., verdict)| format!("{verdict:9}"));
                let _ = write!(cell, " {:>6} {word}", format!("{}×", ratio(speedup.value)));
            }
            if point.full_attention {
                let _ = write!(cell, " {FULL}");
            }
            cell
        }
        (reason, _, Some(ms), _) => format!("{reason}, needs {}", time(ms)),
        (reason, _, _, Some(ms)) => format!("{reason}, ~{}", time(ms)),
        (reason, ..) => reason.to_owned(),
    }
}

/// Legend of the ratios and marks in the table, which may be empty.
fn legend(report: &Report, text: &mut String) {
    let points = || report.lanes.iter().flat_map(|lane| &lane.points);
    if points().any(|point| point.versus.is_some()) {
        text.push_str(
            "\n×: attention's time over the lane's. ahead, behind: the 95% interval of × excludes 1, by a difference of a\n\
             percent or more\n",
        );
    }
    if points().any(|point| point.full_attention) {
        let _ = writeln!(
            text,
            "\n{FULL} the system's sparse pattern covers every pair of positions at this length: it ran full attention"
        );
    }
}

fn width(cells: &[String]) -> usize {
    cells.iter().map(|cell| cell.chars().count()).max().unwrap_or_default()
}

/// The number of `columns` that fit in a line beside the labels; at least one.
fn fitting(labels: &[String], columns: &[Vec<String>]) -> usize {
    let mut used = width(labels);
    let fits = columns.iter().take_while(|column| {
        used += 2 + width(column);
        used <= MAX_WIDTH
    });
    fits.count().max(1)
}

fn rows(labels: &[String], columns: &[Vec<String>], text: &mut String) {
    let first = width(labels);
    for (row, label) in labels.iter().enumerate() {
        let mut line = format!("{label:>first$}");
        for column in columns {
            let cell = column.get(row).map_or("", String::as_str);
            let _ = write!(line, "  {cell:>width$}", width = width(column));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Why lanes ended, each lane once.
fn reasons(report: &Report, text: &mut String) {
    for lane in &report.lanes {
        if let Some(reason) = reason(lane).filter(|reason| reason.is_more_than_a_name) {
            let _ = writeln!(text, "\n{}", reason.text);
        }
    }
}

/// Why a lane ended.
pub struct Reason {
    /// Lane, length and reason.
    pub text: String,
    /// Whether it contains more than the outcome's name.
    pub is_more_than_a_name: bool,
}

/// Why a lane ended, at its first length without a result.
pub fn reason(lane: &Lane) -> Option<Reason> {
    let point = lane.points.iter().find(|point| point.outcome != "ok")?;
    let more = match (point.needed_ms, &point.message) {
        (Some(ms), _) => Some(format!("needs about {}", time(ms))),
        (None, message) => message.clone(),
    };
    let mut text = format!(
        "{} on {} at {}: {}",
        lane.title,
        lane.backend,
        length(f64::from(point.length)),
        point.outcome
    );
    if let Some(more) = &more {
        let _ = write!(text, ": {more}");
    }
    Some(Reason { text, is_more_than_a_name: more.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The report of a link in the permanent fixtures.
    fn sample() -> Report {
        Report::from_json(include_str!("../../report/tests/fixtures/v1-report.json")).unwrap()
    }

    #[test]
    fn times_ratios_exponents_and_crossovers_are_there() {
        let mut report = sample();
        report.lanes[1].backend = "cpu".into();
        let text = render(&report);
        for word in [
            "Attention",
            "Hyena",
            "16,384",
            "6.55 ms",
            "147× no interval",
            "L^2.00",
            "memory, ~27.6 s",
            "2,344",
        ] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        let rows: Vec<&str> = text.lines().skip(3).take_while(|line| !line.is_empty()).collect();
        assert!(rows.len() == 13 && rows.iter().all(|row| row.chars().count() <= MAX_WIDTH), "{text}");
        assert!(text.contains("needs 5120 MiB"), "{text}");
    }

    /// A race with every verdict, a bound, full attention and a lane without time.
    fn judged() -> Report {
        Report::from_json(include_str!("../../report/tests/fixtures/v4-report.json")).unwrap()
    }

    #[test]
    fn verdicts_bounds_and_undecided_results_are_printed() {
        let text = render(&judged());
        for word in ["147× ahead", "0.996× undecided †", "0.62× behind", "≤ 256", "undecided", "none"]
        {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        assert!(
            text.contains("95% interval of × excludes 1") && text.contains("† the system's sparse pattern"),
            "{text}"
        );
        assert!(!text.contains("256 to 256"), "{text}");
        // Texts of the machine and of warnings are not wrapped.
        let mut own = text.lines().skip(2).filter(|line| !line.starts_with("warning["));
        assert!(own.all(|line| line.chars().count() <= MAX_WIDTH), "{text}");
    }

    #[test]
    fn a_decode_race_shows_contexts_states_and_prefills() {
        let report = Report::from_json(include_str!("../../report/tests/fixtures/v5-report.json")).unwrap();
        let text = render(&report);
        assert!(text.starts_with("time per token over 128 tokens after the context, "), "{text}");
        assert!(text.lines().any(|line| line.trim_start().starts_with("context  ")), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("length")), "{text}");
        let decode = report.lanes[0].points[0].decode.unwrap();
        let steps = decode.steps.unwrap();
        let cell = [
            chart::format::bytes(decode.state_bytes),
            time(decode.prefill_ms.unwrap()),
            time(steps.p99_ms),
            time(steps.worst_ms),
        ];
        assert!(text.contains(&cell.join(", ")), "{text}");
        // Neither a prefill nor single tokens were timed at every point.
        assert!(text.contains(", –, ") && text.contains(", –, –"), "{text}");
        assert!(!render(&judged()).contains("prefill"));
    }

    #[test]
    fn a_lane_without_time_states_its_need() {
        let text = render(&judged());
        assert!(text.contains("time-budget, needs 328 s"), "{text}");
        assert!(text.contains("Performer on cpu at 4,096: time-budget: needs about 164 s"), "{text}");
    }

    #[test]
    fn results_without_intervals_name_no_winner() {
        let mut report = sample();
        report.lanes[1].backend = "cpu".into();
        let text = render(&report);
        assert!(
            text.contains("no interval") && !text.contains("ahead") && !text.contains("behind"),
            "{text}"
        );
    }

    #[test]
    fn unverified_points_are_no_baseline() {
        let mut report = sample();
        report.lanes[1].backend = "cpu".into();
        assert!(render(&report).contains('×'));
        report.lanes[0].points.iter_mut().for_each(|point| point.outcome = "cancelled".to_owned());
        assert!(!render(&report).contains('×'));
    }

    #[test]
    fn lanes_of_other_backends_are_not_compared() {
        // Attention on the CPU, the challenger on the GPU.
        assert!(!render(&sample()).contains('×'));
    }

    #[test]
    fn many_lanes_are_wrapped() {
        let mut report = sample();
        report.lanes = vec![report.lanes[0].clone(); 20];
        report.config.systems = vec![report.config.systems[0].clone(); 20];
        let text = render(&report);
        assert!(text.matches("exponent").count() > 1);
        assert_eq!(text.matches("Attention").count(), 40);
    }
}
