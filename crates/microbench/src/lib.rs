//! Single CPU kernels, so that a change to a kernel is measured in seconds: a wasm module without JavaScript, built
//! with the worker's flags, and a native program with equal workloads.

mod decode;
pub mod peak;
mod peer;
pub mod workload;

#[cfg(target_arch = "wasm32")]
mod exports;
