//! The worker's jobs: races, verifications, links. Its machine runs one job at a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use compute::gpu::Gpu;
use compute::{CancelSwitch, ComputeError, Machine, MachineOptions};
use mixer::Backend;
use protocol::{Event, PROTOCOL_VERSION, Request, Tolerance, VerifyResult, WireError, WorkerError};
use race::{Activity, Progress, RaceError};
use report::{BackendName, Config, Environment, LinkError, Linked, Report, SystemEntry};

use crate::browser;
use crate::lazy_module::{self, LazyModule};
use crate::watch::{PerformanceClock, RaceWatch, Surroundings};

/// The worker's state.
pub(crate) struct Worker {
    emit: js_sys::Function,
    clock: PerformanceClock,
    surroundings: Rc<Surroundings>,
    /// `None` while a job runs.
    machine: RefCell<Option<Machine>>,
    cancel: CancelSwitch,
    /// A handle for losing the device while a job has the machine.
    gpu: RefCell<Option<Gpu>>,
    environment: RefCell<Environment>,
    threads: usize,
}

impl Worker {
    pub(crate) async fn open(
        variant: String,
        threads: usize,
        emit: js_sys::Function,
    ) -> Result<Self, String> {
        let clock = PerformanceClock::new().ok_or("this worker has no clock")?;
        let surroundings = Rc::<Surroundings>::default();
        let options = MachineOptions {
            threads,
            ..MachineOptions::new(browser::host(&clock, &surroundings), lazy_module::find)
        };
        let machine = Machine::new(options).await.map_err(|error| error.to_string())?;
        let worker = Self {
            emit,
            surroundings,
            cancel: machine.cancel_switch(),
            gpu: RefCell::default(),
            environment: RefCell::new(Environment {
                agent: browser::user_agent(),
                cores: browser::cores(),
                isolated: browser::isolated(),
                tick_ms: clock.tick_ns() / 1e6,
                build: format!("{} {variant}", env!("CARGO_PKG_VERSION")),
                host: "browser".to_owned(),
                ..Environment::default()
            }),
            machine: RefCell::default(),
            clock,
            threads,
        };
        worker.keep(machine);
        Ok(worker)
    }

    /// Puts the machine back and stores its current facts.
    fn keep(&self, machine: Machine) {
        self.gpu.replace(machine.gpu().ok().cloned());
        self.environment.borrow_mut().describe(&machine.facts());
        self.machine.replace(Some(machine));
    }

    pub(crate) fn ready(&self) {
        self.send(&Event::Ready {
            protocol: PROTOCOL_VERSION,
            environment: Box::new(self.environment.borrow().clone()),
            systems: kernels::catalogue().map(|(info, decodes)| SystemEntry::new(info, decodes)).collect(),
        });
    }

    /// Handles one message.
    pub(crate) fn receive(self: &Rc<Self>, json: &str, bytes: Option<Vec<u8>>) {
        let request = match Request::parse(json) {
            Ok(request) => request,
            Err(refused) => return self.send(&Event::from(&refused)),
        };
        match request {
            Request::Hello { protocol, .. } if protocol == PROTOCOL_VERSION => {}
            Request::Hello { protocol, .. } => self.fail(
                None,
                WireError::of(&WorkerError::Version { page: protocol, worker: PROTOCOL_VERSION }),
            ),
            Request::Visibility { hidden } => self.surroundings.set_hidden(hidden),
            Request::Ping { id } => self.send(&Event::Pong { id }),
            Request::LoseDevice => {
                if let Some(gpu) = self.gpu.borrow().as_ref() {
                    gpu.lose();
                }
            }
            Request::Cancel { id } => {
                if self.surroundings.cancel(id) {
                    self.cancel.cancel();
                }
            }
            Request::EncodeLink { id, report } => {
                self.link(id, move |later| Ok(Event::Link { id, fragment: (later.encode_link)(&report)? }));
            }
            Request::DecodeLink { id, url } => self.link(id, move |later| {
                Ok(match (later.decode_link)(&url)? {
                    Linked::Config(config) => Event::Linked { id, config: Box::new(config), report: None },
                    Linked::Report(report) => {
                        let config = Box::new(report.config.clone());
                        Event::Linked { id, config, report: Some(report) }
                    }
                })
            }),
            Request::Race { id, config } => {
                let worker = Rc::clone(self);
                self.spawn(id, async move |machine| worker.race(id, *config, machine).await);
            }
            Request::Verify { id, backend } => {
                let worker = Rc::clone(self);
                let bytes = bytes.unwrap_or_default();
                self.spawn(id, async move |machine| worker.verify(id, &bytes, backend, machine).await);
            }
        }
    }

    /// Answers a request about a link, which needs no machine.
    fn link(self: &Rc<Self>, id: u32, answer: impl FnOnce(LazyModule) -> Result<Event, LinkError> + 'static) {
        let worker = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            let event = match lazy_module::get(worker.threads).await {
                Some(later) => answer(later).map_err(|error| WireError::from(&error)),
                None => Err(WireError::of(&WorkerError::LinksNotLoaded)),
            };
            match event {
                Ok(event) => worker.send(&event),
                Err(error) => worker.fail(Some(id), error),
            }
        });
    }

    /// Runs `job` on the machine, unless another job is running.
    fn spawn(self: &Rc<Self>, id: u32, job: impl AsyncFnOnce(&mut Machine) -> Event + 'static) {
        let Some(mut machine) = self.machine.take() else {
            return self.fail(Some(id), WireError::of(&WorkerError::Busy));
        };
        self.surroundings.begin(id);
        let worker = Rc::clone(self);
        wasm_bindgen_futures::spawn_local(async move {
            let told = worker.environment.borrow().clone();
            machine.begin().await;
            worker.gpu.replace(machine.gpu().ok().cloned());
            let event = job(&mut machine).await;
            worker.keep(machine);
            worker.surroundings.end();
            worker.send(&event);
            if *worker.environment.borrow() != told {
                worker.ready();
            }
        });
    }

    async fn race(&self, id: u32, config: Config, machine: &mut Machine) -> Event {
        let infos = kernels::infos();
        let spec = match config.resolve(infos, machine.facts().prefers_gpu()) {
            Ok(spec) => spec,
            Err(error) => return Event::Error { id: Some(id), error: (&error).into() },
        };
        if !spec.lanes.iter().all(|lane| lazy_module::is_here(&lane.system)) {
            self.send(&Event::Progress {
                id,
                fraction: 0.0,
                remaining_ms: config.budget_ms,
                lane: 0,
                length: 0,
                activity: "loading".to_owned(),
            });
            // If loading fails, the lanes that need the module report it.
            let _ = lazy_module::get(self.threads).await;
        }
        if let Err(error) = machine.set_threads(config.thread_count(self.threads).min(self.threads)) {
            return Event::Error { id: Some(id), error: compute_error(&error) };
        }
        self.environment.borrow_mut().describe(&machine.facts());
        let environment = self.environment.borrow().clone();
        let started_at_ms = Some(browser::calendar_ms());
        let report = |record: &race::Record, found: Option<&mixer::MachineFacts>| {
            let mut environment = environment.clone();
            if let Some(facts) = found {
                environment.describe(facts);
            }
            if record.tick_ns > 0.0 {
                environment.tick_ms = record.tick_ns / 1e6;
            }
            Box::new(Report::from_record(record, &config, &environment, started_at_ms, infos))
        };
        let watch = RaceWatch {
            surroundings: &self.surroundings,
            clock: &self.clock,
            last_progress_ns: Cell::new(f64::NEG_INFINITY),
            on_record: &|record| self.send(&Event::Report { id, report: report(record, None) }),
            on_progress: &|progress| self.send(&progress_event(id, progress)),
        };
        let costs = |lane: &mixer::LaneSpec, problem: &mixer::Problem| {
            lazy_module::find(&lane.system)?.cost(problem, &lane.params)
        };
        let record = match race::run(spec, &costs, machine, &self.clock, &watch).await {
            Ok(record) => record,
            Err(error) => return Event::Error { id: Some(id), error: race_error(&error) },
        };
        if record.status == race::Status::Done {
            // The machine is still warm from the lanes, and the page already shows the result.
            self.send(&Event::Progress {
                id,
                fraction: 1.0,
                remaining_ms: 0.0,
                lane: 0,
                length: 0,
                activity: "measuring-roofline".to_owned(),
            });
            let backends: Vec<Backend> = record.spec.lanes.iter().map(|lane| lane.backend).collect();
            let before = self.surroundings.disturbances();
            // A cancellation here affects only the roofline: the race is over and its report complete.
            let _ = machine.measure_roofline(&backends).await;
            // A hidden tab is throttled, and peak rates measured in it would flatter every lane.
            if self.surroundings.is_hidden() || self.surroundings.disturbances() != before {
                machine.forget_roofline();
            }
        }
        Event::Done { id, report: report(&record, Some(&machine.facts())) }
    }

    async fn verify(&self, id: u32, bytes: &[u8], backend: BackendName, machine: &mut Machine) -> Event {
        let backend = backend.resolve(machine.facts().prefers_gpu());
        // The file's system is known only after reading it.
        let _ = lazy_module::get(self.threads).await;
        match machine.verify_golden(bytes, None, backend).await {
            Ok(result) => {
                let finite = |value: f64| value.is_finite().then_some(value);
                Event::Verified {
                    id,
                    result: VerifyResult {
                        system: result.system,
                        case: result.case_name,
                        level: result.level.name().to_owned(),
                        backend: backend.name().to_owned(),
                        max_abs: finite(result.deviation.max_abs),
                        max_rel: finite(result.deviation.max_rel),
                        pass: result.deviation.pass,
                        tolerance: Tolerance { abs: result.tolerance.abs, rel: result.tolerance.rel },
                        unread: result.unread,
                    },
                }
            }
            Err(error) => Event::Error { id: Some(id), error: compute_error(&error) },
        }
    }

    fn fail(&self, id: Option<u32>, error: WireError) {
        self.send(&Event::Error { id, error });
    }

    fn send(&self, event: &Event) {
        if let Ok(json) = serde_json::to_string(event) {
            // An exception in the page's handler is the page's responsibility.
            let _ = self.emit.call1(&wasm_bindgen::JsValue::NULL, &json.into());
        }
    }
}

fn progress_event(id: u32, progress: &Progress) -> Event {
    Event::Progress {
        id,
        fraction: progress.fraction,
        remaining_ms: progress.remaining_ns / 1e6,
        lane: progress.lane as u32,
        length: progress.seq_len as u32,
        activity: match progress.activity {
            Activity::Verifying => "verifying",
            Activity::Preparing => "preparing",
            Activity::WarmingUp => "warming-up",
            Activity::Sampling => "sampling",
            Activity::Prefilling => "prefilling",
            Activity::CheckingDrift => "checking-drift",
        }
        .to_owned(),
    }
}

fn compute_error(error: &ComputeError) -> WireError {
    match error {
        ComputeError::Lane(error) => error.into(),
        other => WireError::of(other),
    }
}

fn race_error(error: &RaceError) -> WireError {
    WireError::of(error)
}
