//! Primitives and one folder per sequence mixer. `registry.rs` is the list; nothing else names them all.

#[macro_use]
mod wgsl;

pub mod attention;
pub mod attention_naive;
pub mod bigbird;
pub mod bigs;
pub mod cfc;
pub mod definition;
mod dims;
mod generate;
pub mod hyena;
mod key_list;
pub mod linformer;
pub mod liquid_s4;
pub mod longformer;
mod lstm;
pub mod ltc;
pub mod mega;
pub mod monarch_mixer;
mod ncp;
pub mod ops;
pub mod performer;
mod recurrence;
pub mod reformer;
mod registry;
#[cfg(test)]
mod testing;
mod washout;

pub use registry::{find, find_first, infos, systems, unknown};
