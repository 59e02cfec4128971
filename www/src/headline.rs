//! The result in a sentence, and no more than the report's own verdicts say: estimates come with their interval, what is
//! undecided is called undecided, bounds and extrapolations are called so.

use report::{Crossover, CrossoverKind, Report, Speedup, Status, Verdict, compare};

use crate::format;
use crate::lanes::Look;
use crate::machine::processor;
use crate::standing;
use crate::text::Text;

/// A sentence and what it amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct Headline {
    /// The result.
    pub text: String,
    /// What qualifies it, or an empty string.
    pub detail: String,
    /// The lane that it is mostly about.
    pub lane: Option<usize>,
}

/// The headline of a report that was measured here; `None` while nothing can be said yet.
pub fn headline(report: &Report, looks: &[Look], text: &Text) -> Option<Headline> {
    told(report, looks, true, text)
}

/// The same for readers elsewhere: the processor has a name instead of being this machine's.
pub fn headline_elsewhere(report: &Report, looks: &[Look], text: &Text) -> Option<Headline> {
    told(report, looks, false, text)
}

fn told(report: &Report, looks: &[Look], here: bool, text: &Text) -> Option<Headline> {
    let mut found: Vec<&Crossover> = report
        .crossovers
        .iter()
        .filter(|crossover| {
            let lanes = report.lanes.len().min(looks.len());
            (crossover.challenger as usize) < lanes && (crossover.baseline as usize) < lanes
        })
        .collect();
    // The first to overtake is the news; the prediction nearest to the data comes next.
    let rank = |kind: CrossoverKind| match kind {
        CrossoverKind::Measured | CrossoverKind::AtMost => 0,
        CrossoverKind::Predicted => 1,
        CrossoverKind::Undecided => 2,
        CrossoverKind::None => 3,
    };
    found.sort_by(|a, b| {
        rank(a.kind)
            .cmp(&rank(b.kind))
            .then(a.estimate.unwrap_or(f64::INFINITY).total_cmp(&b.estimate.unwrap_or(f64::INFINITY)))
    });
    let Some(best) = found.first() else {
        return fastest(report, looks, text);
    };
    let mut headline = sentence(report, looks, best, found.len(), here, text)?;
    if found.len() > 1 {
        let ahead = found.iter().filter(|crossover| rank(crossover.kind) == 0).count();
        let undecided = found.iter().filter(|crossover| crossover.kind == CrossoverKind::Undecided).count();
        let tally = (text.tally)(ahead, undecided, found.len());
        headline.detail =
            if headline.detail.is_empty() { tally } else { format!("{} {tally}", headline.detail) };
    }
    if report.status == Status::Running {
        headline.text = (text.so_far)(&headline.text);
    }
    Some(headline)
}

fn machine(report: &Report, backend: &str, here: bool, text: &Text) -> String {
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

fn sentence(
    report: &Report,
    looks: &[Look],
    crossover: &Crossover,
    challengers: usize,
    here: bool,
    text: &Text,
) -> Option<Headline> {
    let (challenger, baseline) = (crossover.challenger as usize, crossover.baseline as usize);
    let name = looks[challenger].title.as_str();
    let place = machine(report, &report.lanes[challenger].backend, here, text);
    let last = standing::longest_common(report, challenger, baseline)?;
    let at = standing::versus(report, challenger, baseline, last)?;
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
            let overtakes = if challengers > 1 { text.overtakes_first } else { text.overtakes };
            overtakes(name, &format::length_about(estimate), &interval, &place)
        }
        (CrossoverKind::Predicted, Some(estimate)) => {
            (text.would_overtake)(name, &format::length_about(estimate), &interval, &last_text)
        }
        // A report without verdicts says no more than that it found none.
        (CrossoverKind::None, _) if at.judged.is_none() => (text.no_overtaking)(name, &last_text, &place),
        (CrossoverKind::None, _) => (text.stays_ahead)(&looks[baseline].title, &last_text, &place),
        _ => (text.undecided_overtaking)(name, &last_text, &place),
    };
    Some(Headline { text: sentence, detail: standing_text, lane: Some(challenger) })
}

/// How a lane stands against attention at a length.
fn standing_at(name: &str, length: &str, at: Speedup, text: &Text) -> String {
    let interval = standing::interval(at, text).unwrap_or_default();
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

/// Without an attention lane to compare with, the fastest lane at the longest length is the news.
fn fastest(report: &Report, looks: &[Look], text: &Text) -> Option<Headline> {
    let last = standing::longest_measured(report, |_| true)?;
    let mut times: Vec<(usize, f64, &report::Point)> = report
        .lanes
        .iter()
        .enumerate()
        .filter_map(|(index, lane)| {
            let point = standing::measured(lane, last)?;
            Some((index, point.median_ms?, point))
        })
        .collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    let &(winner, best, point) = times.first()?;
    let name = &looks.get(winner)?.label;
    let length = format::length(f64::from(last));
    let sentence = match times.get(1) {
        None => (text.only_lane)(name, &format::time(best), &length),
        Some(&(second, time, other)) => {
            let second = &looks.get(second)?.label;
            match compare::speedup(other, point).and_then(|speedup| speedup.judged) {
                Some((_, _, Verdict::Ahead)) => {
                    (text.fastest)(name, &length, &format::ratio(time / best), second)
                }
                Some((low, high, _)) => (text.close_pair)(name, second, &length, &format::ratios(low, high)),
                None => {
                    let [best, time] = [best, time].map(format::time);
                    (text.pair_without_interval)(name, &best, second, &time, &length)
                }
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
    use crate::text::ENGLISH;

    fn of(report: &Report) -> Headline {
        headline(report, &looks(report, &[], &ENGLISH), &ENGLISH).unwrap()
    }

    #[test]
    fn a_measured_crossover_is_told_with_its_interval_and_the_ratio_at_the_end() {
        let headline = of(&samples::duel());
        assert!(headline.text.starts_with("Hyena overtakes attention at about "), "{}", headline.text);
        assert!(headline.text.contains("(95%: ") && headline.text.contains("GPU"), "{}", headline.text);
        assert!(
            headline.detail.starts_with("At 16,384 tokens, Hyena is ") && headline.detail.contains("faster")
        );
    }

    /// The duel with a crossover of a kind, and its last point judged.
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
    fn undecided_is_said_plainly_and_no_winner_is_named() {
        let equal = Some((1.003, 0.97, 1.04, Verdict::Undecided));
        let headline = of(&with(CrossoverKind::Undecided, None, equal));
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

    #[test]
    fn predictions_and_defeats_are_called_so() {
        let report = with(CrossoverKind::Predicted, Some(40_300.0), FASTER);
        assert!(of(&report).text.contains("the fits cross at about 40,000"), "{}", of(&report).text);
        let slower = Some((0.97, 0.96, 0.98, Verdict::Behind));
        let mut report = with(CrossoverKind::None, None, slower);
        assert!(of(&report).text.starts_with("Attention stays ahead up to 16,384"));
        assert!(
            of(&report).detail.contains("Hyena is 1.03× slower (95%: 1.02–1.04×)"),
            "{}",
            of(&report).detail
        );
        report.status = Status::Running;
        assert!(of(&report).text.starts_with("So far: "));
    }

    #[test]
    fn a_result_without_intervals_shows_its_ratio_and_names_no_winner() {
        let headline = of(&with(CrossoverKind::None, None, None));
        assert!(headline.text.contains("was not found to overtake"), "{}", headline.text);
        assert!(headline.detail.contains("carries no interval"), "{}", headline.detail);
        let mut lanes = with(CrossoverKind::None, None, None);
        lanes.crossovers.clear();
        lanes.lanes[1].points.last_mut().unwrap().low_ms = None;
        assert!(of(&lanes).text.contains("carries no intervals"), "{}", of(&lanes).text);
    }

    #[test]
    fn challengers_that_lead_from_the_start_count_and_undecided_ones_are_counted_apart() {
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

    #[test]
    fn without_attention_the_fastest_lane_is_the_news_and_nothing_measured_is_nothing_said() {
        let mut report = samples::duel();
        report.crossovers.clear();
        report.lanes.remove(0);
        assert!(of(&report).text.starts_with("Hyena takes "));
        report.lanes[0].points.clear();
        assert!(headline(&report, &looks(&report, &[], &ENGLISH), &ENGLISH).is_none());
        // Indices from elsewhere may point nowhere.
        let mut foreign = samples::duel();
        foreign.crossovers[0].challenger = 99;
        assert!(of(&foreign).text.contains("fastest"));
    }

    #[test]
    fn readers_elsewhere_are_told_which_processor() {
        let report = samples::duel();
        let elsewhere = headline_elsewhere(&report, &looks(&report, &[], &ENGLISH), &ENGLISH).unwrap();
        assert!(elsewhere.text.contains("GPU nvidia"), "{}", elsewhere.text);
        assert!(of(&report).text.contains("this machine"));
    }
}
