//! The results as a table, for readers who prefer numbers or cannot see the chart.

use mixer::Task;
use report::{Lane, Point, Report, Speedup, Verified};

use crate::text::Text;
use chart::Metric;
use chart::comparison;
use chart::format;
use chart::lanes::Look;

/// One lane's row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Index of the lane.
    pub lane: usize,
    /// Result of the lane's verifications.
    pub badge: Badge,
    /// Exponent of L and its interval: `1.98`, `1.95–2.01`.
    pub exponent: Option<(String, String)>,
    /// The last columns, which hold values of the longest measured length: `ModeText::columns`.
    pub columns: Vec<String>,
    /// One cell per length of the race.
    pub cells: Vec<Cell>,
}

/// Result of a lane's verifications.
#[derive(Debug, Clone, PartialEq)]
pub enum Badge {
    /// Not verified yet.
    Pending,
    /// Within the tolerance, with the largest relative deviation.
    Pass(String),
    /// Wrong output: the lane is not timed.
    Fail(String),
}

/// The cell of a lane at one length.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not reached yet.
    Pending,
    /// Measured.
    Value {
        /// The time, or the value of another view.
        value: String,
        /// The quartiles, where they differ visibly from the median.
        spread: String,
        /// Comparison with attention on the same backend.
        versus: Option<Speedup>,
        /// Whether the system ran full attention here.
        full_attention: bool,
        /// Numbers of kept and of discarded samples.
        samples: (u32, u32),
    },
    /// The lane did not finish this length.
    Dnf {
        /// The reason in two words.
        reason: String,
        /// The reason as a sentence, or an empty string.
        message: String,
        /// The predicted value.
        predicted: Option<String>,
        /// The time that the point would have needed.
        needs: Option<String>,
    },
}

/// All rows, in the lanes' order.
pub fn rows(report: &Report, looks: &[Look], metric: Metric, text: &Text) -> Vec<Row> {
    let lengths = comparison::lengths(report);
    report
        .lanes
        .iter()
        .zip(looks)
        .enumerate()
        .map(|(index, (lane, look))| {
            let last = lane.points.iter().rev().find(|point| point.median_ms.is_some());
            Row {
                lane: index,
                badge: badge(lane),
                exponent: growth(lane),
                columns: columns(last, report),
                cells: lengths
                    .iter()
                    .map(|&length| cell(report, lane, (index, look.baseline), length, metric, text))
                    .collect(),
            }
        })
        .collect()
}

fn time(ms: Option<f64>) -> String {
    ms.map_or_else(|| format::NONE.to_owned(), format::time)
}

/// The table's last columns for a lane's longest measured point.
fn columns(point: Option<&Point>, report: &Report) -> Vec<String> {
    let set_up = time(point.and_then(|point| point.setup_ms));
    match report.config.mode {
        Task::Forward => vec![set_up, time(point.and_then(|point| point.first_run_ms))],
        Task::Decode { .. } => {
            let mut columns = point.map(|point| decoding(point, report)).unwrap_or_default();
            columns.resize(DECODING, format::NONE.to_owned());
            columns.push(set_up);
            columns
        }
    }
}

/// Number of values of [`decoding`].
const DECODING: usize = 4;

/// Quantities of a point of a decode race other than its time: tokens per second, state, prefill, slowest token. Empty for other
/// races.
pub fn decoding(point: &Point, report: &Report) -> Vec<String> {
    let Some(rate) = report.tokens_per_s(point) else { return Vec::new() };
    let state = point.decode.map_or(point.decode_state_bytes, |decode| decode.state_bytes);
    vec![
        // The column's name has the unit.
        format::rate(rate, "").trim_end().to_owned(),
        format::bytes(state),
        time(point.decode.and_then(|decode| decode.prefill_ms)),
        time(point.decode.and_then(|decode| decode.steps).map(|steps| steps.worst_ms)),
    ]
}

/// A lane's exponent of L with its interval.
pub fn growth(lane: &Lane) -> Option<(String, String)> {
    lane.exponent.map(|exponent| {
        (
            format::exponent(exponent.estimate),
            format!("{}–{}", format::exponent(exponent.low), format::exponent(exponent.high)),
        )
    })
}

/// Result of a lane's verifications; the worst one counts.
pub fn badge(lane: &Lane) -> Badge {
    let all: Vec<Verified> = lane
        .verification
        .iter()
        .chain(lane.points.iter().filter_map(|point| point.verified.as_ref()))
        .copied()
        .collect();
    let failed = all.iter().find(|verified| !verified.pass);
    match failed {
        Some(verified) => {
            Badge::Fail(verified.max_rel.map_or_else(|| format::NONE.to_owned(), format::deviation))
        }
        None if lane.points.iter().any(|point| point.outcome == "not-verified") => {
            Badge::Fail(format::NONE.to_owned())
        }
        None if all.is_empty() => Badge::Pending,
        None => Badge::Pass(format::deviation(
            all.iter().filter_map(|verified| verified.max_rel).fold(0.0, f64::max),
        )),
    }
}

fn cell(
    report: &Report,
    lane: &Lane,
    (index, baseline): (usize, Option<usize>),
    length: u32,
    metric: Metric,
    text: &Text,
) -> Cell {
    let Some(point) = lane.points.iter().find(|point| point.length == length) else {
        return Cell::Pending;
    };
    match metric.reading(point, report) {
        Some(reading) => {
            let (low, high) = (metric.format(reading.low), metric.format(reading.high));
            Cell::Value {
                value: metric.format(reading.value),
                spread: if low == high { String::new() } else { format!("{low} – {high}") },
                // Next to another quantity, a ratio of times would read like one of that quantity.
                versus: baseline
                    .filter(|_| metric.has_spread())
                    .and_then(|baseline| comparison::versus(report, index, baseline, length)),
                full_attention: point.full_attention,
                samples: (point.samples, point.discarded),
            }
        }
        None if point.outcome == "ok" => Cell::Pending,
        None => dnf(point, lane, metric, report, text),
    }
}

fn dnf(point: &Point, lane: &Lane, metric: Metric, report: &Report, text: &Text) -> Cell {
    Cell::Dnf {
        reason: (text.words.outcome)(&point.outcome).to_owned(),
        message: text.reason(point).unwrap_or_default(),
        predicted: metric.prediction(point, lane, report).map(|value| metric.format(value)),
        needs: point.needed_ms.map(|ms| (text.words.needs)(&format::time(ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::text::{CHINESE, ENGLISH};
    use chart::lanes::looks;

    #[test]
    fn the_table_holds_what_the_chart_shows() {
        let report = samples::duel();
        let rows = rows(&report, &looks(&report, &[], ENGLISH.words), Metric::Time, &ENGLISH);
        assert_eq!((rows.len(), rows[0].cells.len()), (2, 7));
        let Cell::Value { value, versus, .. } = &rows[1].cells[6] else { panic!("measured") };
        assert_eq!(*value, format::time(report.lanes[1].points[6].median_ms.unwrap()));
        assert!(versus.is_some_and(comparison::is_ahead));
        assert!(matches!(&rows[0].cells[0], Cell::Value { versus: None, .. }));
        assert!(matches!(rows[0].badge, Badge::Pass(_)));
    }

    #[test]
    fn a_lane_that_dropped_out_has_its_reason_and_its_prediction() {
        let report = samples::wall();
        let rows = rows(&report, &looks(&report, &[], ENGLISH.words), Metric::Time, &ENGLISH);
        let out = rows[1].cells.iter().find_map(|cell| match cell {
            Cell::Dnf { reason, message, predicted, .. } => Some((reason, message, predicted)),
            _ => None,
        });
        let (reason, message, predicted) = out.unwrap();
        assert_eq!(reason, "out of memory");
        assert!(message.contains("GiB") && predicted.is_some());
        assert_eq!(rows[1].cells.last(), Some(&Cell::Pending));
    }

    #[test]
    fn a_lane_without_time_states_its_need() {
        let mut report = samples::duel();
        let point = report.lanes[1].points.last_mut().unwrap();
        (point.outcome, point.median_ms, point.needed_ms) = ("time-budget".to_owned(), None, Some(12_300.0));
        for (text, words) in [(&ENGLISH, "needs about 12.3\u{202f}s"), (&CHINESE, "约需 12.3\u{202f}s")] {
            let rows = rows(&report, &looks(&report, &[], text.words), Metric::Time, text);
            let Some(Cell::Dnf { needs, .. }) = rows[1].cells.last() else { panic!("dropped out") };
            assert_eq!(needs.as_deref(), Some(words));
        }
    }

    #[test]
    fn a_decode_race_has_its_own_columns() {
        let mut report = samples::decode();
        let last = report.lanes[1].points.last().unwrap().clone();
        let decode = last.decode.unwrap();
        for text in [&ENGLISH, &CHINESE] {
            let all = rows(&report, &looks(&report, &[], text.words), Metric::Time, text);
            let expected = [
                "21.7\u{202f}K".to_owned(),
                format::bytes(decode.state_bytes),
                format::time(decode.prefill_ms.unwrap()),
                format::time(decode.steps.unwrap().worst_ms),
                format::time(last.setup_ms.unwrap()),
            ];
            assert_eq!(all[1].columns, expected);
            assert!(all.iter().all(|row| row.columns.len() == text.decode.columns.len()));
            assert!(all[2].columns.iter().all(|value| value == format::NONE));
            let Cell::Dnf { message, .. } = &all[2].cells[0] else { panic!("it does not decode") };
            let why = if text.tag() == "en" {
                "each output depends on later tokens"
            } else {
                "每个输出都依赖其后的词元"
            };
            assert!(message.contains(why), "{message}");
            let forward = samples::duel();
            let all = rows(&forward, &looks(&forward, &[], text.words), Metric::Time, text);
            assert_eq!(all[0].columns.len(), text.forward.columns.len());
        }
        // Where the clock is too coarse for single tokens, or time was short, the columns stay empty.
        let point = report.lanes[1].points.last_mut().unwrap();
        point.decode =
            point.decode.map(|decode| report::Decoding { prefill_ms: None, steps: None, ..decode });
        let row = rows(&report, &looks(&report, &[], ENGLISH.words), Metric::Time, &ENGLISH).remove(1);
        assert_eq!(row.columns.iter().filter(|value| *value == format::NONE).count(), 2);
    }

    #[test]
    fn ratios_of_times_stand_beside_times_only() {
        let report = samples::decode();
        for &metric in Metric::views(report.config.mode) {
            let rows = rows(&report, &looks(&report, &[], ENGLISH.words), metric, &ENGLISH);
            let Cell::Value { versus, .. } = rows[1].cells[6] else { panic!("measured: {metric:?}") };
            assert_eq!(versus.is_some(), metric.has_spread(), "{metric:?}");
        }
    }

    #[test]
    fn one_failed_comparison_fails_the_lane() {
        let mut report = samples::duel();
        if let Some(verified) = report.lanes[1].points[3].verified.as_mut() {
            verified.pass = false;
        }
        assert!(matches!(badge(&report.lanes[1]), Badge::Fail(_)));
        report.lanes[0].verification = None;
        report.lanes[0].points.clear();
        assert_eq!(badge(&report.lanes[0]), Badge::Pending);
    }
}
