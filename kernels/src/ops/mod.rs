//! Primitives that systems share. An op is extracted when a second system needs it, not before.

pub mod activation;
pub mod block_diagonal;
pub(crate) mod complex;
pub mod exact;
pub mod exact_lanes;
pub mod exp;
pub mod fft;
pub mod gemm;
pub mod gpu;
pub mod grain;
pub mod linear;
pub mod long_conv;
pub mod matvec;
pub mod norm;
pub mod packed_keys;
pub mod panels;
pub mod parts;
pub mod permutation;
pub mod prefetch;
pub mod query_block;
pub mod scratch;
pub mod shared_conv;
pub mod simd;
pub mod stream;
pub mod team;
pub mod tile_attention;
