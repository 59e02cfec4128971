//! Builders of GPU work. Each takes a [`Builder`] and shapes, and records dispatches of a WGSL file that lies beside it;
//! nothing here talks to a GPU.
//!
//! All of them speak of [`Stream`]s: row-major activations whose rows are padded with zeros to a multiple of four
//! floats ([`Columns`]), so that every shader may load four floats at once whatever the model's width.
//!
//! | op | what |
//! |---|---|
//! | [`Linear`] | y = act(x Wᵀ + b), gated or added to, weights packed at upload |
//! | [`Gemm`] | A·B, A·Bᵀ, Aᵀ·B of activations, batched over sequences and heads |
//! | [`TileAttention`] | softmax attention by tiles, dense, causal or banded |
//! | [`LongConv`] | long convolution by FFT, gates fused |
//! | [`short_conv`] | causal depthwise convolution with few taps, product of two fused |
//! | [`map`], [`softmax_rows`], [`unpack`] | elementwise work, row softmax, rows without padding |

mod builder;
mod elementwise;
mod gemm;
mod long_conv;
mod short_conv;
mod softmax;
mod stream;
mod tile_attention;

pub use builder::Builder;
pub use elementwise::{Activation, Combine, map, unpack};
pub use gemm::{Batches, Gemm, Linear, Operand};
pub use long_conv::{Filter, LongConv};
pub use short_conv::{ShortFilter, short_conv};

pub use softmax::softmax_rows;
pub use stream::{Columns, Stream};
pub use tile_attention::{Mask, TileAttention};
