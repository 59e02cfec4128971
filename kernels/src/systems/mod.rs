//! One folder per system.

pub mod attention;
pub mod attention_naive;
pub mod bigbird;
pub mod bigs;
pub mod cfc;
pub mod hyena;
pub mod linformer;
pub mod liquid_s4;
pub mod longformer;
pub mod ltc;
pub mod mega;
pub mod monarch_mixer;
pub mod performer;
pub mod reformer;
