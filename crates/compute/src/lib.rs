//! Executors. The CPU one owns threads and memory; the WebGPU one will own the device and be alone in running plans.
//!
//! Also here, because both need an executor: reading golden files and verifying against them.

mod cpu;
mod error;
pub mod golden;
mod verify;

pub use cpu::{CpuLane, CpuPool};
pub use error::ComputeError;
pub use verify::{GoldenResult, verify_golden, verify_seeded};
