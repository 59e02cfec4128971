//! Divides work into submissions. Browsers and drivers reset a GPU that is unresponsive for some time (Windows after
//! two seconds, browsers perhaps after half a second), so each submission is limited to a few tens of milliseconds: by
//! the plan's operation counts, at the rate measured in earlier submissions.

/// Target duration of a submission.
const TARGET_NS: f64 = 50e6;

/// Most dispatches in a submission: recording them takes time on the host, during which a cancellation waits.
const MAX_DISPATCHES: usize = 1024;

/// Operations in a device's first submission: a few tens of milliseconds on a software adapter. The fastest hardware
/// outgrows it within a few steps.
const FIRST_FLOPS: u64 = 1 << 25;

/// Largest growth of the cap from one measured submission to the next.
const GROWTH: u64 = 4;

/// Smallest cap. Below it, a submission's overhead exceeds its work.
const LEAST_FLOPS: u64 = 1 << 16;

/// The cap on the operations of one submission, adapted to the device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pacer {
    cap_flops: u64,
    settled: bool,
    flops_per_ns: f64,
}

impl Pacer {
    pub fn new() -> Self {
        Self { cap_flops: FIRST_FLOPS, settled: false, flops_per_ns: 0.0 }
    }

    /// Operations that the next submission may hold.
    pub fn cap_flops(&self) -> u64 {
        self.cap_flops
    }

    /// Whether the cap is known well enough to queue further submissions.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// The fastest rate of a sufficiently long submission, if there was any.
    pub fn flops_per_ns(&self) -> Option<f64> {
        (self.flops_per_ns > 0.0).then_some(self.flops_per_ns)
    }

    /// Adapts the cap: `flops` operations took `elapsed_ns`, round trip included.
    pub fn observe(&mut self, flops: u64, elapsed_ns: f64) {
        let rate = flops as f64 / elapsed_ns.max(1.0);
        // In a shorter submission the round trip dominates.
        if elapsed_ns >= TARGET_NS / 10.0 {
            self.flops_per_ns = self.flops_per_ns.max(rate);
        }
        let at_rate = rate * TARGET_NS;
        let grown = self.cap_flops.saturating_mul(GROWTH);
        self.cap_flops = (at_rate as u64).clamp(LEAST_FLOPS, grown);
        self.settled |= elapsed_ns >= TARGET_NS / 4.0;
    }
}

/// The end, and the number of operations, of the submission that starts at `start` in a sequence of `n` dispatches of
/// `flops_of(index)` operations each. It has at least one dispatch, and otherwise stays within the cap.
pub(crate) fn cut(start: usize, n: usize, flops_of: impl Fn(usize) -> u64, cap_flops: u64) -> (usize, u64) {
    let mut end = start;
    let mut flops = 0_u64;
    while end < n && end - start < MAX_DISPATCHES {
        let next = flops_of(end);
        if end > start && flops.saturating_add(next) > cap_flops {
            break;
        }
        flops = flops.saturating_add(next);
        end += 1;
    }
    (end, flops)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(n: usize, each: u64, cap: u64) -> Vec<usize> {
        let mut sizes = Vec::new();
        let mut start = 0;
        while start < n {
            let (end, flops) = cut(start, n, |_| each, cap);
            assert_eq!(flops, each * (end - start) as u64);
            sizes.push(end - start);
            start = end;
        }
        sizes
    }

    #[test]
    fn fault_13_work_over_the_cap_is_split_completely() {
        assert_eq!(sizes(10, 30, 100), [3, 3, 3, 1]);
        assert_eq!(sizes(3, 30, 1000), [3]);
        // A dispatch beyond the cap is submitted alone. The plan limits its size.
        assert_eq!(sizes(3, 300, 100), [1, 1, 1]);
        assert_eq!(sizes(2500, 0, 100), [1024, 1024, 452]);
        assert_eq!(sizes(3, u64::MAX / 4, u64::MAX), [3]);
    }

    #[test]
    fn the_cap_follows_the_device_and_settles_near_its_target() {
        for flops_per_ns in [0.05, 1.0, 100.0, 10_000.0] {
            let mut pacer = Pacer::new();
            let mut longest = 0.0_f64;
            for _ in 0..12 {
                let elapsed = 300_000.0 + pacer.cap_flops() as f64 / flops_per_ns;
                pacer.observe(pacer.cap_flops(), elapsed);
                longest = longest.max(elapsed);
            }
            let last = pacer.cap_flops() as f64 / flops_per_ns;
            assert!(pacer.settled() && (0.5..1.1).contains(&(last / TARGET_NS)), "{flops_per_ns}: {last}");
            assert!(longest < 1e9, "{flops_per_ns}: {longest}");
        }
    }
}
