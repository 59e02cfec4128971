//! Executors. The CPU one owns threads and memory; the WebGPU one owns the device and is alone in running plans.
//!
//! Also here, because both need an executor: reading golden files and verifying against them.

mod cancel;
mod cpu;
mod error;
pub mod golden;
pub mod gpu;
mod host;
mod verify;

pub use cancel::CancelSwitch;
pub use cpu::{CpuLane, CpuPool};
pub use error::ComputeError;
pub use host::{GpuApi, Host, HostFuture};
pub use verify::{GoldenResult, verify_golden, verify_seeded};
