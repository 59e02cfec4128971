//! Lanes that generate: a prompt fills the state, then tokens follow one by one, each fed by the answer to the token before.

mod cpu;
mod generation;
mod gpu;

pub use cpu::CpuDecodeLane;
pub(crate) use generation::Generation;
pub(crate) use gpu::GpuDecodeLane;
