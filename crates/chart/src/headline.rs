//! The result as a sentence that claims no more than the report's verdicts: estimates have intervals, and undecided
//! results, bounds and predictions are named as such.

use report::compare::{self, Found};
use report::{Crossover, CrossoverKind, Report, Speedup, Status, Verdict};

use crate::comparison;
use crate::format;
use crate::lanes::Look;
use crate::machine::processor;
use crate::words::Words;

/// The headline of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Headline {
    /// The result.
    pub text: String,
    /// A qualification of the result, or an empty string.
    pub detail: String,
    /// The lane that the sentence is mainly about.
    pub lane: Option<usize>,
}

/// The headline of a report measured on this machine; `None` while there is no result.
pub fn headline(report: &Report, looks: &[Look], text: &Words) -> Option<Headline> {
    told(report, looks, true, text)
}

/// The headline for readers on other machines: it names the processor in place of "your machine".
pub fn headline_elsewhere(report: &Report, looks: &[Look], text: &Words) -> Option<Headline> {
    told(report, looks, false, text)
}

fn told(report: &Report, looks: &[Look], here: bool, text: &Words) -> Option<Headline> {
    let mut found: Vec<&Crossover> = report
        .crossovers
        .iter()
        .filter(|crossover| {
            let lanes = report.lanes.len().min(looks.len());
            (crossover.challenger as usize) < lanes && (crossover.baseline as usize) < lanes
        })
        .collect();
    if found.is_empty() {
        return fastest(report, looks, text);
    }
    // The first challenger to overtake comes first, then the prediction nearest to the data, then challengers that may
    // overtake.
    let rank = |crossover: &Crossover| match (crossover.kind, verdict_at_last(report, crossover)) {
        (CrossoverKind::Measured | CrossoverKind::AtMost, _) => 0,
        (CrossoverKind::Predicted, _) => 1,
        (CrossoverKind::Undecided, Some(Verdict::Ahead)) => 2,
        (CrossoverKind::Undecided, Some(Verdict::Undecided) | None) => 3,
        (CrossoverKind::Undecided, Some(Verdict::Behind)) => 4,
        (CrossoverKind::None, _) => 5,
    };
    found.sort_by(|a, b| {
        rank(a)
            .cmp(&rank(b))
            .then(a.estimate.unwrap_or(f64::INFINITY).total_cmp(&b.estimate.unwrap_or(f64::INFINITY)))
    });
    // A challenger without a comparison with attention has no sentence of its own.
    let mut headline =
        (0..found.len()).find_map(|index| sentence(report, looks, &found, index, here, text))?;
    if found.len() > 1 {
        let ahead = found.iter().filter(|crossover| rank(crossover) == 0).count();
        let undecided = found.iter().filter(|crossover| is_open(report, crossover)).count();
        let tally = (text.tally)(ahead, undecided, found.len());
        headline.detail =
            if headline.detail.is_empty() { tally } else { format!("{} {tally}", headline.detail) };
    }
    if report.status == Status::Running {
        headline.text = (text.so_far)(&headline.text);
    }
    Some(headline)
}

fn machine(report: &Report, backend: &str, here: bool, text: &Words) -> String {
    if !here {
        return processor(report, backend, text).unwrap_or_else(|| text.backend(backend).to_owned());
    }
    let software = report.environment.gpu.as_ref().is_some_and(|gpu| gpu.fallback);
    match (backend, software) {
        ("cpu", _) => text.this_cpu,
        (_, true) => text.this_software_gpu,
        (_, false) => text.this_gpu,
    }
    .to_owned()
}

/// The verdict at the longest length where both lanes of a crossover were compared.
fn verdict_at_last(report: &Report, crossover: &Crossover) -> Option<Verdict> {
    let (challenger, baseline) = (crossover.challenger as usize, crossover.baseline as usize);
    let (_, at) = comparison::common(report, challenger, baseline).next_back()?;
    comparison::verdict(at)
}

/// Whether a challenger may overtake within the raced lengths. A challenger that is clearly behind at the longest one
/// does not, although the lengths beyond are undecided.
fn is_open(report: &Report, crossover: &Crossover) -> bool {
    crossover.kind == CrossoverKind::Undecided && verdict_at_last(report, crossover) != Some(Verdict::Behind)
}

/// Whether the interval of the crossover at `index` ends before that of every other challenger begins.
fn is_first(report: &Report, found: &[&Crossover], index: usize) -> bool {
    let range = |crossover: &Crossover| Found::from(crossover).range();
    let Some((_, end)) = found.get(index).and_then(|best| range(best)) else { return false };
    found.iter().enumerate().filter(|(other, _)| *other != index).all(|(_, other)| match range(other) {
        Some((begin, _)) => begin > end,
        None => !is_open(report, other),
    })
}

/// The sentence about the crossover at `index` in `found`; `None` where its lanes were not compared at any length.
fn sentence(
    report: &Report,
    looks: &[Look],
    found: &[&Crossover],
    index: usize,
    here: bool,
    text: &Words,
) -> Option<Headline> {
    let crossover = *found.get(index)?;
    let challengers = found.len();
    let is_first = challengers > 1 && is_first(report, found, index);
    let (challenger, baseline) = (crossover.challenger as usize, crossover.baseline as usize);
    let name = looks[challenger].title.as_str();
    let place = machine(report, &report.lanes[challenger].backend, here, text);
    let (last, at) = comparison::common(report, challenger, baseline).next_back()?;
    let verdict = comparison::verdict(at);
    let was_ahead = comparison::common(report, challenger, baseline).any(|(_, at)| comparison::is_ahead(at));
    let last_text = format::length(f64::from(last));
    let interval = match (crossover.low, crossover.high) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() => {
            format!(" {}", (text.interval)(&format::length_about(low), &format::length_about(high)))
        }
        _ => String::new(),
    };
    let standing_text = standing_at(name, &last_text, at, text);
    let from = |length: f64| {
        let shortest = report.shortest_common(crossover).map(f64::from);
        let sentence = if shortest == Some(length) { text.always_ahead } else { text.ahead_by };
        sentence(name, &format::length(length), &place)
    };
    let sentence = match (crossover.kind, crossover.estimate) {
        (CrossoverKind::AtMost, Some(bound)) => from(bound),
        (CrossoverKind::Measured, Some(estimate)) => {
            let overtakes = if is_first { text.overtakes_first } else { text.overtakes };
            overtakes(name, &format::length_about(estimate), &interval, &place)
        }
        (CrossoverKind::Predicted, Some(estimate)) => {
            let would_overtake = match (verdict, was_ahead) {
                (Some(Verdict::Behind), false) => text.would_overtake,
                (Some(Verdict::Behind), true) => text.would_overtake_again,
                _ => text.fits_cross,
            };
            would_overtake(name, &format::length_about(estimate), &interval, &last_text)
        }
        (CrossoverKind::None, _) => match (verdict, was_ahead) {
            (Some(Verdict::Behind), false) => (text.stays_ahead)(&looks[baseline].title, &last_text, &place),
            (Some(Verdict::Behind), true) => (text.ahead_before)(name, &last_text, &place),
            // Without that verdict, the report claims only that it found no crossover.
            _ => (text.no_overtaking)(name, &last_text, &place),
        },
        _ => match verdict {
            Some(Verdict::Behind) => (text.undecided_behind)(name, &last_text, &place),
            Some(Verdict::Ahead) => (text.undecided_ahead)(name, &last_text, &place, challengers),
            Some(Verdict::Undecided) | None => (text.undecided_overtaking)(name, &last_text, &place),
        },
    };
    Some(Headline { text: sentence, detail: standing_text, lane: Some(challenger) })
}

/// How a lane compares with attention at a length.
fn standing_at(name: &str, length: &str, at: Speedup, text: &Words) -> String {
    let interval = comparison::interval(at, text).unwrap_or_default();
    match at.judged {
        Some((_, _, Verdict::Ahead)) => (text.faster_at)(name, length, &format::ratio(at.value), &interval),
        Some((_, _, Verdict::Behind)) => {
            (text.slower_at)(name, length, &format::ratio(1.0 / at.value), &interval)
        }
        Some((low, high, Verdict::Undecided)) => {
            (text.undecided_at)(name, length, &format::ratios(low, high))
        }
        None => (text.ratio_at)(name, length, &format::ratio(1.0 / at.value)),
    }
}

/// Without an attention lane, the headline is the fastest lane at the longest length.
fn fastest(report: &Report, looks: &[Look], text: &Words) -> Option<Headline> {
    // While the race runs, points have no intervals until the next analysis.
    let counts = |point: &report::Point| {
        comparison::is_measured(point) && (report.status != Status::Running || point.low_ms.is_some())
    };
    let points = || {
        let lanes = report.lanes.iter().enumerate();
        let of_lanes = lanes.flat_map(|(index, lane)| lane.points.iter().map(move |point| (index, point)));
        of_lanes.filter(|(_, point)| counts(point))
    };
    let last = points().map(|(_, point)| point.length).max()?;
    let mut times: Vec<(usize, f64, &report::Point)> = points()
        .filter(|(_, point)| point.length == last)
        .filter_map(|(index, point)| Some((index, point.median_ms?, point)))
        .collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (&(winner, best, point), others) = times.split_first()?;
    let name = &looks.get(winner)?.label;
    let length = format::length(f64::from(last));
    let against = |other: &report::Point| compare::speedup(other, point).and_then(|speedup| speedup.judged);
    let is_slower = |other: &report::Point| matches!(against(other), Some((_, _, Verdict::Ahead)));
    let rival = others.iter().find(|(.., other)| !is_slower(other));
    let sentence = match (others.first(), rival) {
        (None, _) => (text.only_lane)(name, &format::time(best), &length),
        (Some(&(second, time, _)), None) => {
            (text.fastest)(name, &length, &format::ratio(time / best), &looks.get(second)?.label)
        }
        (Some(_), Some(&(rival, time, other))) => {
            let rival = &looks.get(rival)?.label;
            if let Some((low, high, _)) = against(other) {
                (text.close_pair)(name, rival, &length, &format::ratios(low, high))
            } else {
                let [best, time] = [best, time].map(format::time);
                (text.pair_without_interval)(name, &best, rival, &time, &length)
            }
        }
    };
    let sentence = if report.status == Status::Running { (text.so_far)(&sentence) } else { sentence };
    Some(Headline { text: sentence, detail: String::new(), lane: Some(winner) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::looks;
    use crate::samples;
    use crate::words::{CHINESE, ENGLISH};

    fn of(report: &Report) -> Headline {
        headline(report, &looks(report, &[], &ENGLISH), &ENGLISH).unwrap()
    }

    #[test]
    fn a_measured_crossover_has_interval_and_final_ratio() {
        let headline = of(&samples::duel());
        assert!(headline.text.starts_with("Hyena overtakes attention at about "), "{}", headline.text);
        assert!(headline.text.contains("(95%: ") && headline.text.contains("GPU"), "{}", headline.text);
        assert!(
            headline.detail.starts_with("At 16,384 tokens, Hyena is ") && headline.detail.contains("faster")
        );
    }

    /// The duel with a crossover of a given kind and a given verdict at its last point.
    fn with(kind: CrossoverKind, at: Option<f64>, last: Option<(f64, f64, f64, Verdict)>) -> Report {
        let mut report = samples::duel();
        let crossover = &mut report.crossovers[0];
        (crossover.kind, crossover.estimate) = (kind, at);
        if kind != CrossoverKind::Measured {
            (crossover.low, crossover.high) = (at, at);
        }
        let point = report.lanes[1].points.last_mut().unwrap();
        point.versus = last.map(|(speedup, low, high, verdict)| report::Versus {
            baseline: 0,
            speedup,
            low,
            high,
            verdict,
        });
        report
    }

    const FASTER: Option<(f64, f64, f64, Verdict)> = Some((5.2, 5.0, 5.4, Verdict::Ahead));

    #[test]
    fn undecided_results_name_no_winner() {
        let headline = of(&with(CrossoverKind::Undecided, None, EQUAL));
        assert!(
            headline.text.starts_with("Undecided: whether Hyena overtakes attention up to 16,384 tokens"),
            "{}",
            headline.text
        );
        assert!(headline.detail.contains("is 0.97–1.04× as fast as attention"), "{}", headline.detail);
        let all = format!("{} {}", headline.text, headline.detail);
        assert!(!all.contains("faster") && !all.contains("slower"), "{all}");
    }

    #[test]
    fn bounds_are_called_bounds() {
        let shortest = of(&with(CrossoverKind::AtMost, Some(256.0), FASTER));
        assert!(
            shortest.text.contains("ahead of attention from 256 tokens on, the shortest length raced"),
            "{}",
            shortest.text
        );
        let later = of(&with(CrossoverKind::AtMost, Some(1024.0), FASTER));
        assert!(later.text.contains("from 1,024 tokens on at the latest"), "{}", later.text);
        assert_eq!(later.detail, "At 16,384 tokens, Hyena is 5.2× faster (95%: 5.0–5.4×).");
    }

    const SLOWER: Option<(f64, f64, f64, Verdict)> = Some((0.97, 0.96, 0.98, Verdict::Behind));
    const EQUAL: Option<(f64, f64, f64, Verdict)> = Some((1.003, 0.97, 1.04, Verdict::Undecided));

    /// The report with its second lane behind at every length.
    fn behind_throughout(mut report: Report) -> Report {
        for point in &mut report.lanes[1].points {
            let versus = point.versus.as_mut().unwrap();
            (versus.speedup, versus.low, versus.high, versus.verdict) = (0.97, 0.96, 0.98, Verdict::Behind);
        }
        report
    }

    /// The headline's sentence in English and in Chinese.
    fn both(report: &Report) -> [String; 2] {
        [&ENGLISH, &CHINESE].map(|text| headline(report, &looks(report, &[], text), text).unwrap().text)
    }

    fn assert_both(report: &Report, english: &str, chinese: &str) {
        let [in_english, in_chinese] = both(report);
        assert_eq!(in_english, english);
        assert!(in_chinese.contains(chinese), "{in_chinese}");
    }

    /// The duel with one more lane like the second for each kind and interval (estimate, low, high).
    fn joined(mut report: Report, others: &[(CrossoverKind, Option<[f64; 3]>)]) -> Report {
        for (n, (kind, at)) in others.iter().enumerate() {
            let mut lane = report.lanes[1].clone();
            lane.system = format!("other{n}");
            report.lanes.push(lane);
            let [estimate, low, high] = at.map_or([None; 3], |at| at.map(Some));
            report.crossovers.push(Crossover {
                challenger: report.lanes.len() as u32 - 1,
                kind: *kind,
                estimate,
                low,
                high,
                ..report.crossovers[0]
            });
        }
        report
    }

    #[test]
    fn predictions_and_defeats_are_named() {
        let report = behind_throughout(with(CrossoverKind::Predicted, Some(40_300.0), SLOWER));
        assert!(of(&report).text.contains("still ahead of Hyena at 16,384"), "{}", of(&report).text);
        assert!(of(&report).text.contains("the fits cross at about 40,000"), "{}", of(&report).text);
        let mut report = behind_throughout(with(CrossoverKind::None, None, SLOWER));
        assert_both(
            &report,
            "Attention stays ahead up to 16,384 tokens on this machine’s GPU.",
            "直到 16,384 个词元都保持领先",
        );
        assert!(
            of(&report).detail.contains("Hyena is 1.03× slower (95%: 1.02–1.04×)"),
            "{}",
            of(&report).detail
        );
        report.status = Status::Running;
        assert!(of(&report).text.starts_with("So far: "));
    }

    /// The duel's challenger is ahead at lengths before the last.
    #[test]
    fn a_lane_that_was_ahead_before_is_mentioned() {
        assert_both(
            &with(CrossoverKind::None, None, SLOWER),
            "Hyena is ahead at shorter lengths, but attention is ahead at 16,384 tokens on this machine’s GPU, and no \
             crossover was found beyond.",
            "Hyena 在较短长度上领先，但在 16,384 个词元处注意力领先",
        );
        assert_both(
            &with(CrossoverKind::Predicted, Some(40_300.0), SLOWER),
            "Hyena is ahead at shorter lengths, attention at 16,384 tokens; the fits cross again at about 40,000 (95%: \
             40,000).",
            "再次相交",
        );
        // A prediction without that verdict does not state which lane is ahead.
        for last in [FASTER, EQUAL, None] {
            let report = with(CrossoverKind::Predicted, Some(40_300.0), last);
            assert!(!of(&report).text.contains("ahead"), "{}", of(&report).text);
            assert!(both(&report)[1].contains("预计在那里超过注意力"), "{}", both(&report)[1]);
        }
        assert!(of(&with(CrossoverKind::None, None, FASTER)).text.contains("was not found to overtake"));
    }

    #[test]
    fn undecided_crossovers_keep_the_final_verdict() {
        assert_both(
            &with(CrossoverKind::Undecided, None, SLOWER),
            "Attention is ahead at 16,384 tokens on this machine’s GPU; whether Hyena overtakes beyond that is undecided.",
            "注意力在 16,384 个词元处领先；Hyena 在更长的长度上是否会超过，尚无法判定。",
        );
        let ahead = with(CrossoverKind::Undecided, None, FASTER);
        assert_both(
            &ahead,
            "Hyena is ahead at 16,384 tokens on this machine’s GPU, but not clearly enough to name a crossover.",
            "Hyena 在 16,384 个词元处领先，但优势不够明确，无法给出交叉点。",
        );
        assert_both(
            &joined(ahead, &[(CrossoverKind::None, None), (CrossoverKind::None, None)]),
            "Hyena is ahead at 16,384 tokens on this machine’s GPU, but not clearly enough among 3 challengers to name a \
             crossover.",
            "但在 3 个挑战者中优势不够明确",
        );
    }

    #[test]
    fn a_challenger_behind_at_the_end_does_not_overtake() {
        let tally = |report: &Report| {
            [&ENGLISH, &CHINESE].map(|text| headline(report, &looks(report, &[], text), text).unwrap().detail)
        };
        let open = (CrossoverKind::Undecided, None);
        let [english, chinese] = tally(&joined(with(CrossoverKind::Undecided, None, EQUAL), &[open]));
        assert!(english.ends_with("0 of 2 challengers overtake within the lengths raced; 2 are undecided."));
        assert!(chinese.ends_with("，另有 2 个未分胜负。"), "{chinese}");
        let mut report = joined(with(CrossoverKind::Undecided, None, SLOWER), &[open]);
        let [english, chinese] = tally(&report);
        assert!(english.ends_with("0 of 2 challengers overtake within the lengths raced."), "{english}");
        assert!(chinese.ends_with("2 个挑战者中有 0 个在本场长度内超过注意力。"), "{chinese}");
        // Of two undecided challengers, the headline names the one that may overtake.
        let versus = report.lanes[2].points.last_mut().unwrap().versus.as_mut().unwrap();
        (versus.speedup, versus.low, versus.high, versus.verdict) = EQUAL.unwrap();
        assert_eq!(of(&report).lane, Some(2));
        // A challenger without measurements has no sentence and does not replace the other challenger's.
        report.lanes[2].points.clear();
        assert_eq!(of(&report).lane, Some(1));
    }

    #[test]
    fn the_first_to_overtake_is_first_by_its_interval() {
        let mut duel = samples::duel();
        let own = &mut duel.crossovers[0];
        (own.estimate, own.low, own.high) = (Some(1000.0), Some(900.0), Some(1100.0));
        let is_first = |others: &[(CrossoverKind, Option<[f64; 3]>)]| {
            let [english, chinese] = both(&joined(duel.clone(), others));
            assert_eq!(english.contains("is the first to overtake"), chinese.contains("最先超过"));
            assert!(english.contains("overtake") && chinese.contains("超过注意力"), "{english} {chinese}");
            english.contains("first")
        };
        let later = (CrossoverKind::Measured, Some([2000.0, 1500.0, 2500.0]));
        let near = (CrossoverKind::Measured, Some([1200.0, 1050.0, 1400.0]));
        let predicted = (CrossoverKind::Predicted, Some([40_000.0, 30_000.0, 50_000.0]));
        let bound = (CrossoverKind::AtMost, Some([4096.0; 3]));
        assert!(is_first(&[later, predicted, (CrossoverKind::None, None)]));
        assert!(!is_first(&[later, near]));
        assert!(!is_first(&[later, bound]));
        // An undecided lane that is ahead at the last length may have overtaken at any length.
        assert!(!is_first(&[later, (CrossoverKind::Undecided, None)]));
        assert!(!is_first(&[]));
        duel.crossovers[0].low = None;
        let [english, _] = both(&joined(duel, &[later]));
        assert!(english.contains("overtakes attention"), "{english}");
    }

    #[test]
    fn a_stopped_race_reports_its_completed_lengths() {
        for lane in [0, 1] {
            let mut report = samples::duel();
            report.status = Status::Cancelled;
            report.lanes[1].points.last_mut().unwrap().versus = None;
            "cancelled".clone_into(&mut report.lanes[lane].points.last_mut().unwrap().outcome);
            for (text, start) in
                [(&ENGLISH, "At 8,192 tokens, Hyena is "), (&CHINESE, "在 8,192 个词元处，Hyena 快")]
            {
                let headline = headline(&report, &looks(&report, &[], text), text).unwrap();
                assert!(headline.detail.starts_with(start), "{}", headline.detail);
            }
            report.crossovers.clear();
            "cancelled".clone_into(&mut report.lanes[1 - lane].points.last_mut().unwrap().outcome);
            assert!(of(&report).text.contains("fastest at 8,192 tokens"), "{}", of(&report).text);
        }
    }

    #[test]
    fn a_running_race_reports_only_lengths_with_verdicts() {
        let mut report = samples::duel();
        report.status = Status::Running;
        report.lanes[1].points.last_mut().unwrap().versus = None;
        for (text, start) in
            [(&ENGLISH, "At 8,192 tokens, Hyena is "), (&CHINESE, "在 8,192 个词元处，Hyena 快")]
        {
            let headline = headline(&report, &looks(&report, &[], text), text).unwrap();
            assert!(headline.detail.starts_with(start), "{}", headline.detail);
        }
        // Lanes without attention wait for their intervals.
        report.crossovers.clear();
        let last = report.lanes[1].points.last_mut().unwrap();
        (last.low_ms, last.high_ms) = (None, None);
        report.lanes[0].points.pop();
        assert!(of(&report).text.contains("fastest at 8,192 tokens"), "{}", of(&report).text);
        for lane in &mut report.lanes {
            for point in &mut lane.points {
                (point.low_ms, point.high_ms) = (None, None);
            }
        }
        assert_eq!(headline(&report, &looks(&report, &[], &ENGLISH), &ENGLISH), None);
    }

    #[test]
    fn a_result_without_intervals_names_no_winner() {
        let headline = of(&with(CrossoverKind::None, None, None));
        assert!(headline.text.contains("was not found to overtake"), "{}", headline.text);
        assert!(headline.detail.contains("has no interval"), "{}", headline.detail);
        let mut lanes = with(CrossoverKind::None, None, None);
        lanes.crossovers.clear();
        lanes.lanes[1].points.last_mut().unwrap().low_ms = None;
        assert!(of(&lanes).text.contains("has no intervals"), "{}", of(&lanes).text);
    }

    #[test]
    fn the_tally_separates_undecided_challengers() {
        let mut report = with(CrossoverKind::AtMost, Some(256.0), FASTER);
        for kind in [CrossoverKind::Undecided, CrossoverKind::None] {
            let mut lane = report.lanes[1].clone();
            lane.system = format!("{kind:?}").to_lowercase();
            report.lanes.push(lane);
            let challenger = report.lanes.len() as u32 - 1;
            let crossover = report.crossovers[0];
            let (estimate, low, high) = (None, None, None);
            report.crossovers.push(Crossover { challenger, kind, estimate, low, high, ..crossover });
        }
        let detail = of(&report).detail;
        assert!(
            detail.ends_with("1 of 3 challengers overtake within the lengths raced; 1 is undecided."),
            "{detail}"
        );
    }

    #[test]
    fn two_challengers_are_compared_by_their_intervals() {
        let mut report = samples::duel();
        report.crossovers.clear();
        assert!(of(&report).text.contains("Hyena is the fastest"), "{}", of(&report).text);
        for lane in &mut report.lanes {
            let last = lane.points.last_mut().unwrap();
            (last.low_ms, last.high_ms) =
                (last.median_ms.map(|ms| ms / 9.0), last.median_ms.map(|ms| ms * 9.0));
        }
        assert!(of(&report).text.starts_with("Undecided between Hyena and "), "{}", of(&report).text);
    }

    /// The second fastest lane has a narrow interval, the third a wide one that overlaps the fastest lane's.
    #[test]
    fn the_fastest_lane_is_ahead_of_every_other() {
        let mut report = joined(samples::duel(), &[(CrossoverKind::None, None)]);
        report.crossovers.clear();
        for (lane, (ms, low, high)) in
            [(10.0, 9.9, 10.1), (11.0, 10.9, 11.1), (12.0, 7.0, 20.0)].iter().enumerate()
        {
            let point = report.lanes[lane].points.last_mut().unwrap();
            (point.median_ms, point.low_ms, point.high_ms) = (Some(*ms), Some(*low), Some(*high));
        }
        "Third".clone_into(&mut report.lanes[2].title);
        let [english, chinese] = both(&report);
        assert!(english.starts_with("Undecided between Attention and Third"), "{english}");
        assert!(chinese.contains("未分胜负") && chinese.contains("16,384"), "{chinese}");
        let third = report.lanes[2].points.last_mut().unwrap();
        (third.low_ms, third.high_ms) = (Some(11.9), Some(12.1));
        let [english, chinese] = both(&report);
        assert!(english.contains("is the fastest at 16,384 tokens, 1.1× faster than Hyena"), "{english}");
        assert!(chinese.contains("最快，比 Hyena"), "{chinese}");
        // Without an interval of the third lane, no lane is the fastest.
        report.lanes[2].points.last_mut().unwrap().low_ms = None;
        assert!(of(&report).text.contains("has no intervals"), "{}", of(&report).text);
    }

    #[test]
    fn without_attention_the_headline_is_the_fastest_lane() {
        let mut report = samples::duel();
        report.crossovers.clear();
        report.lanes.remove(0);
        assert!(of(&report).text.starts_with("Hyena takes "));
        report.lanes[0].points.clear();
        assert!(headline(&report, &looks(&report, &[], &ENGLISH), &ENGLISH).is_none());
        // Indices in foreign reports may be out of range.
        let mut foreign = samples::duel();
        foreign.crossovers[0].challenger = 99;
        assert!(of(&foreign).text.contains("fastest"));
    }

    #[test]
    fn headlines_elsewhere_name_the_processor() {
        let report = samples::duel();
        let elsewhere = headline_elsewhere(&report, &looks(&report, &[], &ENGLISH), &ENGLISH).unwrap();
        assert!(elsewhere.text.contains("GPU nvidia"), "{}", elsewhere.text);
        assert!(of(&report).text.contains("this machine"));
    }
}
