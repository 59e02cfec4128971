//! Decides which of two times is shorter, as far as their intervals allow. Every "faster" and "slower" shown to a
//! reader of a race is decided here.

use mixer::exp2;

use crate::{Estimate, Verdict};

/// Relative difference below which a result is undecided, however precise: 1%. The speeds of two machines of one kind
/// differ by as much, and so does one machine's from one day to the next.
pub const NEGLIGIBLE: f64 = 0.01;

/// Decides on a ratio (the other lane's time over the lane's own: above 1, the lane is faster) by its 95% interval: a
/// verdict needs an interval that excludes 1 and a ratio that differs from 1 by at least [`NEGLIGIBLE`].
///
/// Ratios that are not finite and positive, or that lie outside of their own interval, are undecided.
pub fn decide(speedup: Estimate) -> Verdict {
    let Estimate { value, low, high } = speedup;
    let sound = 0.0 < low && low <= value && value <= high && high.is_finite();
    if sound && low > 1.0 && value >= 1.0 + NEGLIGIBLE {
        Verdict::Ahead
    } else if sound && high < 1.0 && value * (1.0 + NEGLIGIBLE) <= 1.0 {
        Verdict::Behind
    } else {
        Verdict::Undecided
    }
}

/// The ratio `a` / `b` with its 95% interval, and whether `b` is ahead (shorter), behind or undecided.
///
/// Both are positive and in one unit, usually times. They are treated as independent: in logarithms, a half-width of
/// the ratio is the root of the sum of squares of their half-widths. For times of one race, which share disturbances, a
/// comparison by rounds is sharper; this function is for two reports, of which only the intervals are known.
pub fn compare(a: Estimate, b: Estimate) -> (Estimate, Verdict) {
    let below = (a.value / a.low).log2().hypot((b.high / b.value).log2());
    let above = (a.high / a.value).log2().hypot((b.value / b.low).log2());
    let value = a.value / b.value;
    let speedup = Estimate { value, low: value * exp2(-below), high: value * exp2(above) };
    (speedup, decide(speedup))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, below: f64, above: f64) -> Estimate {
        Estimate { value, low: value / (1.0 + below), high: value * (1.0 + above) }
    }

    #[test]
    fn a_clear_difference_is_decided_either_way() {
        let (fast, slow) = (estimate(1.0, 0.02, 0.02), estimate(2.0, 0.02, 0.02));
        let (speedup, verdict) = compare(slow, fast);
        assert_eq!(verdict, Verdict::Ahead);
        // 2 · 1.02^±√2.
        let width = 1.02_f64.powf(2.0_f64.sqrt());
        assert!((speedup.value - 2.0).abs() < 1e-12);
        assert!((speedup.high - 2.0 * width).abs() < 1e-9 && (speedup.low - 2.0 / width).abs() < 1e-9);
        assert_eq!(compare(fast, slow).1, Verdict::Behind);
    }

    #[test]
    fn intervals_that_leave_room_for_equality_are_undecided() {
        let (a, b) = (estimate(4.25, 0.1, 0.1), estimate(4.03, 0.1, 0.1));
        assert_eq!((compare(a, b).1, compare(b, a).1), (Verdict::Undecided, Verdict::Undecided));
        assert_eq!(compare(a, a).1, Verdict::Undecided);
    }

    #[test]
    fn lopsided_intervals_combine_side_by_side() {
        // A disturbance may have raised the slower lane's interval, which supports the faster lane's lead.
        let (a, b) = (estimate(1.1, 0.001, 0.5), estimate(1.0, 0.001, 0.001));
        let (speedup, verdict) = compare(a, b);
        assert_eq!(verdict, Verdict::Ahead);
        assert!(speedup.low > 1.098 && speedup.high > 1.6, "{speedup:?}");
        assert_eq!(compare(b, a).1, Verdict::Behind);
    }

    #[test]
    fn differences_below_a_percent_are_undecided_however_sharp() {
        for (ratio, verdict) in [
            (1.009, Verdict::Undecided),
            (1.011, Verdict::Ahead),
            (1.0 / 1.009, Verdict::Undecided),
            (1.0 / 1.011, Verdict::Behind),
        ] {
            assert_eq!(decide(estimate(ratio, 1e-6, 1e-6)), verdict, "{ratio}");
        }
    }

    #[test]
    fn numbers_that_are_no_ratio_are_undecided() {
        for bad in [f64::NAN, f64::INFINITY, 0.0, -2.0] {
            assert_eq!(decide(Estimate { value: bad, low: bad, high: bad }), Verdict::Undecided, "{bad}");
            let one = estimate(1.0, 0.0, 0.0);
            assert_eq!(compare(Estimate { value: bad, low: bad, high: bad }, one).1, Verdict::Undecided);
        }
        // An interval that does not contain its estimate.
        assert_eq!(decide(Estimate { value: 2.0, low: 3.0, high: 4.0 }), Verdict::Undecided);
    }
}
