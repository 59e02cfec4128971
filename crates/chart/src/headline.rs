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
        let tally = (text.of(report.config.mode).tally)(ahead, undecided, found.len());
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
    let say = text.of(report.config.mode);
    let challengers = found.len();
    let is_first = challengers > 1 && is_first(report, found, index);
    let (challenger, baseline) = (crossover.challenger as usize, crossover.baseline as usize);
    // Attention with other parameters is told from the baseline by them.
    let of_one_system = looks[challenger].system == looks[baseline].system;
    let name = if of_one_system { &looks[challenger].label } else { &looks[challenger].title };
    let name = name.as_str();
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
    let standing_text = standing_at(report, name, &last_text, at, text);
    let from = |length: f64| {
        let shortest = report.shortest_common(crossover).map(f64::from);
        let sentence = if shortest == Some(length) { say.always_ahead } else { say.ahead_by };
        sentence(name, &format::length(length), &place)
    };
    let sentence = match (crossover.kind, crossover.estimate) {
        (CrossoverKind::AtMost, Some(bound)) => from(bound),
        (CrossoverKind::Measured, Some(estimate)) => {
            let overtakes = if is_first { say.overtakes_first } else { say.overtakes };
            overtakes(name, &format::length_about(estimate), &interval, &place)
        }
        (CrossoverKind::Predicted, Some(estimate)) => {
            let would_overtake = match (verdict, was_ahead) {
                (Some(Verdict::Behind), false) => say.would_overtake,
                (Some(Verdict::Behind), true) => say.would_overtake_again,
                _ => say.fits_cross,
            };
            would_overtake(name, &format::length_about(estimate), &interval, &last_text)
        }
        (CrossoverKind::None, _) => match (verdict, was_ahead) {
            (Some(Verdict::Behind), false) => (say.stays_ahead)(&looks[baseline].title, &last_text, &place),
            (Some(Verdict::Behind), true) => (say.ahead_before)(name, &last_text, &place),
            // Without that verdict, the report claims only that it found no crossover.
            _ => (say.no_overtaking)(name, &last_text, &place),
        },
        _ => match verdict {
            Some(Verdict::Behind) => (say.undecided_behind)(name, &last_text, &place),
            Some(Verdict::Ahead) => (say.undecided_ahead)(name, &last_text, &place, challengers),
            Some(Verdict::Undecided) | None => (say.undecided_overtaking)(name, &last_text, &place),
        },
    };
    Some(Headline { text: sentence, detail: standing_text, lane: Some(challenger) })
}

/// How a lane compares with attention at a length.
fn standing_at(report: &Report, name: &str, length: &str, at: Speedup, text: &Words) -> String {
    let say = text.of(report.config.mode);
    let interval = comparison::interval(at, text).unwrap_or_default();
    match at.judged {
        Some((_, _, Verdict::Ahead)) => (say.faster_at)(name, length, &format::ratio(at.value), &interval),
        Some((_, _, Verdict::Behind)) => {
            (say.slower_at)(name, length, &format::ratio(1.0 / at.value), &interval)
        }
        Some((low, high, Verdict::Undecided)) => (say.undecided_at)(name, length, &format::ratios(low, high)),
        None => (say.ratio_at)(name, length, &format::ratio(1.0 / at.value)),
    }
}

/// Without an attention lane, the headline is the fastest lane at the longest length.
fn fastest(report: &Report, looks: &[Look], text: &Words) -> Option<Headline> {
    let say = text.of(report.config.mode);
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
        (None, _) => (say.only_lane)(name, &format::time(best), &length),
        (Some(&(second, time, _)), None) => {
            (say.fastest)(name, &length, &format::ratio(time / best), &looks.get(second)?.label)
        }
        (Some(_), Some(&(rival, time, other))) => {
            let rival = &looks.get(rival)?.label;
            if let Some((low, high, _)) = against(other) {
                (say.close_pair)(name, rival, &length, &format::ratios(low, high))
            } else {
                let [best, time] = [best, time].map(format::time);
                (say.pair_without_interval)(name, &best, rival, &time, &length)
            }
        }
    };
    let sentence = if report.status == Status::Running { (text.so_far)(&sentence) } else { sentence };
    Some(Headline { text: sentence, detail: String::new(), lane: Some(winner) })
}

#[cfg(test)]
mod tests;
