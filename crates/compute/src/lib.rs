//! Executors. The CPU executor owns threads and memory. The WebGPU executor owns the device and is the only code that
//! runs plans. A [`Machine`] combines both for races.
//!
//! This crate also reads golden files and verifies systems against them, since that needs an executor.

mod abandon;
mod cancel;
mod cpu;
mod decode;
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
pub use decode::CpuDecodeLane;
pub use error::{ComputeError, NO_GPU_CODES};
pub use golden::GoldenResult;
pub use host::{GpuApi, Host, HostFuture};
pub use lane::Lane;
pub use machine::{FindSystem, GpuChoice, Machine, MachineOptions};
pub use output::Spotted;
