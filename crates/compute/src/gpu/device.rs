//! The device: how it is asked for, what it offers, and how its errors and its loss come to light.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use mixer::{GpuFacts, GpuTarget, LaneError, MixerError};

use super::pipeline::Cache;
use super::signal::{Signal, signal};
use crate::host::{GpuApi, Host};

/// Longest that an adapter or a device may keep us waiting.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Device memory that lanes may hold where nothing is known: WebGPU does not say how much there is.
const DEFAULT_BUDGET_BYTES: u64 = 2 << 30;

/// A dispatch of this many operations takes some 40 ms on modest hardware (100 GFLOP/s).
const HARDWARE_DISPATCH_FLOPS: u64 = 1 << 32;

/// A software adapter makes a few GFLOP/s.
const SOFTWARE_DISPATCH_FLOPS: u64 = 1 << 28;

/// Uncaptured errors that are kept.
const MAX_RECORDED_ERRORS: usize = 16;

/// What is asked of the device beyond defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuOptions {
    /// What all buffers may take together; 2 GiB where not given.
    pub memory_budget_bytes: Option<u64>,
    /// Asks for no more than the limits that every WebGPU implementation guarantees.
    pub guaranteed_limits_only: bool,
    /// Asks for a software adapter.
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
    granted_bytes: Cell<u64>,
    host: Host,
}

impl Gpu {
    /// Asks for an adapter and a device with all that it offers of what is useful here.
    ///
    /// # Errors
    /// [`LaneError::NoBackend`] says which step failed and what can be done about it.
    pub async fn open(host: &Host, options: &GpuOptions) -> Result<Self, LaneError> {
        match host.gpu_api {
            GpuApi::Present => {}
            GpuApi::Missing => {
                return Err(no_backend(
                    "this browser has no WebGPU; use a current Chrome, Edge, Safari or Firefox, or race on the CPU",
                ));
            }
            GpuApi::InsecureContext => {
                return Err(no_backend(
                    "WebGPU needs a secure page; open this page over https:// or on localhost",
                ));
            }
        }
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        Self::open_on(&instance, host, options).await
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
        let adapter = answer(host, "adapter", instance.request_adapter(&wanted)).await?.map_err(|error| {
            no_backend(format!(
                "no GPU adapter ({error}); turn on hardware acceleration, update the graphics driver, or race on the \
                 CPU"
            ))
        })?;
        Self::open_adapter(&adapter, host, options, useful_limits(&adapter, options)).await
    }

    pub(crate) async fn open_adapter(
        adapter: &wgpu::Adapter,
        host: &Host,
        options: &GpuOptions,
        required_limits: wgpu::Limits,
    ) -> Result<Self, LaneError> {
        let useful = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("crossover"),
            required_features: adapter.features() & useful,
            required_limits,
            ..Default::default()
        };
        let (device, queue) =
            answer(host, "device", adapter.request_device(&descriptor)).await?.map_err(|error| {
                no_backend(format!(
                    "the GPU adapter refused a device ({error}); close other pages that use the GPU and try again, or \
                     race on the CPU"
                ))
            })?;
        Ok(Self::new(device, queue, &adapter.get_info(), host, options))
    }

    fn new(
        device: wgpu::Device,
        queue: wgpu::Queue,
        info: &wgpu::AdapterInfo,
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
        // In a browser wgpu panics on an internal error that it hands to this callback, and every call here is within
        // an error scope anyway: what still escapes is left to the browser's console.
        if cfg!(not(target_arch = "wasm32")) {
            let record = uncaptured.clone();
            device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                let mut errors = record.lock().unwrap_or_else(PoisonError::into_inner);
                if errors.len() < MAX_RECORDED_ERRORS {
                    errors.push_back(error.to_string());
                }
            }));
        }
        let facts = facts(&device, info);
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
            granted_bytes: Cell::new(0),
            host: host.clone(),
        }))
    }

    /// What the device offers to plans.
    pub fn target(&self) -> &GpuTarget {
        &self.0.target
    }

    /// What is known of the adapter.
    pub fn facts(&self) -> &GpuFacts {
        &self.0.facts
    }

    /// Why the device was lost, if it was.
    pub fn lost(&self) -> Option<String> {
        self.0.lost.get()
    }

    /// Errors that no scope caught, oldest first: a fault in this crate, worth a report.
    pub fn uncaptured_errors(&self) -> Vec<String> {
        self.0.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Destroys the device, for tests of what follows: every later call ends with [`LaneError::DeviceLost`].
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

    /// Alignment of offsets into a uniform buffer.
    pub(crate) fn uniform_alignment(&self) -> u64 {
        self.0.uniform_alignment
    }

    /// Remembers that the device granted `bytes` at once.
    pub(crate) fn granted(&self, bytes: u64) {
        self.0.granted_bytes.set(self.0.granted_bytes.get().max(bytes));
    }

    /// # Errors
    /// [`LaneError::DeviceLost`] where the device is gone.
    pub(crate) fn alive(&self) -> Result<(), LaneError> {
        match self.lost() {
            Some(reason) => Err(LaneError::DeviceLost { reason }),
            None => Ok(()),
        }
    }

    /// What a failure really was: a lost device makes all kinds of calls fail, and a browser tells of the loss a turn
    /// of the event loop later.
    pub(crate) async fn blame(&self, error: LaneError) -> LaneError {
        if self.lost().is_none() {
            self.poll();
            self.host().breathe().await;
        }
        match self.lost() {
            Some(reason) => LaneError::DeviceLost { reason },
            None => error,
        }
    }

    /// Waits for a callback, or for the device's loss.
    ///
    /// # Errors
    /// [`LaneError::DeviceLost`], or [`LaneError::Device`] where the callback was dropped unheard.
    pub(crate) async fn wait<T: Clone>(
        &self,
        what: &'static str,
        signal: &Signal<T>,
    ) -> Result<T, LaneError> {
        self.poll();
        self.hear(what, signal).await
    }

    /// [`Gpu::wait`] where a native device was polled already.
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

    /// Natively, waits until all submitted work is done and calls back: nothing is called back outside a poll. In a
    /// browser the event loop does that.
    fn poll(&self) {
        // The only errors are a timeout, which was not asked for, and a bad submission index, which was not given.
        let _ = self.0.device.poll(wgpu::PollType::wait_indefinitely());
    }

    /// Natively, waits until one submission is done.
    pub(crate) fn poll_until(&self, index: wgpu::SubmissionIndex) {
        let _ = self.0.device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None });
    }

    /// What an allocation failure means: more was needed than the device has been seen to grant.
    pub(crate) fn out_of_memory(&self, needed_bytes: u64) -> LaneError {
        LaneError::Mixer(MixerError::OutOfMemory {
            needed_bytes,
            limit_bytes: self.0.granted_bytes.get().min(needed_bytes.saturating_sub(1)),
        })
    }

    /// Opens error scopes; the device's errors go there until [`Scopes::close`].
    pub(crate) fn scopes(&self, what: &'static str, needed_bytes: u64) -> Scopes {
        let memory = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        Scopes { validation, memory, gpu: self.clone(), what, needed_bytes }
    }
}

/// Open error scopes. Dropped without [`Scopes::close`], they close and forget what they caught.
pub(crate) struct Scopes {
    // Fields drop in this order, which is the order in which scopes must close.
    validation: wgpu::ErrorScopeGuard,
    memory: wgpu::ErrorScopeGuard,
    gpu: Gpu,
    what: &'static str,
    needed_bytes: u64,
}

impl Scopes {
    /// Closes the scopes now; the future says what they caught.
    ///
    /// # Errors
    /// [`LaneError::DeviceLost`], [`MixerError::OutOfMemory`] or [`LaneError::Device`].
    pub fn close(self) -> impl Future<Output = Result<(), LaneError>> {
        let Self { validation, memory, gpu, what, needed_bytes } = self;
        let (validation, memory) = (validation.pop(), memory.pop());
        async move {
            let (validation, memory) = (validation.await, memory.await);
            let error = if memory.is_some() {
                // A failed allocation makes later calls invalid, so this one comes first.
                gpu.out_of_memory(needed_bytes)
            } else if let Some(error) = validation {
                LaneError::Device { what: what.to_owned(), message: error.to_string() }
            } else {
                return gpu.alive();
            };
            Err(gpu.blame(error).await)
        }
    }
}

pub(crate) async fn answer<T>(
    host: &Host,
    what: &str,
    request: impl Future<Output = T>,
) -> Result<T, LaneError> {
    host.within(REQUEST_LIMIT, request).await.ok_or_else(|| {
        no_backend(format!(
            "the request for a GPU {what} got no answer within {} s; reload the page, restart the browser, or race on \
             the CPU",
            REQUEST_LIMIT.as_secs()
        ))
    })
}

pub(crate) fn no_backend(reason: impl Into<String>) -> LaneError {
    LaneError::NoBackend { backend: mixer::Backend::WebGpu.name(), reason: reason.into() }
}

/// The guaranteed limits, raised to the adapter's where plans profit from it.
fn useful_limits(adapter: &wgpu::Adapter, options: &GpuOptions) -> wgpu::Limits {
    let guaranteed = wgpu::Limits::default();
    if options.guaranteed_limits_only {
        return guaranteed;
    }
    let adapter = adapter.limits();
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: adapter.max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size: adapter.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: adapter.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: adapter.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: adapter.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: adapter.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: adapter.max_compute_workgroups_per_dimension,
        ..guaranteed
    }
}

fn facts(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> GpuFacts {
    let api = match info.backend {
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::Noop => "noop",
    };
    let (vendor, architecture) = names(device, info);
    GpuFacts {
        vendor,
        architecture,
        description: info.name.clone(),
        api: api.to_owned(),
        is_fallback: info.device_type == wgpu::DeviceType::Cpu,
        timestamps: device.features().contains(wgpu::Features::TIMESTAMP_QUERY),
    }
}

/// Vendor and architecture: a browser names them, a driver numbers the vendor.
#[cfg(not(target_arch = "wasm32"))]
fn names(_device: &wgpu::Device, info: &wgpu::AdapterInfo) -> (String, String) {
    // PCI vendor numbers, and Mesa's Khronos vendor number for its software drivers.
    let vendor = match info.vendor {
        0x1002 => "amd".to_owned(),
        0x10de => "nvidia".to_owned(),
        0x106b => "apple".to_owned(),
        0x13b5 => "arm".to_owned(),
        0x5143 => "qualcomm".to_owned(),
        0x8086 => "intel".to_owned(),
        0x1_0005 => "mesa".to_owned(),
        other => format!("{other:#06x}"),
    };
    (vendor, info.driver.clone())
}

#[cfg(target_arch = "wasm32")]
fn names(device: &wgpu::Device, _info: &wgpu::AdapterInfo) -> (String, String) {
    // wgpu leaves these two out of its `AdapterInfo`.
    let read = |object: &js_sys::wasm_bindgen::JsValue, key: &str| {
        js_sys::Reflect::get(object, &key.into()).unwrap_or_default()
    };
    device.as_webgpu().map_or_else(Default::default, |device| {
        let info = read(device, "adapterInfo");
        let text = |key| read(&info, key).as_string().unwrap_or_default();
        (text("vendor"), text("architecture"))
    })
}

fn target(device: &wgpu::Device, facts: &GpuFacts, options: &GpuOptions) -> GpuTarget {
    let limits = device.limits();
    let features = device.features();
    GpuTarget {
        max_buffer_bytes: limits.max_buffer_size,
        max_storage_binding_bytes: limits.max_storage_buffer_binding_size,
        max_storage_buffers_per_stage: limits.max_storage_buffers_per_shader_stage,
        max_workgroup_storage_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
        max_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
        memory_budget_bytes: options.memory_budget_bytes.unwrap_or(DEFAULT_BUDGET_BYTES),
        max_dispatch_flops: if facts.is_fallback { SOFTWARE_DISPATCH_FLOPS } else { HARDWARE_DISPATCH_FLOPS },
        is_fallback: facts.is_fallback,
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        shader_f16: features.contains(wgpu::Features::SHADER_F16),
    }
}
