//! Decoding: the sums over the keys so far, relative to the largest key projection so far.

use std::sync::Arc;

use mixer::{
    Case, Count, DecodeMemory, Floats, Level, MixerError, NoDecode, Parallel, PreparedDecoder, TokenInput,
    Tokens,
};

use super::block::Block;
use super::cpu::Core;
use super::features::FeatureMap;
use super::running::{self, Token};
use super::{INFO, Spec};
use crate::decoding::{Decoding, FixedState, PIECE};
use crate::ops::grain;
use crate::ops::linear::Linear;
use crate::ops::scratch::Scratch;
use crate::recurrent_decoder::{Recurrent, RecurrentDecoder};

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    let spec = Spec::read(case)?;
    if !spec.causal {
        return Err(MixerError::NoDecode { system: INFO.id.to_owned(), why: NoDecode::NotCausal });
    }
    let input = |name, width| TokenInput { name, width, fed: true };
    Ok(match spec.level {
        Level::Core => ["q", "k", "v"].map(|name| input(name, spec.inner())).to_vec(),
        Level::Layer => vec![input("x", spec.dims.d_model)],
    })
}

/// Floats besides the state and its copies, on one thread.
pub(super) fn floats(spec: &Spec) -> Count {
    let (width, inner) = (spec.dims.d_model, spec.inner());
    let layer = match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => {
            let [batch, piece, row] = Count::all([spec.dims.batch, spec.dims.seq_len.min(PIECE), inner]);
            3 * Linear::floats(width, inner) + Linear::floats(inner, width) + 3 * batch * piece * row
        }
    };
    layer + FeatureMap::floats(spec) + Count::from(Block::floats(spec))
}

/// The projections of a layer, and their outputs for a piece.
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    /// `[batch, count, inner]` each; queries, then the core's outputs over them.
    core: Floats,
    k: Floats,
    v: Floats,
}

/// Performer without its state.
struct Performer {
    spec: Spec,
    layer: Option<Layer>,
    map: FeatureMap,
    scratch: Scratch,
}

/// A core's answers have the width of its heads.
pub(super) fn width(case: &Case) -> Result<usize, MixerError> {
    let spec = Spec::read(case)?;
    Ok(if spec.level == Level::Core { spec.inner() } else { spec.dims.d_model })
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read(case)?;
    let (width, inner, tensors, work) = (spec.dims.d_model, spec.inner(), &case.tensors, &memory.work);
    let layer = match spec.level {
        Level::Core => None,
        Level::Layer => {
            let linear = |name: &str, inputs: usize, outputs: usize| {
                let (weight, bias) = spec.linear(tensors, name)?;
                Linear::new(work, inputs, outputs, weight, bias)
            };
            let stream = || work.floats(spec.dims.batch * spec.dims.seq_len.min(PIECE) * inner);
            Some(Layer {
                query: linear("query", width, inner)?,
                key: linear("key", width, inner)?,
                value: linear("value", width, inner)?,
                out: linear("out", inner, width)?,
                core: stream()?,
                k: stream()?,
                v: stream()?,
            })
        }
    };
    let map = FeatureMap::new(work, &spec, spec.projection(tensors)?)?;
    let scratch = Scratch::new(work, parallel.threads(), Block::floats(&spec))?;
    let state =
        FixedState::new(memory, running::floats(&spec).index(), |states| running::clear(&spec, states))?;
    let recurrent = Performer { spec, layer, map, scratch };
    Ok(Box::new(Decoding::new(spec.dims.seq_len, RecurrentDecoder { recurrent, state })))
}

impl Performer {
    /// Absorbs keys and values; with `core`, `[batch, count, inner]`, outputs are written over the queries.
    fn mix(
        spec: &Spec,
        (map, scratch): (&FeatureMap, &Scratch),
        position: usize,
        [k, v]: [&[f32]; 2],
        states: &mut [f32],
        core: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) {
        // Features of query and key, then the product that is added and the one that is read.
        let parallel = grain::worth(parallel, grain::product([4, k.len(), spec.n_features]));
        match core {
            Some(core) if spec.dims.seq_len == 1 => {
                Token { spec, map, scratch, k, v }.step(position, states, core, parallel);
            }
            core => {
                let core_parts = Core { spec: *spec, map, scratch, parts: 1, k, v };
                core_parts.go_on(position, states, core, parallel);
            }
        }
    }
}

impl Recurrent for Performer {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        state: &mut [f32],
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let mut spec = self.spec;
        spec.dims.seq_len = tokens.count;
        let shared = (&self.map, &self.scratch);
        let Some(layer) = &mut self.layer else {
            let [k, v] = [tokens.inputs[1], tokens.inputs[2]];
            let mut core = output;
            if let Some(core) = &mut core {
                core.copy_from_slice(tokens.inputs[0]);
            }
            Self::mix(&spec, shared, position, [k, v], state, core, parallel);
            return Ok(());
        };
        let x = tokens.inputs[0];
        let len = spec.dims.batch * tokens.count * spec.inner();
        let wide = grain::worth(parallel, grain::product([len, spec.dims.d_model]));
        let (k, v) = (&mut layer.k[..len], &mut layer.v[..len]);
        layer.key.apply(x, k, wide);
        layer.value.apply(x, v, wide);
        let Some(output) = output else {
            Self::mix(&spec, shared, position, [k, v], state, None, parallel);
            return Ok(());
        };
        let core = &mut layer.core[..len];
        layer.query.apply(x, core, wide);
        Self::mix(&spec, shared, position, [k, v], state, Some(core), parallel);
        layer.out.apply(core, output, wide);
        Ok(())
    }
}
