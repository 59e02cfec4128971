//! What a machine is, in plain values: executors find it out, reports show it.

use crate::{GpuTarget, KernelClass};

/// The machine as the executors found it.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineFacts {
    /// Logical cores, as reported; 1 where nothing is.
    pub cores: usize,
    /// Threads that CPU lanes use.
    pub threads: usize,
    /// The instruction set that the kernels were compiled for.
    pub simd: &'static str,
    /// Bytes that CPU lanes may hold together.
    pub cpu_memory_bytes: u64,
    /// The GPU, where there is one.
    pub gpu: Option<GpuMachine>,
    /// Why there is none, and what can be done about it.
    pub gpu_missing: Option<String>,
    /// What it can do at most, where that was measured.
    pub roofline: Option<Roofline>,
}

impl MachineFacts {
    /// Whether lanes that name no backend are best run on the GPU: on one that is emulated in software they are far
    /// slower than on the CPU that emulates it.
    pub fn prefers_gpu(&self) -> bool {
        self.gpu.as_ref().is_some_and(|gpu| !gpu.facts.is_fallback)
    }
}

/// What a machine can do at most, by backend; none where it was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Roofline {
    /// All threads that CPU lanes use.
    pub cpu: Option<Peaks>,
    /// The GPU.
    pub gpu: Option<Peaks>,
}

/// What one backend can do at most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// f32 operations per second, a multiply-add counting as two.
    pub flops_per_s: f64,
    /// f16 operations per second in the same way, where shaders may use them.
    pub f16_flops_per_s: Option<f64>,
    /// Exponentials per second, the measure of `Cost::transcendentals`.
    pub transcendentals_per_s: f64,
    /// Bytes per second of a copy beyond the caches, read and written bytes both counted.
    pub bytes_per_s: f64,
    /// Nanoseconds to start empty work and hear that it is done.
    pub dispatch_ns: f64,
}

/// The GPU as the executor found it.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuMachine {
    /// Names and kinds.
    pub facts: GpuFacts,
    /// Limits and features.
    pub target: GpuTarget,
    /// The variants of kernels that lanes were given so far.
    pub kernels: Vec<ChosenKernel>,
}

/// Which of a kernel's variants the lanes of a class get on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChosenKernel {
    /// The class.
    pub class: KernelClass,
    /// The variant's name.
    pub variant: &'static str,
    /// Whether it was the fastest of several measured; otherwise a rule chose it.
    pub measured: bool,
}

/// What is known of the adapter. Strings come from drivers: show them as text only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuFacts {
    /// Vendor, where the API tells.
    pub vendor: String,
    /// Architecture, where the API tells.
    pub architecture: String,
    /// Name or description; often empty in browsers.
    pub description: String,
    /// `webgpu`, `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// Whether it is a software adapter.
    pub is_fallback: bool,
    /// Whether timestamp queries are there.
    pub timestamps: bool,
    /// Whether the adapter has subgroup operations, which no kernel uses.
    pub subgroups: bool,
}
