//! Primitives that systems share. An op is extracted when a second system needs it, not before.

pub mod disjoint;
pub mod exp;
pub mod fft;
pub mod gemm;
pub mod linear;
pub mod long_conv;
pub mod scratch;
pub mod simd;
pub mod tile_attention;
