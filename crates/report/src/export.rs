//! Exports for other programs: CSV for spreadsheets, a Markdown table for a README. A report's texts come from drivers
//! and strangers, so anything that a spreadsheet would run or Markdown would format is escaped.

use std::fmt::Write;

use mixer::Task;

use crate::units::{length, ratio, time};
use crate::{Crossover, CrossoverKind, Lane, LevelName, ParamValue, Point, Report, Verdict, Versus};

const COLUMNS: [&str; 34] = [
    "system",
    "backend",
    "params",
    "causal",
    "length",
    "outcome",
    "medianMs",
    "q1Ms",
    "q3Ms",
    "minMs",
    "samples",
    "repeats",
    "discarded",
    "deviceMs",
    "setupMs",
    "firstRunMs",
    "predictedMs",
    "flops",
    "bytes",
    "peakBytes",
    "decodeStateBytes",
    "maxAbs",
    "maxRel",
    "rooflineShare",
    "lowMs",
    "highMs",
    "setUps",
    "speedup",
    "speedupLow",
    "speedupHigh",
    "verdict",
    "fullAttention",
    "neededMs",
    "message",
];

/// Columns of decode races only, after those that every race has.
const DECODE_COLUMNS: [&str; 11] = [
    "tokensPerS",
    "stateBytes",
    "prefillMs",
    "prefillFlops",
    "prefillBytes",
    "prefillRooflineShare",
    "stepTokens",
    "stepMedianMs",
    "stepP99Ms",
    "stepWorstMs",
    "tokens",
];

impl Report {
    /// The JSON of a file: indented, with a final newline.
    ///
    /// # Errors
    /// Only where memory is exhausted: a validated report is always valid JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// One row per point, RFC 4180 with a header. Numbers have full precision and a decimal point. In a decode race,
    /// `length` is that of the context, `medianMs` the time of a token, and further columns follow those that every race
    /// has; they end with the tokens generated in a run.
    pub fn to_csv(&self) -> String {
        let tokens = match self.config.mode {
            Task::Forward => None,
            Task::Decode { tokens } => Some(tokens),
        };
        let mut columns = COLUMNS.to_vec();
        columns.extend(tokens.iter().flat_map(|_| DECODE_COLUMNS));
        let mut text = columns.join(",") + "\r\n";
        for lane in &self.lanes {
            for point in &lane.points {
                let mut cells: Vec<String> = row(lane, point).iter().map(|cell| csv_cell(cell)).collect();
                cells.extend(tokens.iter().flat_map(|tokens| self.decode_row(point, *tokens)));
                text.push_str(&cells.join(","));
                text.push_str("\r\n");
            }
        }
        text
    }

    /// The cells of [`DECODE_COLUMNS`].
    fn decode_row(&self, point: &Point, tokens: usize) -> [String; DECODE_COLUMNS.len()] {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let decode = point.decode.as_ref();
        let steps = decode.and_then(|decode| decode.steps.as_ref());
        [
            number(self.tokens_per_s(point)),
            number(decode.map(|decode| decode.state_bytes)),
            number(decode.and_then(|decode| decode.prefill_ms)),
            number(decode.map(|decode| decode.prefill_flops)),
            number(decode.map(|decode| decode.prefill_bytes)),
            number(decode.and_then(|decode| decode.prefill_roofline_share)),
            steps.map_or_else(String::new, |steps| steps.tokens.to_string()),
            number(steps.map(|steps| steps.median_ms)),
            number(steps.map(|steps| steps.p99_ms)),
            number(steps.map(|steps| steps.worst_ms)),
            tokens.to_string(),
        ]
    }

    /// The name of a row's length in tables: `length`, or `context` in a decode race.
    pub fn length_word(&self) -> &'static str {
        match self.config.mode {
            Task::Forward => "length",
            Task::Decode { .. } => "context",
        }
    }

    /// The quantity that a decode race times, for a line about the race; empty for forward passes.
    pub fn mode_words(&self) -> String {
        match self.config.mode {
            Task::Forward => String::new(),
            Task::Decode { tokens } => {
                format!(
                    "time per token over {tokens} tokens after the context, set-up and prefill excluded; "
                )
            }
        }
    }

    /// A table with a row per length and a column per lane, and a line with the problem and the machine.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("| {} |", self.length_word());
        for (lane, name) in self.lanes.iter().zip(self.names()) {
            // Numbers of a lane that exists in one form only are marked wherever they appear.
            let form = match (self.config.causal, lane.causal) {
                (true, false) => ", bidirectional",
                (false, true) => ", causal",
                _ => "",
            };
            let _ = write!(text, " {} ({}{form}) |", markdown(&name), lane.backend);
        }
        text.push_str("\n| ---: |");
        text.push_str(&" ---: |".repeat(self.lanes.len()));
        text.push('\n');
        for each in self.config.sorted_lengths() {
            let _ = write!(text, "| {} |", length(f64::from(each)));
            for (index, lane) in self.lanes.iter().enumerate() {
                let point = lane.points.iter().find(|point| point.length == each);
                let _ = write!(
                    text,
                    " {} |",
                    point.map_or_else(|| "–".to_owned(), |point| self.cell(index, lane, point))
                );
            }
            text.push('\n');
        }
        text.push_str("| exponent |");
        for lane in &self.lanes {
            let cell =
                lane.exponent.map(|fit| format!("{:.2} ({:.2} to {:.2})", fit.estimate, fit.low, fit.high));
            let _ = write!(text, " {} |", cell.unwrap_or_else(|| "–".to_owned()));
        }
        text.push_str("\n| crossover |");
        for index in 0..self.lanes.len() {
            let _ = write!(text, " {} |", self.crossover_cell(index));
        }
        let config = &self.config;
        let causal = if config.causal { "causal" } else { "bidirectional" };
        let level = match config.level {
            LevelName::Core => "core",
            LevelName::Layer => "whole layer",
        };
        let machine = &self.environment;
        let gpu = machine.gpu.as_ref().map_or(String::new(), |gpu| {
            format!(
                "; GPU {} {}{}",
                gpu.vendor,
                gpu.architecture,
                if gpu.fallback { " (software)" } else { "" }
            )
        });
        let about = format!(
            "{}{level}, width {}, {} heads, batch {}, {causal}, f32, seed {}; {}, {} threads, {}{gpu}; Crossover {}{}",
            self.mode_words(),
            config.width,
            config.heads,
            config.batch,
            config.seed,
            machine.agent,
            machine.threads,
            machine.simd,
            machine.build,
            self.day().map_or_else(String::new, |day| format!("; {day}"))
        );
        let _ = write!(text, "\n\n{}\n", markdown(&about));
        text
    }

    /// A name for each lane. Lanes of one system on one backend are distinguished by their differing parameters, or by
    /// a number where no parameter differs.
    fn names(&self) -> Vec<String> {
        let twins = |a: &Lane, b: &Lane| a.system == b.system && a.backend == b.backend;
        self.lanes
            .iter()
            .enumerate()
            .map(|(index, lane)| {
                let others =
                    || self.lanes.iter().enumerate().filter(|(at, other)| *at != index && twins(lane, other));
                let own: Vec<String> = lane
                    .params
                    .iter()
                    .filter(|(name, value)| others().any(|(_, other)| other.params.get(*name) != Some(value)))
                    .map(param)
                    .collect();
                let same = others().filter(|(at, other)| *at < index && other.params == lane.params).count();
                let mut name = lane.title.clone();
                if !own.is_empty() {
                    name = format!("{name} {}", own.join(" "));
                }
                if same > 0 { format!("{name} {}", same + 1) } else { name }
            })
            .collect()
    }

    /// The attention lane on the same backend as `lane`, its baseline.
    pub fn baseline_of(&self, lane: usize) -> Option<usize> {
        let own = self.lanes.get(lane)?;
        let first = self
            .lanes
            .iter()
            .position(|other| other.system == "attention" && other.backend == own.backend)?;
        (first != lane).then_some(first)
    }

    /// The length of a crossover as text: `≤ 256` for a bound.
    pub fn crossover_word(&self, crossover: &Crossover) -> String {
        match (crossover.kind, crossover.estimate) {
            (CrossoverKind::Measured, Some(at)) => length(at),
            (CrossoverKind::AtMost, Some(at)) => format!("≤ {}", length(at)),
            (CrossoverKind::Predicted, Some(at)) => format!("{} (predicted)", length(at)),
            (CrossoverKind::Undecided, _) => "undecided".to_owned(),
            _ => "none".to_owned(),
        }
    }

    /// A point's speed-up over attention with its 95% interval, where the report has one. Without interval and verdict
    /// where it has only the two times, as in reports of format 1.
    pub fn speedup(&self, lane: usize, point: &Point) -> Option<Speedup> {
        if let Some(Versus { speedup, low, high, verdict, .. }) = point.versus {
            return Some(Speedup { value: speedup, judged: Some((low, high, verdict)) });
        }
        let mine_ms = point.median_ms.filter(|_| point.outcome == "ok")?;
        let baseline = self.lanes.get(self.baseline_of(lane)?)?;
        // An unverified point, for example of a stopped race, cannot be a baseline.
        let theirs =
            baseline.points.iter().find(|other| other.length == point.length && other.outcome == "ok")?;
        Some(Speedup { value: theirs.median_ms? / mine_ms, judged: None })
    }

    fn cell(&self, index: usize, lane: &Lane, point: &Point) -> String {
        let full = if point.full_attention { ", full attention" } else { "" };
        match (point.outcome.as_str(), point.median_ms, lane.predicted_ms(point), point.needed_ms) {
            ("ok", Some(ms), ..) => match self.speedup(index, point) {
                Some(speedup) => format!("{} ({speedup}{full})", time(ms)),
                None => time(ms),
            },
            (reason, _, predicted, Some(needed)) => {
                let predicted = predicted.map_or_else(String::new, |ms| format!(", ~{}", time(ms)));
                format!("{reason}{predicted}, needs {}", time(needed))
            }
            (reason, _, Some(ms), _) => format!("{reason}, ~{}", time(ms)),
            (reason, ..) => reason.to_owned(),
        }
    }

    fn crossover_cell(&self, index: usize) -> String {
        let found = self.crossovers.iter().find(|crossover| crossover.challenger as usize == index);
        found.map_or_else(|| "–".to_owned(), |crossover| self.crossover_word(crossover))
    }
}

/// A speed-up over attention and its verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speedup {
    /// Attention's time over the lane's.
    pub value: f64,
    /// Its 95% interval and the verdict. Absent where the report has none, so that no winner can be named.
    pub judged: Option<(f64, f64, Verdict)>,
}

impl std::fmt::Display for Speedup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.judged {
            Some((low, high, verdict)) => {
                write!(f, "{}×, {} to {}, {verdict}", ratio(self.value), ratio(low), ratio(high))
            }
            None => write!(f, "{}×, no interval", ratio(self.value)),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ahead => "ahead",
            Self::Behind => "behind",
            Self::Undecided => "undecided",
        })
    }
}

fn row(lane: &Lane, point: &Point) -> [String; COLUMNS.len()] {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let verified = point.verified.as_ref();
    let versus = point.versus.as_ref();
    [
        lane.system.clone(),
        lane.backend.clone(),
        params(lane),
        lane.causal.to_string(),
        point.length.to_string(),
        point.outcome.clone(),
        number(point.median_ms),
        number(point.q1_ms),
        number(point.q3_ms),
        number(point.min_ms),
        point.samples.to_string(),
        point.repeats.to_string(),
        point.discarded.to_string(),
        number(point.device_ms),
        number(point.setup_ms),
        number(point.first_run_ms),
        number(lane.predicted_ms(point)),
        point.flops.to_string(),
        point.bytes.to_string(),
        point.peak_bytes.to_string(),
        point.decode_state_bytes.to_string(),
        number(verified.and_then(|verified| verified.max_abs)),
        number(verified.and_then(|verified| verified.max_rel)),
        number(point.roofline_share),
        number(point.low_ms),
        number(point.high_ms),
        if point.set_ups > 0 { point.set_ups.to_string() } else { String::new() },
        number(versus.map(|versus| versus.speedup)),
        number(versus.map(|versus| versus.low)),
        number(versus.map(|versus| versus.high)),
        versus.map_or_else(String::new, |versus| versus.verdict.to_string()),
        point.full_attention.to_string(),
        number(point.needed_ms),
        point.message.clone().unwrap_or_default(),
    ]
}

fn params(lane: &Lane) -> String {
    lane.params.iter().map(param).collect::<Vec<_>>().join(" ")
}

fn param((name, value): (&String, &ParamValue)) -> String {
    match value {
        ParamValue::Bool(flag) => format!("{name}={flag}"),
        ParamValue::Int(whole) => format!("{name}={whole}"),
        ParamValue::Float(real) => format!("{name}={real}"),
        ParamValue::Text(word) => format!("{name}={word}"),
    }
}

/// A cell, quoted where necessary, and never one that a spreadsheet would run as a formula.
fn csv_cell(text: &str) -> String {
    // Includes the full-width forms, which East Asian spreadsheets treat alike.
    let formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r', '|', '%', '＝', '＋', '－', '＠']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', '\t']) || formula {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// Text with all characters escaped that have a meaning in Markdown or HTML.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A bare address would become a link.
            ':' => escaped.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '!' | '#' | '~' | '$' | '@' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{decode_report, report};

    #[test]
    fn csv_has_a_row_per_point_and_numbers_in_full() {
        let report = report();
        let text = report.to_csv();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        let points: usize = report.lanes.iter().map(|lane| lane.points.len()).sum();
        assert_eq!((lines.len(), lines[0]), (points + 1, COLUMNS.join(",").as_str()));
        let cells: Vec<&str> = lines[1].split(',').collect();
        assert_eq!(cells.len(), COLUMNS.len());
        assert_eq!(cells[..6], ["attention", "cpu", "", "true", "256", "ok"]);
        assert_eq!(cells[6].parse::<f64>().ok(), report.lanes[0].points[0].median_ms);
        assert!(lines.last().unwrap().contains("bias=true gain=0.5 mode=fast order=2"));
        // A point that ran out of memory has no time, but a prediction and a message.
        assert!(text.contains(",memory,,,,,0,0,0,,,,27541.4"), "{text}");
    }

    #[test]
    fn fault_25_no_cell_is_a_formula() {
        let mut report = report();
        for evil in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "|calc", "%0A=1", "＝1+1", "a\",=1,\"b"]
        {
            report.lanes[0].points[6].message = Some(evil.to_owned());
            let text = report.to_csv();
            let line = text.split_terminator("\r\n").nth(7).unwrap();
            // The last cell as a CSV reader sees it.
            let cell = line.split_once(",\"").unwrap().1.strip_suffix('"').unwrap().replace("\"\"", "\"");
            assert!(cell.starts_with('\'') || cell == "a\",=1,\"b", "{line}");
        }
    }

    #[test]
    fn markdown_is_a_table_with_ratios() {
        let text = report().to_markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| length | Attention (cpu) | Toy (cpu) |");
        assert_eq!(lines[2], "| 256 | 6.55 ms | 44.6 µs (147×, 141 to 153, ahead, full attention) |");
        assert_eq!(lines[8], "| 16,384 | memory, ~27.5 s | 4.44 ms |");
        assert_eq!(lines[9], "| exponent | 2.00 (1.98 to 2.03) | 1.10 (1.08 to 1.13) |");
        assert_eq!(lines[10], "| crossover | – | 2,346 |");
        assert!(
            lines[12].starts_with("whole layer, width 256, 4 heads, batch 1, causal, f32, seed 1; "),
            "{text}"
        );
        assert!(lines[12].ends_with(&report().day().unwrap()), "{text}");
    }

    #[test]
    fn results_without_verdicts_name_no_winner() {
        let mut report = report();
        report.lanes[1].points[1].versus = None;
        if let Some(versus) = &mut report.lanes[1].points[2].versus {
            (versus.low, versus.verdict) = (0.9, Verdict::Undecided);
        }
        let text = report.to_markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].ends_with("×, no interval) |"), "{}", lines[3]);
        assert!(lines[4].ends_with(", undecided) |"), "{}", lines[4]);
    }

    #[test]
    fn csv_has_the_verdict_and_its_interval_in_full() {
        let report = report();
        let versus = report.lanes[1].points[0].versus.unwrap();
        let text = report.to_csv();
        let row = text.split_terminator("\r\n").find(|line| line.starts_with("toy,cpu,")).unwrap();
        let interval = format!("{},{},{},ahead,true,,", versus.speedup, versus.low, versus.high);
        assert!(row.ends_with(&interval), "{row}");
    }

    #[test]
    fn exports_of_decode_races_speak_of_contexts_and_tokens() {
        let report = decode_report();
        let text = report.to_csv();
        let mut lines = text.split_terminator("\r\n").map(|line| line.split(',').collect::<Vec<&str>>());
        let head = lines.next().unwrap();
        assert_eq!(head[..COLUMNS.len()], COLUMNS);
        assert_eq!(head[COLUMNS.len()..], DECODE_COLUMNS);
        let points = report.lanes.iter().flat_map(|lane| &lane.points);
        for (cells, point) in lines.zip(points) {
            assert_eq!(cells.len(), head.len());
            let cell = |name: &str| {
                cells[head.iter().position(|column| *column == name).unwrap()].parse::<f64>().ok()
            };
            let decode = point.decode;
            let steps = decode.and_then(|decode| decode.steps);
            assert_eq!(cell("length"), Some(f64::from(point.length)));
            assert_eq!(cell("tokens"), Some(64.0));
            // The batch of two sequences gets two tokens in each step.
            assert_eq!(cell("tokensPerS"), point.median_ms.map(|ms| 2000.0 / ms));
            assert_eq!(cell("stateBytes"), decode.map(|decode| decode.state_bytes));
            assert_eq!(cell("prefillMs"), decode.and_then(|decode| decode.prefill_ms));
            assert_eq!(cell("stepP99Ms"), steps.map(|steps| steps.p99_ms));
            assert_eq!(cell("stepWorstMs"), steps.map(|steps| steps.worst_ms));
        }
        assert!(!self::report().to_csv().contains("tokensPerS"));
        let text = report.to_markdown();
        assert!(text.starts_with("| context | Attention (cpu) | Toy (cpu) |\n"), "{text}");
        let about =
            "\n\ntime per token over 64 tokens after the context, set-up and prefill excluded; whole layer, ";
        assert!(text.contains(about), "{text}");
        let json = report.to_json().unwrap();
        assert!(json.contains("\"contexts\": [") && !json.contains("\"lengths\""), "{json}");
    }

    #[test]
    fn every_kind_of_crossover_has_its_word() {
        let report = report();
        let mut crossover = report.crossovers[0];
        for (kind, word) in [
            (CrossoverKind::Measured, "2,346"),
            (CrossoverKind::AtMost, "≤ 2,346"),
            (CrossoverKind::Predicted, "2,346 (predicted)"),
            (CrossoverKind::Undecided, "undecided"),
            (CrossoverKind::None, "none"),
        ] {
            crossover.kind = kind;
            assert_eq!(report.crossover_word(&crossover), word);
        }
    }

    #[test]
    fn a_lane_without_time_states_its_need() {
        let mut report = report();
        let point = report.lanes[0].points.last_mut().unwrap();
        (point.outcome, point.message, point.needed_ms) = ("time-budget".to_owned(), None, Some(41_000.0));
        assert_eq!(report.validate(), Ok(()));
        assert!(report.to_markdown().contains("| time-budget, ~27.5 s, needs 41.0 s |"));
    }

    #[test]
    fn markdown_tells_lanes_of_one_system_apart() {
        let mut report = report();
        let toy = report.lanes[1].clone();
        let mut other = toy.clone();
        other.params.insert("order".to_owned(), ParamValue::Int(3));
        other.causal = false;
        report.lanes.extend([other, toy]);
        let text = report.to_markdown();
        let head = text.lines().next().unwrap();
        assert_eq!(
            head,
            "| length | Attention (cpu) | Toy order=2 (cpu) | Toy order=3 (cpu, bidirectional) | Toy order=2 2 (cpu) |"
        );
    }

    #[test]
    fn fault_25_nothing_foreign_formats_markdown() {
        let mut report = report();
        report.lanes[0].title = "a|b <script> [x](javascript:alert) `c` http://x".to_owned();
        let text = report.to_markdown();
        let head = text.lines().next().unwrap();
        assert!(
            head.starts_with(
                r"| length | a\|b &lt;script&gt; \[x\](javascript&#58;alert) \`c\` http&#58;//x"
            )
        );
    }
}
