//! The machine's peak rates, measured: multiply-adds, exponentials, copying, and starting work. A kernel's share of it says
//! how much of a lane's time is the algorithm's and how much the kernel's.
//!
//! Each number is the best of several probes of some milliseconds; a probe that another program disturbs only reads
//! lower. Nothing is clamped: a kernel above its roofline says that the probe was disturbed or that its data sat
//! in a cache, since bytes are held against copies beyond every cache.

mod cpu;
mod gpu;

use mixer::{Backend, LaneError, Peaks, Roofline};

use crate::{Host, Machine};

impl Machine {
    /// Measures what `backends` can do at most, for [`Machine::facts`]; takes about half a second for each. The machine
    /// should be idle. A backend that cannot be measured is left out.
    ///
    /// # Errors
    /// [`LaneError::Cancelled`]; what was known before stays.
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

/// What a backend that failed leaves: its lanes have said why, only the user's word ends the measurement.
fn left_out(error: LaneError) -> Result<Option<Peaks>, LaneError> {
    if error == LaneError::Cancelled { Err(error) } else { Ok(None) }
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
