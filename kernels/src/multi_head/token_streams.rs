//! Queries, keys and values of a decoder's tokens, and the layer around them.

use mixer::{
    Case, Count, Floats, Level, Memory, MixerError, NoDecode, Parallel, Problem, TokenInput, Tokens,
};

use super::{Spec, kv_width, projection_floats, streams_floats, weight_floats};
use crate::ops::kv_cache::KvCache;
use crate::ops::linear::Linear;

/// The inputs of a token: x of a layer; q, k and v of a core.
///
/// # Errors
/// [`MixerError::NoDecode`] where the case is not causal.
pub(crate) fn token_inputs(spec: &Spec, system: &str) -> Result<Vec<TokenInput>, MixerError> {
    if !spec.causal {
        return Err(MixerError::NoDecode { system: system.to_owned(), why: NoDecode::NotCausal });
    }
    let width = spec.dims.d_model;
    let input = |name, width| TokenInput { name, width, fed: true };
    Ok(match spec.level {
        Level::Core => vec![input("q", width), input("k", spec.kv_width()), input("v", spec.kv_width())],
        Level::Layer => vec![input("x", width)],
    })
}

/// Bytes that a step reads and writes besides the keys and values that it reads: weights, inputs and outputs, and the token's
/// keys and values.
pub(crate) fn step_bytes(problem: &Problem, kv_heads: usize) -> Count {
    let kv = 2 * kv_width(problem, kv_heads);
    let width = Count::from(problem.d_model);
    let (weights, token) = match problem.level {
        Level::Core => (Count::ZERO, 2 * width + 2 * kv),
        Level::Layer => (weight_floats(problem, kv_heads), 2 * width + kv),
    };
    4 * (weights + Count::from(problem.batch) * token)
}

/// The projections of a layer, with buffers for a piece of tokens.
pub(crate) struct TokenStreams {
    layer: Option<Layer>,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    /// Queries, then the core's output, `[batch, piece, width]`.
    q: Floats,
    /// Keys, then values, `[batch, piece, kv_heads · d_head]`.
    kv: Floats,
}

impl TokenStreams {
    /// Floats that [`TokenStreams::new`] takes from the memory budget.
    pub(crate) fn floats(problem: &Problem, kv_heads: usize, piece: usize) -> Count {
        match problem.level {
            Level::Core => Count::ZERO,
            Level::Layer => {
                let tokens = Problem { seq_len: piece, ..problem.forward() };
                let kv = Count::from(problem.batch) * Count::from(piece) * kv_width(problem, kv_heads);
                projection_floats(problem, kv_heads) + streams_floats(&tokens, 1) + kv
            }
        }
    }

    /// Packs the weights of a case, with room for `piece` tokens.
    ///
    /// # Errors
    /// A [`MixerError`] where the case lacks a weight or memory is exhausted.
    pub(crate) fn new(spec: &Spec, case: &Case, memory: &Memory, piece: usize) -> Result<Self, MixerError> {
        if spec.level == Level::Core {
            return Ok(Self { layer: None });
        }
        let linear = |name: &str| {
            let (weight, bias) = spec.projection(&case.tensors, name)?;
            Linear::new(memory, spec.dims.d_model, spec.outputs_of(name), weight, bias)
        };
        let floats = |width: usize| {
            let [batch, piece, width] = Count::all([spec.dims.batch, piece, width]);
            memory.floats(batch * piece * width)
        };
        let layer = Layer {
            query: linear("query")?,
            key: linear("key")?,
            value: linear("value")?,
            out: linear("out")?,
            q: floats(spec.dims.d_model)?,
            kv: floats(spec.kv_width())?,
        };
        Ok(Self { layer: Some(layer) })
    }

    /// Writes the tokens' keys and values to the rows of `cache` from `position` on.
    pub(crate) fn remember(
        &mut self,
        tokens: Tokens<'_>,
        cache: &mut KvCache,
        position: usize,
        parallel: &dyn Parallel,
    ) {
        let count = tokens.count;
        match &mut self.layer {
            None => {
                cache.set_keys(position, count, tokens.inputs[1]);
                cache.set_values(position, count, tokens.inputs[2]);
            }
            Some(Layer { query, key, value, kv, .. }) => {
                let x = tokens.inputs[0];
                let kv = &mut kv[..x.len() / query.inputs() * key.outputs()];
                key.apply(x, kv, parallel);
                cache.set_keys(position, count, kv);
                value.apply(x, kv, parallel);
                cache.set_values(position, count, kv);
            }
        }
    }

    /// Answers the tokens. `attend` overwrites the queries, `[batch, count, width]`, with the core's output.
    pub(crate) fn answer(
        &mut self,
        tokens: Tokens<'_>,
        output: &mut [f32],
        parallel: &dyn Parallel,
        attend: impl FnOnce(&mut [f32]),
    ) {
        match &mut self.layer {
            None => {
                output.copy_from_slice(tokens.inputs[0]);
                attend(output);
            }
            Some(Layer { query, out, q, .. }) => {
                let q = &mut q[..output.len()];
                query.apply(tokens.inputs[0], q, parallel);
                attend(q);
                out.apply(q, output, parallel);
            }
        }
    }
}
