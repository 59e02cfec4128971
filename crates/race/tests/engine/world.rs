//! A fake machine: lanes with known times and noise, a clock with a known step, and a script that may change anything
//! at any call.

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;
use mixer::{
    Backend, Cost, Deviation, Executor, Finished, LaneError, LaneSpec, Level, MixerError, Params, Prepared,
    Problem, Task, Verification,
};
use race::{Clock, Dnf, Outcome, Point, Progress, RaceError, RaceSpec, Record, Watch};

/// Request of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Verify,
    Prepare,
    Spoil,
    Run { repeats: u32 },
    Check,
    Prefill,
    Breathe,
}

/// One call of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub kind: Kind,
    pub system: String,
    pub backend: Backend,
    pub seq_len: usize,
    /// Number of preceding calls.
    pub index: usize,
}

/// Behaviour of one system. Times are nanoseconds of a forward pass at a length.
#[derive(Clone)]
pub struct Model {
    pub time: fn(f64) -> f64,
    pub bytes: fn(f64) -> u64,
    pub setup_ns: f64,
    pub check_ns: f64,
    /// Relative spread of samples.
    pub noise: f64,
    /// Relative spread between set-ups.
    pub scatter: f64,
    pub passes: bool,
    /// Whether the timed output at a length is right.
    pub checks: fn(f64) -> bool,
    /// Whether its closed form includes its memory.
    pub declares_bytes: bool,
    /// Which runs of a lane, counted from the first, compute their output; all other runs leave it unchanged.
    pub computes: fn(usize) -> bool,
    /// Output of a run.
    pub output: fn(usize) -> f64,
    /// Device timestamps, from the true time of all repetitions.
    pub device: fn(f64) -> Option<f64>,
}

pub const MODEL: Model = Model {
    time: |n| 1000.0 * n,
    bytes: |n| 1000 * n as u64,
    setup_ns: 1e5,
    check_ns: 1e5,
    noise: 0.01,
    scatter: 0.0,
    passes: true,
    checks: |_| true,
    declares_bytes: true,
    computes: |_| true,
    output: |_| 1.0,
    device: |_| None,
};

/// State that a script may change.
pub struct Stage {
    pub time_ns: f64,
    pub hidden: bool,
    pub disturbances: u64,
    pub cancelled: bool,
    /// Factor on the time of every run.
    pub throttle: f64,
}

impl Stage {
    pub fn hide(&mut self) {
        self.hidden = true;
        self.disturbances += 1;
    }

    pub fn show(&mut self) {
        self.hidden = false;
        self.disturbances += 1;
    }
}

type Script = dyn FnMut(&Call, &mut Stage) -> Result<(), LaneError>;

pub struct State {
    pub stage: Stage,
    pub tick_ns: f64,
    pub read_ns: f64,
    pub limit_bytes: u64,
    pub used_bytes: u64,
    pub most_used_bytes: u64,
    pub models: Vec<(&'static str, Model)>,
    pub calls: Vec<Call>,
    pub records: Vec<Record>,
    pub progress: Vec<Progress>,
    /// Time of each progress report.
    pub progress_at: Vec<f64>,
    script: Option<Box<Script>>,
    rng: Rng,
}

/// Clock, watch and executor in one.
#[derive(Clone)]
pub struct World(pub Rc<RefCell<State>>);

pub struct Lane {
    spec: LaneSpec,
    seq_len: usize,
    bytes: u64,
    factor: f64,
    runs: usize,
    output: f64,
    task: Task,
    world: World,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.world.0.borrow_mut().used_bytes -= self.bytes;
    }
}

impl World {
    pub fn new(seed: u64, models: &[(&'static str, Model)]) -> Self {
        Self(Rc::new(RefCell::new(State {
            stage: Stage { time_ns: 5e9, hidden: false, disturbances: 0, cancelled: false, throttle: 1.0 },
            tick_ns: 5000.0,
            read_ns: 40.0,
            limit_bytes: 1 << 40,
            used_bytes: 0,
            most_used_bytes: 0,
            models: models.to_vec(),
            calls: Vec::new(),
            records: Vec::new(),
            progress: Vec::new(),
            progress_at: Vec::new(),
            script: None,
            rng: Rng::with_seed(seed),
        })))
    }

    pub fn tick(self, tick_ns: f64) -> Self {
        self.0.borrow_mut().tick_ns = tick_ns;
        self
    }

    pub fn limit(self, limit_bytes: u64) -> Self {
        self.0.borrow_mut().limit_bytes = limit_bytes;
        self
    }

    pub fn script(self, script: impl FnMut(&Call, &mut Stage) -> Result<(), LaneError> + 'static) -> Self {
        self.0.borrow_mut().script = Some(Box::new(script));
        self
    }

    pub fn time_ns(&self) -> f64 {
        self.0.borrow().stage.time_ns
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.borrow().calls.clone()
    }

    pub fn cost(&self, lane: &LaneSpec, problem: &Problem) -> Cost {
        let model = self.model(&lane.system);
        let n = problem.seq_len as f64;
        let peak_bytes = if model.declares_bytes { (model.bytes)(n) } else { 0 };
        Cost { flops: (model.time)(n).max(1.0) as u64, peak_bytes, ..Cost::default() }
    }

    pub fn race(&self, spec: RaceSpec) -> Result<Record, RaceError> {
        let costs = |lane: &LaneSpec, problem: &Problem| Ok(self.cost(lane, problem));
        pollster::block_on(race::run(spec, &costs, &mut self.clone(), self, self))
    }

    fn model(&self, system: &str) -> Model {
        let state = self.0.borrow();
        state.models.iter().find(|(name, _)| *name == system).map_or(MODEL, |(_, model)| model.clone())
    }

    /// Records the call and runs the script; then the call takes its time.
    fn call(&self, kind: Kind, lane: Option<(&LaneSpec, usize)>, takes_ns: f64) -> Result<(), LaneError> {
        let state = &mut *self.0.borrow_mut();
        let call = Call {
            kind,
            system: lane.map(|(spec, _)| spec.system.clone()).unwrap_or_default(),
            backend: lane.map_or(Backend::Cpu, |(spec, _)| spec.backend),
            seq_len: lane.map_or(0, |(_, seq_len)| seq_len),
            index: state.calls.len(),
        };
        state.calls.push(call.clone());
        let outcome = state.script.as_mut().map_or(Ok(()), |script| script(&call, &mut state.stage));
        state.stage.time_ns += takes_ns;
        outcome
    }

    fn spread(&self, relative: f64) -> f64 {
        let rng = &mut self.0.borrow_mut().rng;
        (relative * race::stats::normal(rng)).exp()
    }
}

impl Clock for World {
    fn now_ns(&self) -> f64 {
        let state = &mut *self.0.borrow_mut();
        state.stage.time_ns += state.read_ns;
        (state.stage.time_ns / state.tick_ns).floor() * state.tick_ns
    }
}

impl Watch for World {
    fn cancelled(&self) -> bool {
        self.0.borrow().stage.cancelled
    }

    fn disturbances(&self) -> u64 {
        self.0.borrow().stage.disturbances
    }

    fn disturbed(&self) -> bool {
        self.0.borrow().stage.hidden
    }

    fn record(&self, record: &Record) {
        self.0.borrow_mut().records.push(record.clone());
    }

    fn progress(&self, progress: &Progress) {
        let state = &mut *self.0.borrow_mut();
        state.progress.push(progress.clone());
        state.progress_at.push(state.stage.time_ns);
    }
}

impl Executor for World {
    type Lane = Lane;

    fn memory_limit_bytes(&self, _: Backend) -> u64 {
        self.0.borrow().limit_bytes
    }

    async fn verify(&mut self, lane: &LaneSpec, problem: &Problem) -> Result<Verification, LaneError> {
        self.call(Kind::Verify, Some((lane, problem.seq_len)), 1e6)?;
        Ok(verification(problem.seq_len, self.model(&lane.system).passes))
    }

    async fn prepare(&mut self, lane: &LaneSpec, problem: &Problem) -> Result<(Lane, Prepared), LaneError> {
        let model = self.model(&lane.system);
        self.call(Kind::Prepare, Some((lane, problem.seq_len)), model.setup_ns)?;
        let factor = self.spread(model.scatter);
        let bytes = (model.bytes)(problem.seq_len as f64);
        let state = &mut *self.0.borrow_mut();
        let needed_bytes = state.used_bytes + bytes;
        if needed_bytes > state.limit_bytes {
            return Err(MixerError::OutOfMemory { needed_bytes, limit_bytes: state.limit_bytes }.into());
        }
        state.used_bytes = needed_bytes;
        state.most_used_bytes = state.most_used_bytes.max(needed_bytes);
        let (spec, seq_len) = (lane.clone(), problem.seq_len);
        let lane = Lane {
            spec,
            seq_len,
            bytes,
            factor,
            runs: 0,
            output: 0.0,
            task: problem.task,
            world: self.clone(),
        };
        Ok((lane, Prepared { peak_bytes: bytes }))
    }

    async fn spoil(&mut self, lane: &mut Lane) -> Result<(), LaneError> {
        self.call(Kind::Spoil, Some((&lane.spec, lane.seq_len)), 1e4)?;
        lane.output = f64::NAN;
        Ok(())
    }

    async fn run(&mut self, lane: &mut Lane, repeats: u32) -> Result<Finished, LaneError> {
        let model = self.model(&lane.spec.system);
        let throttle = self.0.borrow().stage.throttle;
        let run_ns = (model.time)(lane.seq_len as f64) * lane.factor * throttle * self.spread(model.noise);
        let total_ns = f64::from(repeats) * run_ns;
        self.call(Kind::Run { repeats }, Some((&lane.spec, lane.seq_len)), total_ns)?;
        if (model.computes)(lane.runs) {
            lane.output = (model.output)(lane.runs);
        }
        lane.runs += 1;
        if lane.output.is_nan() {
            return Err(LaneError::NotFinite { index: 0, value: f32::NAN });
        }
        Ok(Finished { checksum: lane.output, device_ns: (model.device)(total_ns) })
    }

    async fn check(&mut self, lane: &mut Lane) -> Result<Verification, LaneError> {
        let model = self.model(&lane.spec.system);
        self.call(Kind::Check, Some((&lane.spec, lane.seq_len)), model.check_ns)?;
        Ok(verification(lane.seq_len, (model.checks)(lane.seq_len as f64)))
    }

    async fn prefill(&mut self, lane: &mut Lane) -> Result<(), LaneError> {
        let model = self.model(&lane.spec.system);
        let prefill_ns = lane.seq_len as f64 * (model.time)(lane.seq_len as f64);
        self.call(Kind::Prefill, Some((&lane.spec, lane.seq_len)), prefill_ns)
    }

    fn state_bytes(&self, lane: &Lane) -> Option<u64> {
        (lane.task != Task::Forward).then_some(lane.bytes / 2)
    }

    fn peak_bytes(&self, lane: &Lane) -> u64 {
        lane.bytes
    }

    async fn breathe(&mut self) {
        let takes_ns = if self.0.borrow().stage.hidden { 5e7 } else { 1e4 };
        let outcome = self.call(Kind::Breathe, None, takes_ns);
        assert!(outcome.is_ok(), "a script cannot fail a breath");
    }
}

pub fn verification(seq_len: usize, pass: bool) -> Verification {
    Verification { seq_len, deviation: Deviation { max_abs: 1e-7, max_rel: 1e-7, pass } }
}

pub fn lane(system: &str, backend: Backend) -> LaneSpec {
    LaneSpec { system: system.to_owned(), backend, params: Params::new() }
}

/// The measured points of a lane.
pub fn measured(record: &Record, lane: usize) -> Vec<&Point> {
    record.lanes[lane].points.iter().filter(|point| point.outcome == Outcome::Ok).collect()
}

/// Why a lane did not finish a length.
pub fn dnf(record: &Record, lane: usize, seq_len: usize) -> Dnf {
    let point = record.lanes[lane].points.iter().find(|point| point.seq_len == seq_len).unwrap();
    match &point.outcome {
        Outcome::Dnf(dnf) => dnf.clone(),
        Outcome::Ok => panic!("lane {lane} finished {seq_len}"),
    }
}

/// A race of these systems on the CPU at 256 … 16,384 with a minute's budget.
pub fn spec(systems: &[&str]) -> RaceSpec {
    RaceSpec {
        lanes: systems.iter().map(|system| lane(system, Backend::Cpu)).collect(),
        lengths: (8..=14).map(|log2| 1 << log2).collect(),
        d_model: 64,
        n_heads: 4,
        batch: 1,
        causal: true,
        level: Level::Layer,
        task: mixer::Task::Forward,
        budget_ns: 60_000_000_000,
        seed: 1,
    }
}
