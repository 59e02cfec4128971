//! The GPU device: opening it, its limits, its errors and its loss.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use mixer::{ChosenKernel, Explain, GpuFacts, GpuTarget, LaneError, MixerError};

use super::adapter::{facts, target, useful_features, useful_limits};
use super::instance::instance;
use super::pipeline::Cache;
use super::signal::{Signal, signal};
use crate::error::NoGpu;
use crate::host::{GpuApi, Host};

/// Time limit for the request of an adapter or a device.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Time after a failed call within which a browser may still report the loss of the device.
const LOSS_GRACE: Duration = Duration::from_millis(200);

/// Most uncaptured errors that are stored.
const MAX_RECORDED_ERRORS: usize = 16;

/// Requests beyond the defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuOptions {
    /// Bytes that all buffers together may hold; 2 GiB by default.
    pub memory_budget_bytes: Option<u64>,
    /// Requests only the limits that every WebGPU implementation guarantees.
    pub guaranteed_limits_only: bool,
    /// Requests a software adapter.
    pub force_fallback: bool,
}

/// An open device. Clones share it.
#[derive(Clone)]
pub struct Gpu(Rc<Inner>);

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    facts: GpuFacts,
    target: GpuTarget,
    uniform_alignment: u64,
    lost: Signal<String>,
    uncaptured: Arc<Mutex<VecDeque<String>>>,
    cache: RefCell<Cache>,
    chosen: RefCell<Vec<ChosenKernel>>,
    granted_bytes: Cell<u64>,
    host: Host,
}

impl Gpu {
    /// Requests an adapter and a device with all of its useful limits and features.
    ///
    /// # Errors
    /// [`LaneError::NoBackend`] states the failed step and a remedy.
    pub async fn open(host: &Host, options: &GpuOptions) -> Result<Self, LaneError> {
        match host.gpu_api {
            GpuApi::Present => {}
            GpuApi::Missing => {
                return Err(no_backend(&NoGpu::NoApi));
            }
            GpuApi::InsecureContext => {
                return Err(no_backend(&NoGpu::Insecure));
            }
        }
        Self::open_on(&instance(), host, options).await
    }

    pub(crate) async fn open_on(
        instance: &wgpu::Instance,
        host: &Host,
        options: &GpuOptions,
    ) -> Result<Self, LaneError> {
        let wanted = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            force_fallback_adapter: options.force_fallback,
            ..Default::default()
        };
        let adapter = answer(host, "adapter", instance.request_adapter(&wanted))
            .await?
            .map_err(|error| no_backend(&NoGpu::NoAdapter { reason: error.to_string() }))?;
        Self::open_adapter(&adapter, host, options, useful_limits(&adapter, options)).await
    }

    pub(crate) async fn open_adapter(
        adapter: &wgpu::Adapter,
        host: &Host,
        options: &GpuOptions,
        required_limits: wgpu::Limits,
    ) -> Result<Self, LaneError> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("crossover"),
            required_features: useful_features(adapter),
            required_limits,
            ..Default::default()
        };
        let (device, queue) = answer(host, "device", adapter.request_device(&descriptor))
            .await?
            .map_err(|error| no_backend(&NoGpu::Refused { reason: error.to_string() }))?;
        Ok(Self::new(device, queue, adapter, host, options))
    }

    fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        adapter: &wgpu::Adapter,
        host: &Host,
        options: &GpuOptions,
    ) -> Self {
        let (set_lost, lost) = signal();
        device.set_device_lost_callback(move |reason, message| {
            let word = match reason {
                wgpu::DeviceLostReason::Unknown => "unknown",
                wgpu::DeviceLostReason::Destroyed => "destroyed",
            };
            set_lost.set(if message.is_empty() { word.to_owned() } else { format!("{word}: {message}") });
        });
        let uncaptured = Arc::new(Mutex::new(VecDeque::new()));
        // In a browser, wgpu panics on an internal error that it passes to this callback. Every call here is within an
        // error scope, so any remaining error is left to the browser's console.
        if cfg!(not(target_arch = "wasm32")) {
            let record = uncaptured.clone();
            device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                let mut errors = record.lock().unwrap_or_else(PoisonError::into_inner);
                if errors.len() < MAX_RECORDED_ERRORS {
                    errors.push_back(error.to_string());
                }
            }));
        }
        let facts = facts(&device, adapter);
        let target = target(&device, &facts, options);
        let limits = device.limits();
        Self(Rc::new(Inner {
            uniform_alignment: u64::from(limits.min_uniform_buffer_offset_alignment.max(16)),
            device,
            queue,
            facts,
            target,
            lost,
            uncaptured,
            cache: RefCell::default(),
            chosen: RefCell::default(),
            granted_bytes: Cell::new(0),
            host: host.clone(),
        }))
    }

    /// The limits and features for plans.
    pub fn target(&self) -> &GpuTarget {
        &self.0.target
    }

    /// Facts about the adapter.
    pub fn facts(&self) -> &GpuFacts {
        &self.0.facts
    }

    /// The reason for the loss of the device, if it was lost.
    pub fn lost(&self) -> Option<String> {
        self.0.lost.get()
    }

    /// Errors that no scope caught, oldest first. They are bugs of this crate and worth a report.
    pub fn uncaptured_errors(&self) -> Vec<String> {
        self.0.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Destroys the device, for tests: every later call returns [`LaneError::DeviceLost`].
    pub fn lose(&self) {
        self.0.device.destroy();
        self.poll();
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn cache(&self) -> &RefCell<Cache> {
        &self.0.cache
    }

    /// The kernel variants chosen so far.
    pub(crate) fn chosen(&self) -> &RefCell<Vec<ChosenKernel>> {
        &self.0.chosen
    }

    /// Alignment of offsets into a uniform buffer.
    pub(crate) fn uniform_alignment(&self) -> u64 {
        self.0.uniform_alignment
    }

    /// Stores that the device granted `bytes` at once.
    pub(crate) fn granted(&self, bytes: u64) {
        self.0.granted_bytes.set(self.0.granted_bytes.get().max(bytes));
    }

    /// # Errors
    /// [`LaneError::DeviceLost`] where the device is lost.
    pub(crate) fn alive(&self) -> Result<(), LaneError> {
        match self.lost() {
            Some(reason) => Err(LaneError::DeviceLost { reason }),
            None => Ok(()),
        }
    }

    /// The actual cause of an error. A lost device makes all kinds of calls fail, and a browser may report the loss a
    /// few turns of the event loop later.
    pub(crate) async fn blame(&self, error: LaneError) -> LaneError {
        if cfg!(target_arch = "wasm32") {
            let lost = std::future::poll_fn(|context| self.0.lost.poll(context.waker()));
            self.host().within(LOSS_GRACE, lost).await;
        } else {
            self.poll();
        }
        match self.lost() {
            Some(reason) => LaneError::DeviceLost { reason },
            None => error,
        }
    }

    /// Waits for a callback or for the device's loss.
    ///
    /// # Errors
    /// [`LaneError::DeviceLost`], or [`LaneError::Device`] where the callback was dropped without a call.
    pub(crate) async fn wait<T: Clone>(
        &self,
        what: &'static str,
        signal: &Signal<T>,
    ) -> Result<T, LaneError> {
        self.poll();
        self.hear(what, signal).await
    }

    /// [`Gpu::wait`] after a native device was polled.
    pub(crate) async fn hear<T: Clone>(
        &self,
        what: &'static str,
        signal: &Signal<T>,
    ) -> Result<T, LaneError> {
        let unheard =
            || LaneError::Device { what: what.to_owned(), message: "the device did not answer".to_owned() };
        let mut answer = std::future::poll_fn(|context| {
            if let Poll::Ready(value) = signal.poll(context.waker()) {
                return Poll::Ready(value.ok_or_else(unheard));
            }
            match self.0.lost.poll(context.waker()) {
                Poll::Ready(Some(reason)) => Poll::Ready(Err(LaneError::DeviceLost { reason })),
                _ if cfg!(not(target_arch = "wasm32")) => Poll::Ready(Err(unheard())),
                _ => Poll::Pending,
            }
        })
        .await;
        if let Err(error @ LaneError::Device { .. }) = answer {
            answer = Err(self.blame(error).await);
        }
        answer
    }

    /// Natively, waits until all submitted work is done and runs the callbacks, which run only during a poll. In a
    /// browser the event loop runs them.
    fn poll(&self) {
        // The only errors are a timeout and an invalid submission index. This call has neither.
        let _ = self.0.device.poll(wgpu::PollType::wait_indefinitely());
    }

    /// Natively, waits until one submission is done.
    pub(crate) fn poll_until(&self, index: wgpu::SubmissionIndex) {
        let _ = self.0.device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None });
    }

    /// The error for an allocation failure: the device needed more than it has been seen to grant.
    pub(crate) fn out_of_memory(&self, needed_bytes: u64) -> LaneError {
        LaneError::Mixer(MixerError::OutOfMemory {
            needed_bytes,
            limit_bytes: self.0.granted_bytes.get().min(needed_bytes.saturating_sub(1)),
        })
    }
}

pub(crate) async fn answer<T>(
    host: &Host,
    what: &str,
    request: impl Future<Output = T>,
) -> Result<T, LaneError> {
    host.within(REQUEST_LIMIT, request).await.ok_or_else(|| {
        no_backend(&NoGpu::NoAnswer { what: what.to_owned(), seconds: REQUEST_LIMIT.as_secs() })
    })
}

pub(crate) fn no_backend(reason: &NoGpu) -> LaneError {
    LaneError::NoBackend { backend: mixer::Backend::WebGpu.name(), reason: reason.said() }
}
