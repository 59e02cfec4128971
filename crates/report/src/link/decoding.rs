//! Decoding in a link: the part that version 5 adds. The generated tokens make a configuration's lengths contexts, and the
//! points of a report have their state, prefill and single tokens.

use mixer::Task;
use serde::{Deserialize, Serialize};

use super::LinkError;
use super::list::{List, POINTS};
use super::numbers::{COST, Column, FINE, FUNCTION, Guess, Guesser, SPREAD, amount, number, spread, time};
use crate::{Config, Decoding, Point, Report, Steps};

/// The mode of a configuration that decodes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct LinkMode {
    /// Tokens generated in a run.
    pub(super) tokens: u32,
}

impl LinkMode {
    /// The mode of a configuration; `None` for forward passes, which older versions store.
    pub(super) fn new(config: &Config) -> Option<Self> {
        match config.mode {
            Task::Forward => None,
            Task::Decode { tokens } => Some(Self { tokens: u32::try_from(tokens).unwrap_or(u32::MAX) }),
        }
    }

    pub(super) fn task(self) -> Task {
        Task::Decode { tokens: self.tokens as usize }
    }
}

/// The parts that a point has.
mod has {
    pub(super) const DECODE: i64 = 1;
    pub(super) const PREFILL: i64 = 1 << 1;
    pub(super) const STEPS: i64 = 1 << 2;
    pub(super) const ALL: i64 = (1 << 3) - 1;
}

/// Numbers of points.
type Values = List<i64, POINTS>;

/// One list per quantity. A point without the quantity has no entry in its list.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct LinkDecoding {
    /// Presence bits, exclusive-or with the preceding point.
    flags: Values,
    /// Distance of the counted state from its closed form, in steps.
    state: Values,
    prefill: Values,
    flops: Values,
    /// Distance of the executed operations from the field's count, in steps.
    executed: Values,
    functions: Values,
    bytes: Values,
    /// Generated tokens that were not timed.
    untimed: Values,
    /// Distance of the single tokens' median from the point's, of their 99th percentile from that, and of the slowest from
    /// that, in [`SPREAD`]s.
    median: Values,
    p99: Values,
    worst: Values,
}

impl LinkDecoding {
    /// The decoding measurements of the points of a validated report.
    pub(super) fn new(report: &Report) -> Self {
        let mut own = Self::default();
        let tokens = tokens(report);
        let mut flags_before = 0;
        for lane in &report.lanes {
            let mut guess = Guessers::new();
            for point in &lane.points {
                let flags = flags(point);
                own.flags.push(flags ^ flags_before);
                flags_before = flags;
                if let Some(decode) = &point.decode {
                    own.push(point, decode, tokens, &mut guess);
                }
            }
        }
        own
    }

    fn push(&mut self, point: &Point, decode: &Decoding, tokens: i64, guess: &mut Guessers) {
        let length = point.length;
        let state = amount(decode.state_bytes, COST) - amount(point.decode_state_bytes, COST);
        self.state.push(guess.state.encode(length, state));
        if let Some(ms) = decode.prefill_ms {
            self.prefill.push(guess.prefill.encode(length, time(ms, FINE)));
        }
        let flops = amount(decode.prefill_flops, COST);
        self.flops.push(guess.flops.encode(length, flops));
        let executed = amount(decode.prefill_executed_flops, COST) - flops;
        self.executed.push(guess.executed.encode(length, executed));
        let functions = amount(decode.prefill_transcendentals, FUNCTION);
        self.functions.push(guess.functions.encode(length, functions));
        self.bytes.push(guess.bytes.encode(length, amount(decode.prefill_bytes, COST)));
        if let Some(steps) = &decode.steps {
            self.untimed.push(guess.untimed.encode(length, tokens - i64::from(steps.tokens)));
            let mut before = middle(point);
            let columns = [&mut self.median, &mut self.p99, &mut self.worst];
            for (column, ms) in columns.into_iter().zip([steps.median_ms, steps.p99_ms, steps.worst_ms]) {
                let distance = spread(time(ms, FINE) - before);
                column.push(distance);
                before += distance * SPREAD;
            }
        }
    }

    /// Adds this part to the report decoded from the rest of the link.
    pub(super) fn describe(&self, report: &mut Report) -> Result<(), LinkError> {
        let mut read = Reader {
            flags: Column::new(&self.flags),
            state: Column::new(&self.state),
            prefill: Column::new(&self.prefill),
            flops: Column::new(&self.flops),
            executed: Column::new(&self.executed),
            functions: Column::new(&self.functions),
            bytes: Column::new(&self.bytes),
            untimed: Column::new(&self.untimed),
            steps: [&self.median, &self.p99, &self.worst].map(|column| Column::new(column)),
        };
        let tokens = tokens(report);
        let mut flags = 0;
        for lane in &mut report.lanes {
            let mut guess = Guessers::new();
            for point in &mut lane.points {
                flags ^= read.flags.take()?;
                point.decode = read.point(point, flags, tokens, &mut guess)?;
            }
        }
        read.end()
    }
}

#[cfg(test)]
impl LinkDecoding {
    /// Changes of a valid part that no race can have made.
    pub(super) const HOSTILE: [fn(&mut Self); 9] = [
        // A part of a newer version, and single tokens without a state.
        |own| own.flags[0] ^= 8,
        |own| own.flags[0] ^= has::DECODE,
        // Columns that are too short or too long.
        |own| own.state.clear(),
        |own| own.worst.push(0),
        // Times out of order, and no numbers.
        |own| own.p99[0] = -100,
        |own| own.worst[0] = i64::MAX / SPREAD,
        |own| own.prefill[0] = i64::MAX,
        // More tokens than a run has, and an amount beyond the range.
        |own| own.untimed[0] = -1,
        |own| own.state[0] += 100 << COST,
    ];
}

/// Reads the columns in the order of writing.
struct Reader<'a> {
    flags: Column<'a>,
    state: Column<'a>,
    prefill: Column<'a>,
    flops: Column<'a>,
    executed: Column<'a>,
    functions: Column<'a>,
    bytes: Column<'a>,
    untimed: Column<'a>,
    steps: [Column<'a>; 3],
}

impl Reader<'_> {
    fn point(
        &mut self,
        point: &Point,
        flags: i64,
        tokens: i64,
        guess: &mut Guessers,
    ) -> Result<Option<Decoding>, LinkError> {
        let has = |bit: i64| flags & bit != 0;
        if flags & !has::ALL != 0 || (flags != 0 && !has(has::DECODE)) {
            return Err(LinkError::content("a measurement of a newer version"));
        }
        if flags == 0 {
            return Ok(None);
        }
        let length = point.length;
        let state = guess.state.decode(length, self.state.take()?);
        let prefill_ms = if has(has::PREFILL) {
            Some(number(guess.prefill.decode(length, self.prefill.take()?), FINE)?)
        } else {
            None
        };
        let flops = guess.flops.decode(length, self.flops.take()?);
        let executed = guess.executed.decode(length, self.executed.take()?);
        let functions = guess.functions.decode(length, self.functions.take()?);
        let bytes = guess.bytes.decode(length, self.bytes.take()?);
        Ok(Some(Decoding {
            state_bytes: number(amount(point.decode_state_bytes, COST).wrapping_add(state), COST)?,
            prefill_ms,
            prefill_flops: number(flops, COST)?,
            prefill_executed_flops: number(flops.wrapping_add(executed), COST)?,
            prefill_transcendentals: number(functions, FUNCTION)?,
            prefill_bytes: number(bytes, COST)?,
            prefill_roofline_share: None,
            steps: if has(has::STEPS) { Some(self.steps(point, tokens, guess)?) } else { None },
        }))
    }

    fn steps(&mut self, point: &Point, tokens: i64, guess: &mut Guessers) -> Result<Steps, LinkError> {
        let untimed = guess.untimed.decode(point.length, self.untimed.take()?);
        let tokens = u32::try_from(tokens.wrapping_sub(untimed));
        let mut at = middle(point);
        let mut times = [0.0; 3];
        for (ms, column) in times.iter_mut().zip(&mut self.steps) {
            at = at.wrapping_add(column.take()?.wrapping_mul(SPREAD));
            *ms = number(at, FINE)?;
        }
        let [median_ms, p99_ms, worst_ms] = times;
        let tokens = tokens.map_err(|_| LinkError::content("not a count"))?;
        Ok(Steps { tokens, median_ms, p99_ms, worst_ms })
    }

    /// Checks that all entries were read.
    fn end(&self) -> Result<(), LinkError> {
        let all = [
            &self.flags,
            &self.state,
            &self.prefill,
            &self.flops,
            &self.executed,
            &self.functions,
            &self.bytes,
            &self.untimed,
        ];
        all.into_iter().chain(&self.steps).try_for_each(Column::end)
    }
}

/// Predictions from point to point of a lane.
struct Guessers {
    state: Guesser,
    prefill: Guesser,
    flops: Guesser,
    executed: Guesser,
    functions: Guesser,
    bytes: Guesser,
    untimed: Guesser,
}

impl Guessers {
    fn new() -> Self {
        let same = || Guesser::new(Guess::Same, 0);
        Self {
            state: same(),
            prefill: Guesser::new(Guess::Trend, FINE),
            flops: Guesser::new(Guess::Power, COST),
            executed: same(),
            functions: Guesser::new(Guess::Line, FUNCTION),
            bytes: Guesser::new(Guess::Line, COST),
            untimed: same(),
        }
    }
}

/// Tokens generated in a run of the report's race.
fn tokens(report: &Report) -> i64 {
    LinkMode::new(&report.config).map_or(0, |mode| i64::from(mode.tokens))
}

/// The step of the point's median.
fn middle(point: &Point) -> i64 {
    point.median_ms.map_or(0, |ms| time(ms, FINE))
}

fn flags(point: &Point) -> i64 {
    let Some(decode) = &point.decode else { return 0 };
    let bits = [(has::PREFILL, decode.prefill_ms.is_some()), (has::STEPS, decode.steps.is_some())];
    bits.iter().filter(|(_, there)| *there).fold(has::DECODE, |flags, (bit, _)| flags | bit)
}
