//! The WebGPU executor: a device, and lanes that run plans on it. The same code natively and in a browser; the only
//! difference is who drives callbacks: a poll that blocks, or the event loop.

mod adapter;
mod autotune;
mod device;
mod instance;
mod lane;
mod pacing;
mod pipeline;
mod prepare;
mod queries;
mod readback;
mod scopes;
mod signal;
mod submit;
mod timestamps;

#[cfg(test)]
mod tests;

pub(crate) use autotune::LIMIT_NS as AUTOTUNE_LIMIT_NS;
pub use device::{Gpu, GpuOptions};
pub use lane::GpuLane;
