//! Primitives and one folder per sequence mixer. `registry.rs` is the list; nothing else names them all.

pub mod ops;
