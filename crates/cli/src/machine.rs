//! This machine: its executor, its clock and its facts for reports.

use compute::{GpuChoice, Host, Machine, MachineOptions};
use mixer::{Cost, LaneSpec, MixerError, Problem};
use race::Clock;
use report::Environment;

use crate::error::CliError;

/// Opens the machine, with a GPU only on request.
///
/// # Errors
/// Threads that cannot be started. A missing GPU is not an error.
pub fn open(threads: usize, gpu: bool) -> Result<Machine, CliError> {
    let mut options = MachineOptions::new(Host::native(), kernels::find);
    options.threads = threads;
    options.gpu = if gpu { GpuChoice::Auto } else { GpuChoice::Off };
    Ok(pollster::block_on(Machine::new(options))?)
}

/// The closed-form cost of a lane.
///
/// # Errors
/// Errors of the system.
pub fn cost(lane: &LaneSpec, problem: &Problem) -> Result<Cost, MixerError> {
    kernels::find(&lane.system)?.cost(problem, &lane.params)
}

/// The clock of races.
pub struct NativeClock(Host);

impl NativeClock {
    pub fn new() -> Self {
        Self(Host::native())
    }
}

impl Clock for NativeClock {
    fn now_ns(&self) -> f64 {
        self.0.now_ns()
    }
}

/// This machine's facts for a report.
pub fn environment(machine: &Machine, tick_ns: f64) -> Environment {
    let mut environment = Environment {
        build: env!("CARGO_PKG_VERSION").to_owned(),
        host: "native".to_owned(),
        agent: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        isolated: true,
        tick_ms: tick_ns / 1e6,
        ..Environment::default()
    };
    environment.describe(&machine.facts());
    environment
}
