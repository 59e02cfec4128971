//! The CPU kernels alone, so that a change to one is measured in seconds: a wasm module that needs no JavaScript of its
//! own, built with the worker's flags, and the same workloads natively.

pub mod peak;
mod peer;
pub mod workload;

#[cfg(target_arch = "wasm32")]
mod exports;
