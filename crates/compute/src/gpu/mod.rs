//! The WebGPU executor: a device, and lanes that run plans on it. Native and browser builds share the code. They differ
//! only in how callbacks run: by a blocking poll natively, by the event loop in a browser.

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
