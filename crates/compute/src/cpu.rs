//! The CPU executor: a pool of threads that runs a kernel's tasks, and lanes that hold prepared kernels.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mixer::{Case, CpuKernel, LaneError, Memory, MixerError, Parallel, Params, Problem, SpotDraw, System};

use crate::abandon::unless_cancelled;
use crate::output::{Spotted, Spotting, finite_sum, probes};
use crate::spot::spot_check;
use crate::{CancelSwitch, ComputeError};

/// A pool of threads with a switch that cancels its work. Clones share both.
///
/// Natively each pool has its own threads. In wasm there is only rayon's global pool, which the worker must have
/// started (through wasm-bindgen-rayon) before it asks for more than one thread.
#[derive(Clone)]
pub struct CpuPool {
    helpers: Helpers,
    threads: usize,
    cancel: CancelSwitch,
}

/// The threads in addition to the caller's.
#[derive(Clone)]
enum Helpers {
    None,
    #[cfg(not(target_arch = "wasm32"))]
    Own(Arc<rayon::ThreadPool>),
    #[cfg(target_arch = "wasm32")]
    Global,
}

#[cfg(not(target_arch = "wasm32"))]
fn helpers(threads: usize) -> Result<(Helpers, usize), ComputeError> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads - 1);
    let pool =
        builder.build().map_err(|error| ComputeError::Threads { threads, reason: error.to_string() })?;
    Ok((Helpers::Own(Arc::new(pool)), threads))
}

#[cfg(target_arch = "wasm32")]
#[expect(clippy::unnecessary_wraps, reason = "natively it can fail")]
fn helpers(threads: usize) -> Result<(Helpers, usize), ComputeError> {
    Ok((Helpers::Global, threads.min(rayon::current_num_threads() + 1)))
}

/// Calls `task` once on each thread of wasm's global pool.
#[cfg(target_arch = "wasm32")]
pub fn on_each_helper(task: &(dyn Fn() + Sync)) {
    rayon::broadcast(|_| task());
}

impl CpuPool {
    /// Most threads accepted.
    pub const MAX_THREADS: usize = 256;

    /// A pool of `threads` threads, the caller's included. In wasm it has at most as many as the global pool.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where `threads` is out of range, [`ComputeError::Threads`] where the operating
    /// system refuses to start them.
    pub fn new(threads: usize) -> Result<Self, ComputeError> {
        if !(1..=Self::MAX_THREADS).contains(&threads) {
            let allowed = format!("a whole number from 1 to {}", Self::MAX_THREADS);
            return Err(MixerError::invalid("threads", allowed, threads).into());
        }
        let (helpers, threads) = if threads == 1 { (Helpers::None, 1) } else { helpers(threads)? };
        Ok(Self { helpers, threads, cancel: CancelSwitch::default() })
    }

    /// Threads that this machine offers; 1 where it does not report a number.
    pub fn available_threads() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(Self::MAX_THREADS)
    }

    /// The switch that skips every task not yet started, in the current and all later runs.
    pub fn cancel_switch(&self) -> &CancelSwitch {
        &self.cancel
    }

    /// The pool with another switch, so that one switch can cancel the work of several executors.
    #[must_use]
    pub fn with_cancel_switch(self, cancel: CancelSwitch) -> Self {
        Self { cancel, ..self }
    }

    /// Whether the pool is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl Parallel for CpuPool {
    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&self, n_tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = |worker: usize| {
            while !self.is_cancelled() {
                let task_idx = next.fetch_add(1, Ordering::Relaxed);
                if task_idx >= n_tasks {
                    break;
                }
                task(task_idx, worker);
            }
        };
        let workers = self.threads.min(n_tasks);
        match &self.helpers {
            Helpers::None => work(0),
            #[cfg(not(target_arch = "wasm32"))]
            Helpers::Own(pool) => pool.in_place_scope(|scope| fan_out(scope, workers, &work)),
            #[cfg(target_arch = "wasm32")]
            Helpers::Global => rayon::in_place_scope(|scope| fan_out(scope, workers, &work)),
        }
    }
}

/// Runs `work(0)` on the calling thread and `work(1)`, `work(2)`, … on any free thread.
fn fan_out<'scope>(scope: &rayon::Scope<'scope>, workers: usize, work: &'scope (impl Fn(usize) + Sync)) {
    for worker in 1..workers {
        scope.spawn(move |_| work(worker));
    }
    work(0);
}

/// One system at one length, prepared for the CPU.
pub struct CpuLane {
    system: &'static System,
    case: Arc<Case>,
    kernel: Box<dyn CpuKernel>,
    memory: Memory,
    pool: CpuPool,
}

impl CpuLane {
    /// Makes a seeded case and prepares its kernel. All time spent here is set-up time.
    ///
    /// # Errors
    /// Errors of the system; [`MixerError::OutOfMemory`], before any allocation, where the closed form exceeds
    /// `limit_bytes`; [`LaneError::Cancelled`].
    pub fn seeded(
        system: &'static System,
        problem: &Problem,
        params: &Params,
        pool: &CpuPool,
        limit_bytes: u64,
    ) -> Result<Self, LaneError> {
        let needed_bytes = system.cost(problem, params)?.peak_bytes;
        if needed_bytes > limit_bytes {
            return Err(MixerError::OutOfMemory { needed_bytes, limit_bytes }.into());
        }
        let (problem, params) = (*problem, params.clone());
        let case = unless_cancelled(&pool.cancel, move || system.seeded_case(&problem, &params))??;
        Self::new(system, case, pool, limit_bytes)
    }

    /// Prepares the kernel of a given case.
    ///
    /// # Errors
    /// As for [`CpuLane::seeded`].
    pub fn new(
        system: &'static System,
        case: Case,
        pool: &CpuPool,
        limit_bytes: u64,
    ) -> Result<Self, LaneError> {
        case.tensors.check_finite()?;
        let case = Arc::new(case);
        let case_bytes = case.tensors.bytes();
        let memory = Memory::new(limit_bytes.saturating_sub(case_bytes));
        let kernel = system.cpu(&case, &memory, pool)?;
        if pool.is_cancelled() {
            return Err(LaneError::Cancelled);
        }
        Ok(Self { system, case, kernel, memory, pool: pool.clone() })
    }

    /// Runs the forward pass `repeats` times. Returns the sum of the last output's beginning, middle and end, so that
    /// an optimiser cannot skip the work. The sum covers as many values as a GPU lane reads, and its time is
    /// negligible.
    ///
    /// # Errors
    /// [`LaneError::Cancelled`], [`LaneError::NotFinite`] for a summed value that is not finite, or the kernel's error.
    pub fn run(&mut self, repeats: usize) -> Result<f64, LaneError> {
        for _ in 0..repeats {
            self.kernel.run(&self.pool)?;
            if self.pool.is_cancelled() {
                return Err(LaneError::Cancelled);
            }
        }
        let output = self.kernel.output();
        let probe = |(offset, len)| finite_sum(output.get(offset..offset + len).unwrap_or_default(), offset);
        probes(output.len()).into_iter().map(probe).sum()
    }

    /// Fills the output with NaN, so that values that a run does not write are detected.
    pub fn spoil(&mut self) {
        self.kernel.output_mut().fill(f32::NAN);
    }

    /// The last run's output, row-major.
    pub fn output(&self) -> &[f32] {
        self.kernel.output()
    }

    /// The lane's case.
    pub fn case(&self) -> &Arc<Case> {
        &self.case
    }

    /// Peak of the bytes held: the case and all of the kernel's buffers.
    pub fn peak_bytes(&self) -> u64 {
        self.case.tensors.bytes() + self.memory.peak_bytes()
    }

    /// Compares parts of the last output, chosen by `draw`, with the f64 reference, and checks that the whole output is
    /// finite.
    ///
    /// # Errors
    /// Errors of the reference; [`LaneError::NotFinite`]; [`LaneError::Cancelled`].
    pub fn spot_check(&self, draw: SpotDraw) -> Result<Spotted, LaneError> {
        let (system, case) = (self.system, Arc::clone(&self.case));
        let check = unless_cancelled(&self.pool.cancel, move || spot_check(system, &case, draw))??;
        let mut spotting = Spotting::new(&check);
        spotting.visit(0, self.output());
        let deviation = spotting.finish(self.system)?;
        Ok(Spotted { deviation, check })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use mixer::Level;

    use super::*;

    const PROBLEM: Problem = Problem {
        batch: 1,
        seq_len: 256,
        d_model: 64,
        n_heads: 4,
        causal: true,
        level: Level::Layer,
        seed: 0,
        task: mixer::Task::Forward,
    };
    const GIB: u64 = 1 << 30;
    const DRAW: SpotDraw = SpotDraw { seed: 3, max_flops: 1 << 26, first_row: 0 };

    #[test]
    fn every_task_runs_once_and_workers_never_coincide() {
        for threads in [1, 2, 5] {
            let pool = CpuPool::new(threads).unwrap();
            let counts: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
            let busy: Vec<Mutex<()>> = (0..threads).map(|_| Mutex::new(())).collect();
            pool.run(1000, &|task, worker| {
                let _guard = busy[worker].try_lock().expect("two tasks share a worker");
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn zero_and_absurd_thread_counts_are_refused_by_name() {
        for threads in [0, usize::MAX] {
            let error = CpuPool::new(threads).err().unwrap();
            assert!(
                matches!(error, ComputeError::Lane(LaneError::Mixer(MixerError::InvalidField { field, .. }))
                    if field == "threads")
            );
        }
    }

    #[test]
    fn every_system_runs_and_is_spot_checked() {
        for system in kernels::systems() {
            for threads in [1, 2] {
                let pool = CpuPool::new(threads).unwrap();
                let mut lane = CpuLane::seeded(system, &PROBLEM, &Params::new(), &pool, GIB).unwrap();
                let first = lane.run(1).unwrap();
                lane.spoil();
                assert_eq!(first.to_bits(), lane.run(2).unwrap().to_bits());
                let deviation = lane.spot_check(DRAW).unwrap().deviation;
                assert!(deviation.pass, "{} on {threads} threads: {deviation:?}", system.info().id);
                assert!(lane.peak_bytes() > 0);
            }
        }
    }

    #[test]
    fn fault_11_a_wrong_output_fails_the_spot_check() {
        let system = kernels::find("attention").unwrap();
        let pool = CpuPool::new(1).unwrap();
        let lane = CpuLane::seeded(system, &PROBLEM, &Params::new(), &pool, GIB).unwrap();
        // Before the first run the output is all zeros.
        assert!(!lane.spot_check(DRAW).unwrap().deviation.pass);
    }

    #[test]
    fn fault_06_a_lane_that_does_not_fit_is_refused_before_it_allocates() {
        let system = kernels::find("attention-naive").unwrap();
        let problem = Problem { seq_len: 1 << 20, d_model: 4, ..PROBLEM };
        let pool = CpuPool::new(1).unwrap();
        let started = Instant::now();
        let error = CpuLane::seeded(system, &problem, &Params::new(), &pool, 4 * GIB).err().unwrap();
        assert!(matches!(error, LaneError::Mixer(MixerError::OutOfMemory { .. })));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn fault_10_a_non_finite_output_is_an_error() {
        let system = kernels::find("attention").unwrap();
        let pool = CpuPool::new(1).unwrap();
        let mut case = system.seeded_case(&PROBLEM, &Params::new()).unwrap();
        // The input is finite, but its projections overflow.
        case.tensors.insert("x", &[1, 256, 64], vec![f32::MAX; 256 * 64]);
        let mut lane = CpuLane::new(system, case, &pool, GIB).unwrap();
        assert!(matches!(lane.run(1), Err(LaneError::NotFinite { .. })));
    }

    #[test]
    fn fault_17_cancel_ends_a_long_run_at_its_next_task() {
        let system = kernels::find("attention").unwrap();
        let pool = CpuPool::new(2).unwrap();
        let problem = Problem { seq_len: 16_384, ..PROBLEM };
        let mut lane = CpuLane::seeded(system, &problem, &Params::new(), &pool, GIB).unwrap();
        let switch = pool.cancel_switch().clone();
        let cancelled_at = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            switch.cancel();
            Instant::now()
        });
        let outcome = lane.run(1000);
        let ended = Instant::now();
        assert!(matches!(outcome, Err(LaneError::Cancelled)));
        assert!(ended.duration_since(cancelled_at.join().unwrap()) < Duration::from_millis(200));
        pool.cancel_switch().resume();
        assert!(CpuLane::seeded(system, &PROBLEM, &Params::new(), &pool, GIB).unwrap().run(1).is_ok());
    }
}
