//! Executors. The CPU one owns threads and memory; the WebGPU one owns the device and is alone in running plans; a
//! [`Machine`] is both, and what races use.
//!
//! Also here, because it needs an executor: reading golden files and verifying against them.

mod abandon;
mod cancel;
mod cpu;
mod error;
pub mod golden;
pub mod gpu;
mod host;
mod lane;
mod ledger;
mod machine;
mod output;
mod roofline;
mod spot;

pub use cancel::CancelSwitch;
#[cfg(target_arch = "wasm32")]
pub use cpu::on_each_helper;
pub use cpu::{CpuLane, CpuPool};
pub use error::{ComputeError, NO_GPU_CODES};
pub use golden::GoldenResult;
pub use host::{GpuApi, Host, HostFuture};
pub use lane::Lane;
pub use machine::{FindSystem, GpuChoice, Machine, MachineOptions};
pub use output::Spotted;
