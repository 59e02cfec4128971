//! How lanes stand against attention at a length: the ratio, and whether the data can tell them apart.

use report::{Lane, Point, Report};

use crate::format;
use crate::text::Text;

/// A challenger against attention on the same backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Versus {
    /// Attention's median over the challenger's: above 1, the challenger is faster.
    pub speedup: f64,
    /// Whether the middle halves of the samples overlap, so that no winner should be named.
    pub close: bool,
}

impl Versus {
    /// Whether the challenger is faster beyond doubt.
    pub fn ahead(self) -> bool {
        !self.close && self.speedup > 1.0
    }

    /// In two words.
    pub fn words(self, text: &Text) -> String {
        if self.close {
            text.too_close_short.to_owned()
        } else if self.speedup >= 1.0 {
            (text.faster)(&format::ratio(self.speedup))
        } else {
            (text.slower)(&format::ratio(1.0 / self.speedup))
        }
    }
}

/// The measured point of a lane at a length.
pub fn measured(lane: &Lane, length: u32) -> Option<&Point> {
    lane.points.iter().find(|point| point.length == length && point.median_ms.is_some_and(|ms| ms > 0.0))
}

/// Compares `challenger` with `baseline` at `length`, where both were measured.
pub fn versus(report: &Report, challenger: usize, baseline: usize, length: u32) -> Option<Versus> {
    let mine = measured(report.lanes.get(challenger)?, length)?;
    let theirs = measured(report.lanes.get(baseline)?, length)?;
    let (mine_ms, theirs_ms) = (mine.median_ms?, theirs.median_ms?);
    let middle = |point: &Point, median: f64| {
        (point.q1_ms.unwrap_or(median).min(median), point.q3_ms.unwrap_or(median).max(median))
    };
    let (a, b) = (middle(mine, mine_ms), middle(theirs, theirs_ms));
    Some(Versus { speedup: theirs_ms / mine_ms, close: a.0 <= b.1 && b.0 <= a.1 })
}

/// Lengths of the race, ascending: those configured and those measured.
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
        .filter(|point| point.median_ms.is_some())
        .map(|point| point.length)
        .max()
}

/// The longest length at which both lanes were measured.
pub fn longest_common(report: &Report, a: usize, b: usize) -> Option<u32> {
    let (a, b) = (report.lanes.get(a)?, report.lanes.get(b)?);
    a.points
        .iter()
        .filter(|point| point.median_ms.is_some() && measured(b, point.length).is_some())
        .map(|point| point.length)
        .max()
}
