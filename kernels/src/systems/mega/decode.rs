//! Decoding: the moving average carries its state along, and queries meet the cached keys of their chunk.

use std::sync::Arc;

use mixer::{
    Case, Count, CpuDecoder, DecodeMemory, Floats, MixerError, NoDecode, Parallel, PreparedDecoder,
    TokenInput, Tokens,
};

use super::INFO;
use super::attention;
use super::average::{self, Average};
use super::cache::{self, Cache, Segment};
use super::cpu::{activate, blend, normalize, queries};
use super::spec::{AttentionSpec, EmaSpec, LayerParams, LayerSpec, Spec};
use crate::decoding::{Decoder, Decoding, FixedState, PIECE};
use crate::ops::activation::{Product, Silu, map, map2};
use crate::ops::grain;
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::parts::for_each;
use crate::ops::query_block::QUERIES;
use crate::ops::scratch::Scratch;
use crate::recurrent_decoder::{Recurrent, RecurrentDecoder};

/// Refuses forms whose outputs see later tokens.
///
/// # Errors
/// [`MixerError::NoDecode`].
pub(super) fn check(spec: &Spec) -> Result<(), MixerError> {
    let backward = match spec {
        Spec::Ema(spec) => spec.bidirectional,
        Spec::Attention(spec) => !spec.causal,
        Spec::Layer(spec) => spec.ema.bidirectional || !spec.attention.causal,
    };
    if backward {
        return Err(MixerError::NoDecode { system: INFO.id.to_owned(), why: NoDecode::NotCausal });
    }
    Ok(())
}

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    let spec = Spec::read(case)?;
    check(&spec)?;
    let x = |width| vec![TokenInput { name: "x", width, fed: true }];
    Ok(match spec {
        Spec::Ema(spec) => x(spec.dims.d_model),
        Spec::Layer(spec) => x(spec.width()),
        Spec::Attention(spec) => [("q", spec.z), ("k", spec.z), ("v", spec.h)]
            .map(|(name, width)| TokenInput { name, width, fed: true })
            .to_vec(),
    })
}

/// Attention's answers have the width of its values.
pub(super) fn width(case: &Case) -> Result<usize, MixerError> {
    Ok(match Spec::read(case)? {
        Spec::Ema(spec) => spec.dims.d_model,
        Spec::Layer(spec) => spec.width(),
        Spec::Attention(spec) => spec.h,
    })
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read(case)?;
    check(&spec)?;
    Ok(match spec {
        Spec::Ema(spec) => average_decoder(spec, case, memory, parallel)?,
        Spec::Attention(spec) => {
            let cache = Cache::new(spec, &case.tensors, memory)?;
            let scratch = Scratch::new(&memory.work, parallel.threads(), attention::scratch_floats(&spec))?;
            Box::new(Decoding::new(spec.seq_len, Attention { spec, cache, scratch }))
        }
        Spec::Layer(spec) => {
            let layer = Layer::new(spec, case, memory, parallel)?;
            Box::new(Decoding::new(spec.ema.dims.seq_len, layer))
        }
    })
}

/// Floats of the state.
pub(super) fn state_floats(spec: &Spec) -> Count {
    match spec {
        Spec::Ema(spec) => average::state_floats(spec),
        Spec::Attention(spec) => cache::state_floats(spec),
        Spec::Layer(spec) => average::state_floats(&spec.ema) + cache::state_floats(&spec.attention),
    }
}

/// Floats of the decoder on one thread: the state, the copies of its initial value and of the mark, and all else.
pub(super) fn floats(spec: &Spec) -> Count {
    let average = |spec: &EmaSpec| 3 * average::state_floats(spec) + average::floats(spec);
    let cache = |spec: &AttentionSpec| cache::state_floats(spec) + cache::floats(spec);
    match spec {
        Spec::Ema(spec) => average(spec) + Count::from(average::SCRATCH),
        Spec::Attention(spec) => cache(spec) + attention::scratch_floats(spec),
        Spec::Layer(spec) => {
            let (width, h, joint) = (spec.width(), spec.attention.h, spec.joint());
            let [batch, piece] = Count::all([spec.ema.dims.batch, spec.ema.dims.seq_len.min(PIECE)]);
            let row: Count = Count::all([width, width, h, joint]).into_iter().sum();
            let linears = Linear::floats(width, h) + Linear::floats(width, joint) + Linear::floats(h, width);
            let kept = average(&spec.ema) + cache(&spec.attention);
            kept + linears + batch * piece * row + scratch_floats(spec)
        }
    }
}

/// Scratch floats of one worker of a layer.
fn scratch_floats(spec: &LayerSpec) -> Count {
    let [queries, h, width] = Count::all([QUERIES, spec.attention.h, spec.width()]);
    let finish = attention::scratch_floats(&spec.attention) + queries * (h + width);
    finish.max(Count::from(average::SCRATCH))
}

/// The moving average alone.
struct Alone {
    average: Average,
    scratch: Scratch,
}

fn average_decoder(
    spec: EmaSpec,
    case: &Case,
    memory: &DecodeMemory,
    parallel: &dyn Parallel,
) -> Result<Box<dyn CpuDecoder>, MixerError> {
    let recurrent = Alone {
        average: Average::new(spec, &case.tensors, &memory.work)?,
        scratch: Scratch::new(&memory.work, parallel.threads(), average::SCRATCH)?,
    };
    let state = FixedState::new(memory, average::state_floats(&spec).index(), |_| {})?;
    Ok(Box::new(Decoding::new(spec.dims.seq_len, RecurrentDecoder { recurrent, state })))
}

impl Recurrent for Alone {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        state: &mut [f32],
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let place = (position, tokens.count);
        self.average.advance(place, tokens.inputs[0], state, output, &self.scratch, parallel);
        Ok(())
    }
}

/// The attention alone.
struct Attention {
    spec: AttentionSpec,
    cache: Cache,
    scratch: Scratch,
}

/// Multiply-adds of a segment's attention.
fn attention_work(spec: &AttentionSpec, segment: Segment) -> usize {
    grain::product([spec.batch, segment.rows, segment.within + segment.rows, spec.z + spec.h])
}

impl Decoder for Attention {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        mut output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (spec, count) = (&self.spec, tokens.count);
        let [q, k, v] = [0, 1, 2].map(|input| tokens.inputs[input]);
        for segment in self.cache.segments(position, count) {
            for sequence in 0..spec.batch {
                for (at, row) in (segment.within..).zip(segment.rows_of(sequence, count)) {
                    let key = &k[row * spec.z..][..spec.z];
                    let value = &v[row * spec.h..][..spec.h];
                    self.cache.attention.put(sequence, at, |component| key[component], value);
                }
            }
            let Some(output) = &mut output else { continue };
            let parallel = grain::worth(parallel, attention_work(spec, segment));
            let rows = segment.block_rows(output, count, spec.h);
            let parts = segment.blocks(spec.batch, count).zip(rows);
            for_each(parallel, segment.n_blocks(spec.batch), parts, |(block, out), worker| {
                self.cache.attention.mix(
                    &block,
                    |row| &q[(block.row + row) * spec.z..][..spec.z],
                    &mut self.scratch.of(worker),
                    |row, a| out[row * spec.h..][..spec.h].copy_from_slice(a),
                );
            });
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.cache.mark();
    }

    fn rewind(&mut self, _position: usize) {
        self.cache.rewind();
    }
}

/// A whole layer.
struct Layer {
    case: Arc<Case>,
    spec: LayerSpec,
    value: Linear,
    joint: Linear,
    out: Linear,
    average: Average,
    state: FixedState,
    cache: Cache,
    /// x̂, e, v and u | q | r | h₀ of a piece, `[batch, count, width]` each, with their own widths.
    normalized: Floats,
    averaged: Floats,
    values: Floats,
    base: Floats,
    scratch: Scratch,
}

impl Layer {
    fn new(
        spec: LayerSpec,
        case: &Arc<Case>,
        memory: &DecodeMemory,
        parallel: &dyn Parallel,
    ) -> Result<Self, MixerError> {
        let (width, h, work) = (spec.width(), spec.attention.h, &memory.work);
        let params = spec.params(&case.tensors)?;
        let linear = |inputs, outputs, (weight, bias): (&[f32], &[f32])| {
            Linear::new(work, inputs, outputs, weight, Some(bias))
        };
        let rows = spec.ema.dims.batch * spec.ema.dims.seq_len.min(PIECE);
        Ok(Self {
            case: Arc::clone(case),
            spec,
            value: linear(width, h, params.value)?,
            joint: linear(width, spec.joint(), params.joint)?,
            out: linear(h, width, params.out)?,
            average: Average::new(spec.ema, &case.tensors, work)?,
            state: FixedState::new(memory, average::state_floats(&spec.ema).index(), |_| {})?,
            cache: Cache::new(spec.attention, &case.tensors, memory)?,
            normalized: work.floats(rows * width)?,
            averaged: work.floats(rows * width)?,
            values: work.floats(rows * h)?,
            base: work.floats(rows * spec.joint())?,
            scratch: Scratch::new(work, parallel.threads(), scratch_floats(&spec))?,
        })
    }

    /// x̂, v, e and u | z | r | h₀ of all tokens.
    fn project(
        &mut self,
        params: &LayerParams<'_>,
        (position, count): (usize, usize),
        x: &[f32],
        parallel: &dyn Parallel,
    ) {
        let (spec, width, h) = (&self.spec, self.spec.width(), self.spec.attention.h);
        let (rows, joint) = (spec.ema.dims.batch * count, spec.joint());
        let (value, joint_linear) = (&self.value, &self.joint);
        let blocks = rows.div_ceil(BLOCK);
        let normalized = &mut self.normalized[..rows * width];
        let values = self.values[..rows * h].chunks_mut(BLOCK * h);
        let parts = x.chunks(BLOCK * width).zip(normalized.chunks_mut(BLOCK * width)).zip(values);
        let wide = grain::worth(parallel, grain::product([rows, width, h]));
        for_each(wide, blocks, parts, |((x, normalized), values), _| {
            normalized.copy_from_slice(x);
            if spec.pre_norm {
                normalize(params.norm, normalized, width);
            }
            value.apply_rows(normalized, values);
            map(values, Silu);
        });
        let averaged = &mut self.averaged[..rows * width];
        let states = &mut self.state.now;
        let place = (position, count);
        self.average.advance(place, normalized, states, Some(&mut *averaged), &self.scratch, parallel);
        let base = self.base[..rows * joint].chunks_mut(BLOCK * joint);
        let parts = averaged.chunks(BLOCK * width).zip(base);
        let wide = grain::worth(parallel, grain::product([rows, width, joint]));
        for_each(wide, blocks, parts, |(averaged, base), _| {
            joint_linear.apply_rows(averaged, base);
            activate(spec, base);
        });
    }

    /// Puts keys and values of a segment into the cache, then overwrites z with the queries.
    fn put(&mut self, params: &LayerParams<'_>, segment: Segment, count: usize) {
        let Self { spec, cache, values, base, .. } = self;
        let (width, z, h, joint) = (spec.width(), spec.attention.z, spec.attention.h, spec.joint());
        let (weight, bias) = (&params.qk_weight[z..], &params.qk_bias[z..]);
        for sequence in 0..spec.attention.batch {
            let rows = segment.rows_of(sequence, count);
            for (at, row) in (segment.within..).zip(rows.clone()) {
                let shared = &base[row * joint + width..][..z];
                let key = |component: usize| shared[component] * weight[component] + bias[component];
                cache.attention.put(sequence, at, key, &values[row * h..][..h]);
            }
            queries(spec, params, &mut base[rows.start * joint..rows.end * joint]);
        }
    }

    /// Attention, gates and the output projection of a segment.
    fn finish(
        &self,
        params: &LayerParams<'_>,
        (segment, count): (Segment, usize),
        x: &[f32],
        output: &mut [f32],
        parallel: &dyn Parallel,
    ) {
        let spec = &self.spec;
        let (width, z, h, joint) = (spec.width(), spec.attention.z, spec.attention.h, spec.joint());
        let batch = spec.attention.batch;
        let work = attention_work(&spec.attention, segment).saturating_add(grain::product([
            batch,
            segment.rows,
            h,
            width,
        ]));
        let parts = segment.blocks(batch, count).zip(segment.block_rows(output, count, width));
        for_each(grain::worth(parallel, work), segment.n_blocks(batch), parts, |(block, y), worker| {
            let mut scratch = self.scratch.of(worker);
            let (gated, rest) = scratch.split_at_mut(QUERIES * h);
            let (hidden, rest) = rest.split_at_mut(QUERIES * width);
            let base = &self.base[block.row * joint..][..block.rows * joint];
            self.cache.attention.mix(
                &block,
                |row| &base[row * joint + width..][..z],
                rest,
                |row, a| {
                    let gated = &mut gated[row * h..][..h];
                    gated.copy_from_slice(a);
                    map2(gated, &base[row * joint + width + z..][..h], Product);
                },
            );
            let hidden = &mut hidden[..block.rows * width];
            self.out.apply_rows(&gated[..block.rows * h], hidden);
            let x = &x[block.row * width..][..block.rows * width];
            blend(spec, params, (x, base), hidden, y);
        });
    }
}

impl Decoder for Layer {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        mut output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (case, x, count) = (Arc::clone(&self.case), tokens.inputs[0], tokens.count);
        let params = self.spec.params(&case.tensors)?;
        self.project(&params, (position, count), x, parallel);
        for segment in self.cache.segments(position, count) {
            self.put(&params, segment, count);
            if let Some(output) = &mut output {
                self.finish(&params, (segment, count), x, output, parallel);
            }
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.state.mark();
        self.cache.mark();
    }

    fn rewind(&mut self, _position: usize) {
        self.state.rewind();
        self.cache.rewind();
    }

    fn clear(&mut self) {
        self.state.clear();
    }
}
