//! The points of all lanes as columns, one quantity after another: adjacent similar values deflate well.

use serde::{Deserialize, Serialize};

use super::LinkError;
use super::list::{List, POINTS};
use super::numbers::{
    COARSE, COST, COUNT, Column, FINE, Guess, Guesser, ROUGH, SPREAD, amount, number, quantise, spread, time,
};
use super::words::{Reader, Writer};
use crate::validate::{MAX_COUNT, OUTCOMES};
use crate::{Lane, Point, Verified};

/// Bits above the four of the outcome: the fields that a point has.
mod has {
    pub(super) const MESSAGE: i64 = 1 << 4;
    pub(super) const TIMES: i64 = 1 << 5;
    pub(super) const DEVICE: i64 = 1 << 6;
    pub(super) const SETUP: i64 = 1 << 7;
    pub(super) const FIRST_RUN: i64 = 1 << 8;
    pub(super) const PREDICTED: i64 = 1 << 9;
    pub(super) const VERIFIED: i64 = 1 << 10;
    pub(super) const PASS: i64 = 1 << 11;
    pub(super) const MAX_ABS: i64 = 1 << 12;
    pub(super) const MAX_REL: i64 = 1 << 13;
    pub(super) const OTHER_LENGTH: i64 = 1 << 14;
    pub(super) const OUTCOME: i64 = MESSAGE - 1;
    pub(super) const ALL: i64 = (1 << 15) - 1;
}

/// Numbers of points.
type Values = List<i64, POINTS>;

/// One list per quantity. A point without the quantity has no entry in its list.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Columns {
    /// Outcome and presence bits, exclusive-or with the preceding point.
    flags: Values,
    messages: Values,
    median: Values,
    /// Distances of the quartiles from the median, and of the fastest sample from the first quartile, in [`SPREAD`]s.
    below: Values,
    above: Values,
    fastest: Values,
    samples: Values,
    repeats: Values,
    discarded: Values,
    /// Distance from the median where there is one, in [`SPREAD`]s.
    device: Values,
    setup: Values,
    /// Distance from the median where there is one, in the steps of first runs.
    first_run: Values,
    predicted: Values,
    flops: Values,
    bytes: Values,
    peak_bytes: Values,
    decode_state_bytes: Values,
    max_abs: Values,
    /// Distance from the absolute deviation where there is one.
    max_rel: Values,
    verified_length: Values,
}

/// Predictions from point to point, in the order of `Columns`.
struct Guessers {
    flags: i64,
    all: [Guesser; 13],
}

/// Indices into [`Guessers::all`].
const MEDIAN: usize = 0;
const SAMPLES: usize = 1;
const REPEATS: usize = 2;
const DISCARDED: usize = 3;
const DEVICE: usize = 4;
const SETUP: usize = 5;
const FIRST_RUN: usize = 6;
const FLOPS: usize = 7;
const BYTES: usize = 8;
const PEAK: usize = 9;
const DECODE: usize = 10;
const ABS: usize = 11;
const REL: usize = 12;

impl Guessers {
    fn new() -> Self {
        let same = || Guesser::new(Guess::Same, 0);
        let line = || Guesser::new(Guess::Line, COST);
        let all = [
            Guesser::new(Guess::Trend, FINE),
            same(),
            Guesser::new(Guess::Trend, 0),
            same(),
            same(),
            same(),
            same(),
            Guesser::new(Guess::Power, COST),
            line(),
            line(),
            line(),
            same(),
            same(),
        ];
        Self { flags: 0, all }
    }

    fn begin(&mut self) {
        self.all.iter_mut().for_each(Guesser::begin);
    }
}

impl Columns {
    /// The points of validated lanes.
    pub(super) fn new(lanes: &[Lane], words: &mut Writer) -> Self {
        let mut columns = Self::default();
        let mut guess = Guessers::new();
        for lane in lanes {
            guess.begin();
            for point in &lane.points {
                columns.push(point, &mut guess, words);
            }
        }
        columns
    }

    fn push(&mut self, point: &Point, guess: &mut Guessers, words: &mut Writer) {
        let flags = flags(point);
        self.flags.push(flags ^ guess.flags);
        guess.flags = flags;
        let length = point.length;
        let all = &mut guess.all;
        if let Some(message) = &point.message {
            self.messages.push(i64::from(words.put(message)));
        }
        let mut median = 0;
        if let (Some(min), Some(q1), Some(middle), Some(q3)) =
            (point.min_ms, point.q1_ms, point.median_ms, point.q3_ms)
        {
            let [min, q1, q3] = [min, q1, q3].map(|ms| time(ms, FINE));
            median = time(middle, FINE);
            self.median.push(all[MEDIAN].encode(length, median));
            let below = spread(median - q1);
            self.below.push(below);
            self.above.push(spread(q3 - median));
            self.fastest.push(spread(median - min) - below);
        }
        self.samples.push(all[SAMPLES].encode(length, i64::from(point.samples)));
        let repeats = quantise(f64::from(point.repeats), COUNT, 0.0, f64::from(MAX_COUNT));
        self.repeats.push(all[REPEATS].encode(length, repeats));
        self.discarded.push(all[DISCARDED].encode(length, i64::from(point.discarded)));
        if let Some(ms) = point.device_ms {
            self.device.push(all[DEVICE].encode(length, spread(time(ms, FINE) - median)));
        }
        if let Some(ms) = point.setup_ms {
            self.setup.push(all[SETUP].encode(length, time(ms, COARSE)));
        }
        if let Some(ms) = point.first_run_ms {
            self.first_run
                .push(all[FIRST_RUN].encode(length, time(ms, COARSE) - (median >> (FINE - COARSE))));
        }
        if let Some(ms) = point.predicted_ms {
            self.predicted.push(time(ms, FINE));
        }
        self.flops.push(all[FLOPS].encode(length, amount(point.flops, COST)));
        self.bytes.push(all[BYTES].encode(length, amount(point.bytes, COST)));
        self.peak_bytes.push(all[PEAK].encode(length, amount(point.peak_bytes, COST)));
        self.decode_state_bytes.push(all[DECODE].encode(length, amount(point.decode_state_bytes, COST)));
        if let Some(verified) = &point.verified {
            let abs = verified.max_abs.map_or(0, |value| amount(value, ROUGH));
            if verified.max_abs.is_some() {
                self.max_abs.push(all[ABS].encode(length, abs));
            }
            if let Some(value) = verified.max_rel {
                self.max_rel.push(all[REL].encode(length, amount(value, ROUGH) - abs));
            }
            if verified.length != point.length {
                self.verified_length.push(i64::from(verified.length));
            }
        }
    }

    pub(super) fn reader(&self) -> PointReader<'_> {
        PointReader {
            guess: Guessers::new(),
            flags: Column::new(&self.flags),
            messages: Column::new(&self.messages),
            median: Column::new(&self.median),
            below: Column::new(&self.below),
            above: Column::new(&self.above),
            fastest: Column::new(&self.fastest),
            samples: Column::new(&self.samples),
            repeats: Column::new(&self.repeats),
            discarded: Column::new(&self.discarded),
            device: Column::new(&self.device),
            setup: Column::new(&self.setup),
            first_run: Column::new(&self.first_run),
            predicted: Column::new(&self.predicted),
            flops: Column::new(&self.flops),
            bytes: Column::new(&self.bytes),
            peak_bytes: Column::new(&self.peak_bytes),
            decode_state_bytes: Column::new(&self.decode_state_bytes),
            max_abs: Column::new(&self.max_abs),
            max_rel: Column::new(&self.max_rel),
            verified_length: Column::new(&self.verified_length),
        }
    }
}

fn flags(point: &Point) -> i64 {
    let outcome =
        (0..).zip(OUTCOMES).find(|(_, outcome)| *outcome == point.outcome).map_or(0, |(index, _)| index);
    let verified = point.verified.as_ref();
    let bits = [
        (has::MESSAGE, point.message.is_some()),
        (has::TIMES, point.median_ms.is_some()),
        (has::DEVICE, point.device_ms.is_some()),
        (has::SETUP, point.setup_ms.is_some()),
        (has::FIRST_RUN, point.first_run_ms.is_some()),
        (has::PREDICTED, point.predicted_ms.is_some()),
        (has::VERIFIED, verified.is_some()),
        (has::PASS, verified.is_some_and(|verified| verified.pass)),
        (has::MAX_ABS, verified.is_some_and(|verified| verified.max_abs.is_some())),
        (has::MAX_REL, verified.is_some_and(|verified| verified.max_rel.is_some())),
        (has::OTHER_LENGTH, verified.is_some_and(|verified| verified.length != point.length)),
    ];
    bits.iter().filter(|(_, there)| *there).fold(outcome, |flags, (bit, _)| flags | bit)
}

/// Reads points in the order in which they were written.
pub(super) struct PointReader<'a> {
    guess: Guessers,
    flags: Column<'a>,
    messages: Column<'a>,
    median: Column<'a>,
    below: Column<'a>,
    above: Column<'a>,
    fastest: Column<'a>,
    samples: Column<'a>,
    repeats: Column<'a>,
    discarded: Column<'a>,
    device: Column<'a>,
    setup: Column<'a>,
    first_run: Column<'a>,
    predicted: Column<'a>,
    flops: Column<'a>,
    bytes: Column<'a>,
    peak_bytes: Column<'a>,
    decode_state_bytes: Column<'a>,
    max_abs: Column<'a>,
    max_rel: Column<'a>,
    verified_length: Column<'a>,
}

impl PointReader<'_> {
    /// The points of the next lane, one per length.
    pub(super) fn lane(&mut self, lengths: &[u32], words: &Reader) -> Result<Vec<Point>, LinkError> {
        self.guess.begin();
        lengths.iter().map(|&length| self.point(length, words)).collect()
    }

    fn point(&mut self, length: u32, words: &Reader) -> Result<Point, LinkError> {
        let flags = self.flags.take()? ^ self.guess.flags;
        self.guess.flags = flags;
        let outcome = usize::try_from(flags & has::OUTCOME).ok().and_then(|outcome| OUTCOMES.get(outcome));
        let outcome = outcome.filter(|_| flags & !has::ALL == 0);
        let outcome = outcome.ok_or_else(|| LinkError::content("an outcome of a newer version"))?;
        let has = |bit: i64| flags & bit != 0;
        let all = &mut self.guess.all;

        let message = if has(has::MESSAGE) { Some(words.get(whole(self.messages.take()?)?)?) } else { None };
        let (mut median, mut times) = (0, [None; 4]);
        if has(has::TIMES) {
            median = all[MEDIAN].decode(length, self.median.take()?);
            let q1 = median.wrapping_sub(self.below.take()?.wrapping_mul(SPREAD));
            let q3 = median.wrapping_add(self.above.take()?.wrapping_mul(SPREAD));
            let min = q1.wrapping_sub(self.fastest.take()?.wrapping_mul(SPREAD));
            for (time, steps) in times.iter_mut().zip([min, q1, median, q3]) {
                *time = Some(number(steps, FINE)?);
            }
        }
        let [min_ms, q1_ms, median_ms, q3_ms] = times;
        let samples = whole(all[SAMPLES].decode(length, self.samples.take()?))?;
        let repeats = number(all[REPEATS].decode(length, self.repeats.take()?), COUNT)?.round();
        if repeats > f64::from(MAX_COUNT) {
            return Err(LinkError::content("not a count"));
        }
        let discarded = whole(all[DISCARDED].decode(length, self.discarded.take()?))?;
        let device_ms = if has(has::DEVICE) {
            let distance = all[DEVICE].decode(length, self.device.take()?).wrapping_mul(SPREAD);
            Some(number(median.wrapping_add(distance), FINE)?)
        } else {
            None
        };
        let setup_ms = if has(has::SETUP) {
            Some(number(all[SETUP].decode(length, self.setup.take()?), COARSE)?)
        } else {
            None
        };
        let first_run_ms = if has(has::FIRST_RUN) {
            let distance = all[FIRST_RUN].decode(length, self.first_run.take()?);
            Some(number((median >> (FINE - COARSE)).wrapping_add(distance), COARSE)?)
        } else {
            None
        };
        let predicted_ms =
            if has(has::PREDICTED) { Some(number(self.predicted.take()?, FINE)?) } else { None };
        let flops = number(all[FLOPS].decode(length, self.flops.take()?), COST)?;
        let bytes = number(all[BYTES].decode(length, self.bytes.take()?), COST)?;
        let peak_bytes = number(all[PEAK].decode(length, self.peak_bytes.take()?), COST)?;
        let decode_state_bytes = number(all[DECODE].decode(length, self.decode_state_bytes.take()?), COST)?;
        let verified = if has(has::VERIFIED) { Some(self.verified(flags, length)?) } else { None };
        Ok(Point {
            length,
            outcome: (*outcome).to_owned(),
            message,
            median_ms,
            q1_ms,
            q3_ms,
            min_ms,
            samples,
            repeats: repeats as u32,
            discarded,
            device_ms,
            setup_ms,
            first_run_ms,
            predicted_ms,
            flops,
            bytes,
            peak_bytes,
            decode_state_bytes,
            verified,
            ..Point::default()
        })
    }

    fn verified(&mut self, flags: i64, length: u32) -> Result<Verified, LinkError> {
        let has = |bit: i64| flags & bit != 0;
        let all = &mut self.guess.all;
        let abs = if has(has::MAX_ABS) { all[ABS].decode(length, self.max_abs.take()?) } else { 0 };
        let max_rel = if has(has::MAX_REL) {
            let distance = all[REL].decode(length, self.max_rel.take()?);
            Some(number(abs.wrapping_add(distance), ROUGH)?)
        } else {
            None
        };
        Ok(Verified {
            max_abs: if has(has::MAX_ABS) { Some(number(abs, ROUGH)?) } else { None },
            max_rel,
            length: if has(has::OTHER_LENGTH) { whole(self.verified_length.take()?)? } else { length },
            pass: has(has::PASS),
        })
    }

    /// Checks that all entries were read.
    pub(super) fn end(&self) -> Result<(), LinkError> {
        [
            &self.flags,
            &self.messages,
            &self.median,
            &self.below,
            &self.above,
            &self.fastest,
            &self.samples,
            &self.repeats,
            &self.discarded,
            &self.device,
            &self.setup,
            &self.first_run,
            &self.predicted,
            &self.flops,
            &self.bytes,
            &self.peak_bytes,
            &self.decode_state_bytes,
            &self.max_abs,
            &self.max_rel,
            &self.verified_length,
        ]
        .into_iter()
        .try_for_each(Column::end)
    }
}

fn whole(value: i64) -> Result<u32, LinkError> {
    u32::try_from(value).map_err(|_| LinkError::content("not a count"))
}
