//! Measures the machine's peak rates: multiply-adds, exponentials, copying, and starting work. A kernel's share of them
//! shows how much of a lane's time is due to the algorithm and how much to the kernel.
//!
//! Each rate is the best of several probes of some milliseconds, since a disturbance can only lower a rate. Nothing is
//! clamped: a kernel above its roofline shows that the probe was disturbed or that its data was in a cache, since bytes
//! are compared with copies beyond every cache.

mod cpu;
mod gpu;

use mixer::{Backend, LaneError, Peaks, Roofline};

use crate::{Host, Machine};

impl Machine {
    /// Measures the peak rates of `backends` for [`Machine::facts`], in about half a second each. The machine should be
    /// idle. A backend that cannot be measured is omitted.
    ///
    /// # Errors
    /// [`LaneError::Cancelled`]; earlier results remain.
    pub async fn measure_roofline(&mut self, backends: &[Backend]) -> Result<Roofline, LaneError> {
        let mut roofline = Roofline::default();
        let host = self.host().clone();
        if backends.contains(&Backend::Cpu) {
            roofline.cpu = cpu::peaks(&host, self.pool(), self.facts().cpu_memory_bytes)
                .await
                .map(Some)
                .or_else(left_out)?;
        }
        if backends.contains(&Backend::WebGpu)
            && let Ok(device) = self.gpu().cloned()
        {
            roofline.gpu = gpu::peaks(&device, &self.cancel_switch()).await.map(Some).or_else(left_out)?;
        }
        self.keep_roofline(roofline);
        Ok(roofline)
    }
}

/// Omits a backend whose probe failed, since its lanes have reported the error, and propagates a cancellation.
fn left_out(error: LaneError) -> Result<Option<Peaks>, LaneError> {
    if error == LaneError::Cancelled { Err(error) } else { Ok(None) }
}

/// Least duration of a probe, so that the clock's step (5 µs to 1 ms in browsers) is negligible.
const PROBE_NS: f64 = 10e6;

/// Number of probes, of which the fastest counts.
const PROBES: u32 = 10;

/// Repetitions of the next probe after `repeats` took `elapsed_ns`; `None` where the probe was long enough.
fn more(repeats: u32, elapsed_ns: f64) -> Option<u32> {
    if elapsed_ns >= PROBE_NS || repeats >= 1 << 24 {
        return None;
    }
    let wanted = f64::from(repeats) * 1.2 * PROBE_NS / elapsed_ns.max(1.0);
    // A coarse clock may have measured almost zero, so the growth is bounded.
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
    fn measures_plausible_peaks_on_this_machine() {
        let mut machine = block_on(Machine::new(MachineOptions {
            threads: 2,
            ..MachineOptions::new(Host::native(), kernels::find)
        }))
        .unwrap();
        assert_eq!(machine.facts().roofline, None);
        let Roofline { cpu, gpu } =
            block_on(machine.measure_roofline(&[Backend::Cpu, Backend::WebGpu])).unwrap();
        assert!(cpu.is_some());
        assert_eq!(gpu.is_some(), machine.gpu().is_ok());
        let has_f16 = machine.gpu().is_ok_and(|gpu| gpu.target().shader_f16);
        assert_eq!(gpu.is_some_and(|peaks| peaks.f16_flops_per_s.is_some()), has_f16);
        for peaks in [cpu, gpu].into_iter().flatten() {
            assert!((1e7..1e16).contains(&peaks.flops_per_s), "{peaks:?}");
            assert!(peaks.f16_flops_per_s.is_none_or(|rate| (1e7..1e16).contains(&rate)), "{peaks:?}");
            assert!((1e6..1e15).contains(&peaks.transcendentals_per_s), "{peaks:?}");
            assert!((1e7..1e14).contains(&peaks.bytes_per_s), "{peaks:?}");
            assert!((0.0..1e9).contains(&peaks.dispatch_ns), "{peaks:?}");
        }
        assert_eq!(machine.facts().roofline, Some(Roofline { cpu, gpu }));
    }

    #[test]
    fn a_cancelled_measurement_leaves_no_roofline() {
        let options = MachineOptions {
            threads: 1,
            gpu: crate::GpuChoice::Off,
            ..MachineOptions::new(Host::native(), kernels::find)
        };
        let mut machine = block_on(Machine::new(options)).unwrap();
        machine.cancel_switch().cancel();
        assert_eq!(block_on(machine.measure_roofline(&[Backend::Cpu])), Err(LaneError::Cancelled));
        assert_eq!(machine.facts().roofline, None);
    }
}
