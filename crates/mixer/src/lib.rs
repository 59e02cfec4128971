//! The shared vocabulary of all crates: the problem, the interface of a system (a sequence mixer), its cost, and the
//! description of its GPU work as data.
//!
//! This crate has no browser, GPU or clock, and no kernel: those are in `kernels`.

#[macro_use]
pub mod explain;

mod allowed;
mod case;
mod cost;
mod count;
mod decode;
mod error;
mod executor;
mod machine;
mod memory;
mod parallel;
mod params;
mod plan;
mod power;
mod problem;
mod spot;
mod system;
pub mod text;
mod tolerance;

pub use allowed::Allowed;
pub use case::{Case, Tensor, Tensors};
pub use cost::{Cost, OpCount};
pub use count::{Count, Sizes};
pub use decode::{
    CpuDecoder, Decode, DecodeMemory, Generate, PlanDecoding, PreparedDecoder, TokenInput, Tokens,
};
pub use error::{MixerError, NoDecode};
pub use executor::{Executor, Finished, LaneError, LaneSpec, Prepared, Verification};
pub use explain::{Arg, Explain, Said};
pub use machine::{ChosenKernel, GpuFacts, GpuMachine, MachineFacts, Peaks, Roofline};
pub use memory::{Counted, Floats, Memory, Words, gather, room, zeros};
pub use parallel::{Parallel, Serial};
pub use params::{ParamKind, ParamSpec, Params, Value};
pub use plan::{
    Access, BufferId, BufferSpec, Choice, DecodePlan, Dispatch, GpuTarget, Init, KernelClass, Plan, Shader,
    Variant,
};
pub use power::exp2;
pub use problem::{Backend, Level, Problem, Task};
pub use spot::{SpotCheck, SpotColumn, SpotDraw, SpotFound};
pub use system::{Causality, CpuKernel, Family, Info, PreparedKernel, System};
pub use tolerance::{Deviation, Tolerance};
