//! One folder per system. A line here registers a system: the build script generates the registry from these lines, and
//! the page lists systems in their order.

pub mod attention;
pub mod attention_naive;
pub mod hyena;
pub mod monarch_mixer;
pub mod bigs;
pub mod mega;
pub mod ltc;
pub mod cfc;
pub mod liquid_s4;
pub mod linformer;
pub mod longformer;
pub mod bigbird;
pub mod reformer;
pub mod performer;
#[cfg(any(test, feature = "fixture"))]
#[path = "../fixture/mean_pool/mod.rs"]
pub mod mean_pool;
