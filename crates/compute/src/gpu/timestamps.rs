//! Device time from timestamp queries, or `None` where they are implausible.
//!
//! WebGPU allows timestamps to be coarsened, to be equal and even to decrease. Implausible values are dropped, not
//! reported.

/// Least number of steps in a device time: half a step of error at each end is then at most 5%.
const STEPS: u64 = 20;

/// Total nanoseconds of the passes.
///
/// `stamps` holds the beginning and end of each pass, `period_ns` is the length of a device tick. Returns `None`
/// without a pass, where a pass ends before it begins, where the total is zero or longer than the `wall_ns` in which
/// the passes ran, or where the clock is too coarse for it.
pub(crate) fn device_ns(stamps: &[u64], period_ns: f64, wall_ns: f64) -> Option<f64> {
    let passes = stamps.as_chunks::<2>().0;
    let mut ticks = 0_u64;
    for [begin, end] in passes {
        ticks = ticks.checked_add(end.checked_sub(*begin)?)?;
    }
    let total_ns = ticks as f64 * period_ns;
    let believable = ticks > 0 && total_ns.is_finite() && total_ns <= wall_ns;
    let step = step_ticks(stamps, period_ns);
    (believable && ticks >= STEPS * step * passes.len() as u64).then_some(total_ns)
}

/// The clock's step in ticks. Browsers round to 100 µs (WebGPU, "timestamp query coarsening") or, in Chromium, clear
/// the low 16 bits. Any other clock is assumed to count every tick.
fn step_ticks(stamps: &[u64], period_ns: f64) -> u64 {
    let hundred_us = (100_000.0 / period_ns).round() as u64;
    [hundred_us, 1 << 16]
        .into_iter()
        .find(|&step| step > 1 && stamps.iter().all(|stamp| stamp.is_multiple_of(step)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: f64 = 1e9;

    #[test]
    fn adds_the_passes_and_ignores_the_gaps() {
        assert_eq!(device_ns(&[1, 11, 100, 205], 2.0, WALL), Some(230.0));
    }

    #[test]
    fn fault_12_implausible_timestamps_are_dropped() {
        for (stamps, why) in [
            (&[][..], "absent"),
            (&[0, 0, 0, 0], "all zero"),
            (&[7, 7], "equal"),
            (&[9, 3], "decreasing"),
            (&[1, 5, 9, 3], "one pass decreasing"),
            (&[1, 2_000_000_001], "longer than the wall clock"),
            (&[0, u64::MAX, 0, u64::MAX], "overflowing"),
        ] {
            assert_eq!(device_ns(stamps, 1.0, WALL), None, "{why}");
        }
    }

    #[test]
    fn fault_12_rounded_timestamps_need_many_steps() {
        assert_eq!(device_ns(&[300_000, 500_000], 1.0, WALL), None);
        assert_eq!(device_ns(&[300_000, 2_400_000], 1.0, WALL), Some(2_100_000.0));
        assert_eq!(device_ns(&[65_536, 3 * 65_536], 1.0, WALL), None);
        // Equal spans from a clock that is not rounded.
        assert_eq!(device_ns(&[300_001, 500_000], 1.0, WALL), Some(199_999.0));
    }
}
