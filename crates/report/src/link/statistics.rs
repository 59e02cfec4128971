//! Verdicts, their intervals and the costs for the roofline in a link: the part that version 4 adds to a report.
//!
//! Intervals are rounded outwards, their half-widths by at most an eighth, so that a link never claims more precision
//! than was measured. Verdicts are unchanged, and their intervals stay on the same side of 1. Numbers are stored
//! relative to a prediction from the times and the preceding intervals. Sums, quotients and roots of f64 are equal on
//! every machine, so writer and reader predict equal values.

use serde::{Deserialize, Serialize};

use super::LinkError;
use super::list::{LANES, List, POINTS};
use super::numbers::{
    COST, Column, FINE, FUNCTION, Guess, Guesser, amount, from_hundredths, hundredths, number, quantise, time,
};
use super::roofline::LinkFunctions;
use crate::validate::{MAX_COUNT, RATIO, TIME_MS};
use crate::{Lane, Leading, Point, Report, Verdict, Versus};

/// The fields that a point has.
mod has {
    pub(super) const INTERVAL: i64 = 1;
    pub(super) const VERSUS: i64 = 1 << 1;
    pub(super) const AHEAD: i64 = 1 << 2;
    pub(super) const BEHIND: i64 = 1 << 3;
    pub(super) const FULL_ATTENTION: i64 = 1 << 4;
    pub(super) const NEEDED: i64 = 1 << 5;
    pub(super) const SET_UPS: i64 = 1 << 6;
    pub(super) const EXECUTED: i64 = 1 << 7;
    pub(super) const FUNCTIONS: i64 = 1 << 8;
    pub(super) const ALL: i64 = (1 << 9) - 1;
}

/// Mantissa bits of half-widths.
const WIDTH: u32 = 3;
/// The least positive half-width, relative to its estimate.
const LEAST_WIDTH: f64 = 1.0 / 4096.0;
/// Relative difference below which half-widths count as equal.
const ALIKE: f64 = 1e-9;
/// Neighbours of 1 among the steps of a speed-up.
const ABOVE_ONE: f64 = 1.0 + 1.0 / 1024.0;
const BELOW_ONE: f64 = 1.0 - 1.0 / 2048.0;
/// Largest ratio between a speed-up and the ratio of the times. Slightly less than a report may have, since rounding
/// changes both.
const FROM_TIMES: f64 = 1.49;

/// Numbers of points.
type Values = List<i64, POINTS>;

/// One list per quantity. A point without the quantity has no entry in its list.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct LinkStatistics {
    /// Presence bits, exclusive-or with the preceding point.
    flags: Values,
    set_ups: Values,
    /// Half-widths of a time's interval: downwards, and upwards as a distance from the downward one.
    below: Values,
    above: Values,
    /// Distance from the ratio of the times.
    speedup: Values,
    /// Distance of the half-widths from the prediction by the two times' intervals.
    slower: Values,
    faster: Values,
    needed: Values,
    /// Distance of the executed operations from the field's count, in steps, relative to the preceding point.
    executed: Values,
    /// Functions in steps of their own, relative to the line through the two preceding points, since most grow by a
    /// constant per token.
    functions: Values,
    /// The machine's peak rates of functions.
    peaks: LinkFunctions,
    /// One entry per lane that has an exponent.
    leading: List<Option<LinkLeading>, LANES>,
}

/// Hundredths; the ends of the interval as distances from the estimate.
#[derive(Serialize, Deserialize)]
struct LinkLeading {
    estimate: i64,
    below: i64,
    above: i64,
}

impl LinkStatistics {
    /// The statistics of a validated report. `linked` is the report as decoded from the rest of the link. The
    /// statistics, as the link will store them, are added to it.
    pub(super) fn new(report: &Report, linked: &mut Report) -> Result<Self, LinkError> {
        let mut own = Self { peaks: LinkFunctions::new(&report.environment), ..Self::default() };
        own.peaks.describe(&mut linked.environment)?;
        let mut flags_before = 0;
        for (lane, into) in report.lanes.iter().zip(&mut linked.lanes) {
            let mut guess = Guessers::new();
            for (point, into) in lane.points.iter().zip(&mut into.points) {
                own.push_point(point, into, &mut guess)?;
            }
            if let (Some(exponent), Some(into)) = (&lane.exponent, &mut into.exponent) {
                let leading = exponent.leading.as_ref().map(LinkLeading::new);
                into.leading = leading.as_ref().map(LinkLeading::leading);
                own.leading.push(leading);
            }
        }
        for lane in 0..report.lanes.len() {
            for at in 0..report.lanes.get(lane).map_or(0, |lane| lane.points.len()) {
                let Some(point) = report.lanes.get(lane).and_then(|lane| lane.points.get(at)) else {
                    continue;
                };
                let mut flags = flags(point);
                let stands =
                    point.versus.map(|versus| own.push_versus(&versus, lane, at, linked)).transpose()?;
                if stands.flatten().is_none() {
                    flags &= !(has::VERSUS | has::AHEAD | has::BEHIND);
                }
                own.flags.push(flags ^ flags_before);
                flags_before = flags;
            }
        }
        Ok(own)
    }

    fn push_point(&mut self, point: &Point, into: &mut Point, guess: &mut Guessers) -> Result<(), LinkError> {
        into.full_attention = point.full_attention;
        if point.set_ups > 0 {
            self.set_ups.push(guess.set_ups.encode(0, i64::from(point.set_ups)));
            into.set_ups = point.set_ups;
        }
        if let (Some(low), Some(high), Some(median)) = (point.low_ms, point.high_ms, into.median_ms) {
            let (below, above) = (width(median / low), width(high / median));
            self.below.push(guess.below.encode(0, below));
            self.above.push(above - below);
            (into.low_ms, into.high_ms) = interval(median, below, above)?;
        }
        if let Some(ms) = point.needed_ms {
            let steps = time(ms, COST);
            self.needed.push(guess.needed.encode(0, steps));
            into.needed_ms = Some(number(steps, COST)?);
        }
        if let Some(flops) = point.executed_flops {
            let steps = amount(flops, COST);
            self.executed.push(guess.executed.encode(0, steps - amount(into.flops, COST)));
            into.executed_flops = Some(number(steps, COST)?);
        }
        if let Some(count) = point.transcendentals {
            let steps = amount(count, FUNCTION);
            self.functions.push(guess.functions.encode(point.length, steps));
            into.transcendentals = Some(number(steps, FUNCTION)?);
        }
        Ok(())
    }

    /// Stores nothing where the rounded speed-up would be too far from the ratio of the rounded times.
    fn push_versus(
        &mut self,
        versus: &Versus,
        lane: usize,
        at: usize,
        linked: &mut Report,
    ) -> Result<Option<()>, LinkError> {
        let Some(pair) = Pair::new(linked, lane, at) else { return Ok(None) };
        let Versus { speedup, low, high, verdict, .. } = *versus;
        let [speedup, low, high] = match verdict {
            Verdict::Ahead => [speedup, low, high].map(|end| end.max(ABOVE_ONE)),
            Verdict::Behind => [speedup, low, high].map(|end| end.min(BELOW_ONE)),
            Verdict::Undecided => [speedup, low, high],
        };
        let steps = ratio(speedup);
        let speedup = number(steps, FINE)?;
        if !pair.is_near(speedup) {
            return Ok(None);
        }
        let (below, above) = (width(speedup / low), width(high / speedup));
        self.speedup.push(steps - ratio(pair.ratio));
        self.slower.push(below - pair.below);
        self.faster.push(above - pair.above);
        pair.put(linked, (lane, at), speedup, (below, above), verdict)?;
        Ok(Some(()))
    }

    /// Adds the link's statistics to the report decoded from the rest of the link.
    pub(super) fn describe(&self, report: &mut Report) -> Result<(), LinkError> {
        let mut read = Reader {
            flags: Column::new(&self.flags),
            set_ups: Column::new(&self.set_ups),
            below: Column::new(&self.below),
            above: Column::new(&self.above),
            speedup: Column::new(&self.speedup),
            slower: Column::new(&self.slower),
            faster: Column::new(&self.faster),
            needed: Column::new(&self.needed),
            executed: Column::new(&self.executed),
            functions: Column::new(&self.functions),
        };
        self.peaks.describe(&mut report.environment)?;
        let mut all = Vec::with_capacity(report.lanes.len());
        let mut flags = 0;
        let mut leading = self.leading.iter();
        for lane in &mut report.lanes {
            let mut guess = Guessers::new();
            let mut own = Vec::with_capacity(lane.points.len());
            for point in &mut lane.points {
                flags ^= read.flags.take()?;
                read.point(point, flags, &mut guess)?;
                own.push(flags);
            }
            all.push(own);
            if let Some(exponent) = &mut lane.exponent {
                let leading = leading.next().ok_or_else(|| LinkError::content("a column is too short"))?;
                exponent.leading = leading.as_ref().map(LinkLeading::leading);
            }
        }
        for (lane, own) in all.iter().enumerate() {
            for (at, flags) in own.iter().enumerate().filter(|(_, flags)| **flags & has::VERSUS != 0) {
                read.versus(*flags, (lane, at), report)?;
            }
        }
        if leading.next().is_some() {
            return Err(LinkError::content("a column is too long"));
        }
        read.end()
    }

    /// Whether the report has statistics that older versions cannot store.
    pub(super) fn is_needed(report: &Report) -> bool {
        let of_lane = |lane: &Lane| {
            lane.exponent.is_some_and(|exponent| exponent.leading.is_some())
                || lane.points.iter().any(|point| point.low_ms.is_some() || flags(point) != 0)
        };
        report.lanes.iter().any(of_lane) || LinkFunctions::is_needed(&report.environment)
    }
}

#[cfg(test)]
impl LinkStatistics {
    /// Changes the first point's executed operations and functions by steps, as a hostile link may do.
    pub(super) fn shift_first_costs(&mut self, executed: i64, functions: i64) {
        for (column, by) in [(&mut self.executed, executed), (&mut self.functions, functions)] {
            if let Some(first) = column.first_mut() {
                *first = first.wrapping_add(by);
            }
        }
    }
}

/// Reads the columns in the order of writing.
struct Reader<'a> {
    flags: Column<'a>,
    set_ups: Column<'a>,
    below: Column<'a>,
    above: Column<'a>,
    speedup: Column<'a>,
    slower: Column<'a>,
    faster: Column<'a>,
    needed: Column<'a>,
    executed: Column<'a>,
    functions: Column<'a>,
}

impl Reader<'_> {
    fn point(&mut self, point: &mut Point, flags: i64, guess: &mut Guessers) -> Result<(), LinkError> {
        let has = |bit: i64| flags & bit != 0;
        let verdicts = flags & (has::VERSUS | has::AHEAD | has::BEHIND);
        let known = [0, has::VERSUS, has::VERSUS | has::AHEAD, has::VERSUS | has::BEHIND].contains(&verdicts);
        if flags & !has::ALL != 0 || !known {
            return Err(LinkError::content("a statistic of a newer version"));
        }
        point.full_attention = has(has::FULL_ATTENTION);
        if has(has::SET_UPS) {
            let count = u32::try_from(guess.set_ups.decode(0, self.set_ups.take()?)).ok();
            let count = count.filter(|count| (1..=MAX_COUNT).contains(count));
            point.set_ups = count.ok_or_else(|| LinkError::content("not a count"))?;
        }
        if has(has::INTERVAL) {
            let median = point.median_ms.ok_or_else(|| LinkError::content("an interval of no time"))?;
            let below = guess.below.decode(0, self.below.take()?);
            let above = self.above.take()?.wrapping_add(below);
            (point.low_ms, point.high_ms) = interval(median, below, above)?;
        }
        if has(has::NEEDED) {
            point.needed_ms = Some(number(guess.needed.decode(0, self.needed.take()?), COST)?);
        }
        if has(has::EXECUTED) {
            let distance = guess.executed.decode(0, self.executed.take()?);
            point.executed_flops = Some(number(amount(point.flops, COST).wrapping_add(distance), COST)?);
        }
        if has(has::FUNCTIONS) {
            let steps = guess.functions.decode(point.length, self.functions.take()?);
            point.transcendentals = Some(number(steps, FUNCTION)?);
        }
        Ok(())
    }

    fn versus(
        &mut self,
        flags: i64,
        (lane, at): (usize, usize),
        report: &mut Report,
    ) -> Result<(), LinkError> {
        let pair = Pair::new(report, lane, at)
            .ok_or_else(|| LinkError::content("a comparison of what was not measured"))?;
        let verdict = match flags & (has::AHEAD | has::BEHIND) {
            has::AHEAD => Verdict::Ahead,
            has::BEHIND => Verdict::Behind,
            _ => Verdict::Undecided,
        };
        let steps = ratio(pair.ratio).wrapping_add(self.speedup.take()?);
        let speedup = number(steps, FINE)?;
        if !pair.is_near(speedup) {
            return Err(LinkError::content("a speed-up of other times"));
        }
        let below = self.slower.take()?.wrapping_add(pair.below);
        let above = self.faster.take()?.wrapping_add(pair.above);
        pair.put(report, (lane, at), speedup, (below, above), verdict)
    }

    /// Checks that all entries were read.
    fn end(&self) -> Result<(), LinkError> {
        let all = [
            &self.flags,
            &self.set_ups,
            &self.below,
            &self.above,
            &self.speedup,
            &self.slower,
            &self.faster,
            &self.needed,
            &self.executed,
            &self.functions,
        ];
        all.into_iter().try_for_each(Column::end)
    }
}

/// A lane's point and attention's point at one length, both measured.
struct Pair {
    baseline: u32,
    /// Attention's time over the lane's.
    ratio: f64,
    /// Predicted half-widths of the ratio in steps, from the two intervals if there are any.
    below: i64,
    above: i64,
}

impl Pair {
    fn new(report: &Report, lane: usize, at: usize) -> Option<Self> {
        let own = report.lanes.get(lane)?.points.get(at)?;
        let baseline = report.baseline_of(lane)?;
        let points = &report.lanes.get(baseline)?.points;
        let other = points.iter().find(|other| other.length == own.length)?;
        let (own_ms, other_ms) = (own.median_ms?, other.median_ms?);
        // Both ends of the interval, relative to the time.
        let widths = |point: &Point, ms: f64| Some((ms / point.low_ms? - 1.0, point.high_ms? / ms - 1.0));
        let joint = |a: f64, b: f64| width(1.0 + (a * a + b * b).sqrt());
        let (below, above) = widths(own, own_ms)
            .zip(widths(other, other_ms))
            .map_or((0, 0), |(own, other)| (joint(other.0, own.1), joint(other.1, own.0)));
        Some(Self { baseline: u32::try_from(baseline).ok()?, ratio: other_ms / own_ms, below, above })
    }

    fn is_near(&self, speedup: f64) -> bool {
        (self.ratio / FROM_TIMES..=self.ratio * FROM_TIMES).contains(&speedup) && RATIO.contains(&speedup)
    }

    /// Stores the comparison in the point.
    fn put(
        &self,
        report: &mut Report,
        (lane, at): (usize, usize),
        speedup: f64,
        (below, above): (i64, i64),
        verdict: Verdict,
    ) -> Result<(), LinkError> {
        let (mut low, mut high) = ends(speedup, below, above)?;
        (low, high) = (low.max(*RATIO.start()), high.min(*RATIO.end()));
        match verdict {
            Verdict::Ahead => low = low.max(ABOVE_ONE),
            Verdict::Behind => high = high.min(BELOW_ONE),
            Verdict::Undecided => {}
        }
        if let Some(point) = report.lanes.get_mut(lane).and_then(|lane| lane.points.get_mut(at)) {
            point.versus = Some(Versus { baseline: self.baseline, speedup, low, high, verdict });
        }
        Ok(())
    }
}

/// Predictions from point to point of a lane.
struct Guessers {
    set_ups: Guesser,
    below: Guesser,
    needed: Guesser,
    executed: Guesser,
    functions: Guesser,
}

impl Guessers {
    fn new() -> Self {
        let same = || Guesser::new(Guess::Same, 0);
        let functions = Guesser::new(Guess::Line, FUNCTION);
        Self { set_ups: same(), below: same(), needed: same(), executed: same(), functions }
    }
}

impl LinkLeading {
    fn new(leading: &Leading) -> Self {
        let estimate = hundredths(leading.estimate);
        Self {
            estimate,
            below: estimate - hundredths(leading.low),
            above: hundredths(leading.high) - estimate,
        }
    }

    fn leading(&self) -> Leading {
        Leading {
            estimate: from_hundredths(self.estimate),
            low: from_hundredths(self.estimate.wrapping_sub(self.below)),
            high: from_hundredths(self.estimate.wrapping_add(self.above)),
        }
    }
}

fn flags(point: &Point) -> i64 {
    let verdict = point.versus.map(|versus| versus.verdict);
    let bits = [
        (has::INTERVAL, point.low_ms.is_some() && point.high_ms.is_some()),
        (has::VERSUS, verdict.is_some()),
        (has::AHEAD, verdict == Some(Verdict::Ahead)),
        (has::BEHIND, verdict == Some(Verdict::Behind)),
        (has::FULL_ATTENTION, point.full_attention),
        (has::NEEDED, point.needed_ms.is_some()),
        (has::SET_UPS, point.set_ups > 0),
        (has::EXECUTED, point.executed_flops.is_some()),
        (has::FUNCTIONS, point.transcendentals.is_some()),
    ];
    bits.iter().filter(|(_, there)| *there).fold(0, |flags, (bit, _)| flags | bit)
}

fn ratio(value: f64) -> i64 {
    quantise(value, FINE, *RATIO.start(), *RATIO.end())
}

/// The step of the least half-width.
fn least() -> i64 {
    up(LEAST_WIDTH)
}

/// The step of the least number with [`WIDTH`] bits of mantissa that is at least `value`, which is positive.
fn up(value: f64) -> i64 {
    let shift = 52 - WIDTH;
    (value.to_bits().saturating_add((1 << shift) - 1) >> shift).cast_signed()
}

/// The half-width for an end at `ratio` (at least 1) times its estimate or its inverse, rounded outwards: 0 for none,
/// otherwise steps, where [`LEAST_WIDTH`] is 1.
fn width(ratio: f64) -> i64 {
    let width = ratio - 1.0;
    if width <= ALIKE {
        return 0;
    }
    up((width * (1.0 - ALIKE)).max(LEAST_WIDTH)) - least() + 1
}

/// The half-width for a number of steps.
fn from_width(steps: i64) -> Result<f64, LinkError> {
    match steps {
        0 => Ok(0.0),
        steps if steps > 0 => number(steps.saturating_sub(1).saturating_add(least()), WIDTH),
        _ => Err(LinkError::content("not a width")),
    }
}

/// Both ends of an interval around `value`.
fn ends(value: f64, below: i64, above: i64) -> Result<(f64, f64), LinkError> {
    Ok((value / (1.0 + from_width(below)?), value * (1.0 + from_width(above)?)))
}

/// Both ends of a time's interval.
fn interval(median: f64, below: i64, above: i64) -> Result<(Option<f64>, Option<f64>), LinkError> {
    let (low, high) = ends(median, below, above)?;
    Ok((Some(low.max(*TIME_MS.start())), Some(high.min(*TIME_MS.end()))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_widths_are_rounded_outwards_by_an_eighth_at_most() {
        for share in [1e-6, 1e-4, 0.0003, 0.001, 0.0123, 0.25, 0.9, 7.0, 1e9] {
            let back = from_width(width(1.0 + share)).unwrap();
            assert!(back >= share * (1.0 - 1e-6), "{share}: {back}");
            assert!(back <= (share * 1.126).max(LEAST_WIDTH), "{share}: {back}");
        }
        assert_eq!((width(1.0), width(0.5), from_width(0).unwrap()), (0, 0, 0.0));
        assert!(from_width(-1).is_err() && from_width(i64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn an_interval_that_was_read_is_written_as_it_was(
            median in 1e-12..1e12_f64, below in 0..700_i64, above in 0..700_i64,
        ) {
            let (Some(low), Some(high)) = interval(median, below, above).unwrap() else { panic!("an interval") };
            prop_assert!(low <= median && median <= high && *TIME_MS.start() <= low && high <= *TIME_MS.end());
            let again = interval(median, width(median / low), width(high / median)).unwrap();
            prop_assert_eq!(again, (Some(low), Some(high)));
        }
    }
}
