//! Numbers in a link. Measurements need few digits and a wide range, and successive ones grow regularly. A positive
//! number is stored as the upper bits of its f64 (the exponent and a few bits of the mantissa, a staircase
//! approximation of the logarithm), relative to a prediction from the preceding numbers.

use super::LinkError;
use crate::validate::{MAX_AMOUNT, TIME_MS};

/// Mantissa bits of times: a relative error of at most 2⁻¹¹.
pub(super) const FINE: u32 = 10;
/// Mantissa bits of costs, limits and crossovers: at most 2⁻⁹.
pub(super) const COST: u32 = 8;
/// Mantissa bits of the number of functions, a relative error of at most 2⁻⁷. They limit few points, and two more bits
/// would add 15 characters to the link of a real race.
pub(super) const FUNCTION: u32 = 6;
/// Mantissa bits of one-off times: at most 2⁻⁴.
pub(super) const COARSE: u32 = 3;
/// Mantissa bits of repetitions and the clock's step: at most 2⁻⁴; whole numbers up to 16 are exact.
pub(super) const COUNT: u32 = 3;
/// Mantissa bits of deviations from the reference, of which only the magnitude matters: at most 2⁻³.
pub(super) const ROUGH: u32 = 2;
/// Steps of the median per unit in which spreads around it are stored: 2⁻⁸ of the median.
pub(super) const SPREAD: i64 = 4;

/// The step of `value` (not negative) with `bits` bits of mantissa, within `low..=high`.
pub(super) fn quantise(value: f64, bits: u32, low: f64, high: f64) -> i64 {
    let shift = 52 - bits;
    let exact = value.max(0.0).to_bits();
    let step = (exact.saturating_add(1 << (shift - 1)) >> shift).cast_signed();
    // Rounding may leave the range by one step.
    match restore(step, bits) {
        Some(rounded) if rounded > high => step - 1,
        Some(rounded) if rounded < low => step + 1,
        _ => step,
    }
}

/// The number of a step, if valid.
pub(super) fn restore(step: i64, bits: u32) -> Option<f64> {
    let step = u64::try_from(step).ok()?;
    let value = f64::from_bits(step.checked_mul(1 << (52 - bits))?);
    value.is_finite().then_some(value)
}

/// The number of a step, where an invalid one makes the link malformed.
pub(super) fn number(step: i64, bits: u32) -> Result<f64, LinkError> {
    restore(step, bits).ok_or_else(|| LinkError::content("not a number"))
}

/// The step of a time in milliseconds.
pub(super) fn time(ms: f64, bits: u32) -> i64 {
    quantise(ms, bits, *TIME_MS.start(), *TIME_MS.end())
}

/// The step of a number of operations or bytes.
pub(super) fn amount(value: f64, bits: u32) -> i64 {
    quantise(value, bits, 0.0, MAX_AMOUNT)
}

/// Converts a distance in steps of a median to units of [`SPREAD`]. Rounds towards zero, so that the decoded value lies
/// between the median and the original and never out of range.
pub(super) fn spread(steps: i64) -> i64 {
    steps / SPREAD
}

/// Converts to hundredths, for exponents.
pub(super) fn hundredths(value: f64) -> i64 {
    (value * 100.0).round() as i64
}

/// Converts from hundredths.
pub(super) fn from_hundredths(value: i64) -> f64 {
    value as f64 / 100.0
}

/// Prediction of a lane's next value from its preceding values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guess {
    /// Equal to the last value.
    Same,
    /// As many steps from the last value as that one was from the value before it: powers of the length.
    Power,
    /// On the straight line through the last two decoded values: bytes, which grow by a constant per token.
    Line,
    /// The last value plus the average difference between values: times, which are noisy.
    Trend,
}

/// State of a prediction: the values of the current lane, and the first value of the preceding lane.
#[derive(Debug, Clone)]
pub(super) struct Guesser {
    guess: Guess,
    bits: u32,
    first: i64,
    /// The last value and the value before it, each with its length.
    last: (i64, u32),
    before: (i64, u32),
    seen: i64,
}

impl Guesser {
    pub(super) fn new(guess: Guess, bits: u32) -> Self {
        Self { guess, bits, first: 0, last: (0, 0), before: (0, 0), seen: 0 }
    }

    /// Begins a new lane, whose first value is predicted to be that of the preceding lane.
    pub(super) fn begin(&mut self) {
        self.last = (self.first, 0);
        self.seen = 0;
    }

    fn next(&self, length: u32) -> i64 {
        let last = self.last.0;
        match (self.guess, self.seen) {
            (Guess::Same, _) | (_, 0) => last,
            // One doubling of the length.
            (_, 1) => last.wrapping_add(1 << self.bits),
            (Guess::Power, _) => last.wrapping_mul(2).wrapping_sub(self.before.0),
            (Guess::Line, _) => self.on_line(length).unwrap_or(last),
            (Guess::Trend, seen) => last.wrapping_add(last.wrapping_sub(self.first) / (seen - 1)),
        }
    }

    /// Sums, products and quotients of f64 are equal on every machine, so writer and reader predict equal values.
    fn on_line(&self, length: u32) -> Option<i64> {
        let [(y0, x0), (y1, x1)] = [self.before, self.last];
        let [y0, y1] = [restore(y0, self.bits)?, restore(y1, self.bits)?];
        let value = y1 + (y1 - y0) * (f64::from(length) - f64::from(x1)) / (f64::from(x1) - f64::from(x0));
        (0.0..=1e30).contains(&value).then(|| quantise(value, self.bits, 0.0, 1e30))
    }

    fn see(&mut self, value: i64, length: u32) {
        if self.seen == 0 {
            self.first = value;
        }
        self.before = self.last;
        self.last = (value, length);
        self.seen += 1;
    }

    /// The number to store for `value` at `length`.
    pub(super) fn encode(&mut self, length: u32, value: i64) -> i64 {
        let stored = value.wrapping_sub(self.next(length));
        self.see(value, length);
        stored
    }

    /// The value at `length` that was stored as `stored`.
    pub(super) fn decode(&mut self, length: u32, stored: i64) -> i64 {
        let value = self.next(length).wrapping_add(stored);
        self.see(value, length);
        value
    }
}

/// A column being read.
pub(super) struct Column<'a>(std::slice::Iter<'a, i64>);

impl<'a> Column<'a> {
    pub(super) fn new(values: &'a [i64]) -> Self {
        Self(values.iter())
    }

    pub(super) fn take(&mut self) -> Result<i64, LinkError> {
        self.0.next().copied().ok_or_else(|| LinkError::content("a column is too short"))
    }

    pub(super) fn end(&self) -> Result<(), LinkError> {
        if self.0.as_slice().is_empty() { Ok(()) } else { Err(LinkError::content("a column is too long")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn steps_are_close_monotone_and_stable(a in 1e-12..1e12_f64, b in 1e-12..1e12_f64, bits in 2_u32..=11) {
            let step = |value| quantise(value, bits, 1e-12, 1e12);
            let back = restore(step(a), bits).unwrap();
            prop_assert!((back - a).abs() <= a * 2_f64.powi(-bits.cast_signed()), "{a} became {back}");
            prop_assert_eq!(step(back), step(a));
            prop_assert!((a <= b) == (step(a) <= step(b)) || step(a) == step(b));
        }

        #[test]
        fn guessing_is_undone(values in prop::collection::vec(prop::collection::vec(any::<i64>(), 0..6), 0..5)) {
            for guess in [Guess::Same, Guess::Power, Guess::Line, Guess::Trend] {
                let (mut there, mut back) = (Guesser::new(guess, FINE), Guesser::new(guess, FINE));
                for lane in &values {
                    there.begin();
                    back.begin();
                    for (&value, length) in lane.iter().zip([1, 2, 2, 7, 5, 1 << 20]) {
                        prop_assert_eq!(back.decode(length, there.encode(length, value)), value);
                    }
                }
            }
        }
    }

    #[test]
    fn linear_growth_is_predicted_within_rounding() {
        let mut guesser = Guesser::new(Guess::Line, COST);
        for (index, length) in [128_u32, 256, 512, 1000, 4096].into_iter().enumerate() {
            let stored =
                guesser.encode(length, quantise(77_000.0 + 3000.0 * f64::from(length), COST, 0.0, 1e24));
            assert!(index < 2 || stored.abs() <= 3, "{stored}");
        }
    }

    #[test]
    fn ends_of_a_range_stay_inside() {
        for value in [1e-12, 1e12, 1e24, 0.0] {
            let back = restore(quantise(value, FINE, value, value), FINE).unwrap();
            assert!((back - value).abs() <= value * 1e-3);
        }
        let high = restore(quantise(1e12, FINE, 1e-12, 1e12), FINE).unwrap();
        let low = restore(quantise(1e-12, FINE, 1e-12, 1e12), FINE).unwrap();
        assert!(high <= 1e12 && low >= 1e-12);
        assert_eq!(quantise(0.0, FINE, 0.0, 1.0), 0);
        assert_eq!(restore(-1, FINE), None);
        assert_eq!(restore(i64::MAX, FINE), None);
        assert_eq!(restore(2047 << FINE, FINE), None);
    }
}
