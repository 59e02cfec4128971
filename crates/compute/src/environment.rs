//! What this machine is, in plain values that the worker and the command line turn into a report's environment.

use mixer::GpuTarget;

use crate::gpu::GpuFacts;

/// The machine as the executors found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Logical cores, as reported; 1 where nothing is.
    pub cores: usize,
    /// Threads that CPU lanes use.
    pub threads: usize,
    /// The instruction set that the kernels were compiled for.
    pub simd: &'static str,
    /// Bytes that CPU lanes may hold together.
    pub cpu_memory_bytes: u64,
    /// The GPU, where there is one.
    pub gpu: Option<GpuEnvironment>,
    /// Why there is none, and what can be done about it.
    pub gpu_missing: Option<String>,
}

/// The GPU as the executor found it.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuEnvironment {
    /// Names and kinds.
    pub facts: GpuFacts,
    /// Limits and features.
    pub target: GpuTarget,
}

/// The instruction set that this build's kernels use.
pub(crate) const SIMD: &str = if cfg!(target_arch = "wasm32") {
    if cfg!(target_feature = "relaxed-simd") {
        "relaxed-simd"
    } else if cfg!(target_feature = "simd128") {
        "simd128"
    } else {
        "plain"
    }
} else if cfg!(target_feature = "avx512f") {
    "avx512"
} else if cfg!(target_feature = "avx2") {
    "avx2"
} else if cfg!(target_feature = "sse2") {
    "sse2"
} else if cfg!(target_feature = "neon") {
    "neon"
} else {
    "plain"
};
