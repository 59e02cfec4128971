//! The result in a sentence, and no more than the data says: estimates come with their interval, lanes that can't be
//! told apart are called too close to call, extrapolation is called so.

use report::{Crossover, CrossoverKind, Report, Status};

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
        CrossoverKind::Undecided | CrossoverKind::None => 2,
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
        let ahead = found.iter().filter(|crossover| crossover.kind == CrossoverKind::Measured).count();
        let tally = (text.tally)(ahead, found.len());
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
    let standing_text = if at.close {
        (text.close_at)(&last_text)
    } else if at.speedup >= 1.0 {
        (text.faster_at)(name, &last_text, &format::ratio(at.speedup))
    } else {
        (text.slower_at)(name, &last_text, &format::ratio(1.0 / at.speedup))
    };
    if let Some(shortest) = report.ahead_from(crossover) {
        let text = (text.always_ahead)(name, &format::length(f64::from(shortest)), &place);
        return Some(Headline { text, detail: standing_text, lane: Some(challenger) });
    }
    let (sentence, detail) = match (crossover.kind, crossover.estimate) {
        (CrossoverKind::Measured, Some(estimate)) => {
            let about = format::length_about(estimate);
            let sentence = if challengers > 1 {
                (text.overtakes_first)(name, &about, &interval, &place)
            } else {
                (text.overtakes)(name, &about, &interval, &place)
            };
            (sentence, standing_text)
        }
        (CrossoverKind::Predicted, Some(estimate)) => {
            let about = format::length_about(estimate);
            ((text.would_overtake)(name, &about, &interval, &last_text), standing_text)
        }
        _ if at.close => ((text.too_close)(name, &last_text, &place), String::new()),
        _ => ((text.stays_ahead)(&looks[baseline].title, &last_text, &place), standing_text),
    };
    Some(Headline { text: sentence, detail, lane: Some(challenger) })
}

/// Without an attention lane to compare with, the fastest lane at the longest length is the news.
fn fastest(report: &Report, looks: &[Look], text: &Text) -> Option<Headline> {
    let last = standing::longest_measured(report, |_| true)?;
    let mut times: Vec<(usize, f64, f64, f64)> = report
        .lanes
        .iter()
        .enumerate()
        .filter_map(|(index, lane)| {
            let point = standing::measured(lane, last)?;
            let median = point.median_ms?;
            Some((index, median, point.q1_ms.unwrap_or(median), point.q3_ms.unwrap_or(median)))
        })
        .collect();
    times.sort_by(|a, b| a.1.total_cmp(&b.1));
    let &(winner, best, _, best_q3) = times.first()?;
    let name = &looks.get(winner)?.label;
    let length = format::length(f64::from(last));
    let sentence = match times.get(1) {
        None => (text.only_lane)(name, &format::time(best), &length),
        Some(&(second, _, second_q1, _)) if second_q1 <= best_q3 => {
            (text.close_pair)(name, &looks.get(second)?.label, &length)
        }
        Some(&(second, time, ..)) => {
            (text.fastest)(name, &length, &format::ratio(time / best), &looks.get(second)?.label)
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

    #[test]
    fn lanes_whose_quartiles_overlap_are_too_close_to_call() {
        let mut report = samples::duel();
        report.crossovers[0].kind = CrossoverKind::None;
        report.crossovers[0].estimate = None;
        for lane in &mut report.lanes {
            let last = lane.points.last_mut().unwrap();
            (last.q1_ms, last.q3_ms) = (Some(1.0), Some(1000.0));
        }
        assert!(of(&report).text.contains("too close to call"), "{}", of(&report).text);
    }

    #[test]
    fn predictions_and_defeats_are_called_so() {
        let mut report = samples::duel();
        let crossover = &mut report.crossovers[0];
        (crossover.kind, crossover.estimate) = (CrossoverKind::Predicted, Some(40_300.0));
        assert!(of(&report).text.contains("the fits cross at about 40,000"), "{}", of(&report).text);
        report.crossovers[0].kind = CrossoverKind::None;
        assert!(of(&report).text.starts_with("Attention stays ahead up to 16,384"));
        report.status = Status::Running;
        assert!(of(&report).text.starts_with("So far: "));
    }

    #[test]
    fn ahead_from_the_start_is_not_called_an_overtaking() {
        let mut report = samples::duel();
        report.crossovers[0].estimate = Some(256.0);
        assert!(of(&report).text.contains("ahead of attention from 256 tokens"), "{}", of(&report).text);
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
