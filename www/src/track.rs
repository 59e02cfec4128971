//! The lanes as a race: the progress of each, its time at the selected length, and its comparison with attention.

use report::Report;

use crate::state::Progress;
use crate::table::{self, Badge};
use crate::text::Text;
use chart::comparison;
use chart::format;
use chart::lanes::Look;

/// One lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Its look.
    pub look: Look,
    /// Result of the lane's verifications.
    pub badge: Badge,
    /// Exponent of L and its interval: `1.98`, `1.95–2.01`.
    pub growth: Option<(String, String)>,
    /// Each length of the race with the lane's progress there.
    pub steps: Vec<(u32, Step)>,
    /// Its time as a share of the slowest lane's time at the selected length.
    pub share: f64,
    /// Its formatted time, or the reason why there is none.
    pub time: String,
    /// Comparison with attention in two words.
    pub comparison: String,
    /// Whether the verdict is that it is faster than attention.
    pub ahead: bool,
    /// Whether the engine works on it now.
    pub at_work: bool,
}

/// A lane's progress at a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Not started.
    Ahead,
    /// Being measured.
    Now,
    /// Measured.
    Done,
    /// Did not finish.
    Out,
}

/// All lanes at `length`. `progress` is the current activity while a race runs.
pub fn tracks(
    report: &Report,
    looks: &[Look],
    length: Option<u32>,
    progress: Option<&Progress>,
    text: &Text,
) -> Vec<Track> {
    let lengths = comparison::lengths(report);
    let time_of = |index: usize| comparison::measured(report.lanes.get(index)?, length?)?.median_ms;
    let slowest = (0..report.lanes.len()).filter_map(time_of).fold(0.0, f64::max);
    let track = |(index, (lane, look)): (usize, (&report::Lane, &Look))| {
        let here = progress.filter(|progress| progress.lane == index);
        let step = |&length: &u32| {
            let point = lane.points.iter().find(|point| point.length == length);
            let step = match point {
                Some(point) if comparison::is_measured(point) => Step::Done,
                Some(point) if point.outcome != "ok" => Step::Out,
                _ if here.is_some_and(|progress| progress.length == length) => Step::Now,
                _ => Step::Ahead,
            };
            (length, step)
        };
        let time = time_of(index);
        let out = length.and_then(|length| {
            lane.points.iter().find(|point| point.length <= length && point.outcome != "ok")
        });
        let versus = look
            .baseline
            .zip(length)
            .and_then(|(baseline, length)| comparison::versus(report, index, baseline, length));
        let full_attention = length
            .and_then(|length| comparison::measured(lane, length))
            .is_some_and(|point| point.full_attention);
        let is_baseline = looks.iter().any(|other| other.baseline == Some(index));
        Track {
            look: look.clone(),
            badge: table::badge(lane),
            growth: table::growth(lane),
            steps: lengths.iter().map(step).collect(),
            share: time.map_or(0.0, |time| if slowest > 0.0 { time / slowest } else { 0.0 }),
            time: match (time, out) {
                (Some(time), _) => format::time(time),
                (None, Some(point)) => (text.words.outcome)(&point.outcome).to_owned(),
                (None, None) => String::new(),
            },
            comparison: with_mark(
                full_attention,
                text,
                match versus {
                    Some(versus) => comparison::words(versus, text.words),
                    None if time.is_some() && is_baseline => text.baseline.to_owned(),
                    None if time.is_none() => {
                        let needed = out.and_then(|point| point.needed_ms);
                        needed.map(|ms| (text.words.needs)(&format::time(ms))).unwrap_or_default()
                    }
                    None => String::new(),
                },
            ),
            ahead: versus.is_some_and(comparison::is_ahead),
            at_work: here.is_some(),
        }
    };
    report.lanes.iter().zip(looks).enumerate().map(track).collect()
}

/// A lane's comparison, with a mark where it ran full attention.
fn with_mark(full_attention: bool, text: &Text, comparison: String) -> String {
    match (full_attention, comparison.is_empty()) {
        (false, _) => comparison,
        (true, true) => text.full_attention.to_owned(),
        (true, false) => format!("{comparison} · {}", text.full_attention),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::text::ENGLISH;
    use chart::lanes::looks;

    fn at(report: &Report, length: u32, progress: Option<&Progress>) -> Vec<Track> {
        tracks(report, &looks(report, &[], ENGLISH.words), Some(length), progress, &ENGLISH)
    }

    #[test]
    fn lanes_stand_by_their_times_at_the_length_looked_at() {
        let report = samples::duel();
        let long = at(&report, 16_384, None);
        assert!(long[0].share == 1.0 && long[1].share < 0.5);
        assert!(long[1].ahead && long[1].comparison.ends_with("faster"));
        assert_eq!(long[0].comparison, "baseline");
        let short = at(&report, 256, None);
        assert!(!short[1].ahead && short[1].comparison.ends_with("slower"));
        assert!(short.iter().all(|track| track.steps.iter().all(|(_, step)| *step == Step::Done)));
    }

    #[test]
    fn lanes_without_time_or_verdict_are_labelled() {
        let mut report = samples::duel();
        report.lanes[1].points[5].versus = None;
        let point = report.lanes[1].points.last_mut().unwrap();
        (point.outcome, point.median_ms, point.needed_ms) = ("time-budget".to_owned(), None, Some(12_300.0));
        let long = at(&report, 16_384, None);
        assert_eq!(
            (long[1].time.as_str(), long[1].comparison.as_str()),
            ("time budget", "needs about 12.3\u{202f}s")
        );
        report.lanes[1].points[4].full_attention = true;
        assert!(at(&report, 4096, None)[1].comparison.ends_with("faster · full attention"));
        let before = at(&report, 8192, None);
        assert!(
            !before[1].ahead && before[1].comparison.ends_with("as fast, no interval"),
            "{:?}",
            before[1]
        );
    }

    #[test]
    fn a_stopped_length_is_not_done() {
        let mut report = samples::duel();
        "cancelled".clone_into(&mut report.lanes[1].points.last_mut().unwrap().outcome);
        let lane = at(&report, 16_384, None).remove(1);
        assert_eq!(lane.steps.last().map(|(_, step)| *step), Some(Step::Out));
        assert_eq!(
            (lane.time.as_str(), lane.comparison.as_str()),
            ((ENGLISH.words.outcome)("cancelled"), "")
        );
    }

    #[test]
    fn running_and_dropped_lanes_are_distinguished() {
        let mut report = samples::wall();
        let out = at(&report, 32_768, None);
        assert_eq!(out[1].time, "out of memory");
        assert!(out[1].steps.iter().any(|(_, step)| *step == Step::Out));
        report.lanes[0].points.truncate(2);
        let progress = Progress {
            fraction: 0.2,
            remaining_ms: 1.0,
            lane: 0,
            length: 1024,
            activity: "sampling".to_owned(),
        };
        let running = at(&report, 512, Some(&progress));
        assert!(running[0].at_work && !running[1].at_work);
        assert_eq!(running[0].steps[2], (1024, Step::Now));
        assert_eq!(running[0].steps[3].1, Step::Ahead);
    }
}
