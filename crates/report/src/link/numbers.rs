//! Numbers of a link. Measurements need few digits and wide ranges, and successive ones grow regularly: a positive
//! number becomes the upper bits of its f64 (exponent and a few bits of mantissa, which is a staircase logarithm), and
//! what is stored is how far it is from what the previous ones suggest.

use super::LinkError;

/// Bits of mantissa of times: a relative error of at most 2⁻¹¹.
pub(super) const FINE: u32 = 10;
/// Bits of mantissa of costs, limits and crossovers: at most 2⁻⁹.
pub(super) const COST: u32 = 8;
/// Bits of mantissa of one-off times: at most 2⁻⁴.
pub(super) const COARSE: u32 = 3;
/// Bits of mantissa of repetitions and the clock's step: at most 2⁻⁴; whole numbers up to 16 are exact.
pub(super) const COUNT: u32 = 3;
/// Bits of mantissa of deviations from the reference, of which the magnitude matters: at most 2⁻³.
pub(super) const ROUGH: u32 = 2;
/// Spreads around a median are kept in units of this many of its steps: 2⁻⁸ of it.
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

/// Hundredths, for exponents.
pub(super) fn hundredths(value: f64) -> i64 {
    (value * 100.0).round() as i64
}

/// [`hundredths`], read back.
pub(super) fn from_hundredths(value: i64) -> f64 {
    value as f64 / 100.0
}

/// How the next value of a lane is guessed from those before it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guess {
    /// Like the last one.
    Same,
    /// As many steps from the last one as that was from the one before: powers of the length.
    Power,
    /// On the straight line through the last two, steps restored: bytes, which grow by so many per token.
    Line,
    /// As far from the last one as they were apart on average: times, which are noisy.
    Trend,
}

/// The state of a guess: what it has seen of this lane, and where the lane before began.
#[derive(Debug, Clone)]
pub(super) struct Guesser {
    guess: Guess,
    bits: u32,
    first: i64,
    /// The last value and the one before, each with its length.
    last: (i64, u32),
    before: (i64, u32),
    seen: i64,
}

impl Guesser {
    pub(super) fn new(guess: Guess, bits: u32) -> Self {
        Self { guess, bits, first: 0, last: (0, 0), before: (0, 0), seen: 0 }
    }

    /// A new lane begins; it is expected to begin where the last one did.
    pub(super) fn begin(&mut self) {
        self.last = (self.first, 0);
        self.seen = 0;
    }

    fn next(&self, length: u32) -> i64 {
        let last = self.last.0;
        match (self.guess, self.seen) {
            (Guess::Same, _) | (_, 0) => last,
            // One doubling.
            (_, 1) => last.wrapping_add(1 << self.bits),
            (Guess::Power, _) => last.wrapping_mul(2).wrapping_sub(self.before.0),
            (Guess::Line, _) => self.on_line(length).unwrap_or(last),
            (Guess::Trend, seen) => last.wrapping_add(last.wrapping_sub(self.first) / (seen - 1)),
        }
    }

    /// Sums, products and quotients of f64 are the same on every machine, so both ends guess alike.
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

    /// What to store for `value` at `length`.
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
    fn what_grows_by_so_many_bytes_per_token_is_guessed_within_rounding() {
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
