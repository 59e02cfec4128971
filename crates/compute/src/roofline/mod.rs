//! What this machine can do at most, measured: multiply-adds, copying, and starting work. A kernel's share of it says
//! how much of a lane's time is the algorithm's and how much the kernel's.
//!
//! Each number is the best of several probes of some milliseconds; a probe that another program disturbs only reads
//! lower. Nothing is clamped: a kernel above its roofline says that the probe was disturbed or that its data sat
//! in a cache.

mod cpu;
mod gpu;

use mixer::LaneError;

use crate::{Host, Machine};

/// What one backend can do at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations per second, a multiply-add counting as two.
    pub flops_per_s: f64,
    /// Bytes per second of a copy beyond the caches, read and written bytes both counted.
    pub bytes_per_s: f64,
    /// Nanoseconds to start empty work and hear that it is done.
    pub dispatch_ns: f64,
}

impl Peaks {
    /// Nanoseconds that `flops` operations over `bytes` bytes take at least.
    pub fn least_ns(&self, flops: u64, bytes: u64) -> f64 {
        1e9 * (flops as f64 / self.flops_per_s).max(bytes as f64 / self.bytes_per_s)
    }
}

/// A machine's rooflines.
#[derive(Debug, Clone, PartialEq)]
pub struct Roofline {
    /// One CPU thread.
    pub cpu_single: Peaks,
    /// All threads that CPU lanes use.
    pub cpu: Peaks,
    /// The GPU; `Err` says why there is none.
    pub gpu: Result<Peaks, LaneError>,
}

/// Measures; takes about a second. `machine` should be idle.
///
/// # Errors
/// [`LaneError::Cancelled`], or [`mixer::MixerError::OutOfMemory`] where not even a copy's buffers can be had.
pub async fn measure(machine: &mut Machine) -> Result<Roofline, LaneError> {
    let host = machine.host().clone();
    let cpu_single = cpu::peaks(&host, &machine.pool().single()).await?;
    let cpu = cpu::peaks(&host, machine.pool()).await?;
    let gpu = match machine.gpu().cloned() {
        Ok(device) => gpu::peaks(&device, &machine.cancel_switch()).await,
        Err(error) => Err(error),
    };
    if gpu == Err(LaneError::Cancelled) {
        return Err(LaneError::Cancelled);
    }
    Ok(Roofline { cpu_single, cpu, gpu })
}

/// What a probe must last, so that the clock's step does not matter (5 µs to 1 ms in browsers).
const PROBE_NS: f64 = 10e6;

/// Probes of which the best counts.
const PROBES: u32 = 10;

/// Repetitions for the next probe after `repeats` took `elapsed_ns`; `None` where that was long enough.
fn more(repeats: u32, elapsed_ns: f64) -> Option<u32> {
    if elapsed_ns >= PROBE_NS || repeats >= 1 << 24 {
        return None;
    }
    let wanted = f64::from(repeats) * 1.2 * PROBE_NS / elapsed_ns.max(1.0);
    // A coarse clock may have shown almost nothing: grow, but not without bound.
    Some((wanted as u32).clamp(repeats + 1, repeats.saturating_mul(8)))
}

fn now(host: &Host) -> f64 {
    host.now_ns()
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::MachineOptions;

    #[test]
    fn repetitions_grow_until_a_probe_is_long_enough() {
        assert_eq!(more(1, 25e6), None);
        assert_eq!(more(1, 0.0), Some(8));
        assert_eq!(more(10, 5e6), Some(24));
        assert_eq!(more(1 << 24, 0.0), None);
    }

    #[test]
    fn the_slower_of_arithmetic_and_memory_bounds_the_time() {
        let peaks = Peaks { flops_per_s: 1e9, bytes_per_s: 1e8, dispatch_ns: 0.0 };
        assert_eq!(peaks.least_ns(1000, 1), 1000.0);
        assert_eq!(peaks.least_ns(1, 1000), 10_000.0);
    }

    #[test]
    fn measures_plausible_peaks_on_this_machine() {
        let mut machine =
            block_on(Machine::new(MachineOptions { threads: 2, ..MachineOptions::new(Host::native()) }))
                .unwrap();
        let roofline = block_on(measure(&mut machine)).unwrap();
        let gpu = match roofline.gpu {
            Ok(peaks) => Some(peaks),
            Err(LaneError::NoBackend { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        for peaks in [Some(roofline.cpu_single), Some(roofline.cpu), gpu].into_iter().flatten() {
            assert!((1e7..1e16).contains(&peaks.flops_per_s), "{peaks:?}");
            assert!((1e7..1e14).contains(&peaks.bytes_per_s), "{peaks:?}");
            assert!((0.0..1e9).contains(&peaks.dispatch_ns), "{peaks:?}");
        }
    }
}
