//! Primitives and one folder per sequence mixer. `registry.rs` is the list; nothing else names them all.

#[macro_use]
mod wgsl;

pub mod definition;
mod dims;
mod echo_state_washout;
mod generate;
mod initial_state;
mod lstm;
mod model;
mod multi_head;
mod ncp;
pub mod ops;
mod recurrence;
mod registry;
pub mod systems;
#[cfg(test)]
mod testing;

pub use registry::{find, find_first, infos, systems, unknown};
