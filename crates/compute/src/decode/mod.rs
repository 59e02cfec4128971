//! Lanes that generate: a prompt fills the state, then tokens follow one by one, each fed by the answer to the token before.

mod cpu;
mod generation;

pub use cpu::CpuDecodeLane;
