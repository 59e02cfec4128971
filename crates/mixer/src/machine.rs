//! Facts about a machine in plain values: executors collect them, reports show them.

use crate::{GpuTarget, KernelClass};

/// The machine as the executors found it.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineFacts {
    /// Logical cores, as reported; 1 where no number is reported.
    pub cores: usize,
    /// Threads that CPU lanes use.
    pub threads: usize,
    /// The instruction set that the kernels were compiled for.
    pub simd: &'static str,
    /// Bytes that all CPU lanes together may hold.
    pub cpu_memory_bytes: u64,
    /// The GPU, where there is one.
    pub gpu: Option<GpuMachine>,
    /// The reason for a missing GPU, and the remedy.
    pub gpu_missing: Option<String>,
    /// Measured peak rates, if any.
    pub roofline: Option<Roofline>,
}

impl MachineFacts {
    /// Whether lanes that name no backend should run on the GPU. A GPU emulated in software is far slower than the CPU
    /// that emulates it.
    pub fn prefers_gpu(&self) -> bool {
        self.gpu.as_ref().is_some_and(|gpu| !gpu.facts.is_fallback)
    }
}

/// Peak rates of a machine by backend; `None` where they were not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Roofline {
    /// Peak rates of all threads that CPU lanes use.
    pub cpu: Option<Peaks>,
    /// Peak rates of the GPU.
    pub gpu: Option<Peaks>,
}

/// Peak rates of one backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations per second, a multiply-add counting as two.
    pub flops_per_s: f64,
    /// f16 operations per second, a multiply-add counting as two, where shaders may use f16.
    pub f16_flops_per_s: Option<f64>,
    /// Exponentials per second, the measure of `Cost::transcendentals`.
    pub transcendentals_per_s: f64,
    /// Bytes per second of a copy that exceeds the caches; bytes read and bytes written both count.
    pub bytes_per_s: f64,
    /// Nanoseconds from the start of an empty dispatch to the notification of its end.
    pub dispatch_ns: f64,
}

/// The GPU as the executor found it.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuMachine {
    /// Names and kinds.
    pub facts: GpuFacts,
    /// Limits and features.
    pub target: GpuTarget,
    /// The kernel variants given to lanes so far.
    pub kernels: Vec<ChosenKernel>,
}

/// The variant of a kernel that lanes of a class use on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChosenKernel {
    /// The class.
    pub class: KernelClass,
    /// The variant's name.
    pub variant: &'static str,
    /// Whether it was the fastest of several measured variants. Otherwise a rule chose it.
    pub measured: bool,
}

/// Facts about the adapter. The strings come from drivers: show them as text only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuFacts {
    /// Vendor; empty where the API does not report it.
    pub vendor: String,
    /// Architecture; empty where the API does not report it.
    pub architecture: String,
    /// Name or description; often empty in browsers.
    pub description: String,
    /// `webgpu`, `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// Whether it is a software adapter.
    pub is_fallback: bool,
    /// Whether timestamp queries are supported.
    pub timestamps: bool,
    /// Whether the adapter has subgroup operations, which no kernel uses.
    pub subgroups: bool,
}
