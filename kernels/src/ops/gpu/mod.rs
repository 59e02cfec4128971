//! Builders of GPU work. Each one takes a [`Builder`] and shapes, and records dispatches of a WGSL file in this folder.
//! Nothing here uses a GPU.
//!
//! All operations use [`Stream`]s: row-major activations whose rows are padded with zeros to a multiple of four floats
//! ([`Columns`]), so that every shader can load four floats at once whatever the model's width. Offsets and strides are
//! in floats. A buffer that a dispatch writes must have no second binding in it.
//!
//! | op | what |
//! |---|---|
//! | [`Linear`] | y = act(x Wᵀ + b), gated or added to, weights packed at upload; several layers of one input at once |
//! | [`Gemm`] | A·B, A·Bᵀ, Aᵀ·B, Aᵀ·Bᵀ of activations, batched over sequences and heads (or blocks of a diagonal) |
//! | [`TileAttention`] | softmax attention by tiles: dense, causal, banded, or over listed runs of keys |
//! | [`LongConv`] | long convolution by FFT, causal or circular, gates fused |
//! | [`short_conv`] | causal depthwise convolution with few taps, activation and the product of two fused |
//! | [`norm`], [`softmax_rows`] | layer norm, scale norm, softmax of rows |
//! | [`map`], [`copy`] | elementwise activations, gates and residuals |
//! | [`prefix_sum`], [`move_rows`], [`transpose`] | running sums, gathered and scattered rows, transposes |
//! | [`stable_sort`] | sorts many lists of small numbers at once |
//! | [`Decoding`], [`CacheAttention`] | generated tokens: their inputs, answers and positions; one query over a cache |
//! | [`SavedState`] | a state that generated tokens change, with a copy to return to |
//! | [`CacheConv`] | long and short convolutions of a generated token |
//! | [`unpack`] | removes the padding of an output; must be the last call |
//!
//! A system's own shader takes a `Shader` constant and one [`Builder::dispatch`].
//!
//! ```
//! use kernels::ops::gpu::{Activation, Builder, Columns, Gemm, Linear, unpack};
//! use mixer::GpuTarget;
//!
//! // y = silu(x Wᵀ + b) for 100 rows, 6 inputs, 10 outputs.
//! let (x, w, b) = (vec![1.0; 600], vec![0.5; 60], vec![0.0; 10]);
//! let mut builder = Builder::new(&GpuTarget::WEBGPU_DEFAULTS);
//! let (inputs, outputs) = (Columns::plain(6), Columns::plain(10));
//! let linear = Linear::upload(&mut builder, &w, Some(&b), inputs, outputs);
//! let x = builder.upload("x", &x, inputs);
//! let y = builder.stream("y", 100, outputs);
//! Gemm { activation: Activation::Silu, ..linear.gemm(x, 100, y, 0) }.record(&mut builder);
//! let output = unpack(&mut builder, y, 100, outputs);
//! let plan = builder.finish(output)?;
//! assert_eq!(plan.run.len(), 2);
//! # Ok::<(), mixer::MixerError>(())
//! ```

mod attention_variants;
mod builder;
mod cache_attention;
mod cache_conv;
mod decode;
mod direct_conv;
mod elementwise;
mod gemm;
mod long_conv;
mod norm;
mod rearrange;
mod saved_state;
mod ring;
mod short_conv;
mod softmax;
mod sort;
mod stream;
mod tile_attention;

pub(crate) use attention_variants::attention_shaders;
pub use attention_variants::{AttentionShaders, attention_probe};
pub use builder::Builder;
pub(crate) use builder::{INVOCATION_TURNS, SOFTWARE_TURNS};
pub use cache_attention::{CacheAttention, Window};
pub use cache_conv::{CacheConv, Next};
pub use decode::{Clock, Decoding, Input, Lengths};
pub(crate) use elementwise::line_of_groups;
pub use elementwise::{Activation, Combine, copy, grid, map, unpack};
pub use gemm::{Batches, Gemm, Linear, Operand};
pub use long_conv::{Filter, LongConv};
pub use norm::{Norm, norm};
pub use rearrange::{Axis, Move, move_rows, prefix_sum, transpose};
pub use ring::Ring;
pub use saved_state::SavedState;
pub use short_conv::{ShortFilter, ShortFilters, short_conv};
pub use softmax::softmax_rows;
pub use sort::stable_sort;
pub use stream::{Columns, Stream, vectors, word};
pub use tile_attention::{CustomMask, KEYS, Mask, QUERIES, TileAttention};
