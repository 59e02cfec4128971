//! What is known of the machine that raced. Strings come from drivers and browsers: show them as text only.

use mixer::{GpuMachine, MachineFacts};
use serde::{Deserialize, Serialize};

/// The machine, as the worker (or the command line) found it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    /// Version of Crossover that measured.
    pub build: String,
    /// `browser` or `native`.
    pub host: String,
    /// The browser's user agent, or the operating system.
    pub agent: String,
    /// Logical cores, as reported.
    pub cores: u32,
    /// Threads that CPU lanes use.
    pub threads: u32,
    /// `plain`, `simd128`, `relaxed-simd`, or the native instruction set.
    pub simd: String,
    /// Whether the page is cross-origin isolated (threads and a fine clock).
    pub isolated: bool,
    /// The clock's measured step, milliseconds.
    pub tick_ms: f64,
    /// Bytes that CPU lanes may hold.
    pub cpu_memory_bytes: f64,
    /// The GPU, where there is one.
    pub gpu: Option<Gpu>,
    /// Why there is no GPU, where there is none, and what to do about it.
    pub gpu_missing: Option<String>,
}

/// A GPU adapter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gpu {
    /// Vendor.
    pub vendor: String,
    /// Architecture.
    pub architecture: String,
    /// Device or description; often empty in browsers.
    pub description: String,
    /// `webgpu`, `vulkan`, `metal` or `dx12`.
    pub api: String,
    /// Whether it is a software adapter.
    pub fallback: bool,
    /// Largest storage binding.
    pub max_storage_binding_bytes: f64,
    /// Largest buffer.
    pub max_buffer_bytes: f64,
    /// Workgroup memory.
    pub max_workgroup_storage_bytes: f64,
    /// Invocations per workgroup.
    pub max_invocations_per_workgroup: f64,
    /// Whether it has timestamp queries.
    pub timestamps: bool,
    /// Whether it has subgroups.
    pub subgroups: bool,
    /// Whether it has f16.
    pub shader_f16: bool,
}

impl Environment {
    /// Takes over what the executors found; what only the surroundings know (agent, clock, build) stays.
    pub fn describe(&mut self, machine: &MachineFacts) {
        self.cores = u32::try_from(machine.cores).unwrap_or(u32::MAX).max(self.cores);
        self.threads = u32::try_from(machine.threads).unwrap_or(u32::MAX);
        machine.simd.clone_into(&mut self.simd);
        self.cpu_memory_bytes = machine.cpu_memory_bytes as f64;
        self.gpu = machine.gpu.as_ref().map(Gpu::from);
        self.gpu_missing.clone_from(&machine.gpu_missing);
    }
}

impl From<&GpuMachine> for Gpu {
    fn from(machine: &GpuMachine) -> Self {
        let GpuMachine { facts, target } = machine;
        Self {
            vendor: facts.vendor.clone(),
            architecture: facts.architecture.clone(),
            description: facts.description.clone(),
            api: facts.api.clone(),
            fallback: facts.is_fallback,
            max_storage_binding_bytes: target.max_storage_binding_bytes as f64,
            max_buffer_bytes: target.max_buffer_bytes as f64,
            max_workgroup_storage_bytes: f64::from(target.max_workgroup_storage_bytes),
            max_invocations_per_workgroup: f64::from(target.max_invocations_per_workgroup),
            timestamps: facts.timestamps,
            subgroups: target.subgroups,
            shader_f16: target.shader_f16,
        }
    }
}
