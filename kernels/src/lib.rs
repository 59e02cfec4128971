//! Primitives, and one folder per sequence mixer. Only `systems/mod.rs` lists all systems.

#[macro_use]
mod wgsl;

mod conv_streams;
mod decoding;
mod dims;
mod echo_state_washout;
mod generate;
mod initial_state;
mod lstm;
mod model;
mod multi_head;
mod ncp;
pub mod ops;
mod ready;
mod recurrence;
mod recurrent_decoder;
mod recurrent_plan;
mod registry;
pub mod systems;
#[cfg(test)]
mod testing;
#[cfg(any(test, feature = "trials"))]
pub mod trials;

#[cfg(any(test, feature = "trials"))]
pub use registry::trials_of;
pub use registry::{catalogue, find, find_first, infos, systems, unknown};
