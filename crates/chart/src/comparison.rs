//! Describes how lanes compare with attention at a length. The verdicts are the report's; nothing is decided here.

use report::{Lane, Point, Report, Speedup, Status, Verdict};

use crate::format;
use crate::words::Words;

/// An undecided interval within this factor of 1 is described as about equal. A wider one is described as undecided.
const ABOUT: f64 = 1.1;

/// A speed-up in two or three words. Without an interval no winner is named.
pub fn words(speedup: Speedup, text: &Words) -> String {
    let Speedup { value, judged } = speedup;
    match judged {
        Some((_, _, Verdict::Ahead)) => (text.faster)(&format::ratio(value)),
        Some((_, _, Verdict::Behind)) => (text.slower)(&format::ratio(1.0 / value)),
        Some((low, high, Verdict::Undecided)) => {
            let interval = format::ratios(low, high);
            if low * ABOUT >= 1.0 && high <= ABOUT {
                (text.about_equal)(&interval)
            } else {
                (text.undecided)(&interval)
            }
        }
        None => (text.no_interval)(&format::ratio(value)),
    }
}

/// The 95% interval behind the words, as a factor by which the lane is faster or slower; `None` where the words contain
/// it.
pub fn interval(speedup: Speedup, text: &Words) -> Option<String> {
    let (low, high, verdict) = speedup.judged?;
    let (low, high) = match verdict {
        Verdict::Ahead => (low, high),
        Verdict::Behind => (1.0 / high, 1.0 / low),
        Verdict::Undecided => return None,
    };
    let [low, high] = [low, high].map(format::ratio);
    let low = if low == high { low.as_str() } else { low.trim_end_matches('×') };
    Some((text.interval)(low, &high))
}

/// Whether the verdict is that the lane is faster.
pub fn is_ahead(speedup: Speedup) -> bool {
    verdict(speedup) == Some(Verdict::Ahead)
}

/// The verdict, if there is one.
pub fn verdict(speedup: Speedup) -> Option<Verdict> {
    speedup.judged.map(|(.., verdict)| verdict)
}

/// The measured point of a lane at a length. A point that was cancelled, lost or not verified keeps its times but is
/// not a result.
pub fn measured(lane: &Lane, length: u32) -> Option<&Point> {
    lane.points.iter().find(|point| point.length == length && is_measured(point))
}

/// Whether a point is a result.
pub fn is_measured(point: &Point) -> bool {
    point.outcome == "ok" && point.median_ms.is_some_and(|ms| ms > 0.0)
}

/// `challenger` compared with `baseline` at `length`, where both were measured: the report's verdict, or the verdict
/// from the two intervals for a lane of another backend, for which the report has none. While the race runs, a length
/// without a verdict returns `None`: its ratio would be shown as one without an interval until the next analysis.
pub fn versus(report: &Report, challenger: usize, baseline: usize, length: u32) -> Option<Speedup> {
    let mine = measured(report.lanes.get(challenger)?, length)?;
    let theirs = measured(report.lanes.get(baseline)?, length)?;
    let speedup = if report.baseline_of(challenger) == Some(baseline) {
        report.speedup(challenger, mine)
    } else {
        report::compare::speedup(theirs, mine)
    };
    speedup.filter(|speedup| report.status != Status::Running || speedup.judged.is_some())
}

/// Why a lane did not finish a length, in addition to the outcome's name: its message, or the time that it would have
/// needed.
pub fn reason(point: &Point, text: &Words) -> Option<String> {
    let needs = || point.needed_ms.map(|ms| (text.needs)(&format::time(ms)));
    (text.reason)(point).or_else(needs)
}

/// Lengths of the race, ascending: all configured and all measured ones.
pub fn lengths(report: &Report) -> Vec<u32> {
    let mut lengths: Vec<u32> = report
        .config
        .lengths
        .iter()
        .copied()
        .chain(report.lanes.iter().flat_map(|lane| lane.points.iter().map(|point| point.length)))
        .collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// The longest length at which any of `lanes` was measured.
pub fn longest_measured(report: &Report, lanes: impl Fn(usize) -> bool) -> Option<u32> {
    report
        .lanes
        .iter()
        .enumerate()
        .filter(|(index, _)| lanes(*index))
        .flat_map(|(_, lane)| lane.points.iter())
        .filter(|point| is_measured(point))
        .map(|point| point.length)
        .max()
}

/// The comparison of `challenger` with `baseline` at every length where both were measured, ascending.
pub fn common(
    report: &Report,
    challenger: usize,
    baseline: usize,
) -> impl DoubleEndedIterator<Item = (u32, Speedup)> {
    lengths(report)
        .into_iter()
        .filter_map(move |length| Some((length, versus(report, challenger, baseline, length)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::words::{CHINESE, ENGLISH};

    fn judged(value: f64, low: f64, high: f64, verdict: Verdict) -> Speedup {
        Speedup { value, judged: Some((low, high, verdict)) }
    }

    #[test]
    fn words_follow_the_verdict() {
        for (speedup, english, chinese) in [
            (judged(1.8, 1.7, 1.9, Verdict::Ahead), "1.8× faster", "快 1.8×"),
            (judged(1.034, 1.02, 1.05, Verdict::Ahead), "1.03× faster", "快 1.03×"),
            (judged(0.5, 0.4, 0.6, Verdict::Behind), "2.0× slower", "慢 2.0×"),
            (judged(0.97, 0.96, 0.98, Verdict::Behind), "1.03× slower", "慢 1.03×"),
            (
                judged(1.003, 0.97, 1.04, Verdict::Undecided),
                "about equal (0.97–1.04×)",
                "相差无几（0.97–1.04×）",
            ),
            (judged(1.2, 0.61, 2.4, Verdict::Undecided), "undecided (0.61–2.4×)", "未分胜负（0.61–2.4×）"),
            (Speedup { value: 0.55, judged: None }, "0.55× as fast, no interval", "速度为 0.55×，无置信区间"),
        ] {
            assert_eq!(
                (words(speedup, &ENGLISH).as_str(), words(speedup, &CHINESE).as_str()),
                (english, chinese)
            );
        }
        assert_eq!(
            interval(judged(0.5, 0.4, 0.625, Verdict::Behind), &ENGLISH).as_deref(),
            Some("(95%: 1.6–2.5×)")
        );
        assert_eq!(
            interval(judged(1.8, 1.81, 1.82, Verdict::Ahead), &ENGLISH).as_deref(),
            Some("(95%: 1.8×)")
        );
        assert_eq!(interval(judged(1.0, 0.9, 1.1, Verdict::Undecided), &ENGLISH), None);
    }

    #[test]
    fn the_reports_verdict_counts_whatever_the_times() {
        let mut report = samples::duel();
        let last = standing_at(&report);
        assert!(is_ahead(last));
        let point = report.lanes[1].points.last_mut().unwrap();
        point.versus.as_mut().unwrap().verdict = Verdict::Undecided;
        assert!(!is_ahead(standing_at(&report)) && standing_at(&report).value > 2.0);
        report.lanes[1].points.last_mut().unwrap().versus = None;
        assert_eq!(standing_at(&report).judged, None);
    }

    #[test]
    fn points_without_results_are_not_compared() {
        for outcome in ["cancelled", "device-lost", "not-verified"] {
            for lane in [0, 1] {
                let mut report = samples::duel();
                outcome.clone_into(&mut report.lanes[lane].points.last_mut().unwrap().outcome);
                assert_eq!(measured(&report.lanes[lane], 16_384), None, "{outcome}");
                assert_eq!(longest_measured(&report, |index| index == lane), Some(8192), "{outcome}");
                assert_eq!(versus(&report, 1, 0, 16_384), None, "{outcome}");
                assert_eq!(common(&report, 1, 0).last().map(|(length, _)| length), Some(8192), "{outcome}");
            }
        }
    }

    #[test]
    fn a_running_race_compares_only_lengths_with_verdicts() {
        let mut report = samples::duel();
        report.lanes[1].points.last_mut().unwrap().versus = None;
        assert_eq!(common(&report, 1, 0).last().map(|(length, _)| length), Some(16_384));
        report.status = Status::Running;
        assert_eq!(versus(&report, 1, 0, 16_384), None);
        assert_eq!(common(&report, 1, 0).last().map(|(length, _)| length), Some(8192));
    }

    fn standing_at(report: &Report) -> Speedup {
        versus(report, 1, 0, 16_384).unwrap()
    }
}
