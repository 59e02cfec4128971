//! The executor of races, which runs lanes on the CPU and on the GPU.

use std::collections::HashMap;
use std::sync::Arc;

use mixer::{
    Backend, Case, Executor, Explain, Finished, Generate, GpuMachine, GpuTarget, LaneError, LaneSpec, Level,
    MachineFacts, MixerError, Prepared, Problem, Roofline, System, Task, Verification,
};

use crate::abandon::unless_cancelled;
use crate::cpu::{CpuLane, CpuPool};
use crate::decode::{CpuDecodeLane, Generation, GpuDecodeLane};
use crate::error::NoGpu;
use crate::golden::{self, GoldenCase, GoldenError, GoldenResult};
use crate::gpu::{AUTOTUNE_LIMIT_NS, Gpu, GpuLane, GpuOptions};
use crate::ledger::Ledger;
use crate::output::Spotted;
use crate::{CancelSwitch, ComputeError, Host, Lane};
use kernels::ops::simd::InstructionSet;

/// Seconds that one dispatch may take at the measured rate.
const DISPATCH_S: f64 = 0.1;

/// Smallest dispatch whose work exceeds its overhead.
const LEAST_DISPATCH_FLOPS: u64 = 1 << 22;

/// Default memory limit of CPU lanes in wasm: half of the most that a build with shared memory can grow to. The other
/// half is for making inputs and for the reference.
#[cfg(target_arch = "wasm32")]
const WASM_MEMORY_BYTES: u64 = 1 << 30;

/// Memory limit of CPU lanes on a system that does not report its memory.
#[cfg(not(target_arch = "wasm32"))]
const UNKNOWN_MEMORY_BYTES: u64 = 2 << 30;

/// Whether to use a GPU.
#[derive(Debug, Clone, Copy, Default)]
pub enum GpuChoice {
    /// Use a GPU if there is one.
    #[default]
    Auto,
    /// Use no GPU.
    Off,
}

/// Finds a system by its name.
pub type FindSystem = fn(&str) -> Result<&'static System, MixerError>;

/// Options of a machine.
#[derive(Clone)]
pub struct MachineOptions {
    /// Finds the systems that it runs: all of them ([`kernels::find`]), or those whose code is loaded.
    pub find: FindSystem,
    /// Threads of CPU lanes, 1 to [`CpuPool::MAX_THREADS`].
    pub threads: usize,
    /// Bytes that all CPU lanes together may hold. By default half of the system's memory, or a fixed amount in wasm.
    pub cpu_memory_bytes: Option<u64>,
    /// Whether to use a GPU.
    pub gpu: GpuChoice,
    /// Requests to the GPU.
    pub gpu_options: GpuOptions,
    /// The surroundings.
    pub host: Host,
}

impl MachineOptions {
    /// All threads, a GPU if there is one, default memory limits.
    pub fn new(host: Host, find: FindSystem) -> Self {
        Self {
            find,
            threads: CpuPool::available_threads(),
            cpu_memory_bytes: None,
            gpu: GpuChoice::Auto,
            gpu_options: GpuOptions::default(),
            host,
        }
    }
}

enum GpuState {
    Open(Gpu),
    Missing(LaneError),
}

/// Runs lanes on this machine.
///
/// A lost GPU device ends its lanes, and every later call for the GPU returns [`LaneError::DeviceLost`] until
/// [`Machine::begin`] opens a new device, which it does once.
pub struct Machine {
    pool: CpuPool,
    gpu: GpuState,
    losses: u32,
    cpu_ledger: Ledger,
    gpu_ledger: Ledger,
    cancel: CancelSwitch,
    /// Operations per second that each system has reached on the GPU.
    gpu_rates: HashMap<&'static str, f64>,
    roofline: Option<Roofline>,
    options: MachineOptions,
}

impl Machine {
    /// Starts threads and opens a GPU. A missing GPU is not an error: [`Machine::facts`] states the reason, and its
    /// lanes fail with it.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] or [`ComputeError::Threads`] where the threads cannot be started.
    pub async fn new(options: MachineOptions) -> Result<Self, ComputeError> {
        let cancel = CancelSwitch::default();
        let pool = CpuPool::new(options.threads)?.with_cancel_switch(cancel.clone());
        let gpu = match options.gpu {
            GpuChoice::Auto => open(&options).await,
            GpuChoice::Off => GpuState::Missing(off()),
        };
        let cpu_ledger = Ledger::new(options.cpu_memory_bytes.unwrap_or_else(system_memory_bytes));
        let gpu_ledger = gpu_ledger(&gpu);
        let gpu_rates = HashMap::new();
        Ok(Self { pool, gpu, losses: 0, cpu_ledger, gpu_ledger, cancel, gpu_rates, roofline: None, options })
    }

    /// Must be called before each race. Lifts a cancellation and opens a new device after a loss, once in the machine's
    /// life. After a second loss the GPU stays closed, because the cause is likely to persist.
    pub async fn begin(&mut self) {
        self.cancel.resume();
        let GpuState::Open(gpu) = &self.gpu else { return };
        let Some(reason) = gpu.lost() else { return };
        self.losses += 1;
        self.gpu = if self.losses == 1 {
            open(&self.options).await
        } else {
            GpuState::Missing(LaneError::NoBackend {
                backend: Backend::WebGpu.name(),
                reason: NoGpu::LostTwice { reason }.said(),
            })
        };
        self.gpu_ledger = gpu_ledger(&self.gpu);
    }

    /// Uses `threads` threads for lanes prepared from now on, 1 to [`CpuPool::MAX_THREADS`].
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] or [`ComputeError::Threads`] where the threads cannot be started; the old threads
    /// remain.
    pub fn set_threads(&mut self, threads: usize) -> Result<(), ComputeError> {
        if threads != mixer::Parallel::threads(&self.pool) {
            self.pool = CpuPool::new(threads)?.with_cancel_switch(self.cancel.clone());
            // The roofline depends on the number of threads.
            self.roofline = None;
        }
        Ok(())
    }

    /// The switch that cancels running work, for a handler of the user's cancellation.
    pub fn cancel_switch(&self) -> CancelSwitch {
        self.cancel.clone()
    }

    /// Facts about this machine.
    pub fn facts(&self) -> MachineFacts {
        let (gpu, gpu_missing) = match &self.gpu {
            GpuState::Open(gpu) => {
                let kernels = gpu.chosen().borrow().clone();
                (Some(GpuMachine { facts: gpu.facts().clone(), target: *gpu.target(), kernels }), None)
            }
            GpuState::Missing(LaneError::NoBackend { reason, .. }) => (None, Some(reason.to_string())),
            GpuState::Missing(error) => (None, Some(error.to_string())),
        };
        MachineFacts {
            cores: CpuPool::available_threads(),
            threads: mixer::Parallel::threads(&self.pool),
            simd: InstructionSet::widest().name(),
            cpu_memory_bytes: self.cpu_ledger.limit_bytes(),
            gpu,
            gpu_missing,
            roofline: self.roofline,
        }
    }

    /// Discards the roofline, for example after a disturbed measurement.
    pub fn forget_roofline(&mut self) {
        self.roofline = None;
    }

    pub(crate) fn keep_roofline(&mut self, roofline: Roofline) {
        self.roofline = Some(roofline);
    }

    /// The open GPU device.
    ///
    /// # Errors
    /// [`LaneError::NoBackend`] or [`LaneError::DeviceLost`].
    pub fn gpu(&self) -> Result<&Gpu, LaneError> {
        match &self.gpu {
            GpuState::Open(gpu) => gpu.alive().map(|()| gpu),
            GpuState::Missing(error) => Err(error.clone()),
        }
    }

    /// The surroundings.
    pub fn host(&self) -> &Host {
        &self.options.host
    }

    /// The CPU's threads.
    pub fn pool(&self) -> &CpuPool {
        &self.pool
    }

    /// Reads a golden file; returns the system that it is for (`system`, or the file's own), the unread keys of its
    /// configuration and its content.
    fn open_golden(
        &self,
        bytes: &[u8],
        system: Option<&'static System>,
    ) -> Result<(&'static System, Vec<String>, GoldenCase), ComputeError> {
        let golden = golden::read(bytes)?;
        let system = match system {
            Some(system) => system,
            None => (self.options.find)(&golden.system)?,
        };
        let unread = golden::check(&golden, system.info())?;
        Ok((system, unread, golden))
    }

    /// Runs a golden file's case and compares the output. `system` overrides the file's own.
    ///
    /// # Errors
    /// Errors of the file, its case or the backend. A deviation beyond the tolerance is a result, not an error.
    pub async fn verify_golden(
        &mut self,
        bytes: &[u8],
        system: Option<&'static System>,
        backend: Backend,
    ) -> Result<GoldenResult, ComputeError> {
        let (system, mut unread, golden) = self.open_golden(bytes, system)?;
        let GoldenCase { case_name, case, expected, shape, tolerance, .. } = golden;
        let level = case.level;
        let mut lane = self.make_ready(system, case, backend).await?;
        match lane.run(1).await {
            Ok(_) | Err(LaneError::NotFinite { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        unread.extend(golden::unread_tensors(&lane.case().tensors, system.info()));
        let output = lane.output().await?;
        if output.len() != expected.len() {
            let expected = format!("the output has {} elements", output.len());
            return Err(GoldenError::OutputShape { expected, got: shape }.into());
        }
        let deviation = tolerance.compare_f32(&output, &expected);
        let system = system.info().id.to_owned();
        Ok(GoldenResult { system, case_name, level, deviation, tolerance, unread })
    }

    /// Decodes a golden file's case token by token and compares every answer with the file's output. For a system whose
    /// answers are not rows of the published forward pass, only the last ones are in the file; all others are compared with
    /// the f64 reference.
    ///
    /// # Errors
    /// As for [`Machine::verify_golden`], and [`MixerError::NoDecode`].
    pub async fn verify_golden_decode(
        &mut self,
        bytes: &[u8],
        system: Option<&'static System>,
        backend: Backend,
    ) -> Result<GoldenResult, ComputeError> {
        let (system, mut unread, golden) = self.open_golden(bytes, system)?;
        let GoldenCase { case_name, case, expected, shape, tolerance, .. } = golden;
        let level = case.level;
        system.token_inputs(&case)?;
        let &[_, length, width] = shape.as_slice() else {
            let expected = "the output has the shape [batch, length, width]".to_owned();
            return Err(GoldenError::OutputShape { expected, got: shape }.into());
        };
        let output;
        let case = match backend {
            Backend::Cpu => {
                let limit_bytes = self.cpu_ledger.free_bytes();
                let mut lane = CpuDecodeLane::new(system, case, [length, 0], &self.pool, limit_bytes)?;
                output = lane.token_by_token()?;
                Arc::clone(lane.case())
            }
            Backend::WebGpu => {
                // A plan begins with a context; a single token is the shortest.
                let sizes = [1, length.saturating_sub(1)];
                let mut lane = self.gpu_decoding_lane(system, case, sizes, false).await?;
                output = lane.every_answer().await?.map(|(answers, _)| answers).unwrap_or_default();
                Arc::clone(lane.case())
            }
        };
        unread.extend(golden::unread_tensors(&case.tensors, system.info()));
        let mut wanted = expected;
        if !system.rows_of_forward() {
            // The file has the last row of each sequence only.
            let mut case = Case::clone(&case);
            case.config.set("decode", true);
            let defined = unless_cancelled(&self.cancel, move || system.reference(&case))??;
            let rows = wanted.chunks_exact_mut(width.max(1)).zip(defined.chunks_exact(width.max(1)));
            for (_, (wanted, row)) in rows.enumerate().filter(|(index, _)| (index + 1) % length.max(1) != 0) {
                wanted.copy_from_slice(row);
            }
        }
        let deviation = tolerance.compare_f32(&output, &wanted);
        let system = system.info().id.to_owned();
        Ok(GoldenResult { system, case_name, level, deviation, tolerance, unread })
    }

    /// Prepares a given case. Refuses a case with a number that is not finite.
    ///
    /// # Errors
    /// As for [`Executor::prepare`].
    pub async fn make_ready(
        &mut self,
        system: &'static System,
        case: Case,
        backend: Backend,
    ) -> Result<Lane, LaneError> {
        match backend {
            Backend::Cpu => {
                let lane = CpuLane::new(system, case, &self.pool, self.cpu_ledger.free_bytes())?;
                let holding = self.cpu_ledger.hold(lane.peak_bytes());
                Ok(Lane::cpu(lane, vec![holding]))
            }
            Backend::WebGpu => {
                let gpu = self.gpu()?.clone();
                case.tensors.check_finite()?;
                let case = Arc::new(case);
                let case_bytes = case.tensors.bytes();
                // The plan has a copy of the data that it uploads.
                let (needed_bytes, limit_bytes) = (2 * case_bytes, self.cpu_ledger.free_bytes());
                if needed_bytes > limit_bytes {
                    return Err(MixerError::OutOfMemory { needed_bytes, limit_bytes }.into());
                }
                let held_here = self.cpu_ledger.hold(case_bytes);
                // Other prepared lanes reduce the available memory.
                let memory_budget_bytes = self.gpu_ledger.free_bytes();
                let max_dispatch_flops =
                    dispatch_flops(gpu.target(), self.gpu_rates.get(system.info().id).copied());
                let target = GpuTarget { memory_budget_bytes, max_dispatch_flops, ..*gpu.target() };
                let mut plan = system.gpu(&case, &target)?;
                plan.check(&target)?;
                gpu.autotune(&mut plan, &target, AUTOTUNE_LIMIT_NS, &self.cancel).await?;
                let lane = GpuLane::new(&gpu, plan, &self.cancel).await?;
                let held_there = self.gpu_ledger.hold(lane.device_bytes());
                Ok(Lane::gpu(system, case, lane, vec![held_here, held_there]))
            }
        }
    }

    /// Makes a seeded case, unless its closed form shows that it cannot fit.
    fn seeded_case(
        &self,
        system: &'static System,
        spec: &LaneSpec,
        problem: &Problem,
    ) -> Result<Case, LaneError> {
        let needed_bytes = match spec.backend {
            Backend::Cpu => system.cost(problem, &spec.params)?.peak_bytes,
            Backend::WebGpu => upload_bytes(&problem.whole()),
        };
        let limit_bytes = self.cpu_ledger.free_bytes();
        if needed_bytes > limit_bytes {
            return Err(MixerError::OutOfMemory { needed_bytes, limit_bytes }.into());
        }
        let (problem, params) = (*problem, spec.params.clone());
        Ok(unless_cancelled(&self.cancel, move || system.seeded_case(&problem, &params))??)
    }

    async fn seeded_lane(
        &mut self,
        system: &'static System,
        spec: &LaneSpec,
        problem: &Problem,
    ) -> Result<Lane, LaneError> {
        if spec.backend == Backend::WebGpu {
            self.gpu()?;
        }
        if problem.task != Task::Forward {
            return Ok(self.decoding_lane(system, spec, problem).await?.with_seed(problem.seed));
        }
        let case = self.seeded_case(system, spec, problem)?;
        Ok(self.make_ready(system, case, spec.backend).await?.with_seed(problem.seed))
    }

    async fn decoding_lane(
        &mut self,
        system: &'static System,
        spec: &LaneSpec,
        problem: &Problem,
    ) -> Result<Lane, LaneError> {
        if spec.backend == Backend::WebGpu {
            let case = self.seeded_case(system, spec, problem)?;
            let tokens = problem.capacity() - problem.seq_len;
            return self.gpu_decoding_lane(system, case, [problem.seq_len, tokens], true).await;
        }
        let limit_bytes = self.cpu_ledger.free_bytes();
        let lane = CpuDecodeLane::seeded(system, problem, &spec.params, &self.pool, limit_bytes)?;
        let holding = self.cpu_ledger.hold(lane.peak_bytes());
        Ok(Lane::decode(lane, vec![holding]))
    }

    async fn gpu_decoding_lane(
        &mut self,
        system: &'static System,
        case: Case,
        [context, tokens]: [usize; 2],
        fed: bool,
    ) -> Result<Lane, LaneError> {
        let gpu = self.gpu()?.clone();
        let generation = Generation::new(system, case, [context, tokens])?;
        let case_bytes = generation.case().tensors.bytes();
        // The plan has a copy of the data that it uploads.
        let (needed_bytes, limit_bytes) = (2 * case_bytes, self.cpu_ledger.free_bytes());
        if needed_bytes > limit_bytes {
            return Err(MixerError::OutOfMemory { needed_bytes, limit_bytes }.into());
        }
        let held_here = self.cpu_ledger.hold(case_bytes);
        let memory_budget_bytes = self.gpu_ledger.free_bytes();
        let max_dispatch_flops = dispatch_flops(gpu.target(), self.gpu_rates.get(system.info().id).copied());
        let target = GpuTarget { memory_budget_bytes, max_dispatch_flops, ..*gpu.target() };
        let mut plan = system.gpu_decoder(generation.case(), Generate { context, fed }, &target)?;
        plan.plan.check(&target)?;
        gpu.autotune(&mut plan.plan, &target, AUTOTUNE_LIMIT_NS, &self.cancel).await?;
        let lane = GpuDecodeLane::new(&gpu, generation, plan, &self.cancel).await?;
        let held_there = self.gpu_ledger.hold(lane.device_bytes());
        Ok(Lane::gpu_decode(lane, vec![held_here, held_there]))
    }
}

impl Executor for Machine {
    type Lane = Lane;

    fn memory_limit_bytes(&self, backend: Backend) -> u64 {
        match backend {
            Backend::Cpu => self.cpu_ledger.limit_bytes(),
            Backend::WebGpu => self.gpu_ledger.limit_bytes(),
        }
    }

    async fn verify(&mut self, spec: &LaneSpec, problem: &Problem) -> Result<Verification, LaneError> {
        let system = (self.options.find)(&spec.system)?;
        let mut lane = self.seeded_lane(system, spec, problem).await?;
        let (output, case) = if let Some((output, case)) = lane.every_answer().await? {
            (output, Arc::new(case))
        } else {
            self.run(&mut lane, 1).await?;
            (lane.output().await?, Arc::clone(lane.case()))
        };
        let expected = unless_cancelled(&self.cancel, move || system.reference(&case))??;
        let deviation = system.info().tolerance.compare_rows(&output, &expected, problem.d_model);
        Ok(Verification { seq_len: problem.seq_len, deviation })
    }

    async fn prepare(&mut self, spec: &LaneSpec, problem: &Problem) -> Result<(Lane, Prepared), LaneError> {
        let system = (self.options.find)(&spec.system)?;
        let lane = self.seeded_lane(system, spec, problem).await?;
        let peak_bytes = lane.peak_bytes();
        Ok((lane, Prepared { peak_bytes }))
    }

    async fn spoil(&mut self, lane: &mut Lane) -> Result<(), LaneError> {
        lane.spoil().await
    }

    async fn run(&mut self, lane: &mut Lane, repeats: u32) -> Result<Finished, LaneError> {
        let finished = lane.run(repeats).await?;
        if let Some((id, flops_per_s)) = lane.gpu_rate() {
            let known = self.gpu_rates.entry(id).or_insert(0.0);
            *known = known.max(flops_per_s);
        }
        Ok(finished)
    }

    async fn check(&mut self, lane: &mut Lane) -> Result<Verification, LaneError> {
        let length = lane.case().config.count_or("length", 1, 1, usize::MAX)?;
        let Spotted { deviation, check } = lane.spot_check().await?;
        // The compared prefix. For some systems, later rows would require the whole sequence in the reference.
        let seq_len = check.reach(length);
        Ok(Verification { seq_len, deviation })
    }

    async fn prefill(&mut self, lane: &mut Lane) -> Result<(), LaneError> {
        lane.prefill().await
    }

    fn state_bytes(&self, lane: &Lane) -> Option<u64> {
        lane.state_bytes()
    }

    fn peak_bytes(&self, lane: &Lane) -> u64 {
        lane.peak_bytes()
    }

    async fn breathe(&mut self) {
        self.options.host.breathe().await;
    }
}

/// Most operations of one dispatch of a system, so that it ends well before a watchdog intervenes: the target's limit,
/// or fewer where the system would exceed [`DISPATCH_S`] at its measured rate. A recurrence is far slower than a matrix
/// product, and the verification measures its rate.
fn dispatch_flops(target: &GpuTarget, seen_flops_per_s: Option<f64>) -> u64 {
    let seen = seen_flops_per_s.map_or(u64::MAX, |rate| (rate * DISPATCH_S) as u64);
    target.max_dispatch_flops.min(seen.max(LEAST_DISPATCH_FLOPS))
}

async fn open(options: &MachineOptions) -> GpuState {
    match Gpu::open(&options.host, &options.gpu_options).await {
        Ok(gpu) => GpuState::Open(gpu),
        Err(error) => GpuState::Missing(error),
    }
}

fn off() -> LaneError {
    LaneError::NoBackend { backend: Backend::WebGpu.name(), reason: NoGpu::TurnedOff.said() }
}

fn gpu_ledger(gpu: &GpuState) -> Ledger {
    Ledger::new(match gpu {
        GpuState::Open(gpu) => gpu.target().memory_budget_bytes,
        GpuState::Missing(_) => 0,
    })
}

/// Host bytes of a case for the GPU, as far as they are known before it is made: its streams, and the copy of them that
/// a plan uploads. The filters of a core are added once they exist.
fn upload_bytes(problem: &Problem) -> u64 {
    let streams = match problem.level {
        Level::Core => 3,
        Level::Layer => 1,
    };
    (2 * streams * 4 * problem.sizes().stream()).get()
}

#[cfg(not(target_arch = "wasm32"))]
fn system_memory_bytes() -> u64 {
    let Ok(mut system) = sysinfo::System::new() else { return UNKNOWN_MEMORY_BYTES };
    system.refresh_memory();
    // A container may have less memory than its machine.
    let total =
        system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory).min(system.total_memory());
    total / 2
}

#[cfg(target_arch = "wasm32")]
fn system_memory_bytes() -> u64 {
    WASM_MEMORY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_13_a_slow_system_is_cut_into_smaller_dispatches() {
        let target = GpuTarget::WEBGPU_DEFAULTS;
        assert_eq!(dispatch_flops(&target, None), target.max_dispatch_flops);
        assert_eq!(dispatch_flops(&target, Some(1e13)), target.max_dispatch_flops);
        assert_eq!(dispatch_flops(&target, Some(1e9)), 100_000_000);
        assert_eq!(dispatch_flops(&target, Some(1.0)), LEAST_DISPATCH_FLOPS);
    }
}
