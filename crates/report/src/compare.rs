//! Compares reports side by side: which lanes correspond, the ratios of their times, where each crosses attention
//! first, and the differences that make the numbers incomparable. The first report is the reference for all others.

mod difference;

use std::collections::BTreeMap;

pub use difference::{Difference, Field};
use mixer::Task;

use crate::{Crossover, CrossoverKind, Lane, ParamValue, Point, Report, Speedup};

/// A comparison of reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Lanes in the order of their first appearance in the reports.
    pub lanes: Vec<ComparedLane>,
    /// Lengths at which any lane was raced, ascending.
    pub lengths: Vec<u32>,
    /// Challengers that have a crossover entry in at least one report.
    pub crossings: Vec<Crossing>,
    /// Differences between the reports other than their times.
    pub differences: Vec<Difference>,
}

/// A lane and its position in each report.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedLane {
    /// The system's stable name.
    pub system: String,
    /// The system's display name.
    pub title: String,
    /// The backend on which each report ran the lane.
    pub backends: Vec<Option<String>>,
    /// Index of the lane in each report, where the report has it.
    pub at: Vec<Option<usize>>,
}

/// A time relative to the first report's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Median, in milliseconds.
    pub median_ms: f64,
    /// The first report's time over this report's time: above 1, this report's machine is faster. Absent where either
    /// time was not measured, where one report timed forward passes and the other generated tokens, and for the first
    /// report itself.
    pub speedup: Option<Speedup>,
}

/// The time of `base` over that of `own`, decided by their intervals where both have one; absent where either was not
/// measured. The points are treated as independent: they belong to two reports, or to two lanes without a recorded
/// verdict.
pub fn speedup(base: &Point, own: &Point) -> Option<Speedup> {
    let time = |point: &Point| point.median_ms.filter(|_| point.outcome == "ok");
    let (base_ms, own_ms) = (time(base)?, time(own)?);
    let estimate =
        |point: &Point, value: f64| Some(race::Estimate { value, low: point.low_ms?, high: point.high_ms? });
    let judged = estimate(base, base_ms).zip(estimate(own, own_ms)).map(|(base, own)| {
        let (race::Estimate { low, high, .. }, verdict) = race::compare(base, own);
        (low, high, verdict.into())
    });
    Some(Speedup { value: base_ms / own_ms, judged })
}

/// A challenger's crossover in each report.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// Index into [`Comparison::lanes`].
    pub lane: usize,
    /// The crossover found by each report.
    pub found: Vec<Option<Found>>,
    /// The report whose crossover is at the shortest length.
    pub first: First,
}

/// A crossover of one report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// How it was found.
    pub kind: CrossoverKind,
    /// The length in tokens; absent where it is undecided, or where the lanes do not cross within the raced and
    /// predicted lengths.
    pub estimate: Option<f64>,
    /// Its 95% interval, if known.
    pub interval: Option<(f64, f64)>,
}

impl From<&Crossover> for Found {
    fn from(crossover: &Crossover) -> Self {
        let Crossover { kind, estimate, low, high, .. } = *crossover;
        Self { kind, estimate, interval: low.zip(high) }
    }
}

impl Found {
    /// The range of lengths in tokens in which the lanes cross; absent without a crossover. For a bound, the range is
    /// all lengths up to it; for an estimate without an interval, all lengths.
    pub fn range(&self) -> Option<(f64, f64)> {
        let estimate = self.estimate?;
        Some(match self.kind {
            CrossoverKind::AtMost => (0.0, estimate),
            _ => self.interval.unwrap_or((0.0, f64::INFINITY)),
        })
    }
}

/// The report whose crossover is at the shortest length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The report with this index.
    Report(usize),
    /// The intervals of two or more reports overlap.
    Close,
    /// Fewer than two reports have a crossover, a report leaves it undecided, or the reports are of different modes.
    Unknown,
}

impl Comparison {
    /// Compares reports. For fewer than two reports, nothing is compared, and every list except the lanes describes the
    /// single report.
    pub fn new(reports: &[&Report]) -> Self {
        let lanes = match_lanes(reports);
        let mut lengths: Vec<u32> = reports
            .iter()
            .flat_map(|report| report.lanes.iter())
            .flat_map(|lane| lane.points.iter().map(|point| point.length))
            .collect();
        lengths.sort_unstable();
        lengths.dedup();
        let crossings =
            lanes.iter().enumerate().filter_map(|(index, lane)| crossing(reports, index, lane)).collect();
        let differences = difference::differences(reports, &lanes);
        Self { lanes, lengths, crossings, differences }
    }

    /// Each report's time of a lane at a length, relative to the first report's time.
    pub fn ratios(&self, reports: &[&Report], lane: usize, length: u32) -> Vec<Option<Ratio>> {
        let Some(lane) = self.lanes.get(lane) else { return Vec::new() };
        let point = |report: usize| measured(reports, lane, report, length);
        let base = point(0);
        (0..reports.len())
            .map(|report| {
                let own = point(report)?;
                let alike = reports.first().zip(reports.get(report));
                let alike = alike.is_some_and(|(first, own)| is_one_mode(&[first, own]));
                let other = base.filter(|_| report > 0 && alike);
                Some(Ratio { median_ms: own.median_ms?, speedup: other.and_then(|base| speedup(base, own)) })
            })
            .collect()
    }
}

/// Whether all reports timed forward passes, or all generated tokens.
fn is_one_mode(reports: &[&Report]) -> bool {
    let decodes = |report: &&Report| report.config.mode != Task::Forward;
    reports.iter().all(decodes) || !reports.iter().any(decodes)
}

/// The measured point of a lane at a length.
fn measured<'a>(
    reports: &[&'a Report],
    lane: &ComparedLane,
    report: usize,
    length: u32,
) -> Option<&'a Point> {
    let index = (*lane.at.get(report)?)?;
    let lane = reports.get(report)?.lanes.get(index)?;
    lane.points
        .iter()
        .find(|point| point.length == length && point.outcome == "ok" && point.median_ms.is_some())
}

/// Matches lanes by their configuration: system, parameters and, where that is ambiguous, the backend.
fn match_lanes(reports: &[&Report]) -> Vec<ComparedLane> {
    let mut lanes: Vec<(ComparedLane, &BTreeMap<String, ParamValue>)> = Vec::new();
    for (at, report) in reports.iter().enumerate() {
        let mut left: Vec<usize> = (0..report.lanes.len()).collect();
        // Exact matches first, then lanes on another backend, since `auto` depends on the machine.
        for strict in [true, false] {
            left.retain(|&index| {
                let lane = &report.lanes[index];
                let fits = |(known, params): &&mut (ComparedLane, &BTreeMap<String, ParamValue>)| {
                    let backend = known.backends.iter().flatten().any(|backend| *backend == lane.backend);
                    known.at[at].is_none()
                        && known.system == lane.system
                        && **params == lane.params
                        && (backend || !strict)
                };
                let Some((known, _)) = lanes.iter_mut().find(fits) else { return true };
                known.at[at] = Some(index);
                known.backends[at] = Some(lane.backend.clone());
                false
            });
        }
        for index in left {
            lanes.push(new_lane(&report.lanes[index], index, at, reports.len()));
        }
    }
    lanes.into_iter().map(|(lane, _)| lane).collect()
}

fn new_lane(
    lane: &Lane,
    index: usize,
    report: usize,
    n: usize,
) -> (ComparedLane, &BTreeMap<String, ParamValue>) {
    let mut compared = ComparedLane {
        system: lane.system.clone(),
        title: lane.title.clone(),
        backends: vec![None; n],
        at: vec![None; n],
    };
    compared.at[report] = Some(index);
    compared.backends[report] = Some(lane.backend.clone());
    (compared, &lane.params)
}

fn crossing(reports: &[&Report], index: usize, lane: &ComparedLane) -> Option<Crossing> {
    let found: Vec<Option<Found>> = reports
        .iter()
        .zip(&lane.at)
        .map(|(report, at)| {
            let challenger = (*at)?;
            let entry = report.crossovers.iter().find(|entry| entry.challenger as usize == challenger)?;
            Some(Found::from(entry))
        })
        .collect();
    let first = if is_one_mode(reports) { first(&found) } else { First::Unknown };
    found.iter().any(Option::is_some).then_some(Crossing { lane: index, first, found })
}

/// The report whose range ends before the range of every other report begins.
fn first(found: &[Option<Found>]) -> First {
    if found.iter().flatten().any(|found| found.kind == CrossoverKind::Undecided) {
        return First::Unknown;
    }
    let mut ranges: Vec<(usize, (f64, f64))> = found
        .iter()
        .enumerate()
        .filter_map(|(report, found)| Some((report, found.as_ref()?.range()?)))
        .collect();
    ranges.sort_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b));
    match ranges.split_first() {
        None | Some((_, [])) => First::Unknown,
        Some(((report, (_, end)), rest)) if rest.iter().all(|(_, (begin, _))| begin > end) => {
            First::Report(*report)
        }
        Some(_) => First::Close,
    }
}

#[cfg(test)]
mod tests;
