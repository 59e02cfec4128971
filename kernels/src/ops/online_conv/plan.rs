//! What is known at set-up: filters, their spectra, and the choice between transforms and direct sums.

use mixer::{Count, Floats, Memory, MixerError};

use super::{Method, Shape, Span};
use crate::ops::fft::{Fft, Row, SMALLEST};
use crate::ops::long_conv::{FilterBank, GROUP, circular_lag, fft_size};

/// Smallest block of inputs that is convolved by a transform: 32 inputs take 0.56 µs for eight channels, and 0.63 µs
/// directly; 16 inputs 0.42 and 0.17 µs.
pub(super) const FIRST_BLOCK: usize = 32;

/// Largest block with spectra of its own: they take four floats for each input of a block and channel. After twice as
/// many tokens, all later sums are computed anew, as after a prompt.
pub(super) const LAST_BLOCK: usize = 2048;

/// Filters in the order in which steps read them.
#[derive(Debug)]
pub struct Taps(Floats);

impl Taps {
    /// Packs the filters `tap(set, channel, lag)` at all lags below the capacity.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(
        memory: &Memory,
        shape: Shape,
        tap: impl Fn(usize, usize, usize) -> f32,
    ) -> Result<Self, MixerError> {
        let Shape { capacity, width, sets, .. } = shape;
        let mut taps = memory.floats(shape.groups() * sets * capacity * GROUP)?;
        for (index, panel) in taps.chunks_exact_mut(capacity * GROUP).enumerate() {
            let (group, set) = (index / sets, index % sets);
            for (lag, row) in panel.as_chunks_mut::<GROUP>().0.iter_mut().rev().enumerate() {
                let channels = (group * GROUP..width).zip(row);
                channels.for_each(|(channel, to)| *to = tap(set, channel, lag));
            }
        }
        Ok(Self(taps))
    }
}

/// Filters prepared for [`super::OnlineConv`].
#[derive(Debug)]
pub(super) struct Plan {
    pub shape: Shape,
    method: Method,
    /// Filters by falling lags, `[groups, sets, capacity, GROUP]`.
    taps: Floats,
    /// Tables of the circles of 8, 16, … positions, up to that of a whole piece.
    ffts: Vec<Fft>,
    /// Spectra for convolutions within a piece; group `group · sets + set`.
    causal: FilterBank,
    /// Spectra of the lags between two neighbouring blocks of [`FIRST_BLOCK`], twice as many, … inputs.
    blocks: Vec<FilterBank>,
}

/// Sizes of the blocks that have spectra.
fn block_sizes(shape: Shape, method: Method) -> impl Iterator<Item = usize> {
    let most = if method == Method::Online { shape.capacity.saturating_sub(1).min(LAST_BLOCK) } else { 0 };
    std::iter::successors(Some(FIRST_BLOCK), |size| Some(2 * size)).take_while(move |&size| size <= most)
}

/// Sizes of the circles with tables: all that a piece, or a block, may need.
fn circles(shape: Shape) -> impl Iterator<Item = usize> {
    let most = fft_size(shape.piece()).max(fft_size(FIRST_BLOCK));
    std::iter::successors(Some(SMALLEST), |size| Some(2 * size)).take_while(move |&size| size <= most)
}

impl Plan {
    pub(super) fn new(memory: &Memory, shape: Shape, method: Method, taps: Taps) -> Result<Self, MixerError> {
        let (capacity, taps) = (shape.capacity, taps.0);
        let ffts = circles(shape).map(|size| Fft::new(memory, size)).collect::<Result<Vec<_>, _>>()?;
        let banks = shape.groups() * shape.sets;
        let at = |panel: usize, lane: usize, lag: usize| {
            if lag < capacity { taps[((panel + 1) * capacity - 1 - lag) * GROUP + lane] } else { 0.0 }
        };
        let bank = |size: usize, offset: usize| {
            let fft = &ffts[circle_index(size)];
            FilterBank::new(memory, fft, banks, fft.size(), |panel, lane, position| {
                match circular_lag(position, fft.size(), size) {
                    Some(Ok(later)) => at(panel, lane, offset + later),
                    Some(Err(earlier)) if earlier <= offset => at(panel, lane, offset - earlier),
                    _ => 0.0,
                }
            })
        };
        let causal = bank(shape.piece(), 0)?;
        let blocks = block_sizes(shape, method).map(|size| bank(size, size)).collect::<Result<_, _>>()?;
        Ok(Self { shape, method, taps, ffts, causal, blocks })
    }

    /// Floats that [`Plan::new`] keeps, with the taps. It needs less than [`Plan::scratch_floats`] besides.
    pub(super) fn floats(shape: Shape, method: Method) -> Count {
        let [panels, sets, capacity] = Count::all([shape.groups(), shape.sets, shape.capacity]);
        let spectra = std::iter::once(shape.piece()).chain(block_sizes(shape, method));
        let spectra: Count = spectra.map(|size| Fft::group_floats(fft_size(size))).sum();
        let panels = panels * sets;
        panels * (capacity * Count::from(GROUP) + spectra) + circles(shape).map(Fft::floats).sum::<Count>()
    }

    /// Floats of a worker's scratch: a spectrum and a transform of the largest circle.
    pub(super) fn scratch_floats(shape: Shape) -> Count {
        2 * circles(shape).last().map_or(Count::ZERO, Fft::group_floats)
    }

    /// The filter of a set of a group by falling lags, `[capacity]` rows.
    pub(super) fn taps(&self, group: usize, set: usize) -> &[Row] {
        let (rows, _) = self.taps.as_chunks::<GROUP>();
        &rows[(group * self.shape.sets + set) * self.shape.capacity..][..self.shape.capacity]
    }

    /// Spectra and circle for a convolution within a piece.
    pub(super) fn causal(&self) -> (&FilterBank, &Fft) {
        (&self.causal, self.fft(self.shape.piece()))
    }

    /// Spectra and circle for a block of `size` inputs and the `size` outputs after it; `None` if it is summed directly.
    pub(super) fn block(&self, size: usize) -> Option<(&FilterBank, &Fft)> {
        let index = size.checked_div(FIRST_BLOCK).filter(|&quotient| quotient > 0)?.ilog2() as usize;
        Some((self.blocks.get(index)?, self.fft(size)))
    }

    /// The circle for `length` positions.
    pub(super) fn fft(&self, length: usize) -> &Fft {
        &self.ffts[circle_index(length)]
    }

    /// Whether the outputs of a piece of `count` tokens take a transform.
    pub(super) fn is_transformed(&self, count: usize) -> bool {
        is_transform_cheaper(self.shape.piece(), 1, count, count.div_ceil(2))
    }

    /// Whether a piece is absorbed in one pass as a prompt is, and not token by token.
    pub(super) fn is_prompt(&self, Span { position, count }: Span) -> bool {
        if self.method == Method::Direct {
            return true;
        }
        let capacity = self.shape.capacity;
        let later = capacity - position - count;
        let prompt = far_operations(position, count)
            + far_operations(position + count, later)
            + Count::from(count) * Count::from(count);
        count >= FIRST_BLOCK && prompt <= Count::from(count) * token_operations()
    }

    /// The position from which blocks count after `span`.
    pub(super) fn next_base(&self, base: usize, span: Span) -> usize {
        let end = span.position + span.count;
        if span.count > 1 && self.is_prompt(span) { end } else { end - (end - base) % (2 * LAST_BLOCK) }
    }

    /// Multiply-adds of a call, roughly.
    pub(super) fn multiply_adds(&self, base: usize, span: Span) -> usize {
        let channels = self.shape.sets * self.shape.batch * self.shape.width;
        let end = span.position + span.count;
        let of_channel = match self.method {
            Method::Direct => span.count.saturating_mul(end),
            Method::Online if span.count > 1 => span.count * FIRST_BLOCK,
            Method::Online => {
                let size = 1 << (end - base).trailing_zeros();
                size * size.min(4 * FIRST_BLOCK)
            }
        };
        channels.saturating_mul(of_channel)
    }
}

/// Index of the circle for `length` positions in [`Plan::ffts`].
fn circle_index(length: usize) -> usize {
    (fft_size(length) / SMALLEST).ilog2() as usize
}

/// Whether `transforms` convolutions of `length` positions take less time than `inputs` · `rows` direct multiply-adds.
pub(super) fn is_transform_cheaper(length: usize, transforms: u64, inputs: usize, rows: usize) -> bool {
    let direct = 2 * Count::from(inputs) * Count::from(rows);
    // An operation of either takes about as long: 30 and 27 GFLOP/s for eight channels.
    transforms * Fft::convolution_flops(fft_size(length)) < direct
}

/// Inputs and outputs in each part of the contributions of `inputs` inputs to `rows` later outputs.
pub(super) fn far_part(shape: Shape, inputs: usize, rows: usize) -> usize {
    inputs.min(rows).next_power_of_two().clamp(1, shape.piece())
}

/// Operations of the contributions of `inputs` inputs to `rows` later outputs, in those of direct sums.
fn far_operations(inputs: usize, rows: usize) -> Count {
    let direct = 2 * Count::from(inputs) * Count::from(rows);
    let part = inputs.min(rows).next_power_of_two();
    let parts = Count::from(inputs.div_ceil(part)) * Count::from(rows.div_ceil(part));
    direct.min(2 * parts * Fft::convolution_flops(fft_size(part)))
}

/// Operations of a token in blocks, on average over many.
fn token_operations() -> Count {
    let blocks = std::iter::successors(Some(FIRST_BLOCK), |size| Some(2 * size));
    let blocks = blocks.take_while(|&size| size <= LAST_BLOCK);
    let transforms: u64 =
        blocks.map(|size| Fft::convolution_flops(fft_size(size)).get() / (2 * size as u64)).sum();
    Count::from(FIRST_BLOCK) + Count::new(transforms)
}
