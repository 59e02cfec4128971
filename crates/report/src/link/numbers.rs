//! Numbers of a link. Measurements need few digits and wide ranges, and successive ones grow regularly: a positive
//! number becomes the upper bits of its f64 (exponent and a few bits of mantissa, which is a staircase logarithm), and
//! what is stored is how far it is from what the previous ones suggest.

use super::LinkError;

/// Bits of mantissa of times and costs: a relative error of at most 2⁻¹².
pub(super) const FINE: u32 = 11;
/// Bits of mantissa of repetitions and the clock's step: at most 2⁻⁷; whole numbers up to 128 are exact.
pub(super) const COUNT: u32 = 6;
/// Bits of mantissa of one-off times: at most 2⁻⁵.
pub(super) const COARSE: u32 = 4;
/// Bits of mantissa of deviations from the reference, of which the magnitude matters: at most 2⁻³.
pub(super) const ROUGH: u32 = 2;
/// Spreads around a median are kept in units of this many of its steps: 2⁻⁹ of it.
pub(super) const SPREAD: i64 = 4;

/// `value` (not negative) on the staircase with `bits` of mantissa, within `low..=high`.
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

/// The number of a step, where it is one.
pub(super) fn restore(step: i64, bits: u32) -> Option<f64> {
    let step = u64::try_from(step).ok()?;
    let value = f64::from_bits(step.checked_mul(1 << (52 - bits))?);
    value.is_finite().then_some(value)
}

/// A distance in steps of a median, as a number of [`SPREAD`]s; cut, so that what is read lies between the median and
/// what was written, and in no case out of range.
pub(super) fn spread(steps: i64) -> i64 {
    steps / SPREAD
}

/// Thousandths, for exponents.
pub(super) fn thousandths(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

/// [`thousandths`], read back.
pub(super) fn from_thousandths(value: i64) -> f64 {
    value as f64 / 1000.0
}

/// How the next value of a lane is guessed from those before it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guess {
    /// Like the last one.
    Same,
    /// As far from the last one as that was from the one before: costs, which are polynomials of the length.
    Line,
    /// As far from the last one as they were apart on average: times, which are noisy.
    Trend,
}

/// The state of a guess: what it has seen of this lane, and where the lane before began.
#[derive(Debug, Clone)]
pub(super) struct Guesser {
    guess: Guess,
    /// What the first step of a lane is expected to be: one doubling.
    rise: i64,
    first: i64,
    last: i64,
    before: i64,
    seen: i64,
}

impl Guesser {
    pub(super) fn new(guess: Guess, bits: u32) -> Self {
        Self { guess, rise: 1 << bits, first: 0, last: 0, before: 0, seen: 0 }
    }

    /// A new lane begins; it is expected to begin where the last one did.
    pub(super) fn begin(&mut self) {
        self.last = self.first;
        self.seen = 0;
    }

    fn next(&self) -> i64 {
        match (self.guess, self.seen) {
            (Guess::Same, _) | (_, 0) => self.last,
            (_, 1) => self.last.wrapping_add(self.rise),
            (Guess::Line, _) => self.last.wrapping_mul(2).wrapping_sub(self.before),
            (Guess::Trend, seen) => self.last.wrapping_add(self.last.wrapping_sub(self.first) / (seen - 1)),
        }
    }

    fn see(&mut self, value: i64) {
        if self.seen == 0 {
            self.first = value;
        }
        self.before = self.last;
        self.last = value;
        self.seen += 1;
    }

    /// What to store for `value`.
    pub(super) fn encode(&mut self, value: i64) -> i64 {
        let stored = value.wrapping_sub(self.next());
        self.see(value);
        stored
    }

    /// The value that was stored as `stored`.
    pub(super) fn decode(&mut self, stored: i64) -> i64 {
        let value = self.next().wrapping_add(stored);
        self.see(value);
        value
    }
}

/// A column that is read.
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
            for guess in [Guess::Same, Guess::Line, Guess::Trend] {
                let (mut there, mut back) = (Guesser::new(guess, FINE), Guesser::new(guess, FINE));
                for lane in &values {
                    there.begin();
                    back.begin();
                    for &value in lane {
                        prop_assert_eq!(back.decode(there.encode(value)), value);
                    }
                }
            }
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
